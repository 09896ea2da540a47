//! Values to what their columns are sent: parameters of a prepared statement.
//!
//! Everything is checked here, before anything is sent: what a column cannot hold as it is, is
//! that row's `data` error. The server never sees a value that it would cut, clamp or change.
//!
//! | column | takes |
//! |---|---|
//! | `tinyint` … `bigint` | integers and truth values; floats, rounded half to even, and decimals, rounded half away from zero, as an assignment rounds them; text of an integer; all within the range |
//! | `decimal` | decimals, integers, text of a number, floats by their shortest text; rounded to the scale half away from zero |
//! | `float`, `double` | floats, integers, decimals, text of a number; none that would become zero or infinite, and no NaN |
//! | `bit(n)` | integers, truth values, and bytes, the most significant first |
//! | `year` | 0 and 1901 to 2155, as integers or four digits: the server reads shorter ones as other years |
//! | `char`, `varchar`, `text` | text, and any other kind but bytes and arrays by its text; characters of the column's character set, as long as it is |
//! | `binary`, `varbinary`, `blob` | bytes, text as UTF-8, UUIDs as 16 bytes; `binary(n)` is filled up with zeros |
//! | `enum`, `set` | text that is a member, letter by letter, or members with commas between |
//! | `date`, `datetime`, `timestamp` | dates, timestamps in UTC, ISO 8601 text; `timestamp` only its range, which ends in 2106 on MariaDB from 11.5 on where that has 64 bits, else in 2038 |
//! | `time` | times; text `[-]hours:minutes[:seconds]`, to 838:59:59 |
//! | `json` | JSON, and text that is |
//! | `uuid` | UUIDs, and text of one |
//! | `inet4`, `inet6` | text of an address |
//! | any other | bytes and text, which the server reads |
//!
//! Fractions of a second are rounded to microseconds and then to the column's digits, halves up, as
//! MySQL does, and MariaDB under `TIME_ROUND_FRACTIONAL`.

mod decimal;
mod float;
mod integer;
mod iso;
mod json;
mod moment;
mod plain;
mod refusal;
#[cfg(test)]
mod tests;
mod text;
mod uuid;

use batchflow_core::{Batch, ErrorKind, Stage, ValueRef, WriteError};
use mysql_async::Value;

use self::refusal::{Fit, KIND, NOT_NULL, TOO_LONG};
use self::text::Charset;
use crate::server::Server;
use crate::table::{Table, TableColumn};
use crate::types::TypeKind;

/// A column to be sent: where it stands in the schema, what it is, and what its texts may hold.
type Field<'a> = (usize, &'a TableColumn, Charset);

/// Makes parameters of a batch's rows: the set columns in the schema's order.
///
/// The values of one column are all of one kind, or NULL, so that they can be sent in bulk.
#[derive(Debug)]
pub(crate) struct Encoder<'a> {
    server: &'a Server,
    batch: &'a Batch,
    fields: Vec<Field<'a>>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(
        server: &'a Server,
        table: &'a Table,
        columns: &[usize],
        batch: &'a Batch,
    ) -> Result<Self, WriteError> {
        let mut fields = Vec::with_capacity(columns.len());
        for &at in columns {
            let Some(column) = table.columns.get(at) else {
                let error = WriteError::new(ErrorKind::Internal).at(Stage::Encode);
                return Err(error.with_message("a column that the table was not looked up for"));
            };
            fields.push((at, column, Charset::of(column.charset.as_deref())));
        }
        Ok(Self { server, batch, fields })
    }

    /// How many parameters a row has.
    pub(crate) fn width(&self) -> usize {
        self.fields.len()
    }

    /// Adds one row's parameters. Where its columns cannot hold its values, that is the `data` error
    /// of all such rows of the batch, which it blames.
    pub(crate) fn row(&self, row: usize, values: &mut Vec<Value>) -> Result<(), WriteError> {
        for &(at, column, charset) in &self.fields {
            match cell(self.server, column, charset, self.batch.get(row, at)) {
                Ok(value) => values.push(value),
                Err(_) => return Err(self.refuse()),
            }
        }
        Ok(())
    }

    #[cold]
    fn refuse(&self) -> WriteError {
        let fields = self.fields.iter().map(|(at, column, _)| (*at, *column));
        refusal::refuse(self.batch, &fields, |column, value| {
            let charset = Charset::of(column.charset.as_deref());
            cell(self.server, column, charset, value).map(drop)
        })
    }
}

/// The parameters of a batch, row after row.
#[cfg(test)]
fn parameters(
    server: &Server,
    table: &Table,
    columns: &[usize],
    batch: &Batch,
) -> Result<Vec<Value>, WriteError> {
    let encoder = Encoder::new(server, table, columns, batch)?;
    let mut values = Vec::new();
    (0..batch.len()).try_for_each(|row| encoder.row(row, &mut values))?;
    Ok(values)
}

