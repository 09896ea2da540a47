//! Rows of a lane: as they wait, and as they fly.

use tokio::time::Instant;

use super::ClaimNumber;
use crate::flow::queue::Reply;
use crate::request::Request;

/// One accepted row, from the queue to its verdict.
pub(in crate::flow) struct Held {
    /// Gone where the row itself is in a batch.
    pub(in crate::flow) request: Option<Request>,
    pub(in crate::flow) reply: Option<Reply>,
    pub(in crate::flow) submission: u64,
    /// What it holds of the buffer: its own bytes, and those of a row made of it and of others.
    pub(in crate::flow) bytes: usize,
}

/// A waiting row and those merged into it. There may be as many as the buffer holds: small
/// matters.
pub(super) struct Row {
    /// The row that decides what is written.
    pub(super) deciding: Held,
    pub(super) merges: Option<Box<Merges>>,
    /// Of its key.
    pub(super) claim: Option<ClaimNumber>,
    pub(super) since: Instant,
    pub(super) shape: u32,
    /// Changes when the row changes its shape, so that its old place in line is void.
    pub(super) turn: u32,
    pub(super) tracked: bool,
}

/// What was merged into a row.
pub(super) struct Merges {
    /// What is written, where it is neither of the rows it was made of; once that is in a batch,
    /// the deciding row.
    pub(super) combined: Option<Request>,
    /// The others, superseded once the row is written.
    pub(super) first: Held,
    pub(super) more: Vec<Held>,
}

/// A row in flight: what its verdict settles. What is written is in the batch.
pub(in crate::flow) struct Sent {
    pub(in crate::flow) reply: Option<Reply>,
    pub(in crate::flow) submission: u64,
    pub(in crate::flow) bytes: usize,
    merges: Option<Box<Merges>>,
    claim: Option<ClaimNumber>,
}

/// There may be a million of them, and each is moved several times.
const _: () = assert!(size_of::<Option<Row>>() <= 80 && size_of::<Sent>() <= 40);

impl Row {
    /// What is written for this row.
    pub(super) fn request(&self) -> Option<&Request> {
        let combined = self.merges.as_ref().and_then(|merges| merges.combined.as_ref());
        combined.or(self.deciding.request.as_ref())
    }

    /// What of its bytes is a row made of others.
    pub(super) fn combined_bytes(&self) -> usize {
        let combined = self.merges.as_ref().and_then(|merges| merges.combined.as_ref());
        combined.map_or(0, Request::size_bytes)
    }

    pub(super) fn size(&self) -> usize {
        self.request().map_or(0, Request::size_bytes)
    }

    pub(super) fn first_submission(&self) -> u64 {
        let others = self.merges.iter().flat_map(|merges| merges.others());
        others.map(|held| held.submission).fold(self.deciding.submission, u64::min)
    }

    /// The request to write, and what its verdict settles.
    pub(super) fn send(self) -> Option<(Request, Sent)> {
        let Self { deciding: Held { request, reply, submission, bytes }, merges, claim, .. } = self;
        let mut sent = Sent { reply, submission, bytes, merges, claim };
        let request = request?;
        let combined = sent.merges.as_mut().and_then(|merges| merges.combined.as_mut());
        Some(match combined {
            Some(combined) => (std::mem::replace(combined, request), sent),
            None => (request, sent),
        })
    }
}

impl Merges {
    pub(super) fn others(&self) -> impl Iterator<Item = &Held> {
        std::iter::once(&self.first).chain(&self.more)
    }

    pub(super) fn into_others(self) -> impl Iterator<Item = Held> {
        std::iter::once(self.first).chain(self.more)
    }
}

impl Sent {
    pub(in crate::flow) fn claim(&self) -> Option<ClaimNumber> {
        self.claim
    }

    /// How many rows its verdict settles.
    pub(in crate::flow) fn len(&self) -> usize {
        1 + self.merges.as_ref().map_or(0, |merges| merges.others().count())
    }

    pub(in crate::flow) fn is_merged(&self) -> bool {
        self.merges.is_some()
    }

    /// The deciding row and those that it stands for. `written` is what is in the batch for them;
    /// left out, the deciding row is without its values, where they are not kept apart.
    pub(in crate::flow) fn into_parts(
        mut self,
        written: Option<&Request>,
    ) -> (Held, impl Iterator<Item = Held>) {
        let own = self.merges.as_mut().and_then(|merges| merges.combined.take());
        let request = own.or_else(|| written.cloned());
        let Self { reply, submission, bytes, merges, .. } = self;
        let others = merges.into_iter().flat_map(|merges| merges.into_others());
        (Held { request, reply, submission, bytes }, others)
    }

    /// The rows that it stands for beside the deciding one.
    pub(in crate::flow) fn into_others(self) -> impl Iterator<Item = Held> {
        self.merges.into_iter().flat_map(|merges| merges.into_others())
    }
}
