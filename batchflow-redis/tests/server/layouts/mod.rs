//! What rows become, by every layout and strategy: with a script, with commands, and with none
//! allowed.

mod appends;
mod commands;
mod hashes;
mod json;
mod keys;
mod refused;
mod rules;
mod sets;
mod strings;

use batchflow_redis::{Driver, ErrorKind, Layout, Request, Schema, SchemaBuilder, Value};

use crate::support::{Direct, connect, fresh, url, write};

/// How rows are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// A few rows, as commands where that goes.
    Few,
    /// Among many others, by a script where one is needed.
    Many,
    /// Without scripts.
    Plain,
}

struct Case {
    what: &'static str,
    layout: fn(&str) -> Layout,
    schema: fn(SchemaBuilder) -> SchemaBuilder,
    /// Commands that come before; `$` is the prefix.
    before: &'static [&'static str],
    rows: fn(&Schema) -> Vec<Request>,
    verdicts: &'static [&'static str],
    /// Questions and their answers.
    after: &'static [(&'static str, &'static str)],
    /// Whether it can be done without a script.
    plain: bool,
}

fn int(number: i64) -> Value {
    number.into()
}

impl Case {
    async fn run(&self, how: How) {
        let table = fresh("layouts");
        let prefix = format!("{table}:");
        let mut direct = Direct::connect(&url()).await;
        for command in self.before {
            direct.ask(&command.replace('$', &prefix)).await;
        }
        let driver = connect(&url()).await.unwrap();
        let driver = driver.layout(&table, (self.layout)(&prefix));
        let driver = if how == How::Plain { driver.without_scripts() } else { driver };
        let schema = (self.schema)(Schema::builder(&table)).build().unwrap();
        let what = format!("{}, {how:?}", self.what);
        if how == How::Plain && !self.plain {
            let error = driver.describe(&schema).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{what}: {error}");
            assert!(error.to_string().contains(&table), "{what}: {error}");
            return;
        }
        driver.describe(&schema).await.unwrap();
        let mut rows = (self.rows)(&schema);
        let own = rows.len();
        if how == How::Many {
            let good = self.verdicts.iter().position(|verdict| *verdict == "written");
            let like = rows[good.unwrap_or(0)].clone();
            rows.extend((0..300).map(|at| filler(&like, at)));
        }
        let verdicts = write(&driver, rows).await;
        assert_eq!(verdicts[..own], *self.verdicts, "{what}");
        for filler in &verdicts[own..] {
            assert_eq!(filler, "written", "{what}");
        }
        for (question, answer) in self.after {
            let found = direct.ask(&question.replace('$', &prefix)).await;
            assert_eq!(found, *answer, "{what}: {question}");
        }
        driver.close().await;
    }
}

/// A row like another, of a key that no other has.
fn filler(like: &Request, at: i64) -> Request {
    let schema = like.schema();
    let mut row = Request::new(schema);
    for column in like.set_columns() {
        let name = schema.column(column);
        if name == "id" {
            row = row.set(name, 1_000_000 + at);
        } else if schema.touch() != Some(column) {
            row = row.set(name, like.value(column).cloned().unwrap_or_default());
        }
    }
    row
}

fn users(schema: SchemaBuilder) -> SchemaBuilder {
    schema.columns(["id", "name", "hits"]).key(["id"])
}

fn pairs(schema: SchemaBuilder) -> SchemaBuilder {
    schema.columns(["id", "value"]).key(["id"])
}

fn members(schema: SchemaBuilder) -> SchemaBuilder {
    schema.columns(["id", "member"]).key(["id", "member"])
}

fn scores(schema: SchemaBuilder) -> SchemaBuilder {
    schema.columns(["id", "member", "score"]).key(["id", "member"])
}

async fn run(cases: &[Case]) {
    for case in cases {
        for how in [How::Few, How::Many, How::Plain] {
            case.run(how).await;
        }
    }
}