/// One value as its column is sent it.
#[inline]
fn cell(
    server: &Server,
    column: &TableColumn,
    charset: Charset,
    value: ValueRef<'_>,
) -> Fit<Value> {
    if value.is_null() {
        return if column.refuses_null { Err(NOT_NULL) } else { Ok(Value::NULL) };
    }
    Ok(match &column.ty.kind {
        TypeKind::Int { bytes, unsigned: false } => {
            let (min, max) = integer::signed(*bytes);
            Value::Int(integer::integer(value, min, max)?)
        }
        TypeKind::Int { bytes, unsigned: true } => {
            Value::UInt(integer::unsigned(value, integer::most(8 * u32::from(*bytes)))?)
        }
        TypeKind::VarChar(characters) | TypeKind::Char(characters) => {
            let padded = matches!(column.ty.kind, TypeKind::Char(_));
            match value {
                ValueRef::Text(text) => {
                    let text = text::characters(text, *characters, padded, charset)?;
                    Value::Bytes(text.as_bytes().to_vec())
                }
                value => {
                    let text = plain::text(value)?;
                    text::characters(&text, *characters, padded, charset)?;
                    Value::Bytes(text.into_bytes())
                }
            }
        }
        TypeKind::Text(bytes) => match value {
            ValueRef::Text(text) => {
                text::bytes(text, *bytes, charset)?;
                Value::Bytes(text.as_bytes().to_vec())
            }
            value => {
                let text = plain::text(value)?;
                text::bytes(&text, *bytes, charset)?;
                Value::Bytes(text.into_bytes())
            }
        },
        TypeKind::DateTime(digits) => moment::datetime(value, *digits)?,
        TypeKind::Timestamp(digits) => moment::timestamp(value, *digits, server.last_second)?,
        TypeKind::Date => moment::date(value)?,
        TypeKind::Time(digits) => moment::time(value, *digits)?,
        TypeKind::Double { unsigned } => {
            let number = float::double(value, *unsigned)?;
            let number = float::within(number, column.ty.float_digits())?;
            if server.logs_doubles_cut() {
                Value::Bytes(format!("{number:e}").into_bytes())
            } else {
                Value::Double(number)
            }
        }
        TypeKind::Float { unsigned } => {
            let number = float::single(value, *unsigned)?;
            float::within(f64::from(number), column.ty.float_digits())?;
            Value::Float(number)
        }
        TypeKind::Decimal { digits, scale, unsigned } => {
            Value::Bytes(decimal::decimal(value, *digits, *scale, *unsigned)?)
        }
        TypeKind::Bit(bits) => Value::UInt(integer::bits(value, *bits)?),
        TypeKind::Year => Value::Int(integer::year(value)?),
        TypeKind::Binary(bytes) => Value::Bytes(binary(value, u64::from(*bytes))?.to_vec()),
        TypeKind::VarBinary(bytes) => Value::Bytes(binary(value, *bytes)?.to_vec()),
        TypeKind::Enum(members) => match value {
            ValueRef::Text(text) => Value::Bytes(text::member(text, members)?.as_bytes().to_vec()),
            _ => return Err(KIND),
        },
        TypeKind::Set(members) => match value {
            ValueRef::Text(text) => Value::Bytes(text::subset(text, members)?.as_bytes().to_vec()),
            _ => return Err(KIND),
        },
        TypeKind::Json => match value {
            ValueRef::Json(text) | ValueRef::Text(text) => {
                json::check(text)?;
                Value::Bytes(text.as_bytes().to_vec())
            }
            _ => return Err(KIND),
        },
        TypeKind::Uuid => Value::Bytes(uuid::text(value)?.into_bytes()),
        TypeKind::Other => match value {
            ValueRef::Text(text) => {
                text::address(&column.ty.sql, text)?;
                Value::Bytes(text.as_bytes().to_vec())
            }
            ValueRef::Bytes(bytes) if !text::is_address(&column.ty.sql) => {
                Value::Bytes(bytes.to_vec())
            }
            _ => return Err(KIND),
        },
    })
}

/// Bytes for a column of so many.
fn binary(value: ValueRef<'_>, most: u64) -> Fit<&[u8]> {
    let bytes = match value {
        ValueRef::Bytes(bytes) => bytes,
        ValueRef::Text(text) => text.as_bytes(),
        ValueRef::Uuid(uuid) => &uuid[..],
        _ => return Err(KIND),
    };
    if bytes.len() as u64 <= most { Ok(bytes) } else { Err(TOO_LONG) }
}
