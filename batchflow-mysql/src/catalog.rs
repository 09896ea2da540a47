//! What is asked of the catalog, in text queries: nothing is prepared for what is asked once.

use std::fmt::Write as _;

use batchflow_core::ErrorClass;
use mysql_async::prelude::{FromRow, Queryable as _};
use mysql_async::{Conn, Error, ServerError};

use crate::codes;
use crate::server::{Family, Server};
use crate::statement::quoted;
use crate::types::{ColumnType, Lengths, TypeKind};

/// All that was found of one table.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) relation: Relation,
    /// Every column, in the table's order.
    pub(crate) columns: Vec<Column>,
    /// Every unique index.
    pub(crate) indexes: Vec<Index>,
}

/// What a table is, and what this user may do with it.
#[derive(Debug)]
pub(crate) struct Relation {
    pub(crate) database: String,
    pub(crate) name: String,
    /// `BASE TABLE`, `VIEW`, `SEQUENCE`, …
    pub(crate) kind: String,
    pub(crate) engine: String,
    /// Whether the engine knows transactions.
    pub(crate) transactions: bool,
    /// Whether a trigger may fill in what a row leaves out: also where this user may not see.
    pub(crate) fills_in: bool,
    /// Whether this user may make temporary tables in the database.
    pub(crate) may_stage: bool,
}

/// One column of the table.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) ty: ColumnType,
    pub(crate) not_null: bool,
    pub(crate) has_default: bool,
    pub(crate) generated: bool,
    pub(crate) auto_increment: bool,
    pub(crate) charset: Option<String>,
    pub(crate) collation: Option<String>,
    pub(crate) may_insert: bool,
    pub(crate) may_update: bool,
}

/// A unique index.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) name: String,
    /// Its columns; `None` for an expression.
    pub(crate) columns: Vec<Option<String>>,
    /// Whether it looks at the beginning of a column only.
    pub(crate) prefix: bool,
}

impl Index {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.columns.iter().flatten().any(|column| column == name)
    }

    /// Why it cannot tell the rows of a key apart.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        match self {
            _ if self.columns.contains(&None) => Some("is on an expression"),
            _ if self.prefix => Some("compares only the beginning of a column"),
            _ => None,
        }
    }
}

/// A text as a literal that no SQL mode reads otherwise.
pub(crate) fn literal(text: &str) -> String {
    let mut literal = "_utf8mb4 X'".to_owned();
    for byte in text.bytes() {
        // Writing to a string cannot fail.
        let _ = write!(literal, "{byte:02x}");
    }
    literal.push('\'');
    literal
}

/// The rows of a query over the catalog.
///
/// MariaDB answers one that was ended in the middle with what it had found until then: why is only
/// a warning.
pub(crate) async fn ask<T>(conn: &mut Conn, text: String) -> Result<Vec<T>, Error>
where
    T: FromRow + Send + 'static,
{
    let found = conn.query(text).await?;
    if conn.get_warnings() == 0 {
        return Ok(found);
    }
    let warnings: Vec<(String, u16, String)> = conn.query("SHOW WARNINGS").await?;
    let ended = warnings
        .into_iter()
        .find(|(_, code, _)| codes::kind(*code, "").class() == ErrorClass::Transient);
    match ended {
        Some((_, code, message)) => {
            let state = String::new();
            Err(Error::Server(ServerError { code, message, state }))
        }
        None => Ok(found),
    }
}

/// The database that names without one are in.
pub(crate) async fn database(conn: &mut Conn) -> Result<Option<String>, Error> {
    let found: Option<Option<String>> = conn.query_first("SELECT DATABASE()").await?;
    Ok(found.flatten())
}

