//! Builds a [`Schema`] and checks it.

use super::{ConflictStrategy, Merge, Parts, Rule, Schema, SchemaError, TableName};

/// PostgreSQL's limit is 1,600, SQLite's 2,000 (32,767 if compiled so), MySQL's 4,096.
pub(super) const MAX_COLUMNS: usize = 4_096;

/// Builds a [`Schema`]; made by [`Schema::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SchemaBuilder {
    table: String,
    columns: Vec<String>,
    key: Vec<String>,
    strategy: ConflictStrategy,
    update: Option<Vec<String>>,
    merges: Vec<(String, Merge)>,
    touch: Option<String>,
}

fn names<I>(names: I) -> Vec<String>
where
    I: IntoIterator,
    I::Item: Into<String>,
{
    names.into_iter().map(Into::into).collect()
}

impl SchemaBuilder {
    pub(super) fn new(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            strategy: ConflictStrategy::default(),
            update: None,
            merges: Vec::new(),
            touch: None,
        }
    }

    /// The columns that rows may set; the order is that of [`Schema::row`].
    pub fn columns<I>(mut self, columns: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.columns = names(columns);
        self
    }

    /// The columns that identify a row: conflict target, merge key and ordering key.
    /// Left out, rows have no key, which only [`ConflictStrategy::Fail`] allows.
    pub fn key<I>(mut self, columns: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.key = names(columns);
        self
    }

    /// What happens to a row whose key is already in the table.
    /// Default: [`ConflictStrategy::Fail`].
    pub fn on_conflict(mut self, strategy: ConflictStrategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// The columns an [`Update`](ConflictStrategy::Update) may change. Left out: all but the key.
    pub fn update<I>(mut self, columns: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.update = Some(names(columns));
        self
    }

    /// How an [`Update`](ConflictStrategy::Update) combines `column` with what the table has.
    /// Default: [`Merge::Set`].
    pub fn merge(mut self, column: impl Into<String>, merge: Merge) -> Self {
        self.merges.push((column.into(), merge));
        self
    }

    /// The column that takes the server's clock on every write, insert or update. No row may set
    /// it. Left out: the row's own value.
    pub fn touch(mut self, column: impl Into<String>) -> Self {
        self.touch = Some(column.into());
        self
    }

    /// Checks and builds the schema.
    pub fn build(self) -> Result<Schema, SchemaError> {
        let table = TableName::parse(&self.table)?;
        let check = Check { table: &self.table, columns: &self.columns };
        check.columns()?;
        let key = check.positions(&self.key, "it stands twice in the key")?;
        if key.is_empty() && self.strategy != ConflictStrategy::Fail {
            return Err(SchemaError::NoKey { table: self.table, strategy: self.strategy.as_str() });
        }
        let touch = match &self.touch {
            Some(column) => Some(check.position(column)?),
            None => None,
        };
        if let Some(position) = touch.filter(|position| key.contains(position)) {
            return Err(check.refuse(position, "a key column cannot be touched"));
        }
        let rules = self.rules(&check, &key, touch)?;
        Ok(Schema::from_parts(Parts {
            table,
            key: key.into(),
            strategy: self.strategy,
            rules,
            touch,
            columns: self.columns.into_iter().map(String::into_boxed_str).collect(),
        }))
    }

    fn rules(
        &self,
        check: &Check<'_>,
        key: &[usize],
        touch: Option<usize>,
    ) -> Result<Box<[Rule]>, SchemaError> {
        let updates = self.strategy == ConflictStrategy::Update;
        let needs_update =
            |setting| SchemaError::NeedsUpdate { table: self.table.clone(), setting };
        let all = if updates { Rule::Write(Merge::Set) } else { Rule::Leave };
        let mut rules = vec![all; self.columns.len()];
        if let Some(update) = &self.update {
            if !updates {
                return Err(needs_update("update"));
            }
            rules.fill(Rule::Leave);
            for position in check.positions(update, "it stands twice in `update`")? {
                if key.contains(&position) {
                    return Err(check.refuse(position, "a key column cannot be updated"));
                }
                rules[position] = Rule::Write(Merge::Set);
            }
        }
        for &position in key.iter().chain(&touch) {
            rules[position] = Rule::Leave;
        }
        let mut merged = vec![false; self.columns.len()];
        for (column, merge) in &self.merges {
            if !updates {
                return Err(needs_update("merge"));
            }
            let position = check.position(column)?;
            if std::mem::replace(&mut merged[position], true) {
                return Err(check.refuse(position, "it has two merge rules"));
            }
            if rules[position] == Rule::Leave {
                return Err(
                    check.refuse(position, "it has a merge rule, but no update may change it")
                );
            }
            rules[position] = Rule::Write(*merge);
        }
        Ok(rules.into())
    }
}

