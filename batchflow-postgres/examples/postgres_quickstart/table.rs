//! The table: made before the rows are sent, checked after.

use std::pin::pin;

use batchflow_postgres::client::{self, Client, NoTls};
use bytes::Bytes;
use futures_util::SinkExt as _;

use crate::Error;
use crate::options::Options;
use crate::rows::{Kind, Rows};

/// So many bytes of CSV are sent at once.
const CHUNK: usize = 64 << 10;

/// The table, and a connection past the driver to make and check it.
pub(crate) struct Table {
    pub(crate) name: String,
    client: Client,
}

impl Table {
    /// Makes the table.
    pub(crate) async fn create(rows: &Rows, options: &Options) -> Result<Self, Error> {
        let (client, connection) = client::connect(&options.url, NoTls).await.map_err(told)?;
        // It ends when the client is dropped.
        tokio::spawn(connection);
        let name = options.table(rows);
        let table = quoted_table(&name);
        if options.is_default_table() {
            client.batch_execute(&format!("DROP TABLE IF EXISTS {table}")).await.map_err(told)?;
        }
        let columns = rows.columns.iter().zip(&rows.kinds).map(|(column, kind)| {
            let kind = match kind {
                Kind::Integer => "bigint",
                Kind::Float => "double precision",
                Kind::Text => "text",
            };
            format!("{} {kind}", quoted(column))
        });
        let (columns, key) = (columns.collect::<Vec<_>>().join(", "), list(rows.key_names()));
        let sql = format!("CREATE TABLE {table} ({columns}, PRIMARY KEY ({key}))");
        client.batch_execute(&sql).await.map_err(told)?;
        Ok(Self { name, client })
    }

    /// Compares the table with the rows, cell by cell: of each key, the last row stands. The server
    /// reads the rows once more for it, by itself, as CSV.
    pub(crate) async fn check(&mut self, rows: &Rows) -> Result<Found, Error> {
        let table = quoted_table(&self.name);
        let (columns, key) =
            (list(rows.columns.iter().map(String::as_str)), list(rows.key_names()));
        let transaction = self.client.transaction().await.map_err(told)?;
        let given = format!(
            "CREATE TEMP TABLE given (LIKE {table}) ON COMMIT DROP; \
         ALTER TABLE given ADD COLUMN \"row of the file\" bigint GENERATED ALWAYS AS IDENTITY"
        );
        transaction.batch_execute(&given).await.map_err(told)?;
        let copy = format!("COPY given ({columns}) FROM STDIN (FORMAT csv, NULL 'NA')");
        let mut sink = pin!(transaction.copy_in::<_, Bytes>(&copy).await.map_err(told)?);
        let mut writer = csv::Writer::from_writer(Vec::new());
        for record in rows.read()? {
            writer.write_record(&record?)?;
            if writer.get_ref().len() >= CHUNK {
                let chunk = writer.into_inner().map_err(|error| error.to_string())?;
                sink.send(chunk.into()).await.map_err(told)?;
                writer = csv::Writer::from_writer(Vec::new());
            }
        }
        let chunk = writer.into_inner().map_err(|error| error.to_string())?;
        sink.send(chunk.into()).await.map_err(told)?;
        sink.as_mut().finish().await.map_err(told)?;
        let compare = format!(
            "WITH last AS (SELECT DISTINCT ON ({key}) {columns} FROM given \
                       ORDER BY {key}, \"row of the file\" DESC), \
         missing AS (SELECT {columns} FROM last EXCEPT ALL SELECT {columns} FROM {table}), \
         beyond AS (SELECT {columns} FROM {table} EXCEPT ALL SELECT {columns} FROM last) \
         SELECT count(*), coalesce(sum(num_nulls({columns})), 0)::bigint, \
                (SELECT count(*) FROM missing), (SELECT count(*) FROM beyond) FROM {table}"
        );
        let row = transaction.query_one(&compare, &[]).await.map_err(told)?;
        let [rows, nulls, missing, beyond] = [0, 1, 2, 3].map(|at| row.get::<_, i64>(at));
        if (missing, beyond) != (0, 0) {
            return Err(format!(
                "{missing} rows are not in the table, {beyond} there as not given"
            )
            .into());
        }
        Ok(Found { rows, nulls })
    }
}

/// What the table was found to hold.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) rows: i64,
    pub(crate) nulls: i64,
}

/// What the server says in one line; else what the client says.
#[allow(clippy::needless_pass_by_value, reason = "it is called by map_err")]
fn told(error: client::Error) -> String {
    match error.as_db_error() {
        Some(server) => server.message().to_owned(),
        None => error.to_string(),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quoted).collect::<Vec<_>>().join(", ")
}

/// `app.weather` is schema-qualified, as in a [`Schema`](batchflow_postgres::Schema).
fn quoted_table(name: &str) -> String {
    name.split('.').map(quoted).collect::<Vec<_>>().join(".")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