/// Asks for everything; `None` where there is no such table, or none that this user may see.
pub(crate) async fn read(
    conn: &mut Conn,
    server: &Server,
    database: &str,
    name: &str,
) -> Result<Option<Found>, Error> {
    let (database, name) = (literal(database), literal(name));
    let Some(mut relation) = relation(conn, &database, &name).await? else {
        return Ok(None);
    };
    let (granted, staging) = (
        granted(&database, Some(&name), "TRIGGER"),
        granted(&database, None, "CREATE TEMPORARY TABLES"),
    );
    let text = format!(
        "SELECT {granted}, {staging}, EXISTS (SELECT 1 FROM information_schema.TRIGGERS \
           WHERE EVENT_OBJECT_SCHEMA = {database} AND EVENT_OBJECT_TABLE = {name} \
           AND ACTION_TIMING = 'BEFORE' AND EVENT_MANIPULATION = 'INSERT'), \
           EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = {GRANTEE})"
    );
    for _ in 0..GRANTS_ASKED {
        let granted: Vec<(bool, bool, bool, bool)> = ask(conn, text.clone()).await?;
        let Some(&(sees, stages, has, whole)) = granted.first() else { break };
        relation.fills_in = has || !sees;
        relation.may_stage = stages;
        if whole {
            break;
        }
    }
    let mut columns = columns(conn, server, &database, &name).await?;
    if server.family == Family::MariaDb {
        name_json(conn, &database, &name, &mut columns).await?;
    }
    let indexes = indexes(conn, &database, &name).await?;
    Ok(Some(Found { relation, columns, indexes }))
}

async fn relation(conn: &mut Conn, database: &str, name: &str) -> Result<Option<Relation>, Error> {
    type Row = (String, String, String, Option<String>, Option<String>);
    let text = format!(
        "SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE, t.ENGINE, e.TRANSACTIONS \
         FROM information_schema.TABLES t \
         LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE \
         WHERE t.TABLE_SCHEMA = {database} AND t.TABLE_NAME = {name}"
    );
    let found: Vec<Row> = ask(conn, text).await?;
    Ok(found.into_iter().next().map(|(database, name, kind, engine, transactions)| Relation {
        database,
        name,
        kind,
        engine: engine.unwrap_or_default(),
        transactions: transactions.is_some_and(|answer| answer == "YES"),
        fills_in: true,
        may_stage: false,
    }))
}

/// So often is asked what this user may do: of a question that is ended in the middle, MariaDB
/// answers the rest with no, without a word. Every account was granted something (`USAGE`), which is
/// asked last.
const GRANTS_ASKED: u32 = 3;

/// This account, as privileges are granted to it.
const GRANTEE: &str = "CONCAT(X'27', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), X'274027', \
                       SUBSTRING_INDEX(CURRENT_USER(), '@', -1), X'27')";

/// Whether this account itself was granted a privilege. What a role gives is not seen.
fn granted(database: &str, table: Option<&str>, privilege: &str) -> String {
    let of = |view: &str, filter: &str| {
        format!(
            "EXISTS (SELECT 1 FROM information_schema.{view} \
             WHERE PRIVILEGE_TYPE = '{privilege}' AND GRANTEE = {GRANTEE}{filter})"
        )
    };
    let mut text = format!(
        "({} OR {}",
        of("USER_PRIVILEGES", ""),
        of("SCHEMA_PRIVILEGES", &format!(" AND {database} LIKE TABLE_SCHEMA")),
    );
    if let Some(table) = table {
        let filter = format!(" AND TABLE_SCHEMA = {database} AND TABLE_NAME = {table}");
        text.push_str(" OR ");
        text.push_str(&of("TABLE_PRIVILEGES", &filter));
    }
    text.push(')');
    text
}

