//! From the order in which payments are made to the order in which they arrive: some are late, within a bound.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::dice::Dice;
use super::payment::Payment;

/// Payments on their way.
pub(super) struct Arrivals {
    heap: BinaryHeap<Arriving>,
    pushed: u64,
    /// The longest way, in milliseconds.
    longest: u64,
}

impl Arrivals {
    pub(super) fn new(longest_ms: u32) -> Self {
        Self { heap: BinaryHeap::new(), pushed: 0, longest: u64::from(longest_ms) }
    }

    /// Sends a payment on its way: most arrive at once, some a little later, few as late as possible.
    pub(super) fn push(&mut self, payment: Payment, dice: &mut Dice) {
        let most = match dice.below(100) {
            0 => self.longest,
            1..10 => self.longest.min(5_000),
            _ => self.longest.min(400),
        };
        let arrival = payment.time + dice.between(0, most) as i64;
        self.heap.push(Arriving { arrival, pushed: self.pushed, payment });
        self.pushed += 1;
    }

    /// The next payment that arrives before `now`. The caller pushes nothing made before `now` any more.
    pub(super) fn pop_before(&mut self, now: i64) -> Option<Payment> {
        if self.heap.peek()?.arrival >= now {
            return None;
        }
        self.heap.pop().map(|first| first.payment)
    }
}

/// The earliest is the greatest, for the heap; of two at once, the one pushed first.
struct Arriving {
    arrival: i64,
    pushed: u64,
    payment: Payment,
}

impl Ord for Arriving {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.arrival, other.pushed).cmp(&(self.arrival, self.pushed))
    }
}

impl PartialOrd for Arriving {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Arriving {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Arriving {}
