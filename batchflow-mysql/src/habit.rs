//! [`Habit`]: whether a session rests in autocommit, by what it has written of late.
//!
//! In autocommit a statement that is a batch of its own takes one round trip, and any other batch
//! three: the transaction's mode is set first. Without autocommit every batch takes two. The way
//! back into autocommit is free, since it goes with a COMMIT.

/// After so many batches of one statement in a row a session changes into autocommit.
const PATIENCE: u32 = 2;

/// At most so many, where it changed too soon again and again.
const MOST_PATIENCE: u32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Habit {
    autocommit: bool,
    /// Batches of one statement in a row: since the last other one, and in autocommit since it
    /// began.
    alone: u32,
    patience: u32,
}

impl Habit {
    /// That of a session without autocommit.
    pub(crate) fn new() -> Self {
        Self { autocommit: false, alone: 0, patience: PATIENCE }
    }

    pub(crate) fn is_autocommit(self) -> bool {
        self.autocommit
    }

    /// Counts a batch of one statement that was committed, or is about to be.
    pub(crate) fn note_alone(&mut self) {
        self.alone = self.alone.saturating_add(1);
    }

    /// Whether the COMMIT that is about to be sent should lead into autocommit.
    pub(crate) fn wants_autocommit(self) -> bool {
        !self.autocommit && self.alone >= self.patience
    }

    /// The session has been set to autocommit.
    pub(crate) fn begin_autocommit(&mut self) {
        (self.autocommit, self.alone) = (true, 0);
    }

    /// The session is to be without autocommit.
    pub(crate) fn end_autocommit(&mut self) {
        if self.autocommit {
            // Setting it back costs what two batches of one statement saved.
            let has_paid = self.alone >= PATIENCE;
            let longer = self.patience.saturating_mul(2).min(MOST_PATIENCE);
            self.patience = if has_paid { PATIENCE } else { longer };
        }
        (self.autocommit, self.alone) = (false, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The round trips that batches take: `a` for one statement alone, `t` for a transaction.
    fn trips(batches: &str) -> u32 {
        let mut habit = Habit::new();
        let mut trips = 0;
        for batch in batches.chars() {
            if batch == 't' {
                trips += if habit.is_autocommit() { 3 } else { 2 };
                habit.end_autocommit();
                continue;
            }
            trips += if habit.is_autocommit() { 1 } else { 2 };
            habit.note_alone();
            if habit.wants_autocommit() {
                habit.begin_autocommit();
            }
        }
        trips
    }

    #[test]
    fn single_statements_come_to_take_one_trip_and_no_mixture_more_than_a_few_over_two() {
        for (batches, expected) in [
            ("a".repeat(100), 102),
            ("t".repeat(100), 200),
            ("at".repeat(50), 200),
            // Too soon again and again, and less often each time.
            ("aat".repeat(100), 600 + 1),
            ("aaat".repeat(100), 800),
            ("aaaat".repeat(100), 1_000 - 100),
            ("aaaaaaaaaat".repeat(10), 220 - 70),
        ] {
            assert_eq!(trips(&batches), expected, "{}", &batches[..11]);
        }
        let mut dice = fastrand::Rng::with_seed(5);
        for _ in 0..200 {
            let share = dice.u8(1..10);
            let batches: String =
                (0..1_000).map(|_| if dice.u8(0..10) < share { 'a' } else { 't' }).collect();
            assert!(trips(&batches) <= 2_040, "{share} of ten: {}", trips(&batches));
        }
    }
}