async fn columns(
    conn: &mut Conn,
    server: &Server,
    database: &str,
    name: &str,
) -> Result<Vec<Column>, Error> {
    type Texts = (
        String,
        String,
        String,
        String,
        Option<String>,
        Option<String>,
        Option<String>,
        Option<String>,
        Option<String>,
        String,
    );
    type Numbers = (Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<u64>);
    let of = |columns: &str| {
        format!(
            "SELECT {columns} FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = {database} AND TABLE_NAME = {name} ORDER BY ORDINAL_POSITION"
        )
    };
    let texts = of("COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, \
                    GENERATION_EXPRESSION, CHARACTER_SET_NAME, COLLATION_NAME, PRIVILEGES");
    let numbers = of("CHARACTER_MAXIMUM_LENGTH, CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, \
                      NUMERIC_SCALE, DATETIME_PRECISION");
    let texts: Vec<Texts> = ask(conn, texts).await?;
    let numbers: Vec<Numbers> = ask(conn, numbers).await?;
    let columns = texts.into_iter().zip(numbers).map(|(texts, numbers)| {
        let (name, ty, sql, nullable, default, extra, expression, charset, collation, may) = texts;
        let (characters, bytes, digits, scale, seconds) = numbers;
        let ty = ty.to_ascii_lowercase();
        let ty = ColumnType::new(&ty, &sql, Lengths { characters, bytes, digits, scale, seconds });
        let extra = extra.unwrap_or_default().to_ascii_lowercase();
        let generated = expression.is_some_and(|expression| !expression.is_empty());
        let auto_increment = extra.contains("auto_increment");
        let not_null = nullable == "NO";
        // MariaDB writes a default of NULL out, and quotes texts.
        let null = server.family == Family::MariaDb && default.as_deref() == Some("NULL");
        let default = (default.is_some() && !null) || extra.contains("default_generated");
        // An enum that may not be NULL begins with its first member.
        let first_member = not_null && matches!(ty.kind, TypeKind::Enum(_));
        let may = |what: &str| may.split(',').any(|privilege| privilege == what);
        Column {
            has_default: default || generated || auto_increment || first_member,
            may_insert: may("insert"),
            may_update: may("update"),
            name,
            ty,
            not_null,
            generated,
            auto_increment,
            charset,
            collation,
        }
    });
    Ok(columns.collect())
}

/// MariaDB's JSON is a `longtext` that a constraint of its own holds to be JSON.
async fn name_json(
    conn: &mut Conn,
    database: &str,
    name: &str,
    columns: &mut [Column],
) -> Result<(), Error> {
    let is_long = |column: &Column| column.ty.sql.starts_with("longtext");
    if !columns.iter().any(is_long) {
        return Ok(());
    }
    let text = format!(
        "SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS \
         WHERE CONSTRAINT_SCHEMA = {database} AND TABLE_NAME = {name}"
    );
    let clauses: Vec<String> = ask(conn, text).await?;
    for column in columns.iter_mut().filter(|column| is_long(column)) {
        let wanted = format!("json_valid({})", quoted(&column.name));
        if clauses.iter().any(|clause| clause.eq_ignore_ascii_case(&wanted)) {
            column.ty.kind = TypeKind::Json;
        }
    }
    Ok(())
}

async fn indexes(conn: &mut Conn, database: &str, name: &str) -> Result<Vec<Index>, Error> {
    let text = format!(
        "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = {database} AND TABLE_NAME = {name} AND NON_UNIQUE = 0 \
         ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX"
    );
    let rows: Vec<(String, Option<String>, Option<u64>)> = ask(conn, text).await?;
    let mut indexes: Vec<Index> = Vec::new();
    for (index, column, part) in rows {
        if indexes.last().is_none_or(|last| last.name != index) {
            let (columns, name) = (Vec::new(), index);
            indexes.push(Index { name, columns, prefix: false });
        }
        if let Some(last) = indexes.last_mut() {
            last.prefix |= part.is_some();
            last.columns.push(column);
        }
    }
    Ok(indexes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_literal_that_no_mode_reads_otherwise() {
        assert_eq!(literal("a'\\"), "_utf8mb4 X'61275c'");
        assert_eq!(quoted("a`b"), "`a``b`");
    }
}
