//! `LOAD DATA LOCAL INFILE` from memory into a temporary table, then one statement over it.
//!
//! A LOAD turns errors into warnings, even under a strict SQL mode: it cuts texts, and takes what
//! is no number for 0. So it never writes the table itself; and what arrives in the temporary
//! table is only used where nothing was warned of.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Value};

use super::cut::Cut;
use super::{Failed, bulk, rest, rows, steps};
use crate::plan::Plan;
use crate::statement::LoadTexts;
use crate::types::TypeKind;

/// So many bytes are handed over at once, where a packet may be so long.
const CHUNK: usize = 256 << 10;

/// There is a temporary table of this name.
const TABLE_EXISTS: u16 = 1050;

/// Rows as a text file, and the parameters they were made of: what the file's rows would not
/// convey is written by them.
#[derive(Debug)]
pub(crate) struct Loaded {
    body: Bytes,
    values: Vec<Value>,
    parts: Vec<usize>,
    rows: usize,
}

impl Loaded {
    pub(super) async fn new(cut: &Cut, plan: &Plan, values: Vec<Value>) -> Self {
        let parts = if plan.server.takes_bulk() {
            cut.packets()
        } else {
            cut.statements(&plan.texts.repeated)
        };
        let columns = plan.columns.iter().filter_map(|&at| plan.table.columns.get(at));
        let years: Vec<bool> = columns.map(|column| column.ty.kind == TypeKind::Year).collect();
        let mut body = Vec::with_capacity(values.len() * 16);
        for step in steps(cut.rows()) {
            let width = years.len();
            lines(&values[step.start * width..step.end * width], &years, &mut body);
            rest(step).await;
        }
        Self { body: Bytes::from(body), values, parts, rows: cut.rows() }
    }

    pub(super) async fn send(self, conn: &mut Conn, plan: &Plan) -> Result<u64, Failed> {
        let Some(texts) = &plan.texts.load else { return self.send_values(conn, plan).await };
        create(conn, texts).await.map_err(Failed::Way)?;
        // A chunk is a packet.
        let chunk = CHUNK.min(plan.server.max_allowed_packet / 2).max(1);
        let loaded = load(conn, texts, self.body.clone(), chunk, self.rows).await;
        let sent = match loaded {
            Ok(true) => conn
                .query_drop(texts.insert.as_str())
                .await
                .map_err(|error| Failed::Write(error, Some((0, self.rows)))),
            Ok(false) => return self.instead(conn, plan, texts).await,
            Err(error) => Err(Failed::Way(error)),
        };
        let affected = conn.affected_rows();
        // What failed may have ended the connection, and the table with it.
        let dropped = conn.query_drop(texts.drop.as_str()).await;
        sent?;
        dropped.map_err(Failed::Way)?;
        Ok(affected)
    }

    /// A value that the server takes otherwise from a file than as a parameter.
    async fn instead(self, conn: &mut Conn, plan: &Plan, texts: &LoadTexts) -> Result<u64, Failed> {
        conn.query_drop(texts.drop.as_str()).await.map_err(Failed::Way)?;
        self.send_values(conn, plan).await
    }

    async fn send_values(self, conn: &mut Conn, plan: &Plan) -> Result<u64, Failed> {
        if plan.server.takes_bulk() {
            bulk::send(conn, plan, self.values, &self.parts).await
        } else {
            rows::send(conn, plan, self.values, &self.parts).await
        }
    }
}

async fn create(conn: &mut Conn, texts: &LoadTexts) -> Result<(), Error> {
    match conn.query_drop(texts.create.as_str()).await {
        Err(Error::Server(error)) if error.code == TABLE_EXISTS => {
            conn.query_drop(texts.drop.as_str()).await?;
            conn.query_drop(texts.create.as_str()).await
        }
        created => created,
    }
}

