//! The reasons of a verdict. The first four need no allocation.

use crate::names::Reason;

/// A reason and its weight.
pub(crate) type Slot = (Option<Reason>, f64);

const EMPTY: Slot = (None, 0.0);

/// Up to four reasons in place.
///
/// Every index is a constant, so that the compiler keeps a verdict in registers from the author's function to the
/// answer. With a variable index, each call of the verdict's builder would copy it through memory.
#[derive(Clone, Debug)]
pub(crate) struct Reasons {
    count: u32,
    slots: [Slot; 4],
}

impl Reasons {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self { count: 0, slots: [EMPTY; 4] }
    }

    /// Adds a reason; false if all four slots are used.
    #[inline(always)]
    pub(crate) fn push(&mut self, reason: Reason, weight: f64) -> bool {
        let slot = (Some(reason), weight);
        match self.count {
            0 => self.slots[0] = slot,
            1 => self.slots[1] = slot,
            2 => self.slots[2] = slot,
            3 => self.slots[3] = slot,
            _ => return false,
        }
        self.count += 1;
        true
    }

    /// The slots. Reasons are in their order, followed by empty slots.
    #[inline(always)]
    pub(crate) const fn slots(&self) -> [Slot; 4] {
        self.slots
    }
}
