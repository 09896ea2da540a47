//! How two waiting rows of one key become one, by their schema's strategy.
//!
//! The one row must leave the table as the two would have, one after the other, whether or not
//! the key is already there. Where that cannot be told, they stay separate.

use std::cmp::Ordering;

use crate::driver::{ColumnInfo, ColumnKind, TableInfo};
use crate::request::Request;
use crate::schema::{ConflictStrategy, Merge, Schema};
use crate::value::Value;

/// What becomes of a waiting row and a newer one of its key.
pub(super) enum Plan {
    /// The waiting row stands for both.
    Keep,
    /// The newer row stands for both.
    Replace,
    /// A row made of both stands for them.
    Combine(Request),
    /// They go out one after the other.
    Separate,
}

/// What a schema's merging needs to know of its table.
#[derive(Debug)]
pub(super) struct Merger {
    /// Columns that an insert must set: a row that does not is refused, so it must go alone.
    required: Box<[usize]>,
    /// Columns outside the key that a replace leaves alone where it does not set them.
    left_alone: Box<[usize]>,
    table: TableInfo,
}

impl Merger {
    pub(super) fn new(schema: &Schema, table: &TableInfo) -> Self {
        let required = (0..schema.width()).filter(|&column| {
            let needed = table.column(column).is_some_and(ColumnInfo::is_required);
            needed && schema.touch() != Some(column)
        });
        let left_alone = (0..schema.width()).filter(|column| {
            let info = table.column(*column);
            info.is_some_and(ColumnInfo::is_left_alone) && !schema.key().contains(column)
        });
        Self {
            required: required.collect(),
            left_alone: left_alone.collect(),
            table: table.clone(),
        }
    }

    pub(super) fn plan(&self, kept: &Request, newer: &Request) -> Plan {
        let holds =
            |row: &Request, column: usize| row.value(column).is_some_and(|value| !value.is_null());
        let insertable = |row: &Request| self.required.iter().all(|&column| holds(row, column));
        if !insertable(kept) || !insertable(newer) {
            return Plan::Separate;
        }
        match kept.schema().strategy() {
            ConflictStrategy::Fail => Plan::Separate,
            ConflictStrategy::Ignore => Plan::Keep,
            ConflictStrategy::Replace if self.undoes(kept, newer) => Plan::Separate,
            ConflictStrategy::Replace => replace(kept, newer),
            ConflictStrategy::Update => self.update(kept, newer),
        }
    }

    fn update(&self, kept: &Request, newer: &Request) -> Plan {
        let schema = kept.schema();
        let overwrites = (0..schema.width()).all(|column| {
            let sets = (kept.value(column).is_some(), newer.value(column).is_some());
            match schema.update_rule(column) {
                Some(Merge::Set) => sets.1 || !sets.0,
                Some(_) => sets == (false, false),
                None => schema.key().contains(&column) || sets == (false, false),
            }
        });
        // An insert of `kept` and an update by `newer` would leave nothing of `kept`.
        if overwrites {
            return replace(kept, newer);
        }
        let mut combined = kept.clone();
        for column in 0..schema.width() {
            let (Some(rule), Some(new)) = (schema.update_rule(column), newer.value(column)) else {
                continue;
            };
            let merged = match (rule, kept.value(column)) {
                (Merge::Set, _) => Some(new.clone()),
                // Inserting `kept` stores the default, which `newer` would then be merged with.
                (_, None) => self.without_default(column).then(|| new.clone()),
                (_, Some(old)) => self.combine(rule, column, old, new),
            };
            match merged {
                Some(value) => _ = combined.merge_value(column, Some(value)),
                None => return Plan::Separate,
            }
        }
        Plan::Combine(combined)
    }

    /// Whether the newer row alone would lose a value of the waiting one that a replace by the
    /// newer one leaves alone.
    fn undoes(&self, kept: &Request, newer: &Request) -> bool {
        self.left_alone
            .iter()
            .any(|&column| kept.value(column).is_some() && newer.value(column).is_none())
    }

    fn without_default(&self, column: usize) -> bool {
        self.table.is_checked() && self.table.column(column).is_some_and(|info| !info.has_default())
    }

    /// The merged value; `None` where only the database can tell.
    fn combine(&self, rule: Merge, column: usize, old: &Value, new: &Value) -> Option<Value> {
        match (rule, old.is_null(), new.is_null()) {
            (Merge::KeepExisting, false, _) | (_, _, true) => return Some(old.clone()),
            (_, true, _) => return Some(new.clone()),
            _ => {}
        }
        match rule {
            Merge::Add => {
                let kind = self.table.column(column).map(ColumnInfo::kind);
                let exact = matches!(kind, None | Some(ColumnKind::Unknown | ColumnKind::Integer));
                if exact { add(old, new) } else { None }
            }
            Merge::Max => order(old, new)
                .map(|order| if order == Ordering::Less { new.clone() } else { old.clone() }),
            Merge::Min => order(old, new)
                .map(|order| if order == Ordering::Greater { new.clone() } else { old.clone() }),
            Merge::Set | Merge::KeepExisting => None,
        }
    }
}

/// The newer row stands for both, but the key stays as the waiting one spells it: an update would
/// not write it.
fn replace(kept: &Request, newer: &Request) -> Plan {
    let key = kept.schema().key();
    if key.iter().all(|&column| kept.value(column) == newer.value(column)) {
        return Plan::Replace;
    }
    let mut row = newer.clone();
    for &column in key {
        row.merge_value(column, kept.value(column).cloned());
    }
    Plan::Combine(row)
}

