//! Claims: the keys of which a row waits or is in flight.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::{FlightNumber, KeyHash};

/// A claim, by its number. It is its key's as long as a row of the key waits or is in flight.
pub(in crate::flow) type ClaimNumber = NonZeroU32;

/// No row is at this place.
const NOBODY: u32 = u32::MAX;

/// Who holds a key, and who waits for it.
pub(super) struct Claim {
    hash: KeyHash,
    /// The batch that holds the key.
    pub(super) flight: Option<FlightNumber>,
    /// Waiting rows of this key that stand in line, all of one shape.
    pub(super) ready: u32,
    pub(super) shape: u32,
    newest: u32,
    chain: Option<Box<Chain>>,
}

const _: () = assert!(size_of::<Claim>() <= 32);

/// Rows of one key that wait for their turn, in submission order.
#[derive(Default)]
struct Chain(VecDeque<u32>);

impl Claim {
    fn new(hash: KeyHash) -> Self {
        Self { hash, flight: None, ready: 0, shape: 0, newest: NOBODY, chain: None }
    }

    /// The newest waiting row of this key.
    pub(super) fn newest(&self) -> Option<u32> {
        (self.newest != NOBODY).then_some(self.newest)
    }

    pub(super) fn set_newest(&mut self, at: u32) {
        self.newest = at;
    }

    /// The row waits no longer.
    pub(super) fn leave(&mut self, at: u32) {
        if self.newest == at {
            self.newest = NOBODY;
        }
    }

    /// The rows that wait for their turn.
    pub(super) fn chain(&mut self) -> &mut VecDeque<u32> {
        &mut self.chain.get_or_insert_default().0
    }

    pub(super) fn has_chain(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| !chain.0.is_empty())
    }

    pub(super) fn is_in_chain(&self, at: u32) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.0.contains(&at))
    }

    /// Whether no row of the key waits or is in flight.
    fn is_over(&self) -> bool {
        self.flight.is_none() && self.ready == 0 && !self.has_chain()
    }
}

/// Every claim of a lane.
///
/// Rows know the numbers of their claims, so that a key is looked up when its row comes and when
/// its claim ends, and not in between. The table holds numbers alone: those of many keys fit a
/// processor's cache.
#[derive(Default)]
pub(super) struct Claims {
    numbers: HashTable<ClaimNumber>,
    list: Vec<Claim>,
    free: Vec<ClaimNumber>,
}

fn place(number: ClaimNumber) -> usize {
    number.get() as usize - 1
}

impl Claims {
    /// The claim of a key, made if need be for a row that comes to wait.
    #[inline]
    pub(super) fn of(&mut self, hash: KeyHash) -> ClaimNumber {
        let list = &self.list;
        let hash_of = |number: &ClaimNumber| list[place(*number)].hash;
        let found = self.numbers.entry(
            hash.get(),
            |number| hash_of(number) == hash,
            |number| hash_of(number).get(),
        );
        match found {
            Entry::Occupied(number) => *number.get(),
            Entry::Vacant(vacant) => {
                let claim = Claim::new(hash);
                let number = if let Some(number) = self.free.pop() {
                    self.list[place(number)] = claim;
                    number
                } else {
                    self.list.push(claim);
                    ClaimNumber::MIN.saturating_add((self.list.len() - 1) as u32)
                };
                vacant.insert(number);
                number
            }
        }
    }

    pub(super) fn get(&self, number: ClaimNumber) -> Option<&Claim> {
        self.list.get(place(number))
    }

    pub(super) fn get_mut(&mut self, number: ClaimNumber) -> Option<&mut Claim> {
        self.list.get_mut(place(number))
    }

    /// Forgets the claim if nobody has it any more.
    pub(super) fn end(&mut self, number: ClaimNumber) {
        let Some(claim) = self.get(number).filter(|claim| claim.is_over()) else { return };
        if let Ok(entry) = self.numbers.find_entry(claim.hash.get(), |&other| other == number) {
            entry.remove();
            self.list[place(number)].chain = None;
            self.free.push(number);
        }
    }

    pub(super) fn clear(&mut self) {
        self.numbers.clear();
        self.list.clear();
        self.free.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_its_keys_until_it_ends_and_then_another_may_have_its_number() {
        let mut claims = Claims::default();
        let [one, two] = [1, 2].map(|hash| KeyHash::MIN.saturating_add(hash));
        let first = claims.of(one);
        assert_eq!(claims.of(one), first);
        assert_ne!(claims.of(two), first);
        claims.get_mut(first).unwrap().flight = Some(FlightNumber::MIN);
        claims.end(first);
        assert_eq!(claims.of(one), first, "a batch holds it");
        claims.get_mut(first).unwrap().flight = None;
        claims.end(first);
        claims.end(first);
        let third = claims.of(KeyHash::MIN.saturating_add(3));
        assert_eq!(third, first);
        assert_ne!(claims.of(one), first);
        assert_eq!(claims.list.len(), 3);
    }
}
