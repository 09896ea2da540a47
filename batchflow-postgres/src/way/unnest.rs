//! One statement over arrays, one array a column; for one row, over its values.

use std::error::Error as StdError;
use std::fmt;

use bytes::BytesMut;
use futures_util::future::{join, join_all};
use tokio_postgres::types::{IsNull, Kind, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error, Statement};

use super::Failed;
use crate::plan::Plan;
use crate::transaction::Begin;

/// So many single rows are sent before the answers to them are awaited.
const PIPELINE: usize = 64;

/// What stands before the elements of an array of one dimension.
const HEADER: usize = 20;

/// A parameter that is encoded already; `None` is NULL.
struct Encoded<'a>(Option<&'a [u8]>);

/// The client logs the parameters of a prepared statement: no value is among them.
impl fmt::Debug for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => write!(f, "{} bytes", bytes.len()),
            None => f.write_str("NULL"),
        }
    }
}

impl<'a> Encoded<'a> {
    /// The only element of an array.
    fn only(array: &'a [u8]) -> Self {
        let length = array.get(HEADER..HEADER + 4).and_then(|length| length.try_into().ok());
        let is_null = length.is_none_or(|length| i32::from_be_bytes(length) < 0);
        Self(if is_null { None } else { array.get(HEADER + 4..) })
    }
}

impl ToSql for Encoded<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let Some(bytes) = self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Begins and writes in one round trip.
///
/// The statement is sent before it is known that the transaction has begun, so it
/// [looks](crate::statement::GUARD) itself, and writes nothing outside of one.
pub(super) async fn send(
    client: &Client,
    plan: &Plan,
    begin: &Begin,
    bytes: &[u8],
    ends: &[usize],
    rows: usize,
) -> Result<u64, Failed> {
    let parameters = Parameters::new(plan, bytes, ends, 0, rows);
    let (begun, written) = join(begin.send(client), parameters.execute(client)).await;
    begun?;
    written.map_err(Failed::write)
}

/// Writes row after row. One row's statement sees what the one before it wrote, so that rows of
/// one key are applied in order.
pub(super) async fn send_singly(
    client: &Client,
    plan: &Plan,
    begin: &Begin,
    bytes: &[u8],
    ends: &[usize],
    rows: usize,
) -> Result<u64, Failed> {
    begin.send(client).await?;
    let mut affected = 0;
    for first in (0..rows).step_by(PIPELINE) {
        let some = first..rows.min(first + PIPELINE);
        let each = some.clone().map(|row| Parameters::new(plan, bytes, ends, row, 1));
        let each: Vec<_> = each.collect();
        let written = join_all(each.iter().map(|row| row.execute(client))).await;
        for (row, written) in some.zip(written) {
            affected += written.map_err(|error| Failed::Write(error, Some(row)))?;
        }
    }
    Ok(affected)
}

/// Writes one row with a prepared statement that is a transaction of its own.
pub(super) async fn send_at_once(
    client: &Client,
    statement: &Statement,
    bytes: &[u8],
    ends: &[usize],
    mark: &str,
) -> Result<u64, Error> {
    let mut start = 0;
    let values =
        ends.iter().map(|&end| Encoded::only(&bytes[std::mem::replace(&mut start, end)..end]));
    let values: Vec<Encoded<'_>> = values.chain([Encoded(Some(mark.as_bytes()))]).collect();
    let each = values.iter().map(|value| value as &(dyn ToSql + Sync));
    client.execute_raw(statement, each).await
}

/// One statement and its parameters.
struct Parameters<'a> {
    text: &'a str,
    values: Vec<(Encoded<'a>, Type)>,
    rows: i64,
}

impl<'a> Parameters<'a> {
    /// The `nth` set of arrays, of `rows` rows each.
    fn new(plan: &'a Plan, bytes: &'a [u8], ends: &[usize], nth: usize, rows: usize) -> Self {
        let width = plan.parameters.len();
        let first = nth * width;
        let mut start = if first == 0 { 0 } else { ends[first - 1] };
        let row = plan.row.as_deref().filter(|_| rows == 1);
        let mut values = Vec::with_capacity(width);
        for (ty, &end) in plan.parameters.iter().zip(&ends[first..]) {
            let array = &bytes[start..end];
            values.push(match (row, ty.kind()) {
                (Some(_), Kind::Array(element)) => (Encoded::only(array), element.clone()),
                _ => (Encoded(Some(array)), ty.clone()),
            });
            start = end;
        }
        Self { text: row.unwrap_or(&plan.unnest), values, rows: rows as i64 }
    }

    async fn execute(&self, client: &Client) -> Result<u64, Error> {
        let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> =
            Vec::with_capacity(self.values.len().max(1));
        parameters.extend(
            self.values.iter().map(|(value, ty)| (value as &(dyn ToSql + Sync), ty.clone())),
        );
        if parameters.is_empty() {
            // A statement without columns is told how many rows there are.
            parameters.push((&self.rows, Type::INT8));
        }
        client.execute_typed(self.text, &parameters).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promise_10_an_encoded_value_shows_its_length_alone() {
        assert_eq!(format!("{:?}", Encoded(Some(b"canary"))), "6 bytes");
        assert_eq!(format!("{:?}", Encoded(None)), "NULL");
    }
}