/// The sum of two integers of one kind. Floats are left to the database, because their sum
/// depends on its order; so are decimals, which the column may round one by one.
fn add(a: &Value, b: &Value) -> Option<Value> {
    match (a, b) {
        (Value::I64(a), Value::I64(b)) => a.checked_add(*b).map(Value::I64),
        (Value::U64(a), Value::U64(b)) => a.checked_add(*b).map(Value::U64),
        _ => None,
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::I64(a), Value::I64(b)) => Some(a.cmp(b)),
        (Value::U64(a), Value::U64(b)) => Some(a.cmp(b)),
        (Value::F64(a), Value::F64(b)) => a.partial_cmp(b),
        (Value::F32(a), Value::F32(b)) => a.partial_cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        Schema::builder("t")
            .columns(["id", "name", "hits", "peak", "once"])
            .key(["id"])
            .on_conflict(ConflictStrategy::Update)
            .merge("hits", Merge::Add)
            .merge("peak", Merge::Max)
            .merge("once", Merge::KeepExisting)
            .build()
            .unwrap()
    }

    fn plan(schema: &Schema, table: &TableInfo, rows: [&[(&str, Value)]; 2]) -> Plan {
        let [kept, newer] = rows.map(|values| {
            let row = Request::new(schema).set("id", 1_i64);
            values.iter().fold(row, |row, (column, value)| row.set(column, value.clone()))
        });
        Merger::new(schema, table).plan(&kept, &newer)
    }

    #[test]
    fn promise_5_rules_apply_while_rows_wait() {
        let schema = schema();
        let table = TableInfo::unchecked(&schema);
        let text = |text: &str| Value::from(text);
        let rows: [&[(&str, Value)]; 2] = [
            &[
                ("name", text("a")),
                ("hits", 2_i64.into()),
                ("peak", 9_i64.into()),
                ("once", text("x")),
            ],
            &[
                ("name", text("b")),
                ("hits", 3_i64.into()),
                ("peak", 4_i64.into()),
                ("once", text("y")),
            ],
        ];
        let Plan::Combine(row) = plan(&schema, &table, rows) else { panic!("not combined") };
        let values: Vec<_> = (0..5).map(|column| row.value(column).cloned().unwrap()).collect();
        assert_eq!(values, [1_i64.into(), text("b"), 5_i64.into(), 9_i64.into(), text("x")]);
    }

    #[test]
    fn promise_5_rows_stay_separate_where_only_the_database_can_merge_them() {
        let schema = schema();
        let unchecked = TableInfo::unchecked(&schema);
        let cases: [[&[(&str, Value)]; 2]; 4] = [
            [&[("hits", 1.5.into())], &[("hits", 1.5.into())]],
            [&[("hits", i64::MAX.into())], &[("hits", 1_i64.into())]],
            [&[("name", "a".into())], &[("hits", 1_i64.into())]],
            [&[("peak", "a".into())], &[("peak", 1_i64.into())]],
        ];
        for rows in cases {
            assert!(matches!(plan(&schema, &unchecked, rows), Plan::Separate), "{rows:?}");
        }
        // Known to have no default, the unset column counts as NULL.
        let column = ColumnInfo::new(ColumnKind::Integer);
        let known = TableInfo::new(vec![column.clone(); 5]);
        let rows: [&[(&str, Value)]; 2] = [&[("name", "a".into())], &[("hits", 1_i64.into())]];
        assert!(matches!(plan(&schema, &known, rows), Plan::Combine(_)));
        // A row that could not be inserted by itself is left to be refused by itself.
        let mut columns = vec![column.clone(); 5];
        columns[1] = column.with_required();
        let table = TableInfo::new(columns);
        for first in [&[("peak", 1_i64.into())][..], &[("name", Value::Null)]] {
            let rows: [&[(&str, Value)]; 2] = [first, &[("name", "a".into())]];
            assert!(matches!(plan(&schema, &table, rows), Plan::Separate), "{first:?}");
        }
    }

    /// Of two replaces, the later leaves what the former set.
    #[test]
    fn promise_5_a_replace_undoes_no_value_that_it_would_leave_alone() {
        let schema = Schema::new("t", ConflictStrategy::Replace, ["id", "number"]).unwrap();
        let column = ColumnInfo::new(ColumnKind::Integer);
        let tables = [
            (column.clone().with_default(), true),
            (column.clone().with_default().with_left_alone(), false),
        ];
        for (number, merges) in tables {
            let table = TableInfo::new(vec![column.clone(), number]);
            let merger = Merger::new(&schema, &table);
            let (set, unset) = (schema.row((1_i64, 7_i64)).unwrap(), schema.row((1_i64,)).unwrap());
            let is_merged = matches!(merger.plan(&set, &unset), Plan::Replace);
            assert_eq!(is_merged, merges);
            assert!(matches!(merger.plan(&unset, &set), Plan::Replace));
            assert!(matches!(merger.plan(&unset, &unset), Plan::Replace));
        }
    }

    #[test]
    fn promise_5_the_key_stays_as_the_older_row_spells_it() {
        for strategy in [ConflictStrategy::Replace, ConflictStrategy::Update] {
            let schema = Schema::new("t", strategy, ["id", "name"]).unwrap();
            let table = TableInfo::unchecked(&schema);
            let (kept, newer) = (schema.row(("K", "a")).unwrap(), schema.row(("k", "b")).unwrap());
            let Plan::Combine(row) = Merger::new(&schema, &table).plan(&kept, &newer) else {
                panic!("not combined")
            };
            assert!(row == schema.row(("K", "b")).unwrap());
        }
    }

    #[test]
    fn a_row_that_sets_the_same_columns_takes_the_waiting_ones_place() {
        let schema = schema();
        let table = TableInfo::unchecked(&schema);
        let rows: [&[(&str, Value)]; 2] = [&[("name", "a".into())], &[("name", "b".into())]];
        assert!(matches!(plan(&schema, &table, rows), Plan::Replace));
    }
}
