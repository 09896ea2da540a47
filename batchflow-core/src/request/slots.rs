//! [`Slots`]: the columns of a row, in memory that is used again.
//!
//! A row is mostly built by one thread and dropped by another. General allocators make the two
//! wait for each other, row by row; here slots change threads by the [`STACK`].

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::value::Value;

/// Rows of up to this many columns use memory again.
const WIDTHS: usize = 16;

/// How many rows' slots a thread hands on at once.
const STACK: usize = 64;

/// The most stacks that wait for a thread to take them, for each width.
const STACKS: usize = 32;

/// Slots of one width.
type Stack = Vec<Box<[Option<Value>]>>;

thread_local! {
    /// This thread's slots, by width.
    static OWN: RefCell<[Stack; WIDTHS]> = const { RefCell::new([const { Vec::new() }; WIDTHS]) };
}

/// Stacks that threads handed on, by width.
static HANDED_ON: [Mutex<Vec<Stack>>; WIDTHS] = [const { Mutex::new(Vec::new()) }; WIDTHS];

/// How many stacks wait, by width: a hint, so that threads which find none do not meet at a lock.
static WAITING: [AtomicUsize; WIDTHS] = [const { AtomicUsize::new(0) }; WIDTHS];

/// The columns of one row; `None` is unset.
pub(super) struct Slots {
    values: Box<[Option<Value>]>,
    heap_bytes: usize,
    /// Which of the first 64 columns are set, as bits.
    set: u64,
}

impl Slots {
    /// A row of unset columns.
    pub(super) fn unset(width: usize) -> Self {
        let mut values = unfilled(width);
        values.fill_with(|| None);
        Self { values, heap_bytes: 0, set: 0 }
    }

    /// Columns that are filled, what they hold on the heap, and which of the first 64 are set.
    #[inline]
    pub(super) fn filled(values: Box<[Option<Value>]>, heap_bytes: usize, set: u64) -> Self {
        Self { values, heap_bytes, set }
    }

    /// Puts a value, or none, in the place of the old one.
    pub(super) fn replace(&mut self, at: usize, value: Option<Value>) -> Option<Value> {
        let slot = self.values.get_mut(at)?;
        self.heap_bytes += value.as_ref().map_or(0, Value::heap_bytes);
        self.set = if value.is_some() { self.set | bit(at) } else { self.set & !bit(at) };
        let old = std::mem::replace(slot, value);
        self.heap_bytes -= old.as_ref().map_or(0, Value::heap_bytes);
        old
    }

    /// Whether a column is set, without a look at its value where that can be.
    #[inline]
    pub(super) fn is_set(&self, at: usize) -> bool {
        if at < 64 { self.set & bit(at) != 0 } else { self.get(at).is_some_and(Option::is_some) }
    }

    /// The column after the last that is set, of the first 64.
    #[inline]
    pub(super) fn after_set(&self) -> usize {
        (u64::BITS - self.set.leading_zeros()) as usize
    }

    /// Whether no column is set.
    #[inline]
    pub(super) fn is_empty_row(&self) -> bool {
        self.set == 0 && self.iter().skip(64).all(Option::is_none)
    }

    /// Which of the first 64 columns are set, as bits.
    #[inline]
    pub(super) fn first_set(&self) -> u64 {
        self.set
    }

    /// What the values hold on the heap.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }
}

/// The bit of a column; none past the 64th.
#[inline]
pub(super) fn bit(at: usize) -> u64 {
    if at < 64 { 1 << at } else { 0 }
}

impl Deref for Slots {
    type Target = [Option<Value>];

    #[inline]
    fn deref(&self) -> &[Option<Value>] {
        &self.values
    }
}

impl Clone for Slots {
    fn clone(&self) -> Self {
        let mut values = unfilled(self.len());
        values.clone_from_slice(&self.values);
        // A clone of a text need not keep the room that the text had to grow.
        let heap_bytes = values.iter().flatten().map(Value::heap_bytes).sum();
        Self { values, heap_bytes, set: self.set }
    }
}

