//! [`FlowPreview`]: what a flow would send.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{RwLock, watch};
use tokio::time::{Instant, timeout};

use super::lane::{Allowance, Due, Formed, Held, Lane, Sent};
use super::station::limits;
use super::tune::Tune;
use crate::batch::Batch;
use crate::coalesce::Coalescer;
use crate::driver::{
    Capabilities, Driver, ErrorKind, Preview, ShowValues, Stage, TableInfo, WriteError,
};
use crate::observe::Redactor;
use crate::request::Request;
use crate::runtime::need_timers;
use crate::schema::Schema;
use crate::unwind::{Panicked, catch, catch_async};

/// What takes the place of a value that a redactor hides.
const HIDDEN: &str = "(hidden)";

/// What a flow would send for some rows. `Display` is for a terminal; `Debug` shows numbers alone.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlowPreview {
    /// How many rows there were.
    pub rows: usize,
    /// How many of them would be merged into others.
    pub merged: usize,
    /// The batches, schema by schema.
    pub batches: Vec<BatchPreview>,
}

/// One batch that a flow would send.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchPreview {
    /// The table.
    pub table: String,
    /// The columns that its rows set.
    pub columns: Vec<String>,
    /// How many rows would be sent.
    pub rows: usize,
    /// How many more were merged into these.
    pub merged: usize,
    /// Their size, as [`Request::size_bytes`] counts.
    pub bytes: usize,
    /// What the driver would send.
    pub sent: Preview,
}

/// What a preview needs of a flow.
pub(super) struct Previewer {
    /// Held by the flow alone, so that it lets go of a shared driver when it closes.
    pub(super) driver: Option<Weak<dyn Driver>>,
    pub(super) previews: Arc<Previews>,
    pub(super) capabilities: Capabilities,
    pub(super) merging: bool,
    pub(super) coalescer: Option<Arc<dyn Coalescer>>,
    pub(super) timeout: Duration,
}

/// The previews under way. They end before their driver is closed.
pub(super) struct Previews {
    /// Read by each.
    under_way: RwLock<()>,
    closing: watch::Sender<bool>,
}

impl Default for Previews {
    fn default() -> Self {
        Self { under_way: RwLock::new(()), closing: watch::Sender::new(false) }
    }
}

impl Previews {
    /// Runs a preview; `None` where the driver is to be closed.
    async fn run<T>(&self, preview: impl Future<Output = T>) -> Option<T> {
        let mut closing = self.closing.subscribe();
        let _under_way = self.under_way.read().await;
        tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => None,
            shown = preview => Some(shown),
        }
    }

    /// Ends all previews, and lets none begin.
    pub(super) async fn end(&self) {
        self.closing.send_replace(true);
        let _none_under_way = self.under_way.write().await;
    }
}

fn closed() -> WriteError {
    WriteError::new(ErrorKind::Cancelled).with_message("the flow is closed")
}

impl Previewer {
    pub(super) async fn preview(
        &self,
        rows: &[Request],
        redactor: Option<&dyn Redactor>,
        tune: Tune,
    ) -> Result<FlowPreview, WriteError> {
        let Some(driver) = self.driver.as_ref().filter(|_| self.capabilities.previews()) else {
            let error = WriteError::new(ErrorKind::Unsupported);
            return Err(error.with_message("the flow's driver shows no previews"));
        };
        need_timers()?;
        let shown = async {
            let driver = driver.upgrade().ok_or_else(closed)?;
            self.show(&*driver, rows, redactor, tune).await
        };
        self.previews.run(shown).await.unwrap_or_else(|| Err(closed()))
    }

    async fn show(
        &self,
        driver: &dyn Driver,
        rows: &[Request],
        redactor: Option<&dyn Redactor>,
        tune: Tune,
    ) -> Result<FlowPreview, WriteError> {
        let mut batches = Vec::new();
        for (schema, rows) in by_schema(rows)? {
            let table = self.describe(driver, &schema).await?;
            for formed in self.form(&schema, &table, rows, tune) {
                let sent = self.ask(driver, &formed.batch, redactor).await?;
                batches.push(BatchPreview::new(&formed, sent));
            }
        }
        let merged = batches.iter().map(|batch| batch.merged).sum();
        Ok(FlowPreview { rows: rows.len(), merged, batches })
    }

    async fn describe(
        &self,
        driver: &dyn Driver,
        schema: &Schema,
    ) -> Result<TableInfo, WriteError> {
        if !self.capabilities.describes() {
            return Ok(TableInfo::unchecked(schema));
        }
        let described = async { driver.describe(schema).await };
        self.limited(described, Stage::Describe, schema).await
    }

    /// The batches that a lane makes of the rows when all of them go at once.
    fn form(&self, schema: &Schema, table: &TableInfo, rows: Rows, tune: Tune) -> Vec<Formed> {
        let mut lane = Lane::new(schema.clone(), table, self.merging, self.coalescer.clone());
        let now = Instant::now();
        for (at, request) in rows {
            let (key, bytes) = (lane.key_of(&request), request.size_bytes());
            let held = Held { request: Some(request), reply: None, submission: at as u64, bytes };
            lane.add(held, key, now, Allowance::Free);
        }
        let due = Due {
            before: Some(now),
            flush_upto: u64::MAX,
            all: true,
            closes: false,
            limits: limits(tune.flush_size, tune.flush_bytes, &self.capabilities),
        };
        let mut batches = Vec::new();
        while let Some((_, shape)) = lane.due(&due) {
            let Some(formed) = lane.form(shape, &due.limits) else { break };
            let claims: Vec<_> = formed.rows.iter().filter_map(Sent::claim).collect();
            lane.land(formed.flight, &claims);
            batches.push(formed);
        }
        batches
    }

