use batchflow_core::{Comparison, ConflictStrategy, Merge};

use super::*;
use crate::server::Family;
use crate::types::ColumnType;

fn server(family: Family) -> Server {
    let version = if family == Family::MySql { (9, 0, 0) } else { (10, 11, 6) };
    Server {
        family,
        version,
        max_allowed_packet: 1 << 24,
        local_infile: true,
        last_second: 2_147_483_647,
        logs_rows: true,
    }
}

fn table(columns: &[(&str, &str, TypeKind)], other_unique_keys: bool) -> Table {
    let column = |(name, sql, kind): &(&str, &str, TypeKind)| TableColumn {
        name: (*name).to_owned(),
        ty: ColumnType { sql: (*sql).to_owned(), kind: kind.clone() },
        not_null: false,
        refuses_null: false,
        has_default: false,
        generated: false,
        auto_increment: false,
        charset: matches!(kind, TypeKind::VarChar(_)).then(|| "utf8mb4".to_owned()),
        comparison: Comparison::Natural,
    };
    Table {
        name: "`app`.`t`".to_owned(),
        columns: columns.iter().map(column).collect(),
        other_unique_keys,
        may_stage: true,
        unique_keys: Vec::new(),
    }
}

/// A table of a number, a text and a moment.
fn plain(other_unique_keys: bool) -> Table {
    let int = TypeKind::Int { bytes: 8, unsigned: false };
    let columns = [
        ("id", "bigint(20)", int.clone()),
        ("a`b", "varchar(20)", TypeKind::VarChar(20)),
        ("hits", "bigint(20)", int),
        ("seen", "datetime(3)", TypeKind::DateTime(3)),
    ];
    table(&columns, other_unique_keys)
}

fn schema(strategy: ConflictStrategy) -> Schema {
    let columns = ["id", "a`b", "hits", "seen"];
    let schema = Schema::builder("app.t").columns(columns).key(["id"]).on_conflict(strategy);
    let updates = strategy == ConflictStrategy::Update;
    let schema = if updates { schema.merge("hits", Merge::Add) } else { schema };
    schema.touch("seen").build().unwrap()
}

/// A statement's text without the comment that tells its columns' types.
fn without_types(text: &str) -> &str {
    text.rsplit_once(" /* ").unwrap().0
}

#[test]
fn other_types_are_another_text() {
    let schema = schema(ConflictStrategy::Update);
    let texts = |table: &Table| Texts::new(&server(Family::MySql), &schema, table, &[0, 1]).row;
    let before = plain(false);
    let mut after = before.clone();
    assert_eq!(texts(&before), texts(&after));
    after.columns[2].ty.sql = "int".to_owned();
    assert_eq!(texts(&before), texts(&after), "it is not set");
    after.columns[1].ty.sql = "varbinary(20)".to_owned();
    assert_ne!(texts(&before), texts(&after));
}

#[test]
fn each_strategy_has_its_text_on_both_families() {
    let insert = "INSERT INTO `app`.`t` (`id`, `a``b`, `seen`) VALUES (?, ?, UTC_TIMESTAMP(3))";
    let cases = [
        (Family::MySql, ConflictStrategy::Fail, String::new()),
        (Family::MariaDb, ConflictStrategy::Fail, String::new()),
        (
            Family::MySql,
            ConflictStrategy::Ignore,
            " AS `new` ON DUPLICATE KEY UPDATE `id` = `app`.`t`.`id`".to_owned(),
        ),
        (
            Family::MariaDb,
            ConflictStrategy::Ignore,
            " ON DUPLICATE KEY UPDATE `id` = `app`.`t`.`id`".to_owned(),
        ),
        (
            Family::MySql,
            ConflictStrategy::Update,
            " AS `new` ON DUPLICATE KEY UPDATE `a``b` = `new`.`a``b`, `seen` = UTC_TIMESTAMP(3)"
                .to_owned(),
        ),
        (
            Family::MariaDb,
            ConflictStrategy::Replace,
            " ON DUPLICATE KEY UPDATE `a``b` = VALUES(`a``b`), `hits` = VALUES(`hits`), \
             `seen` = UTC_TIMESTAMP(3)"
                .to_owned(),
        ),
    ];
    for (family, strategy, tail) in cases {
        let texts = Texts::new(&server(family), &schema(strategy), &plain(false), &[0, 1]);
        // MariaDB would take the unset column that is read for one that is set.
        let insert = match strategy {
            ConflictStrategy::Replace => insert
                .replace("`seen`)", "`seen`, `hits`)")
                .replace("UTC_TIMESTAMP(3))", "UTC_TIMESTAMP(3), DEFAULT)"),
            _ => insert.to_owned(),
        };
        assert_eq!(without_types(&texts.row), format!("{insert}{tail}"), "{family:?} {strategy:?}");
        assert_eq!(texts.rows(1), texts.row);
        assert!(texts.length(3) >= texts.rows(3).len());
    }
}

