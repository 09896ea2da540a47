//! [`Inbox`]: what a submit touches.

use super::Entry;
use crate::request::Request;
use crate::schema::Schema;

/// Rows that the pump has not taken yet, and room lent in advance to one schema's next rows.
///
/// Producers on several cores hand each cache line that a submit writes to one another, row by
/// row. So a submit that takes lent room writes this alone, which lies in one line with the
/// queue's mutex; what the counts and shares then are is made up when somebody looks.
#[repr(C)]
pub(super) struct Inbox {
    entries: Vec<Entry>,
    first_submission: u64,
    /// Whose room it is, by its address; nobody's: 0.
    schema: usize,
    bytes: usize,
    rows: u32,
    slot: u32,
}

/// Room for rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) rows: u32,
    pub(super) bytes: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), first_submission: 0, schema: 0, bytes: 0, rows: 0, slot: 0 }
    }

    /// Puts a row in for which there is lent room; leaves it where there is none.
    #[inline]
    pub(super) fn push_lent(&mut self, row: &mut Option<Request>, bytes: usize) -> Option<u64> {
        if self.schema != row.as_ref()?.schema().address() || self.rows == 0 || bytes > self.bytes {
            return None;
        }
        let request = row.take()?;
        self.rows -= 1;
        self.bytes -= bytes;
        let slot = self.slot;
        Some(self.push(Entry { request, reply: None, slot }))
    }

    /// Puts a row in; returns its submission number.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry) -> u64 {
        let submission = self.next_submission();
        self.entries.push(entry);
        submission
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn next_submission(&self) -> u64 {
        self.first_submission + self.entries.len() as u64
    }

    /// Swaps the rows out for an empty `room`; returns the first one's submission number.
    pub(super) fn swap(&mut self, room: &mut Vec<Entry>) -> u64 {
        let first = self.first_submission;
        self.first_submission = self.next_submission();
        std::mem::swap(&mut self.entries, room);
        first
    }

    /// Lends room to the next rows of a schema.
    pub(super) fn lend(&mut self, schema: &Schema, slot: u32, room: Room) {
        self.schema = schema.address();
        self.slot = slot;
        self.rows = room.rows;
        self.bytes = room.bytes;
    }

    /// Takes back what is left of the room; returns it and whose it was.
    pub(super) fn take_back(&mut self) -> (Room, u32) {
        self.schema = 0;
        let left = Room { rows: std::mem::take(&mut self.rows), bytes: self.bytes };
        (left, self.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_submit_writes_fits_a_cache_line_with_its_mutex() {
        assert!(size_of::<Inbox>() + 8 <= 64);
    }
}
