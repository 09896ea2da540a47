//! Promise 10: secrets stay in.

use std::error::Error;
use std::fmt::Debug;

use crate::batch::Batch;
use crate::driver::{Attempt, ColumnKind, ShowValues, WriteError};
use crate::request::Request;
use crate::schema::{ConflictStrategy, Schema};
use crate::testing::{Column, Table};

use super::harness::{Harness, fresh};
use super::run::Run;

const CANARY: &str = "canary-5e1f";
const CANARY_NUMBER: i64 = 770_077_017;

/// Everything that was shown, and what it may not hold.
struct Shown {
    secrets: Vec<String>,
}

impl Shown {
    fn check(&self, what: &str, text: &str) {
        for secret in &self.secrets {
            assert!(!text.contains(secret.as_str()), "promise 10: {what} shows a secret");
        }
    }

    fn debug(&self, what: &str, value: &impl Debug) {
        self.check(what, &format!("{value:?}"));
        self.check(what, &format!("{value:#?}"));
    }

    fn error(&self, error: &WriteError) {
        self.debug("an error's Debug", error);
        self.check("an error's Display", &error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            self.check("an error's source", &cause.to_string());
            self.debug("an error's source", &cause);
            source = cause.source();
        }
    }
}

/// Promise 10: neither a value nor a password stands in any `Debug`, `Display`, error source or
/// preview, however a row is refused.
pub async fn secrets_stay_in(harness: &dyn Harness) {
    let mut secrets = harness.secrets();
    secrets.extend([CANARY.to_owned(), CANARY_NUMBER.to_string()]);
    let shown = Shown { secrets };
    let table = Table::new(fresh("secrets"))
        .column(Column::new("id", ColumnKind::Integer).not_null())
        .column(Column::new("name", ColumnKind::Text))
        .column(Column::new("level", ColumnKind::Integer).not_null().at_least(-1))
        .unique(["id"])
        .unique(["name"]);
    harness.create(&table).await;
    let driver = harness.driver().await;
    shown.debug("the driver", &driver);
    let fail = Schema::new(table.name(), ConflictStrategy::Fail, ["id", "name", "level"]).unwrap();
    let row = |id: i64| Request::new(&fail).set("id", id).set("name", CANARY);
    let good = row(1).set("level", CANARY_NUMBER);
    let bad = [
        // The name is taken, the key is taken, the check fails, NULL, of another type.
        row(2).set("level", CANARY_NUMBER),
        row(1).set("level", CANARY_NUMBER),
        row(3).set("level", -CANARY_NUMBER),
        row(4).set_null("level"),
        row(5).set("level", CANARY),
        Request::new(&fail).set("id", CANARY).set("name", "x").set("level", 1_i64),
    ];
    if driver.capabilities().describes() {
        shown.debug("what was found about the table", &driver.describe(&fail).await.unwrap());
    }
    let batch = |request: &Request| Batch::from_requests(vec![request.clone()]).unwrap();
    let report = driver.write(batch(&good), &Attempt::new()).await.unwrap();
    shown.debug("a report", &report);
    for request in &bad {
        let batch = batch(request);
        shown.debug("a request", request);
        shown.debug("a batch", &batch);
        if driver.capabilities().previews() {
            let preview = driver.preview(&batch, ShowValues::No).await;
            let preview = preview.unwrap_or_else(|error| panic!("no preview: {error}"));
            shown.debug("a preview", &preview);
            shown.check("a preview", &preview.statements.join("\n"));
            shown.check("a preview", &preview.parameters.join("\n"));
        }
        match driver.write(batch, &Attempt::new()).await {
            Err(error) => shown.error(&error),
            Ok(report) => {
                let verdict = report.verdict(0).and_then(|verdict| verdict.error());
                shown.error(verdict.expect("every one of these rows is refused"));
            }
        }
    }
    driver.close().await;
    through_a_flow(harness, &shown, table, &bad).await;
}

async fn through_a_flow(harness: &dyn Harness, shown: &Shown, table: Table, bad: &[Request]) {
    let driver = harness.driver().await;
    let run = Run::with(harness, table, driver, |flow| flow);
    for request in bad {
        let receipt = run.flow.submit_tracked(request.clone()).await.unwrap();
        shown.debug("a receipt", &receipt);
        let error = receipt.await.expect_err("every one of these rows is refused");
        shown.debug("a row's error", &error);
        shown.check("a row's error", &error.to_string());
        shown.error(error.error());
    }
    shown.debug("the flow", &run.flow);
    shown.debug("its health", &run.flow.health());
    let summary = run.flow.close().await.unwrap();
    shown.debug("its summary", &summary);
    let refused = run.flow.submit(bad[0].clone()).await.unwrap_err();
    shown.debug("a refused submit", &refused);
    shown.check("a refused submit", &refused.to_string());
}
