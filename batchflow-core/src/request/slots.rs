//! [`Slots`]: a row in one piece of memory, which is used again.
//!
//! A row is mostly built by one thread and dropped by another. General allocators make the two
//! wait for each other, row by row; here slots change threads by the [`STACK`]. And a row is moved
//! several times on its way: what is moved is small.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::RequestError;
use crate::schema::Schema;
use crate::value::Value;

/// Rows of up to this many columns use memory again.
const WIDTHS: usize = 16;

/// How many rows' slots a thread hands on at once.
const STACK: usize = 64;

/// The most stacks that wait for a thread to take them, for each width.
const STACKS: usize = 32;

/// Slots of one width.
type Stack = Vec<Box<[Slot]>>;

thread_local! {
    /// This thread's slots, by width.
    static OWN: RefCell<[Stack; WIDTHS]> = const { RefCell::new([const { Vec::new() }; WIDTHS]) };
}

/// Stacks that threads handed on, by width.
static HANDED_ON: [Mutex<Vec<Stack>>; WIDTHS] = [const { Mutex::new(Vec::new()) }; WIDTHS];

/// How many stacks wait, by width: a hint, so that threads which find none do not meet at a lock.
static WAITING: [AtomicUsize; WIDTHS] = [const { AtomicUsize::new(0) }; WIDTHS];

/// The columns of one row, behind a head of [`HEAD`] slots.
pub(super) struct Slots(Box<[Slot]>);

/// A part of a row.
#[derive(Clone, PartialEq)]
pub(super) enum Slot {
    /// A column that is unset.
    Unset,
    /// A column that is set.
    Set(Value),
    /// The first of the head.
    Schema(Schema),
    /// The same, of a row that a mistake was made with.
    Mistaken(Box<(Schema, RequestError)>),
    /// The second of the head.
    Sums(Sums),
}

const _: () = assert!(size_of::<Slot>() == size_of::<Value>());

/// How many slots stand before the columns.
pub(super) const HEAD: usize = 2;

/// What is known of a row's columns as a whole.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    /// What the values hold on the heap.
    pub(super) heap_bytes: usize,
    /// Which of the first 64 columns are set, as bits.
    pub(super) set: u64,
}

impl Slots {
    /// A row of unset columns.
    pub(super) fn unset(schema: &Schema) -> Self {
        let mut slots = unfilled(schema.width());
        slots.iter_mut().for_each(empty);
        Self::filled(slots, schema, Sums::default())
    }

    /// A row whose columns are filled.
    #[inline]
    pub(super) fn filled(mut slots: Box<[Slot]>, schema: &Schema, sums: Sums) -> Self {
        if let [first, second, ..] = &mut *slots {
            fill(first, Slot::Schema(schema.clone()));
            fill(second, Slot::Sums(sums));
        }
        Self(slots)
    }

    #[inline]
    pub(super) fn schema(&self) -> &Schema {
        match self.0.first() {
            Some(Slot::Schema(schema)) => schema,
            Some(Slot::Mistaken(both)) => &both.0,
            _ => unreachable!("a row begins with its schema"),
        }
    }

    /// The first mistake made with the row.
    #[inline]
    pub(super) fn mistake(&self) -> Option<&RequestError> {
        match self.0.first() {
            Some(Slot::Mistaken(both)) => Some(&both.1),
            _ => None,
        }
    }

    /// Keeps a mistake, if it is the first.
    #[cold]
    pub(super) fn keep_mistake(&mut self, error: RequestError) {
        if let Some(first @ Slot::Schema(_)) = self.0.first_mut()
            && let Slot::Schema(schema) = std::mem::replace(first, Slot::Unset)
        {
            *first = Slot::Mistaken(Box::new((schema, error)));
        }
    }

    #[inline]
    pub(super) fn sums(&self) -> Sums {
        match self.0.get(1) {
            Some(Slot::Sums(sums)) => *sums,
            _ => Sums::default(),
        }
    }

    /// How many columns there are.
    #[inline]
    pub(super) fn width(&self) -> usize {
        self.columns().len()
    }

    #[inline]
    fn columns(&self) -> &[Slot] {
        self.0.get(HEAD..).unwrap_or_default()
    }

    /// What a column is set to.
    #[inline]
    pub(super) fn value(&self, at: usize) -> Option<&Value> {
        self.columns().get(at)?.value()
    }

    /// What each column is set to.
    pub(super) fn values(&self) -> impl Iterator<Item = Option<&Value>> {
        self.columns().iter().map(Slot::value)
    }

    /// Puts a value, or none, in the place of the old one.
    pub(super) fn replace(&mut self, at: usize, value: Option<Value>) -> Option<Value> {
        let (head, columns) = self.0.split_at_mut_checked(HEAD)?;
        let (Some(Slot::Sums(sums)), Some(slot)) = (head.last_mut(), columns.get_mut(at)) else {
            return None;
        };
        sums.heap_bytes += value.as_ref().map_or(0, Value::heap_bytes);
        sums.set = if value.is_some() { sums.set | bit(at) } else { sums.set & !bit(at) };
        let old = match std::mem::replace(slot, value.map_or(Slot::Unset, Slot::Set)) {
            Slot::Set(old) => Some(old),
            _ => None,
        };
        sums.heap_bytes -= old.as_ref().map_or(0, Value::heap_bytes);
        old
    }

