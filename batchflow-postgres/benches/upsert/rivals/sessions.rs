//! Sessions by COPY into a temporary table, then one `INSERT … SELECT`, as [`super::stage`] does it.

use std::error::Error as StdError;
use std::pin::pin;
use std::time::SystemTime;

use batchflow_postgres::client::binary_copy::BinaryCopyInWriter;
use batchflow_postgres::client::types::{IsNull, ToSql, Type, to_sql_checked};
use batchflow_postgres::client::{Client, Error};
use bytes::{BufMut, BytesMut};
use tokio::try_join;

use crate::rows::JsonTexts;

/// A session as a program of one's own has it.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) session_id: String,
    pub(crate) agent_id: String,
    pub(crate) team_id: Option<String>,
    pub(crate) workflow_id: Option<String>,
    pub(crate) user_id: String,
    pub(crate) name: String,
    pub(crate) json: JsonTexts,
    pub(crate) created_at: SystemTime,
    pub(crate) updated_at: SystemTime,
}

const COLUMNS: [&str; 13] = [
    "session_id",
    "agent_id",
    "team_id",
    "workflow_id",
    "user_id",
    "name",
    "metadata",
    "state",
    "agent_data",
    "runs",
    "summary",
    "created_at",
    "updated_at",
];

/// A document's text as jsonb: a version, then the text.
#[derive(Debug)]
struct Jsonb<'a>(&'a str);

impl ToSql for Jsonb<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.put_u8(1);
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSONB
    }

    to_sql_checked!();
}

/// Upserts the sessions, so many in a batch; the time of creation stays what it was.
pub(crate) async fn upsert(client: &Client, table: &str, sessions: Vec<Own>, size: usize) {
    write(client, table, &sessions, size).await.expect("the sessions are written");
}

async fn write(client: &Client, table: &str, all: &[Own], size: usize) -> Result<(), Error> {
    let make =
        format!("CREATE TEMP TABLE IF NOT EXISTS stage (LIKE {table}) ON COMMIT DELETE ROWS");
    client.batch_execute(&make).await?;
    let copy = client.prepare("COPY stage FROM STDIN (FORMAT binary)").await?;
    let kept = |column: &&&str| ["session_id", "created_at"].contains(*column);
    let set = COLUMNS.iter().filter(|column| !kept(column));
    let set: Vec<String> = set.map(|column| format!("{column} = EXCLUDED.{column}")).collect();
    let insert = format!(
        "INSERT INTO {table} SELECT * FROM stage ON CONFLICT (session_id) DO UPDATE SET {}",
        set.join(", ")
    );
    let insert = client.prepare(&insert).await?;
    let types: Vec<Type> = std::iter::repeat_n(Type::VARCHAR, 6)
        .chain(std::iter::repeat_n(Type::JSONB, 5))
        .chain(std::iter::repeat_n(Type::TIMESTAMPTZ, 2))
        .collect();
    for batch in all.chunks(size) {
        let ((), sink) = try_join!(client.batch_execute("BEGIN"), client.copy_in(&copy))?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
        for own in batch {
            let [metadata, state, agent_data, runs, summary] =
                own.json.each_ref().map(|j| Jsonb(j));
            let row: [&(dyn ToSql + Sync); 13] = [
                &own.session_id,
                &own.agent_id,
                &own.team_id,
                &own.workflow_id,
                &own.user_id,
                &own.name,
                &metadata,
                &state,
                &agent_data,
                &runs,
                &summary,
                &own.created_at,
                &own.updated_at,
            ];
            writer.as_mut().write(&row).await?;
        }
        writer.finish().await?;
        try_join!(client.execute(&insert, &[]), client.batch_execute("COMMIT"))?;
    }
    Ok(())
}
