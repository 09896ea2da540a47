//! Why the row was not written, as JSON.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::Fields;
use crate::driver::{Applied, ErrorKind, Stage, WriteError};
use crate::outcome::RowError;

const STAGES: [Stage; 6] =
    [Stage::Connect, Stage::Describe, Stage::Encode, Stage::Write, Stage::Commit, Stage::Settle];

pub(super) struct Details<'a> {
    pub(super) error: &'a WriteError,
    pub(super) server_messages: bool,
}

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { error, server_messages } = *self;
        let applied = match (error.is_still_running(), error.applied()) {
            (true, _) => "still_running",
            (_, Applied::Nothing) => "nothing",
            (_, Applied::Unknown) => "unknown",
        };
        let server_message = error.server_message().filter(|_| server_messages);
        let texts = [
            ("table", error.table()),
            ("column", error.column()),
            ("constraint", error.constraint()),
            ("code", error.code()),
            ("message", error.message()),
            ("server_message", server_message),
        ];
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", error.kind().as_str())?;
        map.serialize_entry("stage", error.stage().as_str())?;
        map.serialize_entry("applied", applied)?;
        for (name, text) in texts {
            if let Some(text) = text {
                map.serialize_entry(name, text)?;
            }
        }
        if let Some(rows) = error.batch_rows() {
            map.serialize_entry("batch_rows", &rows)?;
        }
        map.end()
    }
}

type Setter = fn(WriteError, String) -> WriteError;

pub(super) fn read(outcome: &str, mut fields: Fields) -> Result<RowError, String> {
    let kind = fields.text("kind")?;
    // A kind of a later version reads as `other`.
    let known = ErrorKind::ALL.iter().find(|known| known.as_str() == kind);
    let mut error = WriteError::new(known.copied().unwrap_or(ErrorKind::Other));
    let stage = fields.text("stage")?;
    if let Some(stage) = STAGES.into_iter().find(|known| known.as_str() == stage) {
        error = error.at(stage);
    }
    error = match fields.text("applied")?.as_str() {
        "nothing" => error,
        "still_running" => error.still_running(),
        _ => error.outcome_unknown(),
    };
    let texts: [(&str, Setter); 6] = [
        ("table", |error, text| error.with_table(text)),
        ("column", |error, text| error.with_column(text)),
        ("constraint", |error, text| error.with_constraint(text)),
        ("code", |error, text| error.with_code(text)),
        ("message", |error, text| error.with_message(text)),
        ("server_message", |error, text| error.with_server_message(text)),
    ];
    for (name, set) in texts {
        if let Some(text) = fields.optional_text(name)? {
            error = set(error, text);
        }
    }
    if fields.map.contains_key("batch_rows") {
        error = error.with_batch_rows(fields.number("batch_rows")? as usize);
    }
    match outcome {
        "rejected" => Ok(RowError::Rejected(error)),
        "not_sent" => Ok(RowError::NotSent(error)),
        "unknown" => Ok(RowError::Unknown(error)),
        _ => Err("`outcome` is none of rejected, not_sent, unknown".to_owned()),
    }
}
