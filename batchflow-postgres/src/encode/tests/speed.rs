//! What encoding costs.

use std::time::Instant;

use ::bytes::BytesMut;
use batchflow_core::{Batch, Comparison, ConflictStrategy, Schema, Timestamp};

use super::super::{CopyBody, CopyTarget, array};
use crate::table::{Identity, Table, TableColumn};
use crate::types::{ColumnType, TextLimit, TypeKind};

/// How long a batch of a thousand narrow rows takes: printed, not judged.
#[test]
#[ignore = "a measurement: run it in release"]
fn a_thousand_narrow_rows() {
    let ty =
        |sql: &str, kind| ColumnType { oid: 0, sql: sql.to_owned(), cast: sql.to_owned(), kind };
    let column = |name: &str, ty| TableColumn {
        name: name.to_owned(),
        ty,
        not_null: true,
        refuses_null: true,
        has_default: false,
        generated: false,
        identity: Identity::None,
        comparison: Comparison::Natural,
    };
    let varchar = TextLimit { chars: Some(200), cut_spaces: true };
    let columns = vec![
        column("id", ty("bigint", TypeKind::Int8)),
        column("name", ty("text", TypeKind::Text(TextLimit::NONE))),
        column("email", ty("character varying(200)", TypeKind::Text(varchar))),
        column("hits", ty("integer", TypeKind::Int4)),
        column("at", ty("timestamp with time zone", TypeKind::Timestamptz(6))),
    ];
    let names = ["id", "name", "email", "hits", "at"];
    let schema = Schema::new("t", ConflictStrategy::Ignore, names).unwrap();
    let row = |id: i64| {
        let at = Timestamp::from_unix_micros(1_700_000_000_000_000 + id);
        schema.row((id, format!("name {id}"), format!("{id}@example.com"), id % 100, at)).unwrap()
    };
    let batch = Batch::from_requests((0..1_000).map(row).collect()).unwrap();
    let table = Table {
        name: "t".to_owned(),
        layout: (0..5).map(Some).collect(),
        columns,
        row_security: false,
        may_copy: true,
        may_stage: true,
    };
    let median = |run: &mut dyn FnMut()| {
        let mut times: Vec<_> = (0..501)
            .map(|_| {
                let start = Instant::now();
                run();
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[250]
    };
    let mut out = BytesMut::with_capacity(1 << 20);
    let unnest = median(&mut || {
        out.clear();
        for (at, column) in table.columns.iter().enumerate() {
            array(column, &batch, at, &mut out).unwrap();
        }
    });
    let copied = median(&mut || {
        let mut buffer = std::mem::take(&mut out);
        buffer.clear();
        let (columns, target) = ([0, 1, 2, 3, 4], CopyTarget::Table);
        let mut body = CopyBody::begin(&table, &columns, &batch, target, buffer).unwrap();
        body.rows(0..batch.len()).unwrap();
        out = body.end();
    });
    println!("1,000 rows of 5 columns: arrays {unnest:?}, COPY {copied:?}");
}
