//! From values to PostgreSQL's binary form, by the type of the column they go to.
//!
//! Everything is checked here, before anything is sent. A value is taken where an `INSERT` would
//! take an expression of its kind, or its text as a literal, and becomes what it would become
//! there; what an `INSERT` would refuse is that row's `data` error.
//!
//! | column | takes |
//! |---|---|
//! | `bool` | truth values; text as PostgreSQL reads it |
//! | `int2`, `int4`, `int8` | integers; floats, rounded half to even, and decimals, rounded half away from zero, as an assignment rounds them; text of an integer; all within the range |
//! | `float4`, `float8` | floats, integers, decimals, text of a number; none that would become zero or infinite |
//! | `numeric` | decimals, integers, text of a number; floats by their shortest text; `NaN`, and infinities from PostgreSQL 14 on; the server rounds to the scale |
//! | `text`, `varchar`, `char`, `citext` | text without NUL, and any other kind by its text; length in characters, and only spaces may be beyond it |
//! | `name`, `"char"` | text of at most 63 bytes, of one byte |
//! | `bytea` | bytes; text in `bytea`'s hexadecimal or escape notation |
//! | `date`, `time`, `timestamp` | their own kinds, timestamps as UTC, days as midnight; ISO 8601 text |
//! | `timestamptz` | timestamps; ISO 8601 text with a zone |
//! | `uuid` | UUIDs; text of one |
//! | `json`, `jsonb` | JSON and text, which the server validates |
//! | enums | a text that is one of the labels |
//! | `interval`, `timetz`, `inet`, `cidr`, `macaddr` | text, which the server reads; a time for the first two |
//! | arrays | arrays whose elements fit the element's type; the text of an array, which the server reads |
//! | domains | what their base type takes; the server checks their constraints |
//! | any other | any kind but bytes and arrays, by its text, which the server reads |
//!
//! Stricter than the server, on purpose: text that the session's settings decide (dates that are
//! not ISO 8601, instants without a zone), and text that it would cut silently (`name`, `"char"`,
//! and trailing spaces of a key).

mod boolean;
mod bytes;
mod float;
mod integer;
mod iso;
mod list;
mod numeric;
mod plain;
mod printed;
mod refusal;
mod temporal;
#[cfg(test)]
mod tests;
mod text;
mod written;

use std::ops::Range;

use ::bytes::{BufMut, BytesMut};
use batchflow_core::{Batch, ErrorKind, Stage, ValueRef, WriteError};
use tokio_postgres::types::Type;

use self::plain::Bytes;
pub(crate) use self::printed::printed;
use self::refusal::{Fit, KIND, NOT_NULL};
use crate::table::{Table, TableColumn};
use crate::types::{ColumnType, TypeKind};

/// How a column's values are sent as a parameter of `UNNEST`.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// The type of the array.
    pub(crate) array_type: Type,
    /// The type that each element is cast to once it is unnested, if it travels as text.
    pub(crate) cast: Option<String>,
}

/// How a column stands in the temporary table that rows are copied into.
#[derive(Clone, Debug)]
pub(crate) struct Staged {
    /// The type that it is declared with.
    pub(crate) declared: String,
    /// The type that it is cast to on the way out, if it travels as text.
    pub(crate) cast: Option<String>,
}

/// Where a COPY goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CopyTarget {
    /// The table itself: every column must have [a binary form](copies_natively).
    Table,
    /// A temporary table whose columns are declared as [`staged`] says.
    Stage,
}

