//! A prepared `INSERT … SELECT … FROM UNNEST`, a statement a batch, two of them under way at a time
//! on each connection: while the server writes one, the next is encoded and sent.

use std::sync::Arc;

use batchflow_postgres::client::{Client, Error, Statement};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::task::JoinSet;

use super::shares;
use crate::rows::{COLUMNS, ON_CONFLICT, Row};

/// Upserts the rows over these connections, so many in a batch.
pub(crate) async fn upsert(clients: &[Arc<Client>], table: &str, rows: Vec<Row>, size: usize) {
    let sql = format!(
        "INSERT INTO {table} ({COLUMNS}) SELECT * FROM \
         UNNEST($1::int8[], $2::text[], $3::text[], $4::int8[], $5::float8[]) {ON_CONFLICT}"
    );
    let mut tasks = JoinSet::new();
    for (client, rows) in clients.iter().zip(shares(rows, clients.len())) {
        tasks.spawn(over_one(Arc::clone(client), sql.clone(), rows, size));
    }
    tasks.join_all().await;
}

async fn over_one(client: Arc<Client>, sql: String, rows: Vec<Row>, size: usize) {
    let statement = client.prepare(&sql).await.expect("the statement is sound");
    let mut under_way = FuturesOrdered::new();
    for batch in rows.chunks(size) {
        under_way.push_back(write(&client, &statement, batch));
        if under_way.len() == 2 {
            under_way.next().await.expect("one is under way").expect("the batch is written");
        }
    }
    while let Some(written) = under_way.next().await {
        written.expect("the batch is written");
    }
}

async fn write(client: &Client, statement: &Statement, batch: &[Row]) -> Result<u64, Error> {
    let id: Vec<i64> = batch.iter().map(|row| row.0).collect();
    let name: Vec<&str> = batch.iter().map(|row| row.1.as_str()).collect();
    let email: Vec<&str> = batch.iter().map(|row| row.2.as_str()).collect();
    let hits: Vec<i64> = batch.iter().map(|row| row.3).collect();
    let score: Vec<f64> = batch.iter().map(|row| row.4).collect();
    client.execute(statement, &[&id, &name, &email, &hits, &score]).await
}
