//! Reorders payments from the order of their times to the order of their arrival: some are late, within a limit.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::payment::Payment;
use super::rng::SeededRng;

/// Payments that have not arrived yet.
pub(super) struct Arrivals {
    heap: BinaryHeap<Arriving>,
    pushed: u64,
    /// The longest delay, in milliseconds.
    max_delay_ms: u64,
}

impl Arrivals {
    pub(super) fn new(max_delay_ms: u32) -> Self {
        Self { heap: BinaryHeap::new(), pushed: 0, max_delay_ms: u64::from(max_delay_ms) }
    }

    /// Adds a payment with a random delay: most arrive at once, some a little later, few up to the limit.
    pub(super) fn push(&mut self, payment: Payment, rng: &mut SeededRng) {
        let max_delay = match rng.below(100) {
            0 => self.max_delay_ms,
            1..10 => self.max_delay_ms.min(5_000),
            _ => self.max_delay_ms.min(400),
        };
        let arrival = payment.time + rng.between(0, max_delay) as i64;
        self.heap.push(Arriving { arrival, pushed: self.pushed, payment });
        self.pushed += 1;
    }

    /// The next payment that arrives before `now`. The caller must not push payments from before `now` later.
    pub(super) fn pop_before(&mut self, now: i64) -> Option<Payment> {
        if self.heap.peek()?.arrival >= now {
            return None;
        }
        self.heap.pop().map(|first| first.payment)
    }
}

/// Ordered for the max-heap: the earliest arrival is the greatest; of equal ones, the one pushed first.
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
