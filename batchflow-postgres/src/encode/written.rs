//! A value in the text form of a type: what travels as text, and the elements of arrays.

use std::fmt;

use batchflow_core::ValueRef;

use super::float::Shortest;
use super::refusal::{Fit, KIND, RANGE, TOO_LONG};
use super::{boolean, bytes, float, integer, json, list, numeric, plain, temporal, text};
use crate::types::{ColumnType, TextLimit, TypeKind};

/// Writes a value as the type's input function reads it, checked as its binary form would be.
pub(super) fn put(ty: &ColumnType, value: ValueRef<'_>, out: &mut impl fmt::Write) -> Fit<()> {
    let int = |min, max| integer::integer(value, min, max);
    let written = match &ty.kind {
        TypeKind::Bool => out.write_str(if boolean::boolean(value)? { "t" } else { "f" }),
        TypeKind::Int2 => write!(out, "{}", int(i16::MIN.into(), i16::MAX.into())?),
        TypeKind::Int4 => write!(out, "{}", int(i32::MIN.into(), i32::MAX.into())?),
        TypeKind::Int8 => write!(out, "{}", int(i64::MIN, i64::MAX)?),
        TypeKind::Float4 => write!(out, "{}", Shortest::Single(float::single(value)?)),
        TypeKind::Float8 => write!(out, "{}", Shortest::Double(float::double(value)?)),
        TypeKind::Numeric(limit) => return numeric::write(value, *limit, out),
        TypeKind::Text(limit) | TypeKind::Char(limit) => return limited(value, *limit, out),
        TypeKind::Citext { .. } => return plain::put(value, out),
        TypeKind::Name => return short(value, 63, out),
        TypeKind::Byte => return short(value, 1, out),
        TypeKind::Bytea => bytes::write_hex(&bytes::bytea(value)?, out),
        TypeKind::Date => temporal::write_date(temporal::date(value)?, out),
        TypeKind::Time(_) => temporal::write_time(temporal::time(value)?, out),
        TypeKind::Timestamp(_) => temporal::write_timestamp(temporal::timestamp(value)?, "", out),
        TypeKind::Timestamptz(_) => {
            temporal::write_timestamp(temporal::timestamptz(value)?, "+00", out)
        }
        TypeKind::Uuid => bytes::write_uuid(&bytes::uuid(value)?, out),
        TypeKind::Json | TypeKind::Jsonb => out.write_str(json(value)?),
        TypeKind::Enum(labels) => match value {
            ValueRef::Text(text) => out.write_str(text::label(text, labels)?),
            _ => return Err(KIND),
        },
        TypeKind::TimeTz => match value {
            ValueRef::Text(_) => return plain::put(value, out),
            // Else the session's time zone would decide.
            ValueRef::Time(_) => {
                let written = temporal::write_time(temporal::time(value)?, out);
                written.and_then(|()| out.write_str("+00"))
            }
            _ => return Err(KIND),
        },
        TypeKind::Interval => match value {
            ValueRef::Text(_) | ValueRef::Time(_) => return plain::put(value, out),
            _ => return Err(KIND),
        },
        TypeKind::Inet | TypeKind::Cidr | TypeKind::MacAddr => match value {
            ValueRef::Text(_) => return plain::put(value, out),
            _ => return Err(KIND),
        },
        TypeKind::Domain(base) => return put(base, value, out),
        TypeKind::Array { element, delimiter } => match value {
            ValueRef::Array(items) => {
                return list::put_with(items, *delimiter, out, &mut |item, out| {
                    put(element, item.as_ref(), out)
                });
            }
            ValueRef::Text(_) => return plain::put(value, out),
            _ => return Err(KIND),
        },
        TypeKind::Other => match value {
            ValueRef::Bytes(_) | ValueRef::Array(_) => return Err(KIND),
            _ => return plain::put(value, out),
        },
    };
    written.map_err(|_| RANGE)
}

/// Text of so many characters at most.
fn limited(value: ValueRef<'_>, limit: TextLimit, out: &mut impl fmt::Write) -> Fit<()> {
    match value {
        ValueRef::Text(text) => {
            text::check(text, limit)?;
            out.write_str(text).map_err(|_| TOO_LONG)
        }
        value if limit.chars.is_none() => plain::put(value, out),
        value => {
            let mut text = String::new();
            plain::put(value, &mut text)?;
            text::check(&text, limit)?;
            out.write_str(&text).map_err(|_| TOO_LONG)
        }
    }
}

/// Text of so many bytes at most.
fn short(value: ValueRef<'_>, bytes: usize, out: &mut impl fmt::Write) -> Fit<()> {
    let mut text = String::new();
    plain::put(value, &mut text)?;
    text::at_most(&text, bytes)?;
    out.write_str(&text).map_err(|_| TOO_LONG)
}