/// Fills the temporary table: whether all of the rows arrived, and as they were.
async fn load(
    conn: &mut Conn,
    texts: &LoadTexts,
    body: Bytes,
    chunk: usize,
    rows: usize,
) -> Result<bool, Error> {
    // The client keeps a handler that was not asked for; the rows do not stay with it.
    let body = Arc::new(Mutex::new(body));
    let shared = Arc::clone(&body);
    conn.set_infile_handler(async move {
        let mut body = std::mem::take(&mut *shared.lock().unwrap_or_else(PoisonError::into_inner));
        let chunks = std::iter::from_fn(move || {
            (!body.is_empty()).then(|| Ok(body.split_to(body.len().min(chunk))))
        });
        Ok(stream::iter(chunks).boxed())
    });
    let loaded = conn.query_drop(texts.load.as_str()).await;
    std::mem::take(&mut *body.lock().unwrap_or_else(PoisonError::into_inner));
    loaded?;
    Ok(conn.affected_rows() == rows as u64 && conn.get_warnings() == 0)
}

/// The rows as a LOAD reads them: fields between tabs, rows between line ends, escaped by
/// backslashes. `years` says which columns hold years.
fn lines(values: &[Value], years: &[bool], out: &mut Vec<u8>) {
    for row in values.chunks(years.len().max(1)) {
        for (at, (value, is_year)) in row.iter().zip(years).enumerate() {
            if at > 0 {
                out.push(b'\t');
            }
            match value {
                // The server takes a text of fewer digits for another year. Writing into memory
                // cannot fail.
                Value::Int(year) if *is_year => drop(write!(out, "{year:04}")),
                value => field(value, out),
            }
        }
        out.push(b'\n');
    }
}

fn field(value: &Value, out: &mut Vec<u8>) {
    // Writing into memory cannot fail.
    let _ = match *value {
        Value::NULL => out.write_all(b"\\N"),
        Value::Int(v) => write!(out, "{v}"),
        Value::UInt(v) => write!(out, "{v}"),
        // The server reads a double, and rounds it once more for a float.
        Value::Float(v) => write!(out, "{:e}", f64::from(v)),
        Value::Double(v) => write!(out, "{v:e}"),
        Value::Date(year, month, day, hour, minute, second, micros) => write!(
            out,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}"
        ),
        Value::Time(negative, days, hours, minutes, seconds, micros) => {
            let sign = if negative { "-" } else { "" };
            let hours = u64::from(days) * 24 + u64::from(hours);
            write!(out, "{sign}{hours:02}:{minutes:02}:{seconds:02}.{micros:06}")
        }
        Value::Bytes(ref bytes) => {
            escape(bytes, out);
            Ok(())
        }
    };
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    let mut plain = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let letter = match byte {
            b'\\' => b'\\',
            b'\t' => b't',
            b'\n' => b'n',
            b'\r' => b'r',
            0 => b'0',
            _ => continue,
        };
        out.extend_from_slice(&bytes[plain..at]);
        out.extend_from_slice(&[b'\\', letter]);
        plain = at + 1;
    }
    out.extend_from_slice(&bytes[plain..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_escapes_what_would_end_a_field() {
        let file = |values: &[Value], years: &[bool]| {
            let mut out = Vec::new();
            lines(values, years, &mut out);
            out
        };
        let text = |text: &str| Value::Bytes(text.as_bytes().to_vec());
        let rows = [
            Value::NULL,
            text("a\tb\nc\\N\0\r"),
            Value::Int(-5),
            text(""),
            Value::Double(1e300),
            Value::Float(0.1),
            Value::Time(true, 34, 22, 59, 59, 7),
            Value::Date(12, 3, 4, 5, 6, 7, 8),
        ];
        let shown = String::from_utf8(file(&rows, &[false; 4])).unwrap();
        let lines = [
            "\\N\ta\\tb\\nc\\\\N\\0\\r\t-5\t",
            "1e300\t1.0000000149011612e-1\t-838:59:59.000007\t0012-03-04 05:06:07.000008",
            "",
        ];
        assert_eq!(shown, lines.join("\n"));
        let years = [Value::Int(0), Value::Int(0), Value::NULL, Value::Int(1)];
        assert_eq!(file(&years, &[true, false]), b"0000\t0\n\\N\t1\n");
    }
}
