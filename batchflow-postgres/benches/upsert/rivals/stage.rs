//! COPY into a temporary table, made once a connection, then one `INSERT … SELECT`; begun and
//! committed without waiting for answers that need not be waited for.

use std::pin::pin;
use std::sync::Arc;

use batchflow_postgres::client::binary_copy::BinaryCopyInWriter;
use batchflow_postgres::client::types::Type;
use batchflow_postgres::client::{Client, Error};
use tokio::task::JoinSet;
use tokio::try_join;

use super::shares;
use crate::rows::{COLUMNS, ON_CONFLICT, Row};

const TYPES: [Type; 5] = [Type::INT8, Type::TEXT, Type::TEXT, Type::INT8, Type::FLOAT8];

/// Upserts the rows over these connections, so many in a batch.
pub(crate) async fn upsert(clients: &[Arc<Client>], table: &str, rows: Vec<Row>, size: usize) {
    let mut tasks = JoinSet::new();
    for (client, rows) in clients.iter().zip(shares(rows, clients.len())) {
        tasks.spawn(over_one(Arc::clone(client), table.to_owned(), rows, size));
    }
    for written in tasks.join_all().await {
        written.expect("the rows are written");
    }
}

async fn over_one(
    client: Arc<Client>,
    table: String,
    rows: Vec<Row>,
    size: usize,
) -> Result<(), Error> {
    let make =
        format!("CREATE TEMP TABLE IF NOT EXISTS stage (LIKE {table}) ON COMMIT DELETE ROWS");
    client.batch_execute(&make).await?;
    let copy = client.prepare("COPY stage FROM STDIN (FORMAT binary)").await?;
    let insert =
        format!("INSERT INTO {table} ({COLUMNS}) SELECT {COLUMNS} FROM stage {ON_CONFLICT}");
    let insert = client.prepare(&insert).await?;
    for batch in rows.chunks(size) {
        let ((), sink) = try_join!(client.batch_execute("BEGIN"), client.copy_in(&copy))?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &TYPES));
        for (id, name, email, hits, score) in batch {
            writer.as_mut().write(&[id, name, email, hits, score]).await?;
        }
        writer.finish().await?;
        try_join!(client.execute(&insert, &[]), client.batch_execute("COMMIT"))?;
    }
    Ok(())
}
