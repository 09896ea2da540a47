//! One dead letter as one line of JSON, and back, with no type lost.
//!
//! A line stands for itself: it holds the row's whole schema, so that a file can be replayed
//! without the program that wrote it.
//!
//! ```json
//! {"v":1,"submission":7,"outcome":"rejected",
//!  "error":{"kind":"constraint","stage":"write","applied":"nothing","table":"users"},
//!  "schema":{"table":"users","columns":["id","name","email"],"key":["id"],"on_conflict":"ignore"},
//!  "values":{"id":{"i64":1},"name":null}}
//! ```
//!
//! (Here broken into four.) A column that is not among the values is unset, `null` is NULL, and
//! every other value names its kind; see the `value` module for how each is written.

mod error;
mod moments;
mod schema;
#[cfg(test)]
mod tests;
mod value;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value as Json};

use super::{DeadLetter, DeadLetterError};
use crate::request::Request;
use crate::value::Value;

/// The version of the format. A reader refuses any other.
const VERSION: u64 = 1;

impl DeadLetter {
    /// The letter as one line of JSON, without a line break, that [`from_json`](Self::from_json)
    /// reads back exactly. What the server said is left out of it.
    ///
    /// [`Refused`](DeadLetterError::Refused) where arrays nest deeper than 32 levels.
    pub fn to_json(&self) -> Result<String, DeadLetterError> {
        let mut line = Vec::new();
        write(&mut line, self, false)?;
        String::from_utf8(line).map_err(|_| refused("its JSON is not UTF-8"))
    }

    /// Reads a line of JSON.
    pub fn from_json(line: &str) -> Result<Self, DeadLetterError> {
        read(line.as_bytes()).map_err(|why| DeadLetterError::Line { line: 1, why })
    }
}

/// Appends a letter to `out`, without a line break; leaves `out` as it was on an error.
pub(super) fn write(
    out: &mut Vec<u8>,
    letter: &DeadLetter,
    server_messages: bool,
) -> Result<(), DeadLetterError> {
    let start = out.len();
    let line = Line { letter, server_messages };
    serde_json::to_writer(&mut *out, &line).map_err(|error| {
        out.truncate(start);
        refused(error.to_string())
    })
}

fn refused(why: impl Into<String>) -> DeadLetterError {
    DeadLetterError::Refused { why: why.into() }
}

struct Line<'a> {
    letter: &'a DeadLetter,
    server_messages: bool,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { letter, server_messages } = *self;
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("v", &VERSION)?;
        line.serialize_entry("submission", &letter.submission())?;
        line.serialize_entry("outcome", letter.error().as_str())?;
        let details = error::Details { error: letter.error().error(), server_messages };
        line.serialize_entry("error", &details)?;
        line.serialize_entry("schema", &schema::Definition(letter.request().schema()))?;
        line.serialize_entry("values", &Values(letter.request()))?;
        line.end()
    }
}

struct Values<'a>(&'a Request);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let schema = self.0.schema();
        serializer.collect_map(self.0.set_columns().filter_map(|position| {
            let value = self.0.value(position)?;
            Some((schema.column(position), value::Tagged { value, depth: 0 }))
        }))
    }
}

/// Reads a line; the error says what is wrong with it and shows no value.
pub(super) fn read(line: &[u8]) -> Result<DeadLetter, String> {
    let json: Json = serde_json::from_slice(line).map_err(|error| {
        if error.is_eof() {
            "it is cut short: the process ended while writing it".to_owned()
        } else {
            format!("it is not JSON, column {}", error.column())
        }
    })?;
    let mut line = Fields::new("", json)?;
    match line.number("v")? {
        VERSION => {}
        other => return Err(format!("its format has the version {other}, not {VERSION}")),
    }
    let submission = line.number("submission")?;
    let outcome = line.text("outcome")?;
    let error = error::read(&outcome, Fields::new("error", line.take("error")?)?)?;
    let schema = schema::read(Fields::new("schema", line.take("schema")?)?)?;
    let values = Fields::new("values", line.take("values")?)?;
    let mut slots: Vec<Option<Value>> = vec![None; schema.width()];
    for (column, value) in values.map {
        let slot = schema.position(&column).and_then(|position| slots.get_mut(position));
        let slot = slot.ok_or_else(|| format!("its schema has no column {column:?}"))?;
        *slot = Some(value::read(value).map_err(|why| format!("column {column:?}: {why}"))?);
    }
    let request = schema.row(slots).map_err(|error| error.to_string())?;
    Ok(DeadLetter::new(submission, request, error))
}

/// A JSON object's fields, taken one by one.
struct Fields {
    path: &'static str,
    map: Map<String, Json>,
}

impl Fields {
    fn new(path: &'static str, json: Json) -> Result<Self, String> {
        match json {
            Json::Object(map) => Ok(Self { path, map }),
            _ if path.is_empty() => Err("it is not a JSON object".to_owned()),
            _ => Err(format!("`{path}` is not an object")),
        }
    }

    fn bad(&self, name: &str, what: &str) -> String {
        let dot = if self.path.is_empty() { "" } else { "." };
        format!("`{}{dot}{name}` {what}", self.path)
    }

    fn optional(&mut self, name: &str) -> Option<Json> {
        self.map.remove(name).filter(|json| !json.is_null())
    }

    fn take(&mut self, name: &str) -> Result<Json, String> {
        self.optional(name).ok_or_else(|| self.bad(name, "is missing"))
    }

    fn number(&mut self, name: &str) -> Result<u64, String> {
        self.take(name)?.as_u64().ok_or_else(|| self.bad(name, "is not a whole number"))
    }

    fn text(&mut self, name: &str) -> Result<String, String> {
        match self.take(name)? {
            Json::String(text) => Ok(text),
            _ => Err(self.bad(name, "is not a text")),
        }
    }

    fn optional_text(&mut self, name: &str) -> Result<Option<String>, String> {
        if self.map.get(name).is_none_or(Json::is_null) {
            return Ok(None);
        }
        self.text(name).map(Some)
    }

    fn texts(&mut self, name: &str) -> Result<Vec<String>, String> {
        let Json::Array(items) = self.take(name)? else {
            return Err(self.bad(name, "is not a list"));
        };
        let text = |item| match item {
            Json::String(text) => Ok(text),
            _ => Err(self.bad(name, "holds something other than text")),
        };
        items.into_iter().map(text).collect()
    }
}