    /// Whether a column is set, without a look at its value where that can be.
    #[inline]
    pub(super) fn is_set(&self, at: usize) -> bool {
        if at < 64 { self.sums().set & bit(at) != 0 } else { self.value(at).is_some() }
    }

    /// The column after the last that is set, of the first 64.
    #[inline]
    pub(super) fn after_set(&self) -> usize {
        (u64::BITS - self.sums().set.leading_zeros()) as usize
    }

    /// Whether no column is set.
    #[inline]
    pub(super) fn is_empty_row(&self) -> bool {
        self.sums().set == 0 && self.values().skip(64).all(|value| value.is_none())
    }
}

impl Slot {
    #[inline]
    fn value(&self) -> Option<&Value> {
        match self {
            Self::Set(value) => Some(value),
            _ => None,
        }
    }
}

/// The bit of a column; none past the 64th.
#[inline]
pub(super) fn bit(at: usize) -> u64 {
    if at < 64 { 1 << at } else { 0 }
}

impl Clone for Slots {
    fn clone(&self) -> Self {
        let mut slots = unfilled(self.width());
        slots.clone_from_slice(&self.0);
        let mut clone = Self(slots);
        // A clone of a text need not keep the room that the text had to grow.
        let heap_bytes = clone.values().flatten().map(Value::heap_bytes).sum();
        if let Some(Slot::Sums(sums)) = clone.0.get_mut(1) {
            sums.heap_bytes = heap_bytes;
        }
        clone
    }
}

/// Equal in schema, values and mistake, however they were set.
impl PartialEq for Slots {
    fn eq(&self, other: &Self) -> bool {
        self.0.first() == other.0.first() && self.columns() == other.columns()
    }
}

impl Drop for Slots {
    #[inline]
    fn drop(&mut self) {
        let heap_bytes = self.sums().heap_bytes;
        let mut slots = std::mem::take(&mut self.0);
        let Some((head, columns)) = slots.split_at_mut_checked(HEAD) else { return };
        // Values without anything on the heap need no look: they lie in another core's cache.
        if heap_bytes > 0 {
            columns.fill_with(|| Slot::Unset);
        }
        if let Some(first) = head.first_mut()
            && !matches!(first, Slot::Schema(schema) if schema.is_kept())
        {
            *first = Slot::Unset;
        }
        keep(slots);
    }
}

/// Slots that hold anything without heap, until each is [filled](fill) or [emptied](empty).
#[inline]
pub(super) fn unfilled(width: usize) -> Box<[Slot]> {
    reused(width).unwrap_or_else(|| new(width))
}

/// Fills an unfilled slot. What it held has nothing on the heap, and needs no look.
#[inline]
pub(super) fn fill(slot: &mut Slot, with: Slot) {
    std::mem::forget(std::mem::replace(slot, with));
}

/// Empties an unfilled slot.
#[inline]
pub(super) fn empty(slot: &mut Slot) {
    fill(slot, Slot::Unset);
}

#[cold]
fn new(width: usize) -> Box<[Slot]> {
    vec![Slot::Unset; HEAD + width].into()
}

/// Slots of exactly this width, whose values are anything without heap.
#[inline]
fn reused(width: usize) -> Option<Box<[Slot]>> {
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
fn keep(slots: Box<[Slot]>) {
    let Some(at) = slots.len().checked_sub(HEAD + 1).filter(|at| *at < WIDTHS) else { return };
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
        let schema = Schema::new("t", crate::ConflictStrategy::Ignore, ["a", "b", "c"]).unwrap();
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
            let mut set = Slots::unset(&schema);
            assert_eq!(set.replace(1, Some(value.clone())), None);
            let mut filled = unfilled(3);
            for (slot, value) in filled.iter_mut().skip(HEAD).zip([None, Some(&value), None]) {
                fill(slot, value.map_or(Slot::Unset, |value| Slot::Set(value.clone())));
            }
            let sums = Sums { heap_bytes: value.heap_bytes(), set: 0b10 };
            let filled = Slots::filled(filled, &schema, sums);
            assert!(set == filled && set.clone() == filled && set.sums() == filled.sums());
            let mut mistaken = filled.clone();
            mistaken.keep_mistake(RequestError::Empty { table: "t".to_owned() });
            assert!(mistaken != filled && mistaken.schema() == filled.schema());
            drop((set, filled, mistaken));
            let again = [unfilled(3), unfilled(3), unfilled(3)];
            assert!(again.iter().flatten().all(|slot| !matches!(slot, Slot::Mistaken(_))));
            let held = again.iter().flatten().filter_map(Slot::value).map(Value::heap_bytes);
            assert_eq!(held.sum::<usize>(), 0, "{:?}", value.kind());
        }
    }

    #[test]
    fn a_schema_that_is_counted_is_let_go_with_its_rows() {
        let schema = |n: usize| {
            Schema::new(format!("slots_{n}"), crate::ConflictStrategy::Ignore, ["a"]).unwrap()
        };
        // More than are kept for good.
        let schemas: Vec<Schema> = (0..1_100).map(schema).collect();
        let counted = schemas.last().unwrap();
        assert!(!counted.is_kept());
        drop((0..100).map(|_| Slots::unset(counted)).collect::<Vec<_>>());
        let again: Vec<_> = (0..100).map(|_| unfilled(1)).collect();
        let holds = |slot: &Slot| matches!(slot, Slot::Schema(schema) if !schema.is_kept());
        assert!(!again.iter().flatten().any(holds));
    }
}