impl PartialEq for Slots {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl Drop for Slots {
    #[inline]
    fn drop(&mut self) {
        let mut values = std::mem::take(&mut self.values);
        // Values without anything on the heap need no look: they lie in another core's cache.
        if self.heap_bytes > 0 {
            values.fill_with(|| None);
        }
        keep(values);
    }
}

/// Columns that hold anything without heap, until each is [filled](fill) or emptied.
#[inline]
pub(super) fn unfilled(width: usize) -> Box<[Option<Value>]> {
    reused(width).unwrap_or_else(|| new(width))
}

/// Fills an unfilled column. What it held has nothing on the heap, and needs no look.
#[inline]
pub(super) fn fill(slot: &mut Option<Value>, value: Option<Value>) {
    std::mem::forget(std::mem::replace(slot, value));
}

#[cold]
fn new(width: usize) -> Box<[Option<Value>]> {
    vec![None; width].into()
}

/// Slots of exactly this width, whose values are anything without heap.
#[inline]
fn reused(width: usize) -> Option<Box<[Option<Value>]>> {
    let at = width.checked_sub(1).filter(|at| *at < WIDTHS)?;
    // A thread about to end has none left.
    let own = OWN.try_with(|own| {
        let own = &mut own.try_borrow_mut().ok()?[at];
        if own.is_empty() {
            *own = taken(at)?;
        }
        own.pop()
    });
    own.ok().flatten()
}

/// Keeps slots, with nothing on the heap, for this thread's next rows, or for another's.
#[inline]
fn keep(slots: Box<[Option<Value>]>) {
    let Some(at) = slots.len().checked_sub(1).filter(|at| *at < WIDTHS) else { return };
    // What a thread about to end drops, and what is too much, is freed.
    let _ = OWN.try_with(|own| {
        let Ok(mut own) = own.try_borrow_mut() else { return };
        let own = &mut own[at];
        if own.len() == STACK {
            hand_on(at, own);
        }
        own.push(slots);
    });
}

/// A stack that another thread handed on; none also where another thread is just at it: memory
/// that is new costs less than waiting.
fn taken(at: usize) -> Option<Stack> {
    if WAITING[at].load(Ordering::Relaxed) == 0 {
        return None;
    }
    let mut handed_on = HANDED_ON[at].try_lock().ok()?;
    let stack = handed_on.pop();
    WAITING[at].store(handed_on.len(), Ordering::Relaxed);
    stack
}

/// Leaves a thread's stack to another, or frees it where enough wait.
#[cold]
fn hand_on(at: usize, own: &mut Stack) {
    let stack = std::mem::replace(own, Vec::with_capacity(STACK));
    let Ok(mut handed_on) = HANDED_ON[at].try_lock() else { return };
    if handed_on.len() < STACKS {
        handed_on.push(stack);
        WAITING[at].store(handed_on.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_used_again_holds_nothing_on_the_heap() {
        let long = "x".repeat(100);
        let array = |value: Value| Value::Array([value].into());
        for value in [
            Value::from(long.as_str()),
            Value::Bytes([7].into()),
            Value::Decimal("1".into()),
            Value::Json("{}".into()),
            array(Value::Null),
            array(array(Value::from(long.as_str()))),
        ] {
            let mut set = Slots::unset(3);
            assert_eq!(set.replace(1, Some(value.clone())), None);
            let mut filled = unfilled(3);
            for (slot, value) in filled.iter_mut().zip([None, Some(value.clone()), None]) {
                fill(slot, value);
            }
            let filled = Slots::filled(filled, value.heap_bytes(), 0b10);
            assert!(set == filled && set.clone() == filled);
            drop((set, filled));
            let again = [unfilled(3), unfilled(3), unfilled(3)];
            let held = again.iter().flatten().flatten().map(Value::heap_bytes);
            assert_eq!(held.sum::<usize>(), 0, "{:?}", value.kind());
        }
    }
}
