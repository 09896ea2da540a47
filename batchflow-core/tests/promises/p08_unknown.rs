//! Promise 8: no blind retry.

use batchflow_core::testing::{Blame, Fault};
use batchflow_core::{
    BatchFlow, ConflictStrategy, ErrorKind, Merge, Outcome, RowError, Schema, Stage, Value,
    WriteError,
};

use crate::support::{HOUR, memory, row, schema, settling, watched};

fn lost() -> WriteError {
    WriteError::new(ErrorKind::Connection).at(Stage::Commit)
}

fn adding() -> Schema {
    Schema::builder("users")
        .columns(["id", "name", "hits"])
        .key(["id"])
        .on_conflict(ConflictStrategy::Update)
        .merge("hits", Merge::Add)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn promise_8_what_may_not_be_repeated_is_unknown_and_dead_lettered() {
    let (sink, mut letters) = batchflow_core::dead_letter::channel(10);
    let driver = watched();
    let flow = BatchFlow::builder(driver.clone()).dead_letters(sink).build().unwrap();
    let fail = schema("log", ConflictStrategy::Fail);
    for (table, request) in
        [("log", row(&fail, 1, "x")), ("users", adding().row((1_i64, "x", 1_i64)).unwrap())]
    {
        driver.inner().script([Fault::LoseAnswer(lost())]);
        let receipt = flow.submit_tracked(request).await.unwrap();
        let Err(RowError::Unknown(error)) = receipt.await else { panic!("{table}: not unknown") };
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Connection, Stage::Commit));
        assert_eq!(memory(&driver).len(table), 1);
        let letter = letters.recv().await.unwrap();
        assert_eq!(letter.request().schema().table().name(), table);
    }
    assert_eq!(driver.attempts(), 2, "neither was sent again");
    assert_eq!(memory(&driver).value("users", [1_i64], "hits"), Some(Value::I64(1)));
}

#[tokio::test(start_paused = true)]
async fn promise_8_what_is_harmless_is_repeated_until_an_answer_comes() {
    for strategy in [ConflictStrategy::Ignore, ConflictStrategy::Replace, ConflictStrategy::Update]
    {
        let driver = watched();
        driver.inner().script([
            Fault::LoseAnswer(lost()),
            Fault::LoseRequest(lost()),
            Fault::LoseAnswer(lost()),
        ]);
        let flow = BatchFlow::builder(driver.clone()).build().unwrap();
        let receipt = flow.submit_tracked(row(&schema("users", strategy), 1, "x")).await.unwrap();
        assert_eq!(receipt.await.unwrap(), Outcome::Written);
        assert_eq!((driver.attempts(), memory(&driver).len("users")), (4, 1));
    }
}

/// The server is asked; while it cannot be reached, it is asked again.
#[tokio::test(start_paused = true)]
async fn promise_8_a_commit_in_doubt_is_settled_by_asking_until_it_is_told() {
    for applied in [true, false] {
        let driver = settling();
        driver.inner().script_settle((0..4).map(|_| ErrorKind::Connection.into()));
        let fault = if applied { Fault::LoseAnswer(lost()) } else { Fault::LoseRequest(lost()) };
        driver.inner().script([fault]);
        let flow = BatchFlow::builder(driver.clone()).build().unwrap();
        let row = adding().row((1_i64, "x", 1_i64)).unwrap();
        let receipt = flow.submit_tracked(row).await.unwrap();
        assert_eq!(receipt.await.unwrap(), Outcome::Written);
        assert_eq!(driver.attempts(), if applied { 1 } else { 2 });
        assert_eq!(memory(&driver).value("users", [1_i64], "hits"), Some(Value::I64(1)));
    }
}

/// A row refused after an attempt that may have applied it is not called rejected.
#[tokio::test(start_paused = true)]
async fn promise_8_a_refusal_after_a_lost_answer_is_no_rejection() {
    let driver = watched();
    let ignore = schema("users", ConflictStrategy::Update);
    driver.inner().script([Fault::LoseAnswer(lost())]);
    let flow = BatchFlow::builder(driver.clone()).flush_interval(HOUR).build().unwrap();
    let receipt = flow.submit_tracked(row(&ignore, 1, "x")).await.unwrap();
    // Applied; and by the time it is repeated, the table refuses such rows.
    while memory(&driver).is_empty("users") {
        tokio::task::yield_now().await;
    }
    driver.inner().refuse(ErrorKind::Constraint, Blame::Nobody, |_| true);
    assert!(matches!(receipt.await, Err(RowError::Unknown(_))));
}
