//! Values to what Redis stores: bytes.

mod json;
mod key;
mod pack;
mod text;

use batchflow_core::{Batch, ErrorKind, Request, Stage, Value, ValueRef, WriteError};
use bytes::Bytes;

pub(crate) use json::string as json_string;
pub(crate) use pack::{Packed, Spans};

use crate::layout::{Cell, Kind, Lifetime, Rule, Shape};

/// Why a value cannot be stored.
type Fit<T> = Result<T, &'static str>;

/// One row as bytes: its Redis key, its member, its cells and its time to live, in this order.
#[derive(Debug, Default)]
pub(crate) struct Row {
    bytes: Vec<u8>,
    /// Where each part lies; NULL has none.
    parts: Vec<Option<(u32, u32)>>,
}

impl Row {
    /// Every part, NULL as `None`.
    pub(crate) fn parts(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        self.parts.iter().map(|part| part.map(|(start, end)| self.slice(start, end)))
    }

    /// One part; `None` where it is NULL, or there is none.
    pub(crate) fn part(&self, at: usize) -> Option<&[u8]> {
        let (start, end) = self.parts.get(at).copied().flatten()?;
        Some(self.slice(start, end))
    }

    /// One part by itself; nothing at all where it is NULL.
    pub(crate) fn part_bytes(&self, at: usize) -> Bytes {
        Bytes::copy_from_slice(self.part(at).unwrap_or_default())
    }

