//! [`Plan`]: how the rows of one schema that set the same columns are written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use batchflow_core::{Batch, ConflictStrategy, Schema, WriteError, fingerprint};

use crate::command;
use crate::connect::Words;
use crate::encode::Row;
use crate::form::Form;
use crate::layout::{Kind, Layout, Lifetime, Rule, Shape};
use crate::script::Script;

/// The most plans that are kept.
const MOST: usize = 1_024;

/// So few rows are not worth a script.
const FEW: usize = 4;

/// What goes around a word.
const AROUND: usize = 8;

/// What is sent for rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// One `MSET` for many rows.
    Mset,
    /// One script for many rows.
    Script,
    /// A command a row, all of them in one piece.
    Pipeline,
    /// The commands of a row, each by itself.
    Commands,
}

impl Way {
    /// The way's name in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Mset => "mset",
            Self::Script => "script",
            Self::Pipeline => "pipeline",
            Self::Commands => "commands",
        }
    }
}

/// How the rows of one schema that set the same columns are written.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    /// The one command that writes a row, where one does.
    pub(crate) form: Option<Form>,
    way: Way,
    /// Whether rows may go as one command each, all in one piece.
    pipelined: bool,
    /// Whether a few rows may go as commands.
    plain: bool,
    scripts: [OnceLock<Script>; 2],
    fingerprint: u64,
}

impl Plan {
    fn new(mut shape: Shape, rules: Rules) -> Result<Self, WriteError> {
        let plain = command::without_script(&shape);
        let writes_over = match shape.strategy {
            ConflictStrategy::Replace => true,
            ConflictStrategy::Update => shape.cells.iter().all(|cell| cell.rule == Rule::Set),
            _ => false,
        };
        let is_simple = shape.kind == Kind::String && shape.lifetime == Lifetime::Unset;
        let way = if is_simple && writes_over && !rules.cluster {
            Way::Mset
        } else if rules.scripts && !(rules.cluster && shape.kind == Kind::Command) {
            // Of a command alone a node says where its key is.
            Way::Script
        } else {
            plain.clone()?;
            Way::Commands
        };
        // The client gives up a connection whose answer quotes what is no text, as that of an unknown
        // command does.
        shape.text_only = way == Way::Commands;
        shape.is_cluster = rules.cluster;
        let form = Form::of(&shape);
        let plain = plain.is_ok() && shape.kind != Kind::Command;
        let pipelined = rules.pipelines
            && way != Way::Mset
            && plain
            && form.is_some()
            && Form::is_whole(&shape);
        let scripts = [const { OnceLock::new() }; 2];
        let mut plan = Self { shape, form, way, pipelined, plain, scripts, fingerprint: 0 };
        plan.fingerprint = fingerprint(plan.script(false).text());
        Ok(plan)
    }

    /// The way for a batch. Rows of one key go by a script: of commands the later may be applied
    /// where the earlier was refused for want of something that has come meanwhile.
    pub(crate) fn way(&self, batch: &Batch) -> Way {
        if self.pipelined && batch.has_distinct_keys() {
            return Way::Pipeline;
        }
        self.way_of_calls(batch)
    }

    /// The way for a batch, each call of which can be preceded by another.
    pub(crate) fn way_of_calls(&self, batch: &Batch) -> Way {
        match self.way {
            Way::Script if batch.len() <= FEW && self.plain => Way::Commands,
            way => way,
        }
    }

    /// The commands that write a row; several are one transaction.
    pub(crate) fn commands(&self, row: &Row) -> Vec<Words> {
        command::commands(&self.shape, self.form.as_ref(), row)
    }

    /// About how many bytes a row's command has beside its values.
    pub(crate) fn overhead(&self) -> usize {
        let names = self.shape.cells.iter().map(|cell| cell.name.len() + 2 * AROUND);
        self.shape.prefix.len() + 4 * AROUND + names.sum::<usize>()
    }

    /// A hash of what is done with a row, whichever way.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The script for rows, some of whose values are NULL or none of them.
    pub(crate) fn script(&self, nulls: bool) -> &Script {
        self.scripts[usize::from(nulls)].get_or_init(|| Script::new(&self.shape, nulls))
    }
}

/// What plans are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) scripts: bool,
    pub(crate) cluster: bool,
    /// Whether the client sends encoded commands in one piece.
    pub(crate) pipelines: bool,
}

type ByColumns = HashMap<Box<[usize]>, Arc<Plan>>;

/// The layouts, and the plans that were made by them.
#[derive(Debug)]
pub(crate) struct Plans {
    layouts: HashMap<String, Layout>,
    pub(crate) rules: Rules,
    made: Mutex<HashMap<Schema, ByColumns>>,
}

impl Plans {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { layouts: HashMap::new(), rules, made: Mutex::default() }
    }

    pub(crate) fn lay_out(&mut self, table: String, layout: Layout) {
        self.layouts.insert(table, layout);
        self.made.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn set_scripts(&mut self, scripts: bool) {
        self.rules.scripts = scripts;
        self.made.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The schema's layout, checked: its own, or hashes called as the table.
    pub(crate) fn shape(&self, schema: &Schema) -> Result<Shape, WriteError> {
        let table = schema.table().to_string();
        match self.layouts.get(&table) {
            Some(layout) => Shape::new(layout, schema),
            None => Shape::new(&Layout::hash(format!("{table}:")), schema),
        }
    }

    /// Whether rows of the schema can be written at all.
    pub(crate) fn check(&self, schema: &Schema) -> Result<(), WriteError> {
        let shape = self.shape(schema)?;
        let plan = Plan::new(shape, self.rules);
        plan.map(drop).map_err(|error| error.with_table(schema.table()))
    }

    /// The plan for a batch.
    pub(crate) fn get(&self, batch: &Batch) -> Result<Arc<Plan>, WriteError> {
        let schema = batch.schema();
        let found = {
            let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            made.get(schema).and_then(|plans| plans.get(batch.columns())).cloned()
        };
        if let Some(plan) = found {
            return Ok(plan);
        }
        let shape = self.shape(schema)?.narrowed(batch.columns());
        let plan = Plan::new(shape, self.rules);
        let plan = Arc::new(plan.map_err(|error| error.with_table(schema.table()))?);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.values().map(HashMap::len).sum::<usize>() >= MOST {
            made.clear();
        }
        let plans = made.entry(schema.clone()).or_default();
        plans.insert(batch.columns().into(), Arc::clone(&plan));
        Ok(plan)
    }
}
