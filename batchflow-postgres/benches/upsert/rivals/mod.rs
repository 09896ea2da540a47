//! What a skilled user would write instead, each as good as we could make it.

pub(crate) mod psql;
pub(crate) mod push_values;
pub(crate) mod server_alone;
pub(crate) mod sessions;
pub(crate) mod stage;
pub(crate) mod unnest;

use crate::rows::Row;

/// The rows in equal shares, one a connection: each in a range of keys of its own, so that none
/// waits for another's page of the index.
fn shares(mut rows: Vec<Row>, connections: usize) -> Vec<Vec<Row>> {
    let share = rows.len().div_ceil(connections);
    let mut shares: Vec<_> = (1..connections).map(|_| rows.split_off(rows.len() - share)).collect();
    shares.push(rows);
    shares
}
