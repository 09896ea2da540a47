//! What a skilled user would write instead, each as good as we could make it: transactions of
//! 10,000 rows, but for sqlx.

pub(crate) mod bulk;
pub(crate) mod load;
pub(crate) mod multi_row;
pub(crate) mod push_values;
pub(crate) mod server_alone;

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Conn, Value};

use crate::rows::Row;

/// Rows in a transaction, as measured the best size of all.
pub(crate) const SIZE: usize = 10_000;

fn values((id, name, email, hits, score): Row) -> [Value; 5] {
    [id.into(), name.into(), email.into(), hits.into(), score.into()]
}

/// Opens a transaction by the next statement, whatever it is.
async fn by_commit(conn: &mut Conn) {
    conn.query_drop("SET autocommit = 0").await.expect("a session can be set");
}

async fn commit(conn: &mut Conn) {
    conn.query_drop("COMMIT").await.expect("the transaction commits");
}
