//! Promise 10: secrets stay in.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use batchflow_core::testing::Fault;
use batchflow_core::{BatchFlow, ErrorKind, WriteError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{HOUR, row, users, watched};

const CANARY: &str = "canary-9b2c";

/// Keeps every field of every event and span.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0.lock().unwrap(), " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        writeln!(self.0.lock().unwrap(), "\n{}", event.metadata().target()).unwrap();
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Rows refused with a message that quotes them, logged for want of a sink: neither logs, nor any
/// `Debug` or `Display`, show a value.
#[tokio::test(start_paused = true)]
async fn promise_10_no_value_stands_in_a_log_a_debug_or_an_error() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let mut shown = String::new();
    let driver = watched();
    let quoting = |kind| {
        WriteError::new(kind).with_server_message(format!("row ({CANARY}) violates everything"))
    };
    driver.inner().script([
        Fault::Fail(quoting(ErrorKind::Deadlock)),
        Fault::Fail(quoting(ErrorKind::Constraint)),
        Fault::LoseAnswer(quoting(ErrorKind::Connection)),
        Fault::Panic,
    ]);
    let flow = BatchFlow::builder(driver.clone())
        .dead_letters(batchflow_core::dead_letter::callback(|_| {
            panic!("a callback panic that the test ordered")
        }))
        .build()
        .unwrap();
    for id in 0..4 {
        let request = row(&users(), id, CANARY);
        write!(shown, "{request:?}").unwrap();
        let receipt = flow.submit_tracked(request).await.unwrap();
        write!(shown, "{receipt:?}").unwrap();
        if let Err(error) = receipt.await {
            assert!(error.error().kind() != ErrorKind::Other);
            write!(shown, "{error} {error:?} {error:#?} {}", error.error()).unwrap();
        }
    }
    let unlogged = BatchFlow::builder(driver.clone()).build().unwrap();
    driver.inner().script([Fault::Fail(quoting(ErrorKind::Constraint))]);
    let receipt = unlogged.submit_tracked(row(&users(), 9, CANARY)).await.unwrap();
    write!(shown, "{:?}", receipt.await.unwrap_err()).unwrap();
    write!(shown, "{:?}", unlogged.close().await.unwrap()).unwrap();

    flow.submit(row(&users(), 10, CANARY)).await.unwrap();
    driver.inner().each(|_, _| Fault::Hang);
    flow.submit(row(&users(), 11, CANARY)).await.unwrap();
    write!(shown, "{flow:?} {:?} {:?} {driver:?}", flow.health(), flow.stats()).unwrap();
    let summary = flow.close_within(HOUR / 60).await.unwrap();
    write!(shown, "{summary:?} {summary:#?}").unwrap();
    let refused = flow.submit(row(&users(), 12, CANARY)).await.unwrap_err();
    write!(shown, "{refused} {refused:?} {refused:#?}").unwrap();
    let rows = (0..3).map(|id| row(&users(), id, CANARY)).collect::<Vec<_>>();
    let stopped = flow.submit_all(rows).await.unwrap_err();
    write!(shown, "{stopped} {stopped:?}").unwrap();

    let log = log.0.lock().unwrap();
    assert!(!log.contains(CANARY), "{log}");
    assert!(!shown.contains(CANARY), "{shown}");
    assert!(log.contains("users"), "something was logged: {log}");
}
