//! [`Insert`]: the text of an insert or upsert by a schema's strategy.

use super::dialect::{ConflictClause, Dialect};
use crate::schema::{ConflictStrategy, Merge, Schema};

/// The row already in the table, where a statement has to tell it from the proposed one.
const OLD: &str = "old";

/// The text of an insert or upsert: a schema's strategy over one set of set columns.
///
/// The parameters of a row are its set columns in the schema's order, row after row.
///
/// ```
/// use batchflow_core::sql::{Dialect, Insert};
/// use batchflow_core::{ConflictStrategy, Schema};
///
/// #[derive(Debug)]
/// struct Sqlite;
///
/// impl Dialect for Sqlite {
///     fn placeholder(&self, _: usize, out: &mut String) {
///         out.push('?');
///     }
/// }
///
/// let logs = Schema::new("logs", ConflictStrategy::Ignore, ["id", "line"])?;
/// assert_eq!(
///     Insert::new(&Sqlite, &logs, &[0, 1]).text(2),
///     r#"INSERT INTO "logs" ("id", "line") VALUES (?, ?), (?, ?) ON CONFLICT ("id") DO NOTHING"#,
/// );
/// # Ok::<_, batchflow_core::SchemaError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Insert<'a> {
    dialect: &'a dyn Dialect,
    schema: &'a Schema,
    columns: &'a [usize],
    left_alone: Vec<usize>,
    guarded: bool,
}

impl<'a> Insert<'a> {
    /// The statement for rows that set the columns at these positions, ascending.
    pub fn new(dialect: &'a dyn Dialect, schema: &'a Schema, columns: &'a [usize]) -> Self {
        Self { dialect, schema, columns, left_alone: Vec::new(), guarded: false }
    }

    /// Columns that a [`Replace`](ConflictStrategy::Replace) leaves alone where the row does not
    /// set them: generated and identity columns.
    #[must_use]
    pub fn leave_alone(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        self.left_alone.extend(columns);
        self
    }

    /// Refuses a row that another unique key than the schema's sets off, where the statement names
    /// no key ([`ConflictClause::OnDuplicateKey`]): a subquery of two rows fails instead of another
    /// row being changed.
    #[must_use]
    pub fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// How many parameters `rows` rows have.
    pub fn parameters(&self, rows: usize) -> usize {
        self.columns.len() * rows
    }

    /// The whole statement for `rows` rows.
    pub fn text(&self, rows: usize) -> String {
        let mut text = self.head();
        text.push_str(" VALUES ");
        text.push_str(&self.values(rows));
        let tail = self.tail();
        if !tail.is_empty() {
            text.push(' ');
            text.push_str(&tail);
        }
        text
    }

    /// What precedes the rows: `INSERT INTO "t" ("a", "b")`. The set columns come first, then the
    /// touched one, then those that take their defaults by name.
    pub fn head(&self) -> String {
        let mut text = self.dialect.insert().to_owned();
        text.push(' ');
        self.dialect.quote_table(self.schema.table(), &mut text);
        if self.dialect.conflict() == ConflictClause::OnConflict
            && (self.reads_the_old_row() || self.is_called_as_the_proposed())
        {
            text.push_str(" AS ");
            self.dialect.quote(OLD, &mut text);
        }
        text.push_str(" (");
        let mut columns = self.columns.to_vec();
        columns.extend(self.schema.touch());
        columns.extend(self.defaulted());
        self.list(&columns, &mut text);
        text.push(')');
        text
    }

