//! Promise 3, within a batch that may hold one key twice.

use super::*;
use crate::executor::order::keep_in_order;
use crate::value::Value;

fn check(
    keys: &[i64],
    strategy: ConflictStrategy,
    verdicts: &str,
    again: &[usize],
    kept: &[usize],
) {
    let schema = Schema::new("t", strategy, ["id"]).unwrap();
    let rows = keys.iter().map(|&key| schema.row((key,)).unwrap()).collect();
    let batch = Batch::from_requests(rows).unwrap();
    let verdict = |letter| match letter {
        'w' => Verdict::Written,
        'u' => Verdict::Unknown(error(ErrorKind::Connection).outcome_unknown()),
        'r' => Verdict::Unknown(error(ErrorKind::Connection).still_running()),
        _ => Verdict::NotApplied(error(ErrorKind::Connection)),
    };
    let verdicts: Vec<_> = verdicts.chars().map(verdict).collect();
    let mut left = again.to_vec();
    keep_in_order(&batch, &verdicts, &mut left);
    assert_eq!(left, kept, "{keys:?} {strategy:?}");
}

#[test]
fn promise_3_an_earlier_row_never_follows_a_later_one_of_its_key() {
    use ConflictStrategy::{Fail, Replace};
    // Keys that differ, by any strategy.
    check(&[1, 2, 3], Replace, "n.w", &[0, 1], &[0, 1]);
    check(&[1, 2, 3], Fail, "n.w", &[0, 1], &[0, 1]);
    // The second 1 was written, or may have been: the first one must not follow.
    check(&[1, 2, 1], Fail, "nnw", &[0, 1], &[1]);
    check(&[1, 2, 1], Fail, "nnu", &[0, 1], &[1]);
    // Both go again, and so does a later one.
    check(&[1, 2, 1], Fail, "nwn", &[0, 2], &[0, 2]);
    check(&[1, 2, 1], Fail, "wnn", &[1, 2], &[1, 2]);
    // A later one that was not applied does not count.
    check(&[1, 2, 1], Fail, "nwn", &[0], &[0]);
    // Where only the database compares keys, any later row may have the key.
    check(&[1, 2, 1], Replace, "nwn", &[0, 2], &[2]);
    // Nothing overtakes what may still be running.
    check(&[1, 2, 1], Fail, "rnn", &[1, 2], &[]);
    // All of the batch goes again as it was.
    check(&[1, 1], Replace, "nn", &[0, 1], &[0, 1]);
}

/// A unique index may take two NULLs for one key: only a plain insert knows that they are two.
#[test]
fn promise_3_a_null_may_be_another_ones_key_where_only_the_database_compares() {
    for (strategy, kept) in [(ConflictStrategy::Fail, vec![0]), (ConflictStrategy::Replace, vec![])]
    {
        let schema = Schema::new("t", strategy, ["id", "name"]).unwrap();
        let rows = ["a", "b"].map(|name| schema.row((Value::Null, name)).unwrap());
        let batch = Batch::assemble(schema, [0, 1].into(), rows.into(), false);
        let verdicts = [Verdict::NotApplied(error(ErrorKind::Connection)), Verdict::Written];
        let mut again = vec![0];
        keep_in_order(&batch, &verdicts, &mut again);
        assert_eq!(again, kept, "{strategy:?}");
    }
}