#[test]
fn an_update_is_guarded_where_another_unique_key_is() {
    let (mysql, schema) = (server(Family::MySql), schema(ConflictStrategy::Update));
    let texts = Texts::new(&mysql, &schema, &plain(true), &[0, 2]);
    let (t, kept) = ("`app`.`t`", "(SELECT `app`.`t`.`id` UNION ALL SELECT `app`.`t`.`id`)");
    let tail = format!(
        " AS `new` ON DUPLICATE KEY UPDATE `id` = IF({t}.`id` = `new`.`id`, {t}.`id`, {kept}), \
         `hits` = COALESCE({t}.`hits` + `new`.`hits`, `new`.`hits`, {t}.`hits`), \
         `seen` = UTC_TIMESTAMP(3)"
    );
    assert!(without_types(&texts.row).ends_with(&tail), "{}", texts.row);
}

#[test]
fn rows_that_set_nothing_are_rows_all_the_same() {
    let schema = Schema::new("app.t", ConflictStrategy::Ignore, ["id"]).unwrap();
    let texts = Texts::new(&server(Family::MariaDb), &schema, &plain(false), &[]);
    let tail = "ON DUPLICATE KEY UPDATE `id` = `app`.`t`.`id`";
    let rows = texts.rows(2);
    assert_eq!(without_types(&rows), format!("INSERT INTO `app`.`t` () VALUES (), () {tail}"));
    assert_eq!(texts.load, None);
}

#[test]
fn a_table_called_as_the_proposed_row_is_told_from_it() {
    let schema = Schema::new("New", ConflictStrategy::Update, ["id", "hits"]).unwrap();
    let table = Table { name: "`app`.`New`".to_owned(), ..plain(false) };
    let texts = Texts::new(&server(Family::MySql), &schema, &table, &[0, 1]);
    assert!(texts.row.contains(" AS `new_row` ON "), "{}", texts.row);
}

#[test]
fn a_temporary_table_has_the_types_of_the_table() {
    let texts = Texts::new(
        &server(Family::MySql),
        &schema(ConflictStrategy::Replace),
        &plain(false),
        &[0, 1],
    );
    let load = texts.load.as_ref().unwrap();
    let name = load.drop.strip_prefix("DROP TEMPORARY TABLE IF EXISTS ").unwrap();
    assert!(name.starts_with("`app`.`batchflow_"), "{name}");
    assert_eq!(
        load.create,
        format!(
            "CREATE TEMPORARY TABLE {name} (`id` bigint(20) NULL, `a``b` varchar(20) \
             CHARACTER SET utf8mb4 NULL) ENGINE=MEMORY"
        )
    );
    assert_eq!(
        load.load,
        format!(
            "LOAD DATA LOCAL INFILE 'batchflow' INTO TABLE {name} CHARACTER SET utf8mb4 \
             (`id`, `a``b`)"
        )
    );
    assert_eq!(
        load.insert,
        format!(
            "INSERT INTO `app`.`t` (`id`, `a``b`, `seen`) SELECT {name}.`id`, {name}.`a``b`, \
             UTC_TIMESTAMP(3) FROM {name} ON DUPLICATE KEY UPDATE `a``b` = VALUES(`a``b`), \
             `hits` = VALUES(`hits`), `seen` = UTC_TIMESTAMP(3)"
        )
    );
    assert!(texts.loads_in_memory(10_000) && !texts.loads_in_memory(1_000_000));
}

#[test]
fn no_file_holds_bytes_and_no_memory_texts() {
    let cases = [
        (TypeKind::Binary(4), false, false),
        (TypeKind::Bit(4), false, false),
        (TypeKind::Text(65_535), true, false),
        (TypeKind::Json, true, false),
        (TypeKind::Enum(vec!["a".to_owned()]), true, true),
    ];
    let schema = Schema::new("app.t", ConflictStrategy::Fail, ["id", "a"]).unwrap();
    for (kind, loads, in_memory) in cases {
        let int = TypeKind::Int { bytes: 8, unsigned: false };
        let table = table(&[("id", "bigint", int), ("a", "…", kind.clone())], false);
        let texts = Texts::new(&server(Family::MySql), &schema, &table, &[0, 1]);
        assert_eq!(texts.load.is_some(), loads, "{kind:?}");
        assert_eq!(texts.loads_in_memory(1), in_memory, "{kind:?}");
    }
}

#[test]
fn a_database_is_told_from_the_dots_in_a_name() {
    assert_eq!(database("`app`.`t`"), "`app`");
    assert_eq!(database("`a.p``p`.`t.u`"), "`a.p``p`");
}

#[test]
fn a_key_that_numbers_its_rows_is_left_to_do_so() {
    let mut table = plain(true);
    table.columns[0].auto_increment = true;
    let schema = schema(ConflictStrategy::Ignore);
    let texts = Texts::new(&server(Family::MySql), &schema, &table, &[2]);
    let insert = "INSERT INTO `app`.`t` (`hits`, `seen`, `id`) VALUES (?, UTC_TIMESTAMP(3), NULL) ";
    assert!(texts.row.starts_with(insert), "{}", texts.row);
    let texts = Texts::new(&server(Family::MariaDb), &schema, &table, &[2]);
    let insert = "INSERT INTO `app`.`t` (`hits`, `seen`) VALUES (?, UTC_TIMESTAMP(3)) ON ";
    assert!(texts.row.starts_with(insert), "{}", texts.row);
}
