//! The queue under a model checker: every interleaving of its lock is tried.
//!
//! `cargo xtask loom` runs them.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

use super::enqueue::Wait;
use super::queue::{End, Entry, From, Limits, Phase, Queue, Refused, Settled};
use crate::request::Request;
use crate::schema::{ConflictStrategy, Schema};

fn schema() -> Schema {
    Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap()
}

fn row(id: i64) -> Request {
    Request::new(&schema()).set("id", id)
}

fn queue(rows: usize) -> Arc<Queue> {
    Arc::new(Queue::new(Limits {
        buffer_rows: rows,
        buffer_bytes: usize::MAX / 2,
        wake_rows: 1,
        wake_bytes: usize::MAX,
    }))
}

fn ids(entries: &[Entry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.request.get("id").unwrap().unwrap()).collect()
}

/// Takes what is queued and settles it as written.
fn pump(queue: &Queue) -> Vec<i64> {
    let mut room = Vec::new();
    let Some(taken) = queue.take(&mut room) else { return Vec::new() };
    let settled = (taken.first_submission..).zip(&room).map(|(submission, entry)| Settled {
        submission,
        bytes: entry.request.size_bytes(),
        end: End::Written,
    });
    let settled: Vec<_> = settled.collect();
    queue.settle(0, From::Lanes, &settled);
    ids(&room)
}

fn push(queue: &Queue, id: i64) -> bool {
    queue.try_push(&mut Some(row(id)), &mut None).is_ok()
}

#[test]
fn loom_promise_3_a_threads_rows_are_taken_in_their_order() {
    loom::model(|| {
        let queue = queue(8);
        let producers: Vec<_> = [10, 20]
            .map(|base| {
                let queue = queue.clone();
                thread::spawn(move || assert!(push(&queue, base) && push(&queue, base + 1)))
            })
            .into();
        let mut seen = pump(&queue);
        for producer in producers {
            producer.join().unwrap();
        }
        seen.extend(pump(&queue));
        let of =
            |base: i64| seen.iter().copied().filter(move |id| id / base == 1).collect::<Vec<_>>();
        assert_eq!(of(10), [10, 11]);
        assert_eq!(seen.iter().copied().filter(|id| *id >= 20).collect::<Vec<_>>(), [20, 21]);
        assert!(queue.stats().is_conserved());
    });
}

#[test]
fn loom_promise_6_who_waits_for_room_is_woken() {
    loom::model(|| {
        let queue = queue(1);
        assert!(push(&queue, 1));
        let waiter = {
            let queue = queue.clone();
            thread::spawn(move || block_on(Wait::new(&queue, row(2), None)).is_ok())
        };
        assert_eq!(pump(&queue), [1]);
        assert!(waiter.join().unwrap());
        assert_eq!(pump(&queue), [2]);
        let stats = queue.stats();
        assert_eq!((stats.pending, stats.written), (0, 2));
    });
}

#[test]
fn loom_promise_7_a_dropped_submit_is_not_queued_and_gives_its_room_on() {
    loom::model(|| {
        let queue = queue(1);
        assert!(push(&queue, 1));
        let dropper = {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut wait = pin!(Wait::new(&queue, row(2), None));
                let mut cx = Context::from_waker(Waker::noop());
                matches!(wait.as_mut().poll(&mut cx), Poll::Ready(Ok(_)))
            })
        };
        let mut seen = pump(&queue);
        let queued = dropper.join().unwrap();
        seen.extend(pump(&queue));
        assert_eq!(seen.contains(&2), queued);
        // Whatever the drop met, the room is free again.
        assert!(push(&queue, 3));
        assert!(queue.stats().is_conserved());
    });
}

#[test]
fn loom_promise_7_a_close_hands_waiting_rows_back() {
    loom::model(|| {
        let queue = queue(1);
        assert!(push(&queue, 1));
        let waiter = {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut wait = Wait::new(&queue, row(2), None);
                let refused = block_on(&mut wait);
                let left = wait.request.as_ref().and_then(|row| row.get("id").unwrap());
                refused == Err(Refused::Closed) && left == Some(2_i64)
            })
        };
        queue.close(Phase::Draining, None);
        assert!(waiter.join().unwrap());
        assert!(!push(&queue, 3));
        assert_eq!(pump(&queue), [1]);
    });
}