    fn slice(&self, start: u32, end: u32) -> &[u8] {
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    pub(crate) fn has_null(&self) -> bool {
        self.parts.iter().any(Option::is_none)
    }

    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Writes the row at a position of a batch over what is here.
    pub(crate) fn encode(
        &mut self,
        shape: &Shape,
        batch: &Batch,
        row: usize,
    ) -> Result<(), WriteError> {
        self.bytes.clear();
        self.parts.clear();
        let Some(row) = batch.request(row) else {
            return Err(WriteError::new(ErrorKind::Internal).at(Stage::Encode));
        };
        if shape.kind == Kind::Command {
            return self.command(shape, row);
        }
        self.name(shape, row)?;
        if let Some(member) = shape.member {
            let value = value_of(row, member);
            if value.is_null() {
                return Err(refuse(row, member, "a member cannot be NULL"));
            }
            self.write_part(|out| key::write(value, out))
                .map_err(|why| refuse(row, member, why))?;
        }
        if shape.kind == Kind::Json {
            self.document(shape, row)?;
        } else {
            for cell in &shape.cells {
                let value = value_of(row, cell.column);
                self.cell(shape.kind, cell, value).map_err(|why| refuse(row, cell.column, why))?;
            }
        }
        self.check_content(shape, row)?;
        if let Lifetime::Column(column) = shape.lifetime {
            let value = value_of(row, column);
            self.lifetime(value).map_err(|why| refuse(row, column, why))?;
        }
        // Parts are addressed by 32 bits, and Redis takes no value of that size.
        match u32::try_from(self.bytes.len()) {
            Ok(_) => Ok(()),
            Err(_) => Err(WriteError::new(ErrorKind::TooLarge)
                .at(Stage::Encode)
                .with_message("the row is larger than Redis takes")),
        }
    }

    /// Appends a part.
    fn write_part(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Fit<()>) -> Fit<()> {
        let start = self.bytes.len() as u32;
        write(&mut self.bytes)?;
        self.parts.push(Some((start, self.bytes.len() as u32)));
        Ok(())
    }

    fn name(&mut self, shape: &Shape, row: &Request) -> Result<(), WriteError> {
        self.bytes.extend_from_slice(shape.prefix.as_bytes());
        let last = shape.name.len().saturating_sub(1);
        for (at, &column) in shape.name.iter().enumerate() {
            let value = value_of(row, column);
            if value.is_null() {
                return Err(refuse(row, column, "a key cannot hold NULL"));
            }
            let written = if at == last {
                key::write(value, &mut self.bytes)
            } else {
                key::write_escaped(value, &mut self.bytes)
            };
            written.map_err(|why| refuse(row, column, why))?;
        }
        self.parts.push(Some((0, self.bytes.len() as u32)));
        Ok(())
    }

    fn cell(&mut self, kind: Kind, cell: &Cell, value: ValueRef<'_>) -> Fit<()> {
        if value.is_null() {
            return match kind {
                Kind::String | Kind::List => Err("it cannot be NULL or unset"),
                Kind::SortedSet => Err("a score cannot be NULL or unset"),
                _ => {
                    self.parts.push(None);
                    Ok(())
                }
            };
        }
        match (kind, cell.rule) {
            (Kind::SortedSet, _) => self.write_part(|out| text::score(value, out)),
            (_, Rule::Add) => self.write_part(|out| text::addend(value, out)),
            (_, Rule::Max | Rule::Min) => self.write_part(|out| text::ordered(value, out)),
            _ => self.write_part(|out| text::write(value, out)),
        }
    }

    fn document(&mut self, shape: &Shape, row: &Request) -> Result<(), WriteError> {
        let start = self.bytes.len() as u32;
        self.bytes.push(b'{');
        for (at, cell) in shape.cells.iter().enumerate() {
            if at > 0 {
                self.bytes.push(b',');
            }
            json::string(&cell.name, &mut self.bytes);
            self.bytes.push(b':');
            json::value(value_of(row, cell.column), &mut self.bytes)
                .map_err(|why| refuse(row, cell.column, why))?;
        }
        self.bytes.push(b'}');
        self.parts.push(Some((start, self.bytes.len() as u32)));
        Ok(())
    }

    /// A hash or an entry without a field would be nothing at all. An update may take fields away.
    fn check_content(&self, shape: &Shape, row: &Request) -> Result<(), WriteError> {
        use batchflow_core::ConflictStrategy::Update;
        if !matches!(shape.kind, Kind::Hash | Kind::Stream) || shape.touch.is_some() {
            return Ok(());
        }
        let cells = self.parts.get(1..).unwrap_or_default();
        let is_update = shape.kind == Kind::Hash && shape.strategy == Update;
        if cells.is_empty() || (!is_update && cells.iter().all(Option::is_none)) {
            let error = WriteError::new(ErrorKind::Data).at(Stage::Encode);
            return Err(error.with_table(row.schema().table()).with_message(format!(
                "the row sets no value, and Redis keeps no {} without one",
                shape.kind.as_str()
            )));
        }
        Ok(())
    }

    fn command(&mut self, shape: &Shape, row: &Request) -> Result<(), WriteError> {
        for cell in &shape.cells {
            let value = value_of(row, cell.column);
            match value {
                ValueRef::Null => continue,
                ValueRef::Bytes(word) if shape.text_only && str::from_utf8(word).is_err() => {
                    let why = "without scripts, a command's words have to be text";
                    return Err(refuse(row, cell.column, why));
                }
                _ => {}
            }
            self.write_part(|out| text::write(value, out))
                .map_err(|why| refuse(row, cell.column, why))?;
        }
        crate::command::check(self.parts().flatten()).map_err(|why| {
            let error = WriteError::new(ErrorKind::Data).at(Stage::Encode);
            error.with_table(row.schema().table()).with_message(why)
        })
    }

    fn lifetime(&mut self, value: ValueRef<'_>) -> Fit<()> {
        if value.is_null() {
            self.parts.push(None);
            return Ok(());
        }
        self.write_part(|out| text::millis(value, out))
    }
}

fn value_of(row: &Request, column: usize) -> ValueRef<'_> {
    row.value(column).map_or(ValueRef::Null, Value::as_ref)
}

fn refuse(row: &Request, column: usize, why: &str) -> WriteError {
    let error = WriteError::new(ErrorKind::Data).at(Stage::Encode);
    let schema = row.schema();
    error.with_table(schema.table()).with_column(schema.column(column)).with_message(why)
}

#[cfg(test)]
mod tests;