/// How a column's values are sent as a parameter of `UNNEST`.
pub(crate) fn parameter(column: &TableColumn) -> Parameter {
    let base = column.ty.base();
    let array_type = match base.kind {
        TypeKind::Bool => Type::BOOL_ARRAY,
        TypeKind::Int2 => Type::INT2_ARRAY,
        TypeKind::Int4 => Type::INT4_ARRAY,
        TypeKind::Int8 => Type::INT8_ARRAY,
        TypeKind::Float4 => Type::FLOAT4_ARRAY,
        TypeKind::Float8 => Type::FLOAT8_ARRAY,
        TypeKind::Numeric(_) => Type::NUMERIC_ARRAY,
        TypeKind::Bytea => Type::BYTEA_ARRAY,
        TypeKind::Date => Type::DATE_ARRAY,
        TypeKind::Time(_) => Type::TIME_ARRAY,
        TypeKind::Timestamp(_) => Type::TIMESTAMP_ARRAY,
        TypeKind::Timestamptz(_) => Type::TIMESTAMPTZ_ARRAY,
        TypeKind::Uuid => Type::UUID_ARRAY,
        TypeKind::Json => Type::JSON_ARRAY,
        TypeKind::Jsonb => Type::JSONB_ARRAY,
        TypeKind::Char(_) => Type::BPCHAR_ARRAY,
        _ => Type::TEXT_ARRAY,
    };
    // What text is assigned to without a cast; of an enum, `text` is not.
    let assignable = matches!(base.kind, TypeKind::Text(_) | TypeKind::Citext { .. });
    let by_text = array_type == Type::TEXT_ARRAY && !assignable;
    Parameter { array_type, cast: by_text.then(|| base.cast.clone()) }
}

/// How a column stands in the temporary table that rows are copied into.
pub(crate) fn staged(column: &TableColumn) -> Staged {
    if copies_natively(column) {
        Staged { declared: column.ty.sql.clone(), cast: None }
    } else {
        Staged { declared: "pg_catalog.text".to_owned(), cast: Some(column.ty.base().cast.clone()) }
    }
}

/// Whether a column has a binary form of its own in COPY; else it travels as text.
pub(crate) fn copies_natively(column: &TableColumn) -> bool {
    is_native(&column.ty)
}

fn is_native(ty: &ColumnType) -> bool {
    match &ty.kind {
        TypeKind::TimeTz
        | TypeKind::Interval
        | TypeKind::Inet
        | TypeKind::Cidr
        | TypeKind::MacAddr
        | TypeKind::Byte
        | TypeKind::Array { .. }
        | TypeKind::Other => false,
        TypeKind::Domain(base) => is_native(base),
        _ => true,
    }
}

/// Appends the binary array of one column of a batch's rows; `at` is its position in the schema.
///
/// A value that does not fit is an error that blames every row of which this column is at fault.
/// What was appended until then is of no use.
pub(crate) fn array(
    column: &TableColumn,
    batch: &Batch,
    at: usize,
    out: &mut BytesMut,
) -> Result<(), WriteError> {
    let element = parameter_element(column);
    let rows = i32::try_from(batch.len()).map_err(|_| WriteError::new(ErrorKind::TooLarge))?;
    out.reserve(20 + batch.len() * (4 + width(&column.ty)));
    out.put_i32(1);
    let nulls = out.len();
    out.put_i32(0);
    out.put_u32(element);
    out.put_i32(rows);
    out.put_i32(1);
    let by_text = !is_sent_natively(&column.ty);
    let mut any_null = false;
    for row in 0..batch.len() {
        let value = batch.get(row, at);
        any_null |= value.is_null();
        if cell(column, value, by_text, out).is_err() {
            return Err(refusal::refuse(batch, &std::iter::once((at, column)), |column, value| {
                cell(column, value, by_text, &mut BytesMut::new())
            }));
        }
    }
    if any_null {
        out[nulls..nulls + 4].copy_from_slice(&1_i32.to_be_bytes());
    }
    Ok(())
}

/// The oid of the array's elements.
fn parameter_element(column: &TableColumn) -> u32 {
    let array = parameter(column).array_type;
    match array.kind() {
        tokio_postgres::types::Kind::Array(element) => element.oid(),
        _ => Type::TEXT.oid(),
    }
}

