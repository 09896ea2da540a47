//! A schema's whole definition as JSON.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::Fields;
use crate::schema::{ConflictStrategy, Merge, Schema};

const STRATEGIES: [ConflictStrategy; 4] = [
    ConflictStrategy::Fail,
    ConflictStrategy::Ignore,
    ConflictStrategy::Replace,
    ConflictStrategy::Update,
];

const MERGES: [Merge; 5] = [Merge::Set, Merge::Add, Merge::Max, Merge::Min, Merge::KeepExisting];

pub(super) struct Definition<'a>(pub(super) &'a Schema);

impl Serialize for Definition<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let schema = self.0;
        let columns: Vec<&str> = schema.columns().collect();
        let key: Vec<&str> = schema.key().iter().map(|&position| columns[position]).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("table", &schema.table().to_string())?;
        map.serialize_entry("columns", &columns)?;
        map.serialize_entry("key", &key)?;
        map.serialize_entry("on_conflict", schema.strategy().as_str())?;
        if schema.strategy() == ConflictStrategy::Update {
            map.serialize_entry("update", &Updates(schema))?;
        }
        if let Some(touch) = schema.touch() {
            map.serialize_entry("touch", schema.column(touch))?;
        }
        map.end()
    }
}

/// The columns an update may change, each with its merge rule.
struct Updates<'a>(&'a Schema);

impl Serialize for Updates<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = self.0.columns().enumerate();
        serializer.collect_map(columns.filter_map(|(position, column)| {
            self.0.update_rule(position).map(|merge| (column, merge.as_str()))
        }))
    }
}

pub(super) fn read(mut fields: Fields) -> Result<Schema, String> {
    let table = fields.text("table")?;
    let strategy = fields.text("on_conflict")?;
    let strategy = STRATEGIES.into_iter().find(|known| known.as_str() == strategy);
    let strategy = strategy.ok_or("`schema.on_conflict` is no strategy known here")?;
    let mut builder = Schema::builder(table)
        .columns(fields.texts("columns")?)
        .key(fields.texts("key")?)
        .on_conflict(strategy);
    if let Some(updates) = fields.optional("update") {
        let updates = Fields::new("schema.update", updates)?;
        builder = builder.update(updates.map.keys());
        for (column, merge) in &updates.map {
            let known = MERGES.into_iter().find(|known| merge.as_str() == Some(known.as_str()));
            let merge = known.ok_or_else(|| updates.bad(column, "is no merge rule known here"))?;
            builder = builder.merge(column, merge);
        }
    }
    if let Some(touch) = fields.optional_text("touch")? {
        builder = builder.touch(touch);
    }
    builder.build().map_err(|error| format!("its schema: {error}"))
}
