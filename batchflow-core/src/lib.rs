#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod batch;
mod coalesce;
mod config_error;
#[cfg(feature = "conformance")]
pub mod conformance;
mod convert;
pub mod dead_letter;
mod decimal;
mod driver;
pub mod executor;
mod flow;
mod key;
pub mod metrics;
pub mod observe;
mod outcome;
mod request;
mod runtime;
mod schema;
#[cfg(feature = "sql")]
pub mod sql;
mod temporal;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod unwind;
mod value;
mod writer;

pub use batch::{Batch, Op};
pub use coalesce::{Coalescer, Key, Merged};
pub use config_error::ConfigError;
pub use driver::{
    Applied, Attempt, Capabilities, ColumnInfo, ColumnKind, CommitToken, Comparison, Deadline,
    Driver, ErrorClass, ErrorKind, Preview, Report, Settled, ShowValues, Stage, TableInfo, Verdict,
    WriteError, fingerprint,
};
pub use executor::{Classifier, Executor, RetryPolicy};
pub use flow::{
    BatchFlow, BatchPreview, Counts, DriverFn, FlowBuilder, FlowPreview, FlowStopped, Health,
    Receipt, Stats, SubmitAllError, SubmitError, SubmitReason, Summary, Tune, driver_fn,
};
#[cfg(feature = "futures-03")]
pub use flow::{FlowSink, SinkError};
pub use metrics::{FlowProbe, Metrics};
pub use outcome::{Outcome, RowError};
pub use request::{FromValue, IntoRow, Request, RequestError, RowSlots};
pub use schema::{ConflictStrategy, Merge, Schema, SchemaBuilder, SchemaError, TableName};
pub use temporal::{Date, Time, Timestamp};
pub use text::Text;
pub use value::{Value, ValueKind, ValueRef};
pub use writer::{
    BatchWriter, BatchWriterBuilder, BulkError, ReplayError, ReplayFault, ReplaySummary,
    WriteSummary,
};
