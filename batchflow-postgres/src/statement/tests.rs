//! The texts, word for word.

use batchflow_core::{ConflictStrategy, Merge, SchemaBuilder};

use super::*;
use crate::table::Identity;
use crate::types::{NumericLimit, TextLimit};
use crate::unit::table;

/// `id`, `name`, `mood`, `hits` and `at` of `app.users`.
fn users() -> Table {
    let varchar = TextLimit { chars: Some(9), cut_spaces: true };
    table(
        "app.users",
        &[
            ("id", "bigint", TypeKind::Int8),
            ("name", "character varying(9)", TypeKind::Text(varchar)),
            ("mood", "app.mood", TypeKind::Enum(["ok".to_owned()].into())),
            ("hits", "integer", TypeKind::Int4),
            ("at", "timestamp without time zone", TypeKind::Timestamp(6)),
        ],
    )
}

fn schema(of: impl FnOnce(SchemaBuilder) -> SchemaBuilder) -> Schema {
    let builder = Schema::builder("users").columns(["id", "name", "mood", "hits", "at"]);
    of(builder.key(["id"])).build().unwrap()
}

const CONFLICT: &str = r#"ON CONFLICT ("id") DO"#;

#[test]
fn each_strategy_says_what_becomes_of_a_row_that_is_there() {
    use ConflictStrategy::{Fail, Ignore, Replace, Update};
    let (all, some) = (&[0, 1, 2, 3, 4][..], &[0, 1][..]);
    let set = |columns: &[&str]| {
        let set = columns.iter().map(|c| format!(r#""{c}" = excluded."{c}""#));
        format!("{CONFLICT} UPDATE SET {}", set.collect::<Vec<_>>().join(", "))
    };
    let cases = [
        (Fail, all, String::new()),
        (Ignore, all, format!("{CONFLICT} NOTHING")),
        (Update, all, set(&["name", "mood", "hits", "at"])),
        (Update, some, set(&["name"])),
        // What the row does not set takes its default.
        (Replace, some, set(&["name", "mood", "hits", "at"])),
        // Nothing but the key: there is nothing to change.
        (Update, &[0][..], format!("{CONFLICT} NOTHING")),
    ];
    let table = users();
    for (strategy, columns, tail) in cases {
        let schema = schema(|schema| schema.on_conflict(strategy));
        let texts = Texts::new(&schema, &table, columns);
        for text in [texts.unnest(), texts.row().unwrap(), texts.stage("batchflow_1").insert] {
            let (_, found) = text.split_once(" ON ").map_or(("", ""), |(a, b)| (a, b));
            let found = if found.is_empty() { String::new() } else { format!("ON {found}") };
            assert_eq!(found, tail, "{strategy:?} {columns:?}: {text}");
        }
    }
}

#[test]
fn a_statement_over_arrays_casts_what_travels_as_text() {
    let (table, schema) = (users(), schema(|schema| schema.on_conflict(ConflictStrategy::Fail)));
    assert_eq!(
        Texts::new(&schema, &table, &[0, 1, 2]).unnest(),
        format!(
            r#"INSERT INTO app.users ("id", "name", "mood") SELECT u.c1, u.c2, u.c3::app.mood FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) AS u (c1, c2, c3) WHERE {GUARD}"#
        ),
    );
}

#[test]
fn a_statement_that_is_a_transaction_of_its_own_asks_for_the_backends_mark() {
    let (table, schema) = (users(), schema(|schema| schema.on_conflict(ConflictStrategy::Ignore)));
    let texts = Texts::new(&schema, &table, &[0, 2]);
    let is_ours = "pg_catalog.current_setting($3) IS NOT NULL";
    assert_eq!(
        texts.row_at_once().unwrap(),
        format!(
            r#"INSERT INTO app.users ("id", "mood") VALUES (CASE WHEN {is_ours} THEN $1 END, $2::app.mood) {CONFLICT} NOTHING"#
        ),
    );
    assert_eq!(Texts::new(&schema, &table, &[]).row_at_once(), None);
}

#[test]
fn a_single_row_is_written_by_its_values() {
    let (table, schema) = (users(), schema(|schema| schema.on_conflict(ConflictStrategy::Fail)));
    assert_eq!(
        Texts::new(&schema, &table, &[0, 1, 2]).row().unwrap(),
        format!(
            r#"INSERT INTO app.users ("id", "name", "mood") SELECT $1, $2, $3::app.mood WHERE {GUARD}"#
        ),
    );
    assert_eq!(Texts::new(&schema, &table, &[]).row(), None, "one that sets nothing has none");
}

#[test]
fn a_temporary_table_has_the_columns_names_and_lengths() {
    let (table, schema) = (users(), schema(|schema| schema.on_conflict(ConflictStrategy::Ignore)));
    let texts = Texts::new(&schema, &table, &[0, 1, 2]).stage("batchflow_1");
    assert_eq!(
        texts.create,
        r#"CREATE TEMPORARY TABLE pg_temp."batchflow_1" ("id" bigint, "name" character varying(9), "mood" app.mood) ON COMMIT DROP"#,
    );
    assert_eq!(
        texts.copy,
        r#"COPY pg_temp."batchflow_1" ("id", "name", "mood") FROM STDIN (FORMAT binary)"#,
    );
    assert_eq!(
        texts.insert,
        r#"INSERT INTO app.users ("id", "name", "mood") SELECT s."id", s."name", s."mood" FROM pg_temp."batchflow_1" AS s ON CONFLICT ("id") DO NOTHING"#,
    );
}

#[test]
fn what_has_no_binary_form_is_staged_as_text() {
    let table = table(
        "a.t",
        &[("id", "bigint", TypeKind::Int8), ("p", "pg_catalog.point", TypeKind::Other)],
    );
    let schema = Schema::new("t", ConflictStrategy::Ignore, ["id", "p"]).unwrap();
    let texts = Texts::new(&schema, &table, &[0, 1]).stage("b");
    assert!(
        texts.create.contains(r#"("id" bigint, "p" pg_catalog.text) ON COMMIT"#),
        "{}",
        texts.create
    );
    assert!(
        texts.insert.contains(r#"SELECT s."id", s."p"::pg_catalog.point FROM"#),
        "{}",
        texts.insert
    );
}

#[test]
fn a_copy_is_of_a_table_that_is_as_it_was() {
    let (table, schema) = (users(), schema(|schema| schema.on_conflict(ConflictStrategy::Fail)));
    let texts = Texts::new(&schema, &table, &[0, 3]).copy().unwrap();
    assert_eq!(
        texts.check,
        "LOCK TABLE ONLY app.users IN ROW EXCLUSIVE MODE; SELECT pg_catalog.count(*) \
         FROM pg_catalog.pg_attribute WHERE attrelid = $bf$app.users$bf$::pg_catalog.regclass \
         AND NOT attisdropped AND (attname, atttypid) IN (($bf$id$bf$, 23), ($bf$hits$bf$, 23))",
    );
    assert_eq!(texts.copy, r#"COPY app.users ("id", "hits") FROM STDIN (FORMAT binary)"#);
}

#[test]
fn names_stand_in_quotes_that_no_name_ends() {
    let odd = r#"a "b" $1 'c'; --"#;
    let name = r#""Odd ""schema""".users"#;
    let table = table(name, &[("Id", "bigint", TypeKind::Int8), (odd, "integer", TypeKind::Int4)]);
    let schema = Schema::new("users", ConflictStrategy::Update, ["Id", odd]).unwrap();
    let texts = Texts::new(&schema, &table, &[0, 1]);
    let quoted = r#""a ""b"" $1 'c'; --""#;
    let tail = format!(r#"ON CONFLICT ("Id") DO UPDATE SET {quoted} = excluded.{quoted}"#);
    let head = format!(r#"INSERT INTO {name} ("Id", {quoted}) SELECT "#);
    for text in [texts.unnest(), texts.row().unwrap(), texts.stage("b").insert] {
        assert!(text.starts_with(&head) && text.ends_with(&tail), "{text}");
    }
    let copy = texts.copy().unwrap();
    assert_eq!(copy.copy, format!(r#"COPY {name} ("Id", {quoted}) FROM STDIN (FORMAT binary)"#));
    assert!(copy.check.contains(&format!("($bf${odd}$bf$, 23)")), "{}", copy.check);
}

#[test]
fn a_name_that_ends_a_literal_is_not_copied_into() {
    let columns = [("id", "bigint", TypeKind::Int8), ("$bf$", "integer", TypeKind::Int4)];
    let of = |name: &str| table(name, &columns);
    let schema = Schema::new("t", ConflictStrategy::Fail, ["id", "$bf$"]).unwrap();
    assert!(Texts::new(&schema, &of("a.t"), &[0]).copy().is_some());
    assert!(Texts::new(&schema, &of("a.t"), &[0, 1]).copy().is_none());
    assert!(Texts::new(&schema, &of(r#"a."$bf$""#), &[0]).copy().is_none());
}

#[test]
fn a_touched_column_takes_the_servers_clock_as_its_type_has_it() {
    let limit = NumericLimit { digits: None, infinity: true };
    let domain = ColumnType {
        oid: 1,
        sql: "timestamp without time zone".to_owned(),
        cast: "timestamp without time zone".to_owned(),
        kind: TypeKind::Timestamp(6),
    };
    let utc = "pg_catalog.timezone('UTC', pg_catalog.now())";
    for (kind, clock) in [
        (TypeKind::Timestamp(6), utc),
        (TypeKind::Date, utc),
        (TypeKind::Domain(Box::new(domain)), utc),
        (TypeKind::Timestamptz(3), "pg_catalog.now()"),
        (TypeKind::Numeric(limit), "pg_catalog.now()"),
    ] {
        let mut table = users();
        table.columns[4].ty.kind = kind;
        let schema = schema(|schema| {
            schema.on_conflict(ConflictStrategy::Update).touch("at").update(["name"])
        });
        let texts = Texts::new(&schema, &table, &[0, 1]);
        let tail = format!(r#"{CONFLICT} UPDATE SET "name" = excluded."name", "at" = {clock}"#);
        for (text, taken) in
            [(texts.unnest(), "u.c1, u.c2"), (texts.stage("b").insert, r#"s."id", s."name""#)]
        {
            let head = format!(
                r#"INSERT INTO app.users ("id", "name", "at") SELECT {taken}, {clock} FROM "#
            );
            assert!(text.starts_with(&head), "{text}");
            assert!(text.ends_with(&tail), "{text}");
        }
    }
}

#[test]
fn a_merged_column_is_made_of_both_rows() {
    let cases = [
        (
            Merge::Add,
            r#"COALESCE("old"."hits" OPERATOR(pg_catalog.+) excluded."hits", excluded."hits", "old"."hits")"#,
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
        (Merge::Set, r#"excluded."hits""#),
    ];
    let table = users();
    for (merge, expression) in cases {
        let schema =
            schema(|schema| schema.on_conflict(ConflictStrategy::Update).merge("hits", merge));
        let text = Texts::new(&schema, &table, &[0, 3]).unnest();
        let tail = format!(r#"{CONFLICT} UPDATE SET "hits" = {expression}"#);
        assert!(text.ends_with(&tail), "{merge:?}: {text}");
        let old = if merge == Merge::Set { "" } else { r#" AS "old""# };
        let head = format!(r#"INSERT INTO app.users{old} ("id", "hits") SELECT"#);
        assert!(text.starts_with(&head), "{merge:?}: {text}");
    }
}

#[test]
fn rows_that_set_nothing_are_counted() {
    let table = users();
    let schema = schema(|schema| schema.on_conflict(ConflictStrategy::Fail));
    assert_eq!(
        Texts::new(&schema, &table, &[]).unnest(),
        format!(
            "INSERT INTO app.users SELECT  FROM ROWS FROM (pg_catalog.generate_series(1, $1)) AS u \
             WHERE {GUARD}"
        ),
    );
}

#[test]
fn a_replaced_row_keeps_its_own_number_and_what_is_computed() {
    let mut table = users();
    table.columns[2].generated = true;
    table.columns[3].identity = Identity::ByDefault;
    let schema = schema(|schema| schema.on_conflict(ConflictStrategy::Replace));
    let text = Texts::new(&schema, &table, &[0, 1]).unnest();
    let tail = format!(r#"{CONFLICT} UPDATE SET "name" = excluded."name", "at" = excluded."at""#);
    assert!(text.ends_with(&tail), "{text}");
}
