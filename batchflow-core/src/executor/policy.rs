//! The [`RetryPolicy`]: how often and how long rows are tried again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::config_error::ConfigError;

/// How often and how long rows are tried again after a transient error.
///
/// The wait before a try is random between nothing and a bound: 50 ms at first, twice as long
/// each time, 10 s at most. Where the server asks for a longer one, it gets it. A row whose
/// 5 minutes since its first send are over is given up, and so is one whose next wait would end
/// after them.
///
/// ```
/// use std::time::Duration;
/// use batchflow_core::RetryPolicy;
///
/// let patient = RetryPolicy::default().give_up_after(Duration::from_secs(3_600));
/// let thrice = RetryPolicy::default().max_attempts(Some(3));
/// assert!(patient.validate().is_ok() && thrice.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    first_delay: Duration,
    max_delay: Duration,
    give_up_after: Duration,
    max_attempts: Option<u32>,
    seed: Option<u64>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(50),
            max_delay: Duration::from_secs(10),
            give_up_after: Duration::from_secs(300),
            max_attempts: None,
            seed: None,
        }
    }
}

impl RetryPolicy {
    /// One attempt, and no more. A commit whose answer never came is still asked for, up to 5
    /// minutes from the attempt's end.
    pub fn none() -> Self {
        Self::default().max_attempts(Some(1))
    }

    /// The bound of the first wait. Default: 50 ms.
    #[must_use]
    pub fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// The bound of the longest wait. Default: 10 s.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// How long after their first send rows are tried again. Default: 5 minutes. No attempt
    /// begins later, except to find the rows at fault in a batch that was refused.
    #[must_use]
    pub fn give_up_after(mut self, limit: Duration) -> Self {
        self.give_up_after = limit;
        self
    }

    /// How many attempts there are at most at the same rows, the first one included. Default:
    /// `None`, as many as the time allows.
    #[must_use]
    pub fn max_attempts(mut self, attempts: Option<u32>) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Makes the random waits the same in each run, for tests.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether the policy can be followed; the error names the value that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |why: &str| Err(ConfigError::new("retry", why));
        if self.first_delay.is_zero() {
            return refuse("first_delay must be longer than nothing");
        }
        if self.max_delay < self.first_delay {
            return refuse("max_delay must not be shorter than first_delay");
        }
        if self.give_up_after.is_zero() {
            return refuse(
                "give_up_after must be longer than nothing; RetryPolicy::none() retries nothing",
            );
        }
        if self.max_attempts == Some(0) {
            return refuse("max_attempts must be at least 1");
        }
        Ok(())
    }

    pub(crate) fn limit(&self) -> Duration {
        self.give_up_after
    }

    /// Whether there may be another attempt after this many.
    pub(crate) fn allows_another(&self, attempts: u32) -> bool {
        self.max_attempts.is_none_or(|most| attempts < most)
    }

    /// The wait after this many failures.
    fn delay(&self, failures: u32, rng: &mut fastrand::Rng) -> Duration {
        let doublings = failures.saturating_sub(1).min(63);
        let first = u64::try_from(self.first_delay.as_nanos()).unwrap_or(u64::MAX);
        let most = u64::try_from(self.max_delay.as_nanos()).unwrap_or(u64::MAX);
        let bound = first.saturating_mul(1 << doublings).min(most);
        Duration::from_nanos(rng.u64(0..=bound))
    }

    fn rng(&self) -> fastrand::Rng {
        self.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)
    }
}

/// The waits of a policy.
#[derive(Debug)]
pub(crate) struct Backoff {
    pub(crate) policy: RetryPolicy,
    rng: Mutex<fastrand::Rng>,
}

impl Backoff {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        let rng = Mutex::new(policy.rng());
        Self { policy, rng }
    }

    /// The wait after this many failures.
    pub(crate) fn delay(&self, failures: u32) -> Duration {
        self.policy.delay(failures, &mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_below_a_bound_that_doubles_up_to_the_cap() {
        let policy = RetryPolicy::default().seed(7);
        let mut rng = policy.rng();
        for (failures, bound) in
            [(1, 50), (2, 100), (5, 800), (8, 6_400), (9, 10_000), (99, 10_000)]
        {
            let bound = Duration::from_millis(bound);
            let waits: Vec<_> = (0..1_000).map(|_| policy.delay(failures, &mut rng)).collect();
            assert!(waits.iter().all(|wait| *wait <= bound), "after {failures}");
            assert!(waits.iter().any(|wait| *wait > bound * 9 / 10), "after {failures}");
            assert!(waits.iter().any(|wait| *wait < bound / 10), "after {failures}");
        }
    }

    #[test]
    fn a_seed_replays_the_waits() {
        let waits = |seed| {
            let policy = RetryPolicy::default().seed(seed);
            let mut rng = policy.rng();
            (1..20).map(|n| policy.delay(n, &mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn a_policy_that_cannot_be_followed_says_why() {
        let policy = RetryPolicy::default;
        assert!(policy().validate().is_ok());
        assert!(RetryPolicy::none().validate().is_ok());
        for (bad, why) in [
            (policy().first_delay(Duration::ZERO), "first_delay"),
            (policy().max_delay(Duration::from_millis(1)), "max_delay"),
            (policy().give_up_after(Duration::ZERO), "give_up_after"),
            (policy().max_attempts(Some(0)), "max_attempts"),
        ] {
            let error = bad.validate().unwrap_err();
            assert_eq!(error.field(), "retry");
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
