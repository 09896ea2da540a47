//! What encoding costs.

use std::time::Instant;

use batchflow_core::{Batch, ConflictStrategy, Schema, Timestamp};

use super::super::parameters;
use crate::server::{Family, Server};
use crate::types::TypeKind;
use crate::unit::table;

/// How long a batch of a thousand narrow rows takes: printed, not judged.
#[test]
#[ignore = "a measurement: run it in release"]
fn a_thousand_narrow_rows() {
    let int = |bytes| TypeKind::Int { bytes, unsigned: false };
    let columns = [
        ("id", "bigint", int(8)),
        ("name", "text", TypeKind::Text(65_535)),
        ("email", "varchar(200)", TypeKind::VarChar(200)),
        ("hits", "int", int(4)),
        ("at", "datetime(6)", TypeKind::DateTime(6)),
    ];
    let schema =
        Schema::new("t", ConflictStrategy::Ignore, ["id", "name", "email", "hits", "at"]).unwrap();
    let row = |id: i64| {
        let at = Timestamp::from_unix_micros(1_700_000_000_000_000 + id);
        schema.row((id, format!("name {id}"), format!("{id}@example.com"), id % 100, at)).unwrap()
    };
    let batch = Batch::from_requests((0..1_000).map(row).collect()).unwrap();
    let table = table("t", &columns);
    let server = Server {
        family: Family::MySql,
        version: (9, 0, 0),
        max_allowed_packet: 1 << 26,
        local_infile: false,
        last_second: i32::MAX.into(),
        logs_rows: true,
    };
    let mut times: Vec<_> = (0..501)
        .map(|_| {
            let start = Instant::now();
            let values = parameters(&server, &table, &[0, 1, 2, 3, 4], &batch).unwrap();
            let taken = start.elapsed();
            drop(values);
            taken
        })
        .collect();
    times.sort_unstable();
    println!("1,000 rows of 5 columns: {:?}", times[250]);
}
