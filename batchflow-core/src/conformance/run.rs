//! One test's flow, its history and its table.

use std::sync::Arc;

use crate::driver::Driver;
use crate::flow::{BatchFlow, FlowBuilder, Receipt, Summary};
use crate::request::Request;
use crate::testing::Table;

use super::harness::Harness;
use super::history::{EntryId, Fate, History};

/// One test's flow, its history and its table.
pub(super) struct Run<'a> {
    harness: &'a dyn Harness,
    pub(super) table: Table,
    pub(super) flow: BatchFlow,
    pub(super) history: History,
    receipts: Vec<(EntryId, Receipt)>,
}

impl<'a> Run<'a> {
    /// Makes the table and a flow to it.
    pub(super) async fn new(
        harness: &'a dyn Harness,
        table: Table,
        configure: impl FnOnce(FlowBuilder) -> FlowBuilder,
    ) -> Self {
        harness.create(&table).await;
        let driver = harness.driver().await;
        Self::with(harness, table, driver, configure)
    }

    /// A flow over a driver of the test's own; the table is there.
    pub(super) fn with(
        harness: &'a dyn Harness,
        table: Table,
        driver: Arc<dyn Driver>,
        configure: impl FnOnce(FlowBuilder) -> FlowBuilder,
    ) -> Self {
        let flow = configure(BatchFlow::builder(driver)).build().unwrap();
        Self { harness, table, flow, history: History::new(), receipts: Vec::new() }
    }

    /// Submits a row, tracked, and logs it.
    pub(super) async fn submit(&mut self, request: Request) -> EntryId {
        let entry = self.history.begin(&request);
        let receipt = self.flow.submit_tracked(request).await.unwrap();
        self.history.queued(entry, Some(receipt.submission()));
        self.receipts.push((entry, receipt));
        entry
    }

    /// Waits for the verdicts of all rows submitted so far.
    pub(super) async fn settle(&mut self) {
        for (entry, receipt) in std::mem::take(&mut self.receipts) {
            let verdict = receipt.await;
            self.history.settled(entry, &verdict);
        }
    }

    /// Submits a row and waits for its verdict.
    pub(super) async fn write(&mut self, request: Request) -> Fate {
        let entry = self.submit(request).await;
        self.settle().await;
        self.history.fate(entry).unwrap()
    }

    pub(super) async fn rows(&self) -> Vec<Vec<crate::Value>> {
        let mut rows = self.harness.read(&self.table).await;
        super::model::sort_rows(&mut rows);
        rows
    }

    /// Closes the flow and judges all that happened.
    pub(super) async fn finish(mut self) -> Summary {
        let summary = self.flow.close().await.unwrap();
        self.settle().await;
        let stats = summary.stats;
        assert!(stats.is_conserved() && stats.pending == 0, "promise 1: {stats:?}");
        let counted = [
            (stats.submitted, self.history.queued_rows()),
            (stats.written, self.history.count(|fate| fate == Fate::Written)),
            (stats.superseded, self.history.count(|fate| fate == Fate::Superseded)),
            (
                stats.unknown,
                self.history.count(|fate| matches!(fate, Fate::Unknown | Fate::StillRunning)),
            ),
        ];
        for (told, seen) in counted {
            assert_eq!(told, seen as u64, "promise 1: the receipts differ from {stats:?}");
        }
        self.history.check_verdicts().unwrap();
        self.history.check_table(&self.table, &self.rows().await).unwrap();
        summary
    }
}
