use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::driver::{ErrorKind, Stage, WriteError};
use crate::outcome::RowError;
use crate::schema::{ConflictStrategy, Merge, Schema};
use crate::temporal::{Date, Time, Timestamp};

/// Equal to the last bit, NaN and the zeros' signs among them.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::F32(a), Value::F32(b)) => a.to_bits() == b.to_bits(),
        (Value::F64(a), Value::F64(b)) => a.to_bits() == b.to_bits(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (a, b) => a == b,
    }
}

fn check(letter: &DeadLetter) {
    let line = letter.to_json().unwrap();
    assert!(!line.contains('\n'));
    let read = DeadLetter::from_json(&line).unwrap();
    assert_eq!(read.submission(), letter.submission());
    assert_eq!(format!("{:?}", read.error()), format!("{:?}", letter.error()));
    assert_eq!(read.request().schema(), letter.request().schema());
    for position in 0..letter.request().schema().width() {
        match (letter.request().value(position), read.request().value(position)) {
            (None, None) => {}
            (Some(a), Some(b)) if same(a, b) => {}
            _ => panic!("column {position} changed: {line}"),
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let moment = (any::<i64>(), 0..1_000_000_000_u32)
        .prop_map(|(seconds, nanos)| Timestamp::new(seconds, nanos).unwrap());
    let near = (-100_000_000_000..400_000_000_000_i64, 0..1_000_000_000_u32)
        .prop_map(|(seconds, nanos)| Timestamp::new(seconds, nanos).unwrap());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        any::<u32>().prop_map(|bits| Value::F32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        select(vec![f64::NAN, -f64::NAN, f64::INFINITY, -0.0, 0.1, 5e-324]).prop_map(Value::F64),
        any::<String>().prop_map(Value::from),
        vec(any::<u8>(), 0..50).prop_map(|bytes| Value::Bytes(bytes.into())),
        moment.prop_map(Value::Timestamp),
        near.prop_map(Value::Timestamp),
        any::<i32>().prop_map(|days| Value::Date(Date::from_unix_days(days))),
        (-800_000..3_000_000).prop_map(|days| Value::Date(Date::from_unix_days(days))),
        (0..=86_400_000_000_000_u64)
            .prop_map(|nanos| Value::Time(Time::from_nanos(nanos).unwrap())),
        any::<String>().prop_map(|text| Value::Decimal(text.into())),
        any::<String>().prop_map(|text| Value::Json(text.into())),
        any::<[u8; 16]>().prop_map(Value::Uuid),
    ];
    leaf.prop_recursive(4, 30, 8, |inner| {
        vec(inner, 0..8).prop_map(|items| Value::Array(items.into()))
    })
}

fn any_schema() -> impl Strategy<Value = Schema> {
    use ConflictStrategy::{Fail, Ignore, Replace, Update};
    let merge = select(vec![Merge::Set, Merge::Add, Merge::Max, Merge::Min, Merge::KeepExisting]);
    let name = "[^\0]{1,12}";
    let table = vec(name.prop_map(|part| format!("\"{}\"", part.replace('"', "\"\""))), 1..3);
    (
        table,
        btree_set(name, 3..9)
            .prop_map(|names| names.into_iter().collect::<Vec<_>>())
            .prop_shuffle(),
        select(vec![Fail, Ignore, Replace, Update]),
        vec(proptest::option::of(merge), 9),
        any::<bool>(),
    )
        .prop_map(|(table, columns, strategy, merges, touches)| {
            let mut builder = Schema::builder(table.join("."))
                .columns(columns.clone())
                .key([columns[1].clone()])
                .on_conflict(strategy);
            if touches {
                builder = builder.touch(columns[0].clone());
            }
            if strategy == Update {
                let rules = columns.iter().zip(merges).skip(2);
                let rules: Vec<_> = rules.filter_map(|(c, m)| Some((c.clone(), m?))).collect();
                builder = builder.update(rules.iter().map(|(column, _)| column.clone()));
                for (column, merge) in rules {
                    builder = builder.merge(column, merge);
                }
            }
            builder.build().unwrap()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_of_every_schema_reads_back_exactly(
        schema in any_schema(),
        values in vec(proptest::option::of(any_value()), 9),
        submission in any::<u64>(),
    ) {
        let slots: Vec<_> = values.into_iter().take(schema.width()).collect();
        let error = RowError::Unknown(WriteError::new(ErrorKind::Connection).still_running());
        check(&DeadLetter::new(submission, schema.row(slots).unwrap(), error));
    }
}

#[test]
fn every_error_reads_back_but_for_what_the_server_said() {
    let schema = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
    for &kind in ErrorKind::ALL {
        let error = WriteError::new(kind)
            .at(Stage::Commit)
            .outcome_unknown()
            .with_table("t")
            .with_column("c")
            .with_constraint("n")
            .with_code(23_505)
            .with_message("m")
            .with_batch_rows(7)
            .with_server_message("canary");
        for error in [RowError::Rejected(error.clone()), RowError::NotSent(error)] {
            let letter = DeadLetter::new(0, schema.row((1_i64,)).unwrap(), error);
            check(&letter);
            assert!(!letter.to_json().unwrap().contains("canary"));
        }
    }
}

#[test]
fn a_line_is_as_it_is_documented() {
    let schema = Schema::new("users", ConflictStrategy::Ignore, ["id", "name", "email"]).unwrap();
    let request = Request::new(&schema).set("id", 1_i64).set_null("name");
    let error = WriteError::new(ErrorKind::Constraint).with_table("users");
    let line = DeadLetter::new(7, request, RowError::Rejected(error)).to_json().unwrap();
    assert_eq!(
        line,
        concat!(
            r#"{"v":1,"submission":7,"outcome":"rejected","#,
            r#""error":{"kind":"constraint","stage":"write","applied":"nothing","table":"users"},"#,
            r#""schema":{"table":"users","columns":["id","name","email"],"key":["id"],"on_conflict":"ignore"},"#,
            r#""values":{"id":{"i64":1},"name":null}}"#,
        )
    );
}

#[test]
fn an_array_nested_too_deep_is_refused_and_one_just_within_is_not() {
    let schema = Schema::new("t", ConflictStrategy::Ignore, ["id", "a"]).unwrap();
    let letter = |depth: usize| {
        let array = (0..depth).fold(Value::I64(1), |inner, _| Value::Array([inner].into()));
        let request = schema.row((1_i64, array)).unwrap();
        DeadLetter::new(0, request, RowError::Rejected(ErrorKind::Data.into()))
    };
    check(&letter(32));
    assert!(matches!(letter(33).to_json(), Err(DeadLetterError::Refused { .. })));
}
