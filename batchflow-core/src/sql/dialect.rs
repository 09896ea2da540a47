//! The [`Dialect`]: the little in which SQL databases differ.

use std::fmt;

use crate::schema::TableName;

/// How a database spells an upsert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictClause {
    /// `ON CONFLICT (key) DO …`, the proposed row as `excluded`: PostgreSQL, SQLite.
    OnConflict,
    /// `ON DUPLICATE KEY UPDATE …`, the proposed row by its [alias](Dialect::proposed) or as
    /// `VALUES(column)`: MySQL, MariaDB. It names no key, so any unique index of the table sets it
    /// off; see [`Insert::guarded`](super::Insert::guarded).
    OnDuplicateKey,
}

/// The little in which SQL databases differ.
///
/// ```
/// use batchflow_core::sql::Dialect;
///
/// #[derive(Debug)]
/// struct Postgres;
///
/// impl Dialect for Postgres {
///     fn placeholder(&self, number: usize, out: &mut String) {
///         out.push('$');
///         out.push_str(&number.to_string());
///     }
/// }
///
/// let mut text = String::new();
/// Postgres.quote("odd \"name\"", &mut text);
/// assert_eq!(text, r#""odd ""name""""#);
/// ```
pub trait Dialect: fmt::Debug + Send + Sync {
    /// Appends the placeholder of the parameter `number`, counted from 1.
    fn placeholder(&self, number: usize, out: &mut String);

    /// Appends an identifier, quoted. Default: in double quotes, doubled inside.
    fn quote(&self, name: &str, out: &mut String) {
        quote_with('"', name, out);
    }

    /// What a plain insert begins with. Default: `INSERT INTO`.
    fn insert(&self) -> &'static str {
        "INSERT INTO"
    }

    /// The server's clock as an expression. Default: `CURRENT_TIMESTAMP`.
    fn now(&self) -> &'static str {
        "CURRENT_TIMESTAMP"
    }

    /// The function of the greatest of its arguments. Default: `GREATEST`.
    fn greatest(&self) -> &'static str {
        "GREATEST"
    }

    /// The function of the least of its arguments. Default: `LEAST`.
    fn least(&self) -> &'static str {
        "LEAST"
    }

    /// The sum of two columns, the other one where one is NULL. Default: a plain `+`, for a server
    /// that refuses an overflow itself.
    fn sum(&self, old: &str, new: &str) -> String {
        format!("COALESCE({old} + {new}, {new}, {old})")
    }

    /// How an upsert is spelt. Default: [`ConflictClause::OnConflict`].
    fn conflict(&self) -> ConflictClause {
        ConflictClause::OnConflict
    }

    /// What the proposed row is called where an upsert is spelt
    /// [`ON DUPLICATE KEY UPDATE`](ConflictClause::OnDuplicateKey). Default: none, so that its
    /// columns are `VALUES(column)`.
    fn proposed(&self) -> Option<&str> {
        None
    }

    /// Whether an upsert lists columns that no row sets, where it reads what the proposed row has in
    /// them. Default: where the proposed row has a name, since it then has only what is listed.
    fn lists_unset(&self) -> bool {
        self.proposed().is_some()
    }

    /// What a row gives the schema's column at this position where it has to be listed and the row
    /// does not set it. Default: `DEFAULT`.
    fn unset(&self, _column: usize) -> &'static str {
        "DEFAULT"
    }

    /// Appends a table's name, every part of it quoted.
    fn quote_table(&self, table: &TableName, out: &mut String) {
        for qualifier in table.qualifiers() {
            self.quote(qualifier, out);
            out.push('.');
        }
        self.quote(table.name(), out);
    }
}

/// Appends an identifier between marks, which are doubled inside.
///
/// ```
/// use batchflow_core::sql::quote_with;
///
/// let mut text = String::new();
/// quote_with('`', "odd `name`", &mut text);
/// assert_eq!(text, "`odd ``name```");
/// ```
pub fn quote_with(mark: char, name: &str, out: &mut String) {
    out.push(mark);
    for letter in name.chars() {
        if letter == mark {
            out.push(mark);
        }
        out.push(letter);
    }
    out.push(mark);
}
