//! [`Unit`]: rows that are written by one call, or by commands that follow one another.

use batchflow_core::{Batch, Verdict, WriteError};
use bytes::Bytes;

use crate::connect::{Encoded, Words};
use crate::encode::{Packed, Row, Spans};
use crate::layout::Kind;
use crate::plan::{Plan, Way};

/// The most rows, elements and bytes of a script's call: it holds the server for 5 ms at most.
const SCRIPT_ROWS: usize = 250;
const SCRIPT_ELEMENTS: usize = 2_500;
const SCRIPT_BYTES: usize = 512 << 10;

/// The most pairs and bytes of an `MSET`.
const MSET_PAIRS: usize = 1_000;
const MSET_BYTES: usize = 1 << 20;

/// The most rows and bytes of commands in one piece: what is held in memory. The server reads 16 KiB
/// at a time, and turns to others in between.
const PIPELINE_ROWS: usize = 1_000;
const PIPELINE_BYTES: usize = 1 << 20;

/// The most rows that are sent as commands before their answers are waited for.
const COMMAND_ROWS: usize = 250;
const COMMAND_BYTES: usize = 1 << 20;

/// Rows that are written by one call, or by commands that follow one another.
#[derive(Debug)]
pub(crate) struct Unit {
    /// The rows' positions in the batch.
    pub(crate) rows: Vec<usize>,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Mset(Vec<Bytes>),
    Script {
        packed: Bytes,
        nulls: bool,
    },
    Pipeline {
        commands: Encoded,
        /// How many commands are each row's.
        counts: Vec<usize>,
    },
    /// The commands of each row.
    Commands(Vec<Vec<Words>>),
}

/// Encodes a batch into units of one way, in order, for each of so many places that a row may go to;
/// `None` is none of them. A row that cannot be encoded has its verdict at once, and so has one that
/// has nowhere to go.
pub(crate) fn units(
    plan: &Plan,
    batch: &Batch,
    way: Way,
    places: usize,
    mut place: impl FnMut(usize, &Row) -> Result<Option<usize>, WriteError>,
    verdicts: &mut [Option<Verdict>],
) -> Vec<Vec<Unit>> {
    let (rows, bytes) = (batch.len(), batch.size_bytes());
    let share = |of: usize| of.div_ceil(places.max(1));
    let mut buildings: Vec<Building<'_>> =
        (0..places).map(|_| Building::new(plan, way, share(rows), share(bytes))).collect();
    let mut row = Row::default();
    for (at, verdict) in verdicts.iter_mut().enumerate().take(rows) {
        if let Err(error) = row.encode(&plan.shape, batch, at) {
            *verdict = Some(Verdict::Rejected(error));
            continue;
        }
        match place(at, &row) {
            Ok(place) => {
                if let Some(building) = place.and_then(|place| buildings.get_mut(place)) {
                    building.push(at, &row);
                }
            }
            Err(error) => *verdict = Some(Verdict::NotApplied(error)),
        }
    }
    buildings.into_iter().map(Building::finish).collect()
}

struct Building<'a> {
    plan: &'a Plan,
    way: Way,
    units: Vec<Unit>,
    rows: Vec<usize>,
    size: usize,
    nulls: bool,
    packed: Packed,
    words: Spans,
    encoded: Encoded,
    counts: Vec<usize>,
    commands: Vec<Vec<Words>>,
}

impl<'a> Building<'a> {
    /// With room for rows of so many bytes.
    fn new(plan: &'a Plan, way: Way, rows: usize, bytes: usize) -> Self {
        let (mut packed, mut words) = (Packed::default(), Spans::default());
        let mut encoded = Encoded::default();
        match way {
            Way::Script => {
                let share = bytes / rows.max(1) * rows.min(SCRIPT_ROWS);
                packed = Packed::with_room(share.min(SCRIPT_BYTES));
            }
            Way::Mset => {
                words = Spans::with_room(bytes.min(MSET_BYTES), 2 * rows.min(MSET_PAIRS));
            }
            Way::Pipeline => {
                let share = bytes / rows.max(1) + plan.overhead();
                encoded = Encoded::with_room((share * rows.min(PIPELINE_ROWS)).min(PIPELINE_BYTES));
            }
            Way::Commands => {}
        }
        Self {
            plan,
            way,
            units: Vec::new(),
            rows: Vec::new(),
            size: 0,
            nulls: false,
            packed,
            words,
            encoded,
            counts: Vec::new(),
            commands: Vec::new(),
        }
    }

    fn push(&mut self, at: usize, row: &Row) {
        if self.is_full(row) {
            self.cut(false);
        }
        match self.way {
            Way::Mset => row.parts().flatten().for_each(|part| self.words.push(part)),
            Way::Script if self.plan.shape.kind == Kind::Command => self.packed.push_counted(row),
            Way::Script => {
                self.packed.push(row);
                self.nulls |= row.has_null();
            }
            Way::Pipeline => self.pipeline(row),
            Way::Commands => self.commands.push(self.plan.commands(row)),
        }
        self.rows.push(at);
        self.size += row.size();
    }

    fn pipeline(&mut self, row: &Row) {
        let before = self.encoded.answers();
        match &self.plan.form {
            // NULL takes a field away.
            Some(form) if self.plan.shape.kind != Kind::Hash || !row.has_null() => {
                form.encode(row, &mut self.encoded);
            }
            _ => self.plan.commands(row).iter().for_each(|words| self.encoded.command(words)),
        }
        self.counts.push(self.encoded.answers() - before);
    }

    /// Whether another row would be too many.
    fn is_full(&self, row: &Row) -> bool {
        let (rows, size) = (self.rows.len(), self.size + row.size());
        rows > 0
            && match self.way {
                Way::Mset => rows >= MSET_PAIRS || size > MSET_BYTES,
                Way::Script => {
                    let elements = self.packed.elements() + row.parts().len();
                    rows >= SCRIPT_ROWS || elements > SCRIPT_ELEMENTS || size > SCRIPT_BYTES
                }
                Way::Pipeline => {
                    let size = self.encoded.bytes().len() + self.plan.overhead() + row.size();
                    rows >= PIPELINE_ROWS || size > PIPELINE_BYTES
                }
                Way::Commands => rows >= COMMAND_ROWS || size > COMMAND_BYTES,
            }
    }

    fn cut(&mut self, is_last: bool) {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return;
        }
        self.size = 0;
        // The next one is mostly as large.
        let room = |size: usize| if is_last { 0 } else { size + size / 8 };
        let body = match self.way {
            Way::Mset => {
                let (bytes, words) = self.words.room();
                let next = Spans::with_room(room(bytes), if is_last { 0 } else { words });
                Body::Mset(std::mem::replace(&mut self.words, next).finish())
            }
            Way::Script => {
                let next = Packed::with_room(room(self.packed.size()));
                Body::Script {
                    packed: std::mem::replace(&mut self.packed, next).finish(),
                    nulls: std::mem::take(&mut self.nulls),
                }
            }
            Way::Pipeline => {
                let next = Encoded::with_room(room(self.encoded.bytes().len()));
                Body::Pipeline {
                    commands: std::mem::replace(&mut self.encoded, next),
                    counts: std::mem::take(&mut self.counts),
                }
            }
            Way::Commands => Body::Commands(std::mem::take(&mut self.commands)),
        };
        self.units.push(Unit { rows, body });
    }

    fn finish(mut self) -> Vec<Unit> {
        self.cut(true);
        self.units
    }
}
