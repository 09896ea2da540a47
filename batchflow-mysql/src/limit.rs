//! [`Limit`]: how long the server gives one statement.

use std::time::Duration;

use batchflow_core::Deadline;

use crate::server::{Family, Known};

/// How long the server gives one statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limit(Option<u64>);

impl Limit {
    /// A little less than what is left, so that the server's answer still arrives.
    pub(crate) fn of(left: Option<Duration>) -> Self {
        Self(left.map(|left| {
            let margin = (left / 10).min(Duration::from_millis(500));
            // The server knows whole seconds; a shorter attempt is ended from outside.
            left.saturating_sub(margin).as_secs().clamp(1, 31_536_000)
        }))
    }

    /// The same of a deadline, and at most so long.
    pub(crate) fn within(deadline: &Deadline, most: Duration) -> Self {
        Self::of(Some(deadline.left().map_or(most, |left| left.min(most))))
    }

    /// Whether a session that gives so much need not be told.
    pub(crate) fn covers(self, wanted: Self) -> bool {
        match (self.0, wanted.0) {
            (Some(set), Some(wanted)) => set <= wanted && set.saturating_mul(2) >= wanted,
            (set, wanted) => set == wanted,
        }
    }

    /// What a session is set to.
    pub(crate) fn variables(self, known: &Known) -> Vec<(&'static str, String)> {
        // MySQL looks once a second which row locks were waited for too long.
        let early = u64::from(known.server.family == Family::MySql);
        let limit = self.0.map(|limit| limit.saturating_sub(early).max(1));
        let seconds = limit.map_or_else(|| "DEFAULT".to_owned(), |limit| limit.to_string());
        let mut all =
            vec![("innodb_lock_wait_timeout", seconds.clone()), ("lock_wait_timeout", seconds)];
        if known.server.family == Family::MariaDb {
            all.push(("max_statement_time", all[0].1.clone()));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_given_a_little_less_than_the_attempt_has() {
        let cases = [(30_000, 29), (10_000, 9), (1_999, 1), (200, 1), (0, 1)];
        for (left, limit) in cases {
            let left = Duration::from_millis(left);
            assert_eq!(Limit::of(Some(left)), Limit(Some(limit)), "{left:?}");
        }
        assert_eq!(Limit::of(None), Limit(None));
    }

    #[test]
    fn a_session_is_told_its_limit_again_only_where_it_is_far_off() {
        let cases = [
            (Some(29), Some(29), true),
            (Some(20), Some(29), true),
            (Some(14), Some(29), false),
            (Some(29), Some(28), false),
            (None, Some(29), false),
            (Some(29), None, false),
            (None, None, true),
        ];
        for (set, wanted, covers) in cases {
            assert_eq!(Limit(set).covers(Limit(wanted)), covers, "{set:?} {wanted:?}");
        }
    }
}
