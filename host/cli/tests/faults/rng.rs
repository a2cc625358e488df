//! Chance that a seed makes: the same faults and the same payments again, though not at the same moments.

use std::time::Duration;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

pub(crate) struct SeededRng(Xoshiro256PlusPlus);

impl SeededRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number of a range, both ends included.
    pub(crate) fn between(&mut self, from: usize, to: usize) -> usize {
        from + (self.0.next_u64() % (to - from + 1) as u64) as usize
    }

    /// A time of a range of milliseconds.
    pub(crate) fn millis(&mut self, from: usize, to: usize) -> Duration {
        Duration::from_millis(self.between(from, to) as u64)
    }

    /// The items in another order (Fisher and Yates).
    pub(crate) fn shuffled<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        let mut items = items.to_vec();
        for last in (1..items.len()).rev() {
            items.swap(last, self.between(0, last));
        }
        items
    }
}
