//! sqlx's `push_values` over owned rows, 1,000 a statement.

use sqlx::{Connection, MySql, MySqlConnection, QueryBuilder};
use tokio::task::JoinSet;

use crate::common::shares;
use crate::rows::{COLUMNS, ON_CONFLICT, Row};

const SIZE: usize = 1_000;

/// Connects with sqlx.
pub(crate) async fn connect(url: &str) -> MySqlConnection {
    MySqlConnection::connect(url).await.expect("sqlx connects")
}

/// Upserts the rows over these connections, and gives them back.
pub(crate) async fn upsert(
    connections: Vec<MySqlConnection>,
    table: &str,
    rows: Vec<Row>,
) -> Vec<MySqlConnection> {
    let mut tasks = JoinSet::new();
    let shares = shares(rows, connections.len());
    for (connection, rows) in connections.into_iter().zip(shares) {
        tasks.spawn(over_one(connection, table.to_owned(), rows));
    }
    tasks.join_all().await
}

async fn over_one(
    mut connection: MySqlConnection,
    table: String,
    rows: Vec<Row>,
) -> MySqlConnection {
    let insert = format!("INSERT INTO {table} ({COLUMNS}) ");
    let tail = format!(" {ON_CONFLICT}");
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut query = QueryBuilder::<MySql>::new(&insert);
        query.push_values(rows.by_ref().take(SIZE), |mut row, (id, name, email, hits, score)| {
            row.push_bind(id).push_bind(name).push_bind(email).push_bind(hits).push_bind(score);
        });
        query.push(&tail).build().execute(&mut connection).await.expect("the rows are written");
    }
    connection
}
