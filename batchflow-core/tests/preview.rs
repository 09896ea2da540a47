//! What a flow would send, shown.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use batchflow_core::observe::SecretNames;
use batchflow_core::testing::MemoryDriver;
use batchflow_core::{
    Attempt, Batch, BatchFlow, Capabilities, ConflictStrategy, Driver, ErrorKind, Merge, Preview,
    Report, Request, Schema, ShowValues, TableInfo, WriteError, fingerprint,
};
use tokio::time::{sleep, timeout};

/// A driver that sends nothing, and says so in words.
#[derive(Debug, Default)]
struct Words(MemoryDriver);

#[async_trait]
impl Driver for Words {
    fn backend(&self) -> &'static str {
        "words"
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities().with_preview()
    }

    async fn write(&self, _: Batch, _: &Attempt) -> Result<Report, WriteError> {
        Err(ErrorKind::Internal.into())
    }

    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        self.0.describe(schema).await
    }

    async fn preview(&self, batch: &Batch, values: ShowValues) -> Result<Preview, WriteError> {
        let show = |row: usize, column: usize| match values {
            ShowValues::No => format!("{:?}", batch.get(row, column)),
            ShowValues::Yes => batch.request(row).unwrap().get::<String>("secret").map_or_else(
                |_| "a number".to_owned(),
                |text| text.filter(|_| column == 2).unwrap_or_else(|| "a number".to_owned()),
            ),
        };
        let cells = |row| batch.columns().iter().map(move |&column| (row, column));
        let parameters = (0..batch.len()).flat_map(cells).map(|(row, column)| show(row, column));
        Ok(Preview::new(vec!["BEGIN".into(), "SAY".into(), "SAY".into()], batch.len())
            .with_parameters(parameters.collect())
            .with_parameter_count(7)
            .with_way("aloud", fingerprint("SAY"), "nobody listens"))
    }
}

fn users() -> Schema {
    Schema::builder("users")
        .columns(["id", "hits", "secret"])
        .key(["id"])
        .on_conflict(ConflictStrategy::Update)
        .merge("hits", Merge::Add)
        .build()
        .unwrap()
}

fn rows() -> Vec<Request> {
    let rows = [(1_i64, 1_i64), (2, 1), (1, 1), (3, 1), (1, 1)];
    rows.into_iter().map(|(id, hits)| users().row((id, hits, "canary")).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_preview_shows_batches_as_they_would_be_merged_and_sent() {
    let flow = BatchFlow::builder(Words::default()).flush_size(2).build().unwrap();
    let logs = Schema::new("logs", ConflictStrategy::Fail, ["id"]).unwrap();
    let rows: Vec<_> = rows().into_iter().chain([logs.row((1_i64,)).unwrap()]).collect();
    let preview = flow.preview(&rows).await.unwrap();
    assert_eq!((preview.rows, preview.merged), (6, 2));
    let batches: Vec<_> = preview.batches.iter().map(|b| (&*b.table, b.rows, b.merged)).collect();
    assert_eq!(batches, [("users", 2, 2), ("users", 1, 0), ("logs", 1, 0)]);
    assert_eq!(flow.stats().submitted, 0);
    let shown = preview.to_string();
    assert!(!shown.contains("canary") && !format!("{preview:?}").contains("canary"), "{shown}");
    let expected = "6 rows, 2 of them merged into others; batches: 3\n\n\
        users: 2 rows (and 2 merged into them), ";
    assert!(shown.starts_with(expected), "{shown}");
    for line in [
        "  columns      id, hits, secret\n",
        "  way          aloud: nobody listens\n",
        "  parameters   7\n",
        "  sends        BEGIN\n",
        "  sends        2 times SAY\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn values_are_shown_on_request_but_for_the_hidden() {
    let flow = BatchFlow::builder(Words::default()).build().unwrap();
    let hide_nothing = |_: &str| false;
    let all = flow.preview_values(&rows(), &hide_nothing).await.unwrap().to_string();
    assert!(all.contains("secret = canary"), "{all}");
    let names = SecretNames::new();
    let some = flow.preview_values(&rows(), &names).await.unwrap().to_string();
    assert!(some.contains("id = a number, hits = a number, secret = (hidden)"), "{some}");
    assert!(!some.contains("canary"), "{some}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_previewed_says_why() {
    let flow = BatchFlow::builder(Words::default()).build().unwrap();
    let bad = Request::new(&users()).set("nowhere", 1_i64);
    let error = flow.preview(&[bad]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("nowhere"), "{error}");

    let mute = BatchFlow::builder(MemoryDriver::new()).build().unwrap();
    let error = mute.preview(&rows()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// A driver whose previews wait, and that notes its end.
#[derive(Debug, Default)]
struct Slow {
    words: Words,
    closed: Arc<AtomicBool>,
}

#[async_trait]
impl Driver for Slow {
    fn backend(&self) -> &'static str {
        "slow"
    }

    fn capabilities(&self) -> Capabilities {
        self.words.capabilities()
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        self.words.write(batch, attempt).await
    }

    async fn preview(&self, batch: &Batch, values: ShowValues) -> Result<Preview, WriteError> {
        sleep(Duration::from_secs(1)).await;
        assert!(!self.closed.load(Ordering::Relaxed), "the driver is closed");
        assert!(batch.len() < 3, "more than two rows");
        self.words.preview(batch, values).await
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_closes_ends_its_previews_and_then_closes_its_driver() {
    let slow = Slow::default();
    let closed = Arc::clone(&slow.closed);
    // Shared, as with other flows that have closed already.
    let flow = BatchFlow::builder(Arc::new(slow)).build().unwrap();
    let rows = rows();
    let close = async {
        sleep(Duration::from_millis(500)).await;
        flow.close().await.unwrap()
    };
    let (preview, summary) = tokio::join!(flow.preview(&rows[..2]), close);
    assert_eq!(preview.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(summary.all_written() && closed.load(Ordering::Relaxed));
    let error = flow.preview(&rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_in_a_preview_is_an_error_of_it() {
    let flow = BatchFlow::builder(Slow::default()).build().unwrap();
    let error = flow.preview(&rows()).await.unwrap_err();
    assert_eq!((error.kind(), error.table()), (ErrorKind::Internal, Some("users")));
}

/// A preview holds the driver, as a future that is kept and not polled does.
#[tokio::test(start_paused = true)]
async fn promise_9_a_preview_that_nobody_polls_any_more_keeps_no_driver_open() {
    let slow = Slow::default();
    let closed = Arc::clone(&slow.closed);
    let flow = BatchFlow::builder(slow).build().unwrap();
    let rows = rows();
    let mut preview = pin!(flow.preview(&rows[..2]));
    assert!(timeout(Duration::from_millis(500), preview.as_mut()).await.is_err());
    let summary = timeout(Duration::from_secs(60), flow.close()).await.unwrap().unwrap();
    assert!(summary.all_written() && closed.load(Ordering::Relaxed));
    assert_eq!(preview.await.unwrap_err().kind(), ErrorKind::Cancelled);
}

/// Flows are handed from runtime to runtime, and may be polled where there is none.
#[test]
fn a_preview_outside_a_runtime_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let flow = runtime.block_on(async { BatchFlow::builder(Words::default()).build().unwrap() });
    let rows = rows();
    let mut preview = pin!(flow.preview(&rows));
    let polled = preview.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Err(error)) = polled else { panic!("{polled:?}") };
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("no tokio runtime"), "{error}");
}