    /// What the driver answers, if it does in time and without a panic.
    async fn limited<T>(
        &self,
        answer: impl Future<Output = Result<T, WriteError>>,
        stage: Stage,
        schema: &Schema,
    ) -> Result<T, WriteError> {
        let error = match timeout(self.timeout, catch_async(answer)).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(Panicked)) => {
                WriteError::new(ErrorKind::Internal).with_message("the driver panicked")
            }
            Err(_too_long) => WriteError::new(ErrorKind::Timeout),
        };
        Err(error.at(stage).with_table(schema.table()))
    }

    async fn ask(
        &self,
        driver: &dyn Driver,
        batch: &Batch,
        redactor: Option<&dyn Redactor>,
    ) -> Result<Preview, WriteError> {
        let values = if redactor.is_some() { ShowValues::Yes } else { ShowValues::No };
        let asked = async { driver.preview(batch, values).await };
        let mut sent = self.limited(asked, Stage::Encode, batch.schema()).await?;
        if let Some(redactor) = redactor {
            let columns = batch.columns();
            // Told in another way than column by column, which parameter is whose is not known.
            let known = !columns.is_empty() && sent.parameters.len().is_multiple_of(columns.len());
            for (at, text) in sent.parameters.iter_mut().enumerate() {
                let column = columns.get(at % columns.len().max(1)).filter(|_| known);
                let hidden = column.is_none_or(|&column| {
                    // A redactor that panics hides.
                    catch(|| redactor.hides(batch.schema().column(column))).unwrap_or(true)
                });
                if hidden {
                    HIDDEN.clone_into(text);
                }
            }
        }
        Ok(sent)
    }
}

/// Rows of one schema, with their places among all.
type Rows = Vec<(usize, Request)>;

/// The rows of each schema, in order, none of them invalid.
fn by_schema(rows: &[Request]) -> Result<Vec<(Schema, Rows)>, WriteError> {
    let mut schemas: Vec<(Schema, Rows)> = Vec::new();
    for (at, request) in rows.iter().enumerate() {
        if let Err(fault) = request.validate() {
            return Err(WriteError::new(ErrorKind::Data)
                .at(Stage::Encode)
                .with_table(request.schema().table())
                .with_blame([at])
                .with_message(fault.to_string()));
        }
        let row = (at, request.clone());
        match schemas.iter_mut().find(|(schema, _)| schema == request.schema()) {
            Some((_, rows)) => rows.push(row),
            None => schemas.push((request.schema().clone(), vec![row])),
        }
    }
    Ok(schemas)
}

impl BatchPreview {
    fn new(formed: &Formed, sent: Preview) -> Self {
        let batch = &formed.batch;
        let rows: usize = formed.rows.iter().map(Sent::len).sum();
        let columns = batch.columns().iter().map(|&at| batch.schema().column(at).to_owned());
        Self {
            table: batch.schema().table().to_string(),
            columns: columns.collect(),
            rows: batch.len(),
            merged: rows - batch.len(),
            bytes: batch.size_bytes(),
            sent,
        }
    }
}

impl fmt::Display for FlowPreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, merged, batches) = (self.rows, self.merged, self.batches.len());
        writeln!(f, "{rows} rows, {merged} of them merged into others; batches: {batches}")?;
        self.batches.iter().try_for_each(|batch| write!(f, "\n{batch}"))
    }
}

impl fmt::Display for BatchPreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, columns, rows, merged, bytes, sent } = self;
        writeln!(f, "{table}: {rows} rows (and {merged} merged into them), {bytes} bytes")?;
        writeln!(f, "  columns      {}", columns.join(", "))?;
        if let Some(way) = sent.way {
            write!(f, "  way          {way}")?;
            match &sent.why {
                Some(why) => writeln!(f, ": {why}")?,
                None => writeln!(f)?,
            }
        }
        if let Some(fingerprint) = sent.fingerprint {
            writeln!(f, "  fingerprint  {fingerprint:016x}")?;
        }
        if let Some(count) = sent.parameter_count {
            writeln!(f, "  parameters   {count}")?;
        }
        let mut statements = sent.statements.iter().peekable();
        while let Some(statement) = statements.next() {
            let mut times = 1;
            while statements.next_if_eq(&statement).is_some() {
                times += 1;
            }
            let times = if times > 1 { format!("{times} times ") } else { String::new() };
            writeln!(f, "  sends        {times}{statement}")?;
        }
        for row in sent.parameters.chunks(columns.len().max(1)) {
            let values =
                columns.iter().zip(row).map(|(column, value)| format!("{column} = {value}"));
            writeln!(f, "  row          {}", values.collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Debug for FlowPreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowPreview")
            .field("rows", &self.rows)
            .field("merged", &self.merged)
            .field("batches", &self.batches)
            .finish()
    }
}

impl fmt::Debug for BatchPreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchPreview")
            .field("table", &self.table)
            .field("rows", &self.rows)
            .field("merged", &self.merged)
            .field("bytes", &self.bytes)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}
