//! [`Sampler`]: which batches are worth a line.

use std::time::Duration;

use crate::metrics::BatchEvent;

/// Picks batches. Any closure is one.
pub trait Sampler: Send + Sync + 'static {
    /// Whether this batch is picked.
    fn picks(&self, event: &BatchEvent<'_>) -> bool;

    /// Picks what either picks.
    fn or<S: Sampler>(self, other: S) -> Or<Self, S>
    where
        Self: Sized,
    {
        Or(self, other)
    }
}

impl<F> Sampler for F
where
    F: Fn(&BatchEvent<'_>) -> bool + Send + Sync + 'static,
{
    fn picks(&self, event: &BatchEvent<'_>) -> bool {
        self(event)
    }
}

/// Picks batches of which a row was not written, after all retries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures;

impl Sampler for Failures {
    fn picks(&self, event: &BatchEvent<'_>) -> bool {
        event.error.is_some()
    }
}

/// Picks batches that took this long or longer, retries included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow(pub Duration);

impl Sampler for Slow {
    fn picks(&self, event: &BatchEvent<'_>) -> bool {
        event.duration >= self.0
    }
}

/// Picks this share of the batches, at random: 0.01 is one in a hundred.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(pub f64);

impl Sampler for Ratio {
    fn picks(&self, _event: &BatchEvent<'_>) -> bool {
        fastrand::f64() < self.0
    }
}

/// Picks what either picks; made by [`Sampler::or`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Or<A, B>(A, B);

impl<A: Sampler, B: Sampler> Sampler for Or<A, B> {
    fn picks(&self, event: &BatchEvent<'_>) -> bool {
        self.0.picks(event) || self.1.picks(event)
    }
}
