//! [`Cut`]: how many rows go into one packet, and into one statement.

use batchflow_core::{Batch, ErrorKind, Stage, WriteError};
use mysql_async::Value;

use super::rows::Repeated;
use crate::plan::Plan;

/// So many placeholders stand in one statement: MySQL holds about a kilobyte for each as long as
/// it is prepared, and more rows a statement gain nothing. The protocol's own limit is 65,535.
const PLACEHOLDERS: usize = 8_192;

/// So many rows stand in a statement without placeholders.
const BARE_ROWS: usize = 1_024;

/// From so many rows on, a batch's own size is worth a statement.
const OWN_SIZE: usize = 3;

/// What a packet holds beside its rows, at most: the command, and what the client may add.
const SPARE: usize = 1_024;

/// A packet of the protocol; a longer command is sent by the client value by value.
const PACKET: usize = (1 << 24) - 1;

/// How the rows of a batch may be divided.
#[derive(Debug)]
pub(super) struct Cut {
    rows: usize,
    /// The most bytes of rows in one packet.
    limit: usize,
    /// The most rows in one statement.
    most: usize,
    /// How long each row is in a packet; none where all of them fit into one together.
    lengths: Vec<usize>,
}

impl Cut {
    /// A row that no packet can hold is its row's error.
    pub(super) fn new(plan: &Plan, batch: &Batch, values: &[Value]) -> Result<Self, WriteError> {
        let (rows, width) = (batch.len(), plan.columns.len());
        let allowed = plan.server.max_allowed_packet;
        let limit = allowed.min(PACKET).saturating_sub(SPARE);
        let most = PLACEHOLDERS.checked_div(width).unwrap_or(BARE_ROWS).max(1);
        // A text is sent once, when it is prepared.
        let most = (1..=most).rev().find(|&rows| plan.texts.length(rows) <= limit).unwrap_or(1);
        let total: usize = values.iter().map(length).sum();
        let mut lengths = Vec::new();
        if total > limit {
            lengths.extend(
                values.chunks(width.max(1)).map(|row| row.iter().map(length).sum::<usize>()),
            );
            let most = allowed.saturating_sub(SPARE);
            let long: Vec<usize> = (0..rows).filter(|&row| lengths[row] > most).collect();
            if !long.is_empty() {
                return Err(too_large(batch, allowed).with_blame(long));
            }
        }
        Ok(Self { rows, limit, most, lengths })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// How many of the rows from `first` on fit into one packet, of `most`; at least one.
    fn fitting(&self, first: usize, most: usize) -> usize {
        if self.lengths.is_empty() {
            return most;
        }
        let mut left = self.limit;
        let fits = |length: &&usize| {
            let rest = left.checked_sub(**length);
            left = rest.unwrap_or(0);
            rest.is_some()
        };
        let rows = self.lengths.iter().skip(first).take(most);
        rows.take_while(fits).count().max(1)
    }

    /// How many of the rows each packet of a bulk takes.
    pub(super) fn packets(&self) -> Vec<usize> {
        let mut packets = Vec::new();
        let mut first = 0;
        while first < self.rows {
            let rows = self.fitting(first, self.rows - first);
            packets.push(rows);
            first += rows;
        }
        packets
    }

    /// How many of the rows each statement takes: powers of two, and the one size that is asked
    /// for again and again.
    pub(super) fn statements(&self, repeated: &Repeated) -> Vec<usize> {
        let equal = self.rows / self.rows.div_ceil(self.most).max(1);
        let own = (equal >= OWN_SIZE && repeated.count(equal)).then_some(equal);
        let mut statements = Vec::new();
        let mut first = 0;
        while first < self.rows {
            let left = (self.rows - first).min(self.most);
            let fitting = self.fitting(first, left);
            let rows = match own {
                Some(own) if own <= fitting => own,
                _ => 1 << fitting.ilog2(),
            };
            statements.push(rows);
            first += rows;
        }
        statements
    }
}

/// How much of a packet a value takes: its type, whether it is NULL, and itself.
fn length(value: &Value) -> usize {
    usize::try_from(value.bin_len()).unwrap_or(usize::MAX).saturating_add(3)
}

fn too_large(batch: &Batch, allowed: usize) -> WriteError {
    WriteError::new(ErrorKind::TooLarge)
        .at(Stage::Encode)
        .with_table(batch.schema().table())
        .with_message(format!("the row is longer than max_allowed_packet, {allowed} bytes"))
}

#[cfg(test)]
mod tests;
