#![allow(clippy::unwrap_used, reason = "tests")]

use batchflow_core::{ConflictStrategy, Schema};

use super::*;
use crate::table::UniqueKey;
use crate::unit::table;

fn said(code: u16, message: &str) -> ServerError {
    ServerError { code, message: message.to_owned(), state: "HY000".to_owned() }
}

fn people() -> (Table, Batch) {
    let int = TypeKind::Int { bytes: 8, unsigned: false };
    let mut table =
        table("t", &[("id", "bigint", int), ("mail", "varchar(90)", TypeKind::VarChar(90))]);
    table.unique_keys.push(UniqueKey { name: "by_mail".to_owned(), columns: vec![1, 0] });
    let schema = Schema::new("t", ConflictStrategy::Fail, ["id", "mail"]).unwrap();
    let row = |id: i64, mail: &str| schema.row((id, mail)).unwrap();
    let long = "x".repeat(80);
    let rows = vec![row(1, "a"), row(2, "it's-1"), row(3, &long), row(1, "B")];
    (table, Batch::from_requests(rows).unwrap())
}

#[test]
fn a_row_is_found_by_its_number_or_its_duplicate_value() {
    let (table, batch) = people();
    let long = format!("Duplicate entry '{}-3' for key 'by_mail'", "x".repeat(80));
    let cut = format!("Duplicate entry '{}...' for key 'by_mail'", "x".repeat(64));
    for (code, message, expected) in [
        (1366, "Incorrect integer value: 'x' for column `db`.`t`.`c` at row 3", vec![2]),
        (1406, "Data too long for column 'mail' at row 2", vec![1]),
        (1406, "Daten zu lang für Feld 'mail' in Zeile 2", vec![1]),
        (1406, "列'mail'行2数据太长", vec![1]),
        (1366, "不正确的整数值: 'x' 用于列 `db`.`t`.`c` 在3行", vec![2]),
        (1406, "Data too long for column 'mail' at row 9", vec![]),
        (1406, "Data too long for column 'mail' at row 0", vec![]),
        (1048, "Column 'c2' cannot be null", vec![]),
        (1264, "Out of range value for column 'c3'", vec![]),
        (1644, "Refused at row 2", vec![]),
        (1062, "Duplicate entry '2' for key 'PRIMARY'", vec![1]),
        (1062, "Duplicate entry '2' for key 't.PRIMARY'", vec![1]),
        (1062, "Duplicate entry '1' for key 'PRIMARY'", vec![3]),
        (1062, "Duplicate entry '7' for key 'PRIMARY'", vec![]),
        (1062, "Duplicate entry '2' for key 'other'", vec![]),
        (1062, "Duplicate entry 'it's-1-2' for key 'by_mail'", vec![1]),
        (1062, "Doppelter Eintrag 'b-1' für Schlüssel 't.by_mail'", vec![3]),
        (1062, &long, vec![2]),
        (1062, &cut, vec![2]),
        (1062, "Duplicate entry", vec![]),
    ] {
        assert_eq!(rows(&said(code, message), &batch, &table), expected, "{message}");
    }
}

#[test]
fn only_names_are_shown() {
    let (table, _) = people();
    for (code, message, expected) in [
        (1406, "Data too long for column 'mail' at row 2", Some("mail")),
        (1366, "Incorrect integer value: 'id' for column `db`.`t`.`id` at row 1", Some("id")),
        (1366, "Incorrect integer value: 'canary' for column `db`.`t`.`x` at row 1", None),
        (1054, "Unknown column 't.mail' in 'field list'", None),
        (1364, "Field 'mail' doesn't have a default value", Some("mail")),
        (1644, "'mail'", None),
    ] {
        assert_eq!(column(&said(code, message), &table), expected, "{message}");
    }
    for (code, message, expected) in [
        (1062, "Duplicate entry 'ca'na'ry' for key 't.PRIMARY'", Some("PRIMARY")),
        (3819, "Check constraint 't_chk_1' is violated.", Some("t_chk_1")),
        (4025, "CONSTRAINT `positive` failed for `db`.`t`", Some("positive")),
        (
            1452,
            "Cannot add or update a child row: a foreign key constraint fails (`db`.`t`, \
             CONSTRAINT `t_ibfk_1` FOREIGN KEY (`a`) REFERENCES `p` (`id`))",
            Some("t_ibfk_1"),
        ),
        (1644, "'canary'", None),
    ] {
        assert_eq!(constraint(&said(code, message)).as_deref(), expected, "{message}");
    }
}
