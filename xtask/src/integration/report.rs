//! What a run leaves to read: JSON for programs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::options::Options;
use super::run::Counts;
use crate::Error;

/// One run of a crate's tests, or one that could not be.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) backend: &'static str,
    /// What was tested: `PostgreSQL 17.2`.
    pub(crate) server: String,
    /// Where it is from.
    pub(crate) origin: String,
    /// How it was met, if not directly and as it is usually set: `behind PgBouncer 1.21.0`.
    pub(crate) variant: Option<String>,
    pub(crate) took: Duration,
    pub(crate) end: End,
}

#[derive(Debug)]
pub(crate) enum End {
    Passed(Counts, BTreeMap<String, String>),
    Failed(String),
    NotRun(String),
}

impl Entry {
    fn json(&self) -> Value {
        let mut entry = json!({
            "backend": self.backend,
            "server": self.server,
            "origin": self.origin,
            "variant": self.variant,
            "seconds": (self.took.as_secs_f64() * 10.0).round() / 10.0,
        });
        match &self.end {
            End::Passed(counts, skipped) => {
                entry["outcome"] = "passed".into();
                entry["passed"] = counts.passed.into();
                entry["ignored"] = counts.ignored.into();
                entry["not_run"] = json!(skipped);
            }
            End::Failed(why) => {
                entry["outcome"] = "failed".into();
                entry["why"] = why.as_str().into();
            }
            End::NotRun(why) => {
                entry["outcome"] = "not run".into();
                entry["why"] = why.as_str().into();
            }
        }
        entry
    }
}

/// Writes the report.
pub(crate) fn write(path: &Path, options: &Options, entries: &[Entry]) -> Result<(), Error> {
    let runs: Vec<Value> = entries.iter().map(Entry::json).collect();
    // As text: a program that reads numbers as floating point would round the seed.
    let report = json!({ "seed": options.seed.to_string(), "seeds": options.seeds, "runs": runs });
    std::fs::write(path, format!("{report:#}\n"))
        .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}