/// Enums travel to UNNEST as text, so that a type dropped and made anew is found by its name.
fn is_sent_natively(ty: &ColumnType) -> bool {
    is_native(ty) && !matches!(ty.base().kind, TypeKind::Enum(_))
}

/// A binary COPY body, made some rows at a time.
pub(crate) struct CopyBody<'a> {
    batch: &'a Batch,
    /// Each column's position in the schema, and whether it travels as text.
    fields: Vec<(usize, &'a TableColumn, bool)>,
    count: i16,
    out: BytesMut,
}

impl<'a> CopyBody<'a> {
    /// Begins a body in an empty buffer. `columns` are positions in the schema.
    pub(crate) fn begin(
        table: &'a Table,
        columns: &[usize],
        batch: &'a Batch,
        target: CopyTarget,
        mut out: BytesMut,
    ) -> Result<Self, WriteError> {
        const SIGNATURE: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
        let mut fields = Vec::with_capacity(columns.len());
        for &at in columns {
            let Some(column) = table.columns.get(at) else {
                return Err(internal("a column that the table was not looked up for"));
            };
            fields.push((at, column, !is_native(&column.ty)));
        }
        if target == CopyTarget::Table && fields.iter().any(|(.., by_text)| *by_text) {
            return Err(internal("a column without a binary form cannot be copied into the table"));
        }
        let count = i16::try_from(fields.len()).map_err(|_| internal("too many columns"))?;
        let widths: usize = fields.iter().map(|(_, column, _)| 4 + width(&column.ty)).sum();
        out.reserve(SIGNATURE.len() + batch.len() * (2 + widths) + 2);
        out.put_slice(SIGNATURE);
        Ok(Self { batch, fields, count, out })
    }

    /// Appends these rows of the batch. A value that does not fit is an error that blames every row
    /// of the batch at fault; the body is then of no use.
    pub(crate) fn rows(&mut self, rows: Range<usize>) -> Result<(), WriteError> {
        for row in rows {
            self.out.put_i16(self.count);
            for &(at, column, by_text) in &self.fields {
                if cell(column, self.batch.get(row, at), by_text, &mut self.out).is_err() {
                    let fields = self.fields.iter().map(|(at, column, _)| (*at, *column));
                    return Err(refusal::refuse(self.batch, &fields, |column, value| {
                        cell(column, value, !is_native(&column.ty), &mut BytesMut::new())
                    }));
                }
            }
        }
        Ok(())
    }

    /// Ends the body.
    pub(crate) fn end(mut self) -> BytesMut {
        self.out.put_i16(-1);
        self.out
    }
}

fn internal(why: &str) -> WriteError {
    WriteError::new(ErrorKind::Internal).at(Stage::Encode).with_message(why)
}

/// How many bytes a field of the type takes, for reserving room: exact for those of fixed width.
fn width(ty: &ColumnType) -> usize {
    match &ty.kind {
        TypeKind::Bool => 1,
        TypeKind::Int2 => 2,
        TypeKind::Int4 | TypeKind::Float4 | TypeKind::Date => 4,
        TypeKind::Int8
        | TypeKind::Float8
        | TypeKind::Time(_)
        | TypeKind::Timestamp(_)
        | TypeKind::Timestamptz(_) => 8,
        TypeKind::Domain(base) => width(base),
        _ => 16,
    }
}

/// Appends one field, its length before it.
#[inline]
fn cell(column: &TableColumn, value: ValueRef<'_>, by_text: bool, out: &mut BytesMut) -> Fit<()> {
    if value.is_null() {
        if column.refuses_null {
            return Err(NOT_NULL);
        }
        out.put_i32(-1);
        Ok(())
    } else if by_text {
        sized(out, |out| written::put(&column.ty, value, &mut Bytes(out)))
    } else {
        field(&column.ty, value, out)
    }
}