    /// The rows: `(?, ?), (?, ?)`. A touched column takes the server's clock.
    pub fn values(&self, rows: usize) -> String {
        let mut text = String::new();
        let touched = self.schema.touch().map(|_| self.dialect.now());
        let unset = self.defaulted().into_iter().map(|column| self.dialect.unset(column));
        let rest = touched.into_iter().chain(unset);
        let rest: Vec<&str> = rest.collect();
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ", (" });
            for column in 0..self.columns.len() {
                if column > 0 {
                    text.push_str(", ");
                }
                self.dialect.placeholder(row * self.columns.len() + column + 1, &mut text);
            }
            for (index, value) in rest.iter().enumerate() {
                if index > 0 || !self.columns.is_empty() {
                    text.push_str(", ");
                }
                text.push_str(value);
            }
            text.push(')');
        }
        text
    }

    /// What follows the rows: the conflict clause, empty for a plain insert.
    pub fn tail(&self) -> String {
        if self.schema.strategy() == ConflictStrategy::Fail {
            return String::new();
        }
        let changes = self.changes();
        match self.dialect.conflict() {
            ConflictClause::OnConflict => {
                let mut text = "ON CONFLICT (".to_owned();
                self.list(self.schema.key(), &mut text);
                if changes.is_empty() {
                    text.push_str(") DO NOTHING");
                } else {
                    text.push_str(") DO UPDATE SET ");
                    text.push_str(&changes.join(", "));
                }
                text
            }
            ConflictClause::OnDuplicateKey => {
                let mut text = String::new();
                if let Some(proposed) = self.dialect.proposed() {
                    text.push_str("AS ");
                    self.dialect.quote(proposed, &mut text);
                    text.push(' ');
                }
                text.push_str("ON DUPLICATE KEY UPDATE ");
                let kept = (self.guarded || changes.is_empty()).then(|| self.key_kept());
                let all: Vec<String> = kept.into_iter().chain(changes).collect();
                text.push_str(&all.join(", "));
                text
            }
        }
    }

    /// The assignment of a key column to itself; guarded, only where the whole key is the row's.
    ///
    /// Assignments are made from left to right: it comes first, and no other changes the key. The
    /// subquery reads the row, so that it is never evaluated ahead; and it has the column's own
    /// type, so that the value passes unchanged. A key that holds a NULL is no other row's.
    fn key_kept(&self) -> String {
        let key = self.schema.key();
        let first = key.first().copied().unwrap_or_default();
        let (name, old) = (self.quoted(first), self.old(first));
        if !self.guarded {
            return format!("{name} = {old}");
        }
        let same: Vec<String> = key
            .iter()
            .map(|&column| format!("{} = {}", self.old(column), self.proposed(column)))
            .collect();
        let same = same.join(" AND ");
        format!("{name} = IF({same}, {old}, (SELECT {old} UNION ALL SELECT {old}))")
    }

    /// The unset columns whose proposed values are read by the proposed row's alias: it has only
    /// the columns that are listed.
    fn defaulted(&self) -> Vec<usize> {
        let (schema, strategy) = (self.schema, self.schema.strategy());
        if strategy == ConflictStrategy::Fail || !self.dialect.lists_unset() {
            return Vec::new();
        }
        let is_read = |column: &usize| {
            if schema.key().contains(column) {
                // Without a name it is what the server gives it.
                self.guarded && self.dialect.proposed().is_some()
            } else {
                strategy == ConflictStrategy::Replace && self.replaces(*column)
            }
        };
        let unset =
            |column: &usize| !self.columns.contains(column) && schema.touch() != Some(*column);
        (0..schema.width()).filter(unset).filter(is_read).collect()
    }

    /// The assignments to the row already there.
    fn changes(&self) -> Vec<String> {
        let (schema, touch) = (self.schema, self.schema.touch());
        let mut changes = Vec::new();
        for column in 0..schema.width() {
            let rule = match schema.strategy() {
                _ if touch == Some(column) || schema.key().contains(&column) => None,
                ConflictStrategy::Replace => self.replaces(column).then_some(Merge::Set),
                ConflictStrategy::Update if self.columns.contains(&column) => {
                    schema.update_rule(column)
                }
                _ => None,
            };
            if let Some(rule) = rule {
                changes.push(format!("{} = {}", self.quoted(column), self.merged(column, rule)));
            }
        }
        let touches =
            matches!(schema.strategy(), ConflictStrategy::Update | ConflictStrategy::Replace);
        if let Some(touch) = touch.filter(|_| touches) {
            changes.push(format!("{} = {}", self.quoted(touch), self.dialect.now()));
        }
        changes
    }

    fn replaces(&self, column: usize) -> bool {
        self.columns.contains(&column) || !self.left_alone.contains(&column)
    }

    /// The new value of a column. Every rule yields the other side where one is NULL.
    fn merged(&self, column: usize, rule: Merge) -> String {
        let (old, new) = (self.old(column), self.proposed(column));
        match rule {
            Merge::Set => new,
            Merge::Add => self.dialect.sum(&old, &new),
            Merge::Max => {
                format!("COALESCE({}({old}, {new}), {new}, {old})", self.dialect.greatest())
            }
            Merge::Min => format!("COALESCE({}({old}, {new}), {new}, {old})", self.dialect.least()),
            Merge::KeepExisting => format!("COALESCE({old}, {new})"),
        }
    }

    /// Whether the table is called as the row that was to be inserted is.
    fn is_called_as_the_proposed(&self) -> bool {
        self.schema.table().name().eq_ignore_ascii_case("excluded")
    }

    fn reads_the_old_row(&self) -> bool {
        self.schema.strategy() == ConflictStrategy::Update
            && self.columns.iter().any(|&column| {
                self.schema.update_rule(column).is_some_and(|rule| rule != Merge::Set)
            })
    }

    fn old(&self, column: usize) -> String {
        let name = self.quoted(column);
        match self.dialect.conflict() {
            ConflictClause::OnConflict => {
                let mut text = String::new();
                self.dialect.quote(OLD, &mut text);
                text + "." + &name
            }
            ConflictClause::OnDuplicateKey => {
                let mut text = String::new();
                self.dialect.quote_table(self.schema.table(), &mut text);
                text + "." + &name
            }
        }
    }

    fn proposed(&self, column: usize) -> String {
        let name = self.quoted(column);
        match self.dialect.conflict() {
            ConflictClause::OnConflict => format!("excluded.{name}"),
            ConflictClause::OnDuplicateKey => match self.dialect.proposed() {
                Some(proposed) => {
                    let mut text = String::new();
                    self.dialect.quote(proposed, &mut text);
                    text + "." + &name
                }
                None => format!("VALUES({name})"),
            },
        }
    }

    fn quoted(&self, column: usize) -> String {
        let mut text = String::new();
        self.dialect.quote(self.schema.column(column), &mut text);
        text
    }

    fn list(&self, columns: &[usize], out: &mut String) {
        for (index, &column) in columns.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            self.dialect.quote(self.schema.column(column), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Numbered;

    impl Dialect for Numbered {
        fn placeholder(&self, number: usize, out: &mut String) {
            out.push('$');
            out.push_str(&number.to_string());
        }
    }

    #[derive(Debug)]
    struct Backticks {
        proposed: Option<&'static str>,
    }

    impl Dialect for Backticks {
        fn placeholder(&self, _: usize, out: &mut String) {
            out.push('?');
        }

        fn quote(&self, name: &str, out: &mut String) {
            crate::sql::quote_with('`', name, out);
        }

        fn conflict(&self) -> ConflictClause {
            ConflictClause::OnDuplicateKey
        }

        fn proposed(&self) -> Option<&str> {
            self.proposed
        }
    }

    fn schema(strategy: ConflictStrategy) -> Schema {
        let columns = ["id", "name", "hits", "made"];
        Schema::builder("app.t").columns(columns).key(["id"]).on_conflict(strategy).build().unwrap()
    }

    fn merging(merge: Merge) -> Schema {
        let builder = Schema::builder("t").columns(["id", "hits", "seen"]).key(["id"]);
        let builder = builder.on_conflict(ConflictStrategy::Update).touch("seen");
        builder.merge("hits", merge).build().unwrap()
    }

    #[test]
    fn each_strategy_has_its_conflict_clause() {
        use ConflictStrategy::{Fail, Ignore, Replace, Update};
        let cases = [
            (Fail, &[0, 1][..], ""),
            (Ignore, &[0, 1], r#"ON CONFLICT ("id") DO NOTHING"#),
            (
                Replace,
                &[0, 1],
                r#"ON CONFLICT ("id") DO UPDATE SET "name" = excluded."name", "hits" = excluded."hits""#,
            ),
            (Update, &[0, 1], r#"ON CONFLICT ("id") DO UPDATE SET "name" = excluded."name""#),
            (Update, &[0], r#"ON CONFLICT ("id") DO NOTHING"#),
        ];
        for (strategy, columns, expected) in cases {
            let schema = schema(strategy);
            let insert = Insert::new(&Numbered, &schema, columns).leave_alone([3]);
            assert_eq!(insert.tail(), expected, "{strategy:?}");
        }
    }

    #[test]
    fn each_merge_yields_the_other_side_where_one_is_null() {
        let cases = [
            (Merge::Set, r#"excluded."hits""#),
            (
                Merge::Add,
                r#"COALESCE("old"."hits" + excluded."hits", excluded."hits", "old"."hits")"#,
            ),
            (
                Merge::Max,
                r#"COALESCE(GREATEST("old"."hits", excluded."hits"), excluded."hits", "old"."hits")"#,
            ),
            (
                Merge::Min,
                r#"COALESCE(LEAST("old"."hits", excluded."hits"), excluded."hits", "old"."hits")"#,
            ),
            (Merge::KeepExisting, r#"COALESCE("old"."hits", excluded."hits")"#),
        ];
        for (merge, expected) in cases {
            let schema = merging(merge);
            let tail = Insert::new(&Numbered, &schema, &[0, 1]).tail();
            let set = format!(
                r#"ON CONFLICT ("id") DO UPDATE SET "hits" = {expected}, "seen" = CURRENT_TIMESTAMP"#
            );
            assert_eq!(tail, set);
        }
    }

    #[test]
    fn rows_are_numbered_through_and_a_touched_column_takes_the_clock() {
        let schema = merging(Merge::Add);
        let insert = Insert::new(&Numbered, &schema, &[0, 1]);
        assert_eq!(insert.head(), r#"INSERT INTO "t" AS "old" ("id", "hits", "seen")"#);
        assert_eq!(insert.values(2), "($1, $2, CURRENT_TIMESTAMP), ($3, $4, CURRENT_TIMESTAMP)");
        assert_eq!(insert.parameters(2), 4);
    }

    #[test]
    fn every_part_of_a_name_is_quoted_by_the_dialect() {
        let columns = ["a\"; DROP TABLE t; --", "b`"];
        let schema = Schema::new("main.\"odd.\"\"t\"", ConflictStrategy::Ignore, columns).unwrap();
        assert_eq!(
            Insert::new(&Numbered, &schema, &[0, 1]).head(),
            r#"INSERT INTO "main"."odd.""t" ("a""; DROP TABLE t; --", "b`")"#
        );
        assert_eq!(
            Insert::new(&Backticks { proposed: None }, &schema, &[1]).text(1),
            "INSERT INTO `main`.`odd.\"t` (`b```) VALUES (?) ON DUPLICATE KEY UPDATE \
             `a\"; DROP TABLE t; --` = `main`.`odd.\"t`.`a\"; DROP TABLE t; --`"
        );
        let schema = merging(Merge::Add);
        assert_eq!(
            Insert::new(&Backticks { proposed: None }, &schema, &[0, 1]).tail(),
            "ON DUPLICATE KEY UPDATE `hits` = COALESCE(`t`.`hits` + VALUES(`hits`), \
             VALUES(`hits`), `t`.`hits`), `seen` = CURRENT_TIMESTAMP"
        );
    }

    #[test]
    fn an_update_names_the_proposed_row_and_is_guarded_by_the_whole_key() {
        let schema = Schema::builder("t").columns(["a", "b", "c"]).key(["a", "b"]);
        let schema = schema.on_conflict(ConflictStrategy::Update).build().unwrap();
        let dialect = Backticks { proposed: Some("new") };
        let insert = Insert::new(&dialect, &schema, &[0, 1, 2]);
        assert_eq!(insert.tail(), "AS `new` ON DUPLICATE KEY UPDATE `c` = `new`.`c`");
        let kept = "`a` = IF(`t`.`a` = `new`.`a` AND `t`.`b` = `new`.`b`, `t`.`a`, \
                    (SELECT `t`.`a` UNION ALL SELECT `t`.`a`))";
        assert_eq!(
            insert.guarded().tail(),
            format!("AS `new` ON DUPLICATE KEY UPDATE {kept}, `c` = `new`.`c`")
        );
        let nothing = Insert::new(&dialect, &schema, &[0, 1]);
        assert_eq!(nothing.tail(), "AS `new` ON DUPLICATE KEY UPDATE `a` = `t`.`a`");
        let guarded = nothing.guarded().tail();
        assert_eq!(guarded, format!("AS `new` ON DUPLICATE KEY UPDATE {kept}"));
    }

    #[test]
    fn an_alias_is_given_the_defaults_that_are_read_by_it() {
        let builder = Schema::builder("t").columns(["id", "a", "b", "seen", "own"]).key(["id"]);
        let builder = builder.on_conflict(ConflictStrategy::Replace).touch("seen");
        let schema = builder.build().unwrap();
        let dialect = Backticks { proposed: Some("new") };
        let insert = Insert::new(&dialect, &schema, &[1]).leave_alone([4]);
        assert_eq!(
            insert.clone().text(1),
            "INSERT INTO `t` (`a`, `seen`, `b`) VALUES (?, CURRENT_TIMESTAMP, DEFAULT) AS `new` \
             ON DUPLICATE KEY UPDATE `a` = `new`.`a`, `b` = `new`.`b`, `seen` = CURRENT_TIMESTAMP"
        );
        let guarded = insert.guarded();
        assert_eq!(guarded.head(), "INSERT INTO `t` (`a`, `seen`, `id`, `b`)");
        assert_eq!(guarded.values(1), "(?, CURRENT_TIMESTAMP, DEFAULT, DEFAULT)");
        let dialect = Backticks { proposed: None };
        let insert = Insert::new(&dialect, &schema, &[1]).leave_alone([4]);
        assert_eq!(insert.head(), "INSERT INTO `t` (`a`, `seen`)");
    }
}
