//! What goes wrong, drawn from a seed.

/// Rates count of so many calls.
const PER: u64 = 1000;

/// How often each kind of fault happens, of 1,000 calls. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// Reads and writes that fail and change nothing.
    pub failed_before: u32,
    /// Writes that fail although they took effect.
    pub failed_after: u32,
    /// Writes that fail, and of which some items are stored and the position or checkpoint is not. Only where the port
    /// allows it.
    pub failed_partly: u32,
    /// Writes that fail and take effect later, perhaps after others have written.
    pub failed_late: u32,
    /// Appends that are under way for a while: they are stored by one delivery and acknowledged by a later one.
    pub delayed_appends: u32,
    /// Reads of the log that give fewer records than there are, or none.
    pub short_reads: u32,
    /// Wake signals that come with a later delivery.
    pub delayed_signals: u32,
    /// Whether a block of verdicts may be lost while later ones of the same process come into the log.
    pub loses_verdicts: bool,
}

impl FaultRates {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        failed_before: 0,
        failed_after: 0,
        failed_partly: 0,
        failed_late: 0,
        delayed_appends: 0,
        short_reads: 0,
        delayed_signals: 0,
        loses_verdicts: false,
    };

    /// Much goes wrong, of every kind, and most calls still succeed.
    pub const ROUGH: Self = Self {
        failed_before: 20,
        failed_after: 20,
        failed_partly: 20,
        failed_late: 20,
        delayed_appends: 400,
        short_reads: 100,
        delayed_signals: 200,
        loses_verdicts: true,
    };
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Succeed,
    FailBefore,
    FailAfter,
    /// So many items are stored.
    FailPartly(usize),
    FailLate,
}

/// Draws what goes wrong.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) rates: FaultRates,
    pub(super) random: Random,
}

impl Faults {
    pub(super) fn new(seed: u64, rates: FaultRates) -> Self {
        Self { rates, random: Random::new(seed) }
    }

    /// Whether something happens whose rate is this. A rate of 0 draws nothing.
    pub(super) fn happens(&mut self, rate: u32) -> bool {
        rate > 0 && self.random.below(PER) < u64::from(rate)
    }

    /// The fate of a write of so many items that may be stored in part.
    pub(super) fn draw_fate(&mut self, divisible_items: usize) -> Fate {
        let FaultRates { failed_before, failed_after, failed_partly, failed_late, .. } = self.rates;
        if failed_before + failed_after + failed_partly + failed_late == 0 {
            return Fate::Succeed;
        }
        let mut drawn = self.random.below(PER);
        let mut falls_to = |rate: u32| {
            let is_it = drawn < u64::from(rate);
            drawn = drawn.saturating_sub(u64::from(rate));
            is_it
        };
        if falls_to(failed_before) {
            Fate::FailBefore
        } else if falls_to(failed_after) {
            Fate::FailAfter
        } else if falls_to(failed_late) {
            Fate::FailLate
        } else if falls_to(failed_partly) && divisible_items > 0 {
            Fate::FailPartly(self.random.index(divisible_items))
        } else {
            Fate::Succeed
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014, <https://doi.org/10.1145/2660193.2660195>): each number is a function of the
/// seed and of how many were drawn before.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound; 0 if the bound is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // The upper half of a product is as even as the bound is small beside 2^64.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// An index of something with so many items; 0 if it has none.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True in half of all cases.
    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_fates_and_another_one_others() {
        let draw = |seed| {
            let mut faults = Faults::new(seed, FaultRates::ROUGH);
            (0..500).map(|_| faults.draw_fate(7)).collect::<Vec<Fate>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let fates = draw(3);
        for wanted in [Fate::Succeed, Fate::FailBefore, Fate::FailAfter, Fate::FailLate] {
            assert!(fates.contains(&wanted), "{wanted:?}");
        }
        assert!(fates.iter().any(|fate| matches!(fate, Fate::FailPartly(0..7))));
        let mut none = Faults::new(1, FaultRates::NONE);
        assert!((0..500).all(|_| none.draw_fate(7) == Fate::Succeed && !none.happens(0)));
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_all_of_it() {
        let mut random = Random::new(7);
        let drawn: std::collections::BTreeSet<usize> = (0..200).map(|_| random.index(5)).collect();
        assert_eq!(drawn, (0..5).collect());
        assert_eq!((random.below(0), random.index(0)), (0, 0));
    }
}