/// Appends a value in its type's binary form.
#[inline]
fn field(ty: &ColumnType, value: ValueRef<'_>, out: &mut BytesMut) -> Fit<()> {
    match &ty.kind {
        TypeKind::Int8 => fixed(out, integer::integer(value, i64::MIN, i64::MAX)?.to_be_bytes()),
        TypeKind::Int4 => {
            let integer = integer::integer(value, i32::MIN.into(), i32::MAX.into())?;
            fixed(out, (integer as i32).to_be_bytes());
        }
        TypeKind::Int2 => {
            let integer = integer::integer(value, i16::MIN.into(), i16::MAX.into())?;
            fixed(out, (integer as i16).to_be_bytes());
        }
        TypeKind::Text(limit) | TypeKind::Char(limit) => match value {
            ValueRef::Text(text) => {
                text::check(text, *limit)?;
                slice(out, text.as_bytes())?;
            }
            value => sized(out, |out| written::put(ty, value, &mut Bytes(out)))?,
        },
        TypeKind::Bool => fixed(out, [boolean::boolean(value)?.into()]),
        TypeKind::Float8 => fixed(out, float::double(value)?.to_be_bytes()),
        TypeKind::Float4 => fixed(out, float::single(value)?.to_be_bytes()),
        TypeKind::Timestamptz(_) => fixed(out, temporal::timestamptz(value)?.to_be_bytes()),
        TypeKind::Timestamp(_) => fixed(out, temporal::timestamp(value)?.to_be_bytes()),
        TypeKind::Date => fixed(out, temporal::date(value)?.to_be_bytes()),
        TypeKind::Time(_) => fixed(out, temporal::time(value)?.to_be_bytes()),
        TypeKind::Uuid => fixed(out, bytes::uuid(value)?),
        TypeKind::Numeric(limit) => numeric::put(value, *limit, out)?,
        TypeKind::Bytea => slice(out, &bytes::bytea(value)?)?,
        TypeKind::Json => slice(out, json(value)?.as_bytes())?,
        TypeKind::Jsonb => sized(out, |out| {
            let text = json(value)?;
            // The version of the format.
            out.put_u8(1);
            out.put_slice(text.as_bytes());
            Ok(())
        })?,
        TypeKind::Enum(labels) => match value {
            ValueRef::Text(text) => slice(out, text::label(text, labels)?.as_bytes())?,
            _ => return Err(KIND),
        },
        TypeKind::Domain(base) => field(base, value, out)?,
        _ => sized(out, |out| written::put(ty, value, &mut Bytes(out)))?,
    }
    Ok(())
}

fn json(value: ValueRef<'_>) -> Fit<&str> {
    match value {
        ValueRef::Json(json) | ValueRef::Text(json) => text::no_nul(json).map(|()| json),
        _ => Err(KIND),
    }
}

#[inline]
fn fixed<const N: usize>(out: &mut BytesMut, bytes: [u8; N]) {
    // At once: room is looked for once, not twice.
    let mut field = [0; 20];
    field[..4].copy_from_slice(&(N as i32).to_be_bytes());
    field[4..4 + N].copy_from_slice(&bytes);
    out.put_slice(&field[..4 + N]);
}

#[inline]
fn slice(out: &mut BytesMut, bytes: &[u8]) -> Fit<()> {
    let length = length(bytes.len())?;
    out.reserve(4 + bytes.len());
    out.put_i32(length);
    out.put_slice(bytes);
    Ok(())
}

/// Appends what `put` appends, its length before it.
fn sized(out: &mut BytesMut, put: impl FnOnce(&mut BytesMut) -> Fit<()>) -> Fit<()> {
    let start = out.len();
    out.put_i32(0);
    put(out)?;
    let length = length(out.len() - start - 4)?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// A field's length: a server takes no field of a gigabyte.
#[inline]
fn length(bytes: usize) -> Fit<i32> {
    const END: usize = 1 << 30;
    if bytes < END { Ok(bytes as i32) } else { Err("it is a gigabyte or more") }
}