/// The table and columns that every complaint names.
struct Check<'a> {
    table: &'a str,
    columns: &'a [String],
}

impl Check<'_> {
    fn columns(&self) -> Result<(), SchemaError> {
        let count = self.columns.len();
        if count == 0 {
            return Err(SchemaError::NoColumns { table: self.table.to_owned() });
        }
        if count > MAX_COLUMNS {
            return Err(SchemaError::TooManyColumns {
                table: self.table.to_owned(),
                columns: count,
            });
        }
        let mut seen = std::collections::HashSet::with_capacity(count);
        for (position, column) in self.columns.iter().enumerate() {
            if column.is_empty() {
                return Err(self.refuse(position, "a column's name is empty"));
            }
            if column.contains('\0') {
                return Err(self.refuse(position, "it holds a NUL character"));
            }
            if !seen.insert(column) {
                return Err(self.refuse(position, "it stands twice among the columns"));
            }
        }
        Ok(())
    }

    fn position(&self, column: &str) -> Result<usize, SchemaError> {
        let found = self.columns.iter().position(|own| own == column);
        found.ok_or_else(|| SchemaError::Column {
            table: self.table.to_owned(),
            column: column.to_owned(),
            why: "the schema has no such column",
        })
    }

    fn positions(
        &self,
        columns: &[String],
        twice: &'static str,
    ) -> Result<Vec<usize>, SchemaError> {
        let mut positions = Vec::with_capacity(columns.len());
        for column in columns {
            let position = self.position(column)?;
            if positions.contains(&position) {
                return Err(self.refuse(position, twice));
            }
            positions.push(position);
        }
        Ok(positions)
    }

    fn refuse(&self, position: usize, why: &'static str) -> SchemaError {
        SchemaError::Column {
            table: self.table.to_owned(),
            column: self.columns[position].clone(),
            why,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> SchemaBuilder {
        Schema::builder("users")
            .columns(["id", "name", "hits", "seen"])
            .key(["id"])
            .on_conflict(ConflictStrategy::Update)
    }

    #[test]
    fn each_mistake_is_an_error_of_its_own_that_names_the_column() {
        let keyless = Schema::builder("t").columns(["a"]);
        let cases = [
            (Schema::builder("").columns(["a"]), "table name"),
            (Schema::builder("t"), "no columns"),
            (Schema::builder("t").columns([""]), "name is empty"),
            (Schema::builder("t").columns(["a\0"]), "NUL"),
            (Schema::builder("t").columns(["a", "a"]), "\"a\": it stands twice among"),
            (Schema::builder("t").columns(vec!["a"; 5_000]), "5000 columns"),
            (keyless.clone().key(["b"]), "\"b\": the schema has no such column"),
            (keyless.clone().key(["a", "a"]), "twice in the key"),
            (keyless.clone().on_conflict(ConflictStrategy::Ignore), "`ignore` needs a key"),
            (keyless.clone().update(["a"]), "`update` needs the strategy"),
            (keyless.merge("a", Merge::Add), "`merge` needs the strategy"),
            (users().update(["id"]), "\"id\": a key column cannot be updated"),
            (users().update(["nam"]), "\"nam\": the schema has no such column"),
            (users().merge("id", Merge::Add), "\"id\": it has a merge rule, but no update"),
            (users().update(["name"]).merge("hits", Merge::Add), "\"hits\": it has a merge rule"),
            (users().merge("hits", Merge::Add).merge("hits", Merge::Max), "two merge rules"),
            (users().touch("id"), "\"id\": a key column cannot be touched"),
            (users().touch("gone"), "\"gone\": the schema has no such column"),
        ];
        for (builder, expected) in cases {
            let error = builder.build().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }

    #[test]
    fn structurally_equal_schemas_are_one() {
        assert_eq!(users().build(), users().build());
        assert_ne!(users().build(), users().touch("seen").build());
        assert_ne!(users().build(), users().merge("hits", Merge::Add).build());
    }

    #[test]
    fn an_update_changes_all_but_key_and_touched_unless_told_which() {
        let schema = users().touch("seen").merge("hits", Merge::Add).build().unwrap();
        let rules: Vec<_> = (0..4).map(|column| schema.update_rule(column)).collect();
        assert_eq!(rules, [None, Some(Merge::Set), Some(Merge::Add), None]);
        let schema = users().update(["name"]).build().unwrap();
        assert_eq!(schema.update_rule(2), None);
    }

    #[test]
    fn a_wide_schema_finds_its_columns() {
        let columns: Vec<String> = (0..300).map(|n| format!("c{n}")).collect();
        let schema = Schema::builder("wide").columns(columns.clone()).build().unwrap();
        for (position, column) in columns.iter().enumerate() {
            assert_eq!(schema.position(column), Some(position));
        }
        assert_eq!(schema.position("c300"), None);
    }
}
