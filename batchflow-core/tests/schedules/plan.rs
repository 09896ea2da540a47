//! What one seed stands for.

use std::time::Duration;

use batchflow_core::{ConflictStrategy, Merge};

/// What one seed stands for: how the flow is configured, what goes wrong, who does how much, and
/// how it ends.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) strategy: ConflictStrategy,
    pub(crate) hits: Merge,
    pub(crate) touch: bool,
    pub(crate) keys: Keys,
    pub(crate) log_is_keyed: bool,
    pub(crate) merging: bool,
    pub(crate) own_coalescer: bool,
    pub(crate) user_code_panics: bool,
    pub(crate) flush_size: usize,
    pub(crate) flush_interval: Duration,
    pub(crate) buffer_size: usize,
    pub(crate) buffer_bytes: usize,
    pub(crate) concurrency: usize,
    pub(crate) timeout: Duration,
    pub(crate) give_up_after: Duration,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) grace: Duration,
    pub(crate) max_rows: Option<usize>,
    pub(crate) too_large_above: Option<usize>,
    pub(crate) settles: bool,
    pub(crate) blames: bool,
    pub(crate) fault_rate: f64,
    pub(crate) driver_panics: bool,
    pub(crate) orphans: bool,
    pub(crate) lost_answers: bool,
    pub(crate) longest_delay: Duration,
    pub(crate) describe_faults: usize,
    pub(crate) actors: usize,
    pub(crate) steps: usize,
    pub(crate) bad_rows: bool,
    /// Rows set different columns; else all set the same, and share large batches.
    pub(crate) partial_rows: bool,
    pub(crate) aborts_an_actor: bool,
    pub(crate) pace: Duration,
    pub(crate) ending: Ending,
    pub(crate) ends_at: Duration,
}

/// What the keys of the rows are, and how their column compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    Integers,
    /// Text of which only the database can tell what is one key.
    OpaqueText,
    /// Text that compares without regard to case.
    CaselessText,
}

/// How a schedule ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Once every actor is done, the flow is closed.
    CloseAfter,
    /// It is closed while they are at it.
    CloseAmid,
    /// It is closed while they are at it, and has this long for its last rows.
    CloseWithin(Duration),
    /// It is cancelled while they are at it, and then closed.
    Cancel { drain: bool },
    /// Every clone is dropped.
    Drop,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let strategies = [
            ConflictStrategy::Ignore,
            ConflictStrategy::Replace,
            ConflictStrategy::Update,
            ConflictStrategy::Update,
            ConflictStrategy::Update,
        ];
        let rules = [Merge::Set, Merge::Add, Merge::Max, Merge::Min, Merge::KeepExisting];
        let keys =
            [Keys::Integers, Keys::Integers, Keys::Integers, Keys::OpaqueText, Keys::CaselessText];
        let millis = |dice: &mut fastrand::Rng, from: u64, to: u64| {
            // Short ones as likely as long ones.
            let (from, to) = ((from as f64).ln(), (to as f64).ln());
            Duration::from_secs_f64((from + dice.f64() * (to - from)).exp() / 1_000.0)
        };
        let longest_delay = millis(&mut dice, 5, 60_000);
        let ending = match dice.u8(..20) {
            0..=7 => Ending::CloseAfter,
            8..=10 => Ending::CloseAmid,
            11..=13 => Ending::CloseWithin(millis(&mut dice, 1, 5_000)),
            14..=16 => Ending::Cancel { drain: dice.bool() },
            _ => Ending::Drop,
        };
        Self {
            seed,
            strategy: strategies[dice.usize(..strategies.len())],
            hits: rules[dice.usize(..rules.len())],
            touch: dice.bool(),
            keys: keys[dice.usize(..keys.len())],
            log_is_keyed: dice.bool(),
            merging: dice.u8(..3) > 0,
            own_coalescer: dice.u8(..4) == 0,
            user_code_panics: dice.u8(..4) == 0,
            flush_size: dice.usize(1..16),
            flush_interval: millis(&mut dice, 1, 500),
            buffer_size: dice.usize(4..64),
            buffer_bytes: if dice.u8(..4) == 0 { dice.usize(2_000..8_000) } else { 1 << 20 },
            concurrency: dice.usize(1..5),
            timeout: millis(&mut dice, 10, 30_000),
            give_up_after: millis(&mut dice, 50, 300_000),
            max_attempts: (dice.u8(..5) == 0).then(|| dice.u32(1..5)),
            grace: millis(&mut dice, 1, 30_000),
            max_rows: (dice.u8(..4) == 0).then(|| dice.usize(1..8)),
            too_large_above: (dice.u8(..8) == 0).then(|| dice.usize(1..6)),
            settles: dice.bool(),
            blames: dice.bool(),
            fault_rate: [0.0, 0.1, 0.3, 0.6][dice.usize(..4)],
            driver_panics: dice.bool(),
            orphans: dice.bool(),
            lost_answers: dice.u8(..4) > 0,
            longest_delay,
            describe_faults: if dice.u8(..6) == 0 { dice.usize(1..6) } else { 0 },
            actors: dice.usize(1..6),
            steps: dice.usize(4..28),
            bad_rows: dice.u8(..3) == 0,
            partial_rows: dice.bool(),
            aborts_an_actor: dice.u8(..8) == 0,
            pace: millis(&mut dice, 1, 400),
            ending,
            ends_at: millis(&mut dice, 1, 20_000),
        }
    }

    /// Dice of their own for the part of the schedule called `part`.
    pub(crate) fn dice(&self, part: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(part))
    }
}
