//! The accumulators of aggregates: adding a value, merging two tiles, and the result.
//!
//! An accumulator is one or two words in a flat array of words, whose meaning its kernel knows. All functions are pure,
//! so that equal events in equal order always give equal bits.

use super::measure::Aggregate;
use crate::types::Type;

/// The time in the accumulator of a `last` without events. It is less than all event times.
const NO_EVENT_TIME: u64 = i64::MIN as u64;

/// An aggregate over an argument's type. The comments show the words of the accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AggregateKernel {
    /// `[count]`
    Count,
    /// `[sum]`, saturating.
    SumInt,
    /// `[sum]`
    SumDouble,
    /// `[sum as double, count]`
    AverageInt,
    /// `[sum, count]`
    AverageDouble,
    /// `[least, 1 if there is one]`
    MinInt,
    /// `[greatest, 1 if there is one]`
    MaxInt,
    /// `[least]`; NaN when there is none
    MinDouble,
    /// `[greatest]`; NaN when there is none
    MaxDouble,
    /// `[time, value]`; `NO_EVENT_TIME` when there is none
    Last,
    /// `[time, word of a text]`; `NO_EVENT_TIME` when there is none
    LastText,
}

impl AggregateKernel {
    /// The kernel of an aggregate over an argument of a type that it takes.
    pub(super) fn for_aggregate(aggregate: Aggregate, argument: Option<&Type>) -> Self {
        let is_double = argument == Some(&Type::Double);
        match aggregate {
            Aggregate::Count => Self::Count,
            Aggregate::Sum if is_double => Self::SumDouble,
            Aggregate::Sum => Self::SumInt,
            Aggregate::Avg if is_double => Self::AverageDouble,
            Aggregate::Avg => Self::AverageInt,
            Aggregate::Min if is_double => Self::MinDouble,
            Aggregate::Min => Self::MinInt,
            Aggregate::Max if is_double => Self::MaxDouble,
            Aggregate::Max => Self::MaxInt,
            Aggregate::Last if argument == Some(&Type::Text) => Self::LastText,
            Aggregate::Last => Self::Last,
        }
    }

    /// The accumulator of no events.
    pub(super) fn identity(self) -> &'static [u64] {
        const NAN: u64 = f64::NAN.to_bits();
        match self {
            Self::Count | Self::SumInt | Self::SumDouble => &[0],
            Self::AverageInt | Self::AverageDouble | Self::MinInt | Self::MaxInt => &[0, 0],
            Self::MinDouble | Self::MaxDouble => &[NAN],
            Self::Last | Self::LastText => &[NO_EVENT_TIME, 0],
        }
    }

    /// Adds a value: the bits of a double, an integer or a bool, or the word of a text.
    #[inline]
    pub(super) fn add(self, cell: &mut [u64], word: u64, time: i64) {
        match self {
            Self::Count => cell[0] += 1,
            Self::SumInt => cell[0] = (cell[0] as i64).saturating_add(word as i64) as u64,
            Self::SumDouble => cell[0] = sum_bits(cell[0], word),
            Self::AverageInt => Self::AverageDouble.add(cell, (word as i64 as f64).to_bits(), time),
            Self::AverageDouble => {
                cell[0] = sum_bits(cell[0], word);
                cell[1] += 1;
            }
            Self::MinInt | Self::MaxInt => self.merge(cell, &[word, 1]),
            Self::MinDouble | Self::MaxDouble => self.merge(cell, &[word]),
            Self::Last | Self::LastText => self.merge(cell, &[time as u64, word]),
        }
    }

    /// Merges the accumulator of a newer tile into that of an older one.
    #[inline]
    pub(super) fn merge(self, cell: &mut [u64], newer: &[u64]) {
        match self {
            Self::Count => cell[0] += newer[0],
            Self::SumInt => cell[0] = (cell[0] as i64).saturating_add(newer[0] as i64) as u64,
            Self::SumDouble => cell[0] = sum_bits(cell[0], newer[0]),
            Self::AverageInt | Self::AverageDouble => {
                cell[0] = sum_bits(cell[0], newer[0]);
                cell[1] += newer[1];
            }
            Self::MinInt | Self::MaxInt => {
                let (old, new) = (cell[0] as i64, newer[0] as i64);
                let is_better = if self == Self::MinInt { new < old } else { new > old };
                if newer[1] != 0 && (cell[1] == 0 || is_better) {
                    cell[..2].copy_from_slice(&newer[..2]);
                }
            }
            Self::MinDouble | Self::MaxDouble => {
                // The total order distinguishes -0.0 from 0.0, so that the result does not depend on the order of
                // events.
                let (old, new) = (f64::from_bits(cell[0]), f64::from_bits(newer[0]));
                let is_better =
                    if self == Self::MinDouble { new.total_cmp(&old).is_lt() } else { new.total_cmp(&old).is_gt() };
                if !new.is_nan() && (old.is_nan() || is_better) {
                    cell[0] = newer[0];
                }
            }
            Self::Last | Self::LastText => {
                if newer[0] != NO_EVENT_TIME && newer[0] as i64 >= cell[0] as i64 {
                    cell[..2].copy_from_slice(&newer[..2]);
                }
            }
        }
    }

    /// Copies the accumulator at the start of `cells` to two words. The second has no meaning for a kernel of one word.
    #[inline]
    pub(super) fn load(self, cells: &[u64]) -> [u64; 2] {
        [cells[0], cells.get(1).copied().unwrap_or_default()]
    }

    /// The result of three accumulators, the oldest first: `a` merged with the merge of `b` and `c`.
    #[inline]
    pub(super) fn result_of_three(self, a: &[u64], b: &[u64], c: &[u64]) -> Option<u64> {
        match self {
            // The two most common kernels have a path without copies.
            Self::Count => Some(a[0] + (b[0] + c[0])),
            Self::SumDouble => Some(sum_bits(a[0], sum_bits(b[0], c[0]))),
            _ => {
                let (mut first, mut second) = (self.load(a), self.load(b));
                self.merge(&mut second, c);
                self.merge(&mut first, &second);
                self.result(&first)
            }
        }
    }

    /// The result: bits of the result's type, or the word of a text. `None` if it is missing.
    #[inline]
    pub(super) fn result(self, cell: &[u64]) -> Option<u64> {
        match self {
            Self::Count | Self::SumInt | Self::SumDouble => Some(cell[0]),
            Self::AverageInt | Self::AverageDouble => {
                let mean = f64::from_bits(cell[0]) / cell[1] as f64;
                (cell[1] != 0).then(|| canonical_bits(mean))
            }
            Self::MinInt | Self::MaxInt => (cell[1] != 0).then_some(cell[0]),
            Self::MinDouble | Self::MaxDouble => (!f64::from_bits(cell[0]).is_nan()).then_some(cell[0]),
            Self::Last | Self::LastText => (cell[0] != NO_EVENT_TIME).then_some(cell[1]),
        }
    }

    /// True if the result can be missing.
    pub(super) fn can_be_missing(self) -> bool {
        !matches!(self, Self::Count | Self::SumInt | Self::SumDouble)
    }
}

/// The sum of two doubles given as bits.
#[inline]
fn sum_bits(a: u64, b: u64) -> u64 {
    canonical_bits(f64::from_bits(a) + f64::from_bits(b))
}

/// The bits of a double, with one NaN for all: the bits of the NaN of inf - inf depend on the processor.
#[inline]
fn canonical_bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result_of(kernel: AggregateKernel, words: &[u64]) -> Option<u64> {
        let mut cell = kernel.identity().to_vec();
        words.iter().for_each(|word| kernel.add(&mut cell, *word, 0));
        kernel.result(&cell)
    }

    #[test]
    fn the_result_of_no_events_is_zero_or_missing() {
        for kernel in [AggregateKernel::Count, AggregateKernel::SumInt, AggregateKernel::SumDouble] {
            assert_eq!(result_of(kernel, &[]), Some(0));
            assert!(!kernel.can_be_missing());
        }
        for kernel in [
            AggregateKernel::AverageInt,
            AggregateKernel::AverageDouble,
            AggregateKernel::MinInt,
            AggregateKernel::MaxInt,
            AggregateKernel::MinDouble,
            AggregateKernel::MaxDouble,
            AggregateKernel::Last,
            AggregateKernel::LastText,
        ] {
            assert_eq!(result_of(kernel, &[]), None);
            assert!(kernel.can_be_missing());
        }
    }

    #[test]
    fn sums_of_integers_saturate() {
        let words = |values: &[i64]| values.iter().map(|value| *value as u64).collect::<Vec<_>>();
        assert_eq!(result_of(AggregateKernel::SumInt, &words(&[i64::MAX, 1])), Some(i64::MAX as u64));
        assert_eq!(result_of(AggregateKernel::SumInt, &words(&[i64::MIN, -1])), Some(i64::MIN as u64));
        assert_eq!(result_of(AggregateKernel::MinInt, &words(&[3, -4, 9])), Some(-4i64 as u64));
        assert_eq!(result_of(AggregateKernel::MaxInt, &words(&[i64::MIN])), Some(i64::MIN as u64));
    }

    #[test]
    fn doubles_keep_the_sign_of_zero_and_have_one_nan() {
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        for order in [[0.0, -0.0], [-0.0, 0.0]] {
            assert_eq!(result_of(AggregateKernel::MinDouble, &bits(&order)), Some((-0.0f64).to_bits()));
            assert_eq!(result_of(AggregateKernel::MaxDouble, &bits(&order)), Some(0));
        }
        let infinities = bits(&[f64::INFINITY, f64::NEG_INFINITY]);
        assert_eq!(result_of(AggregateKernel::SumDouble, &infinities), Some(f64::NAN.to_bits()));
        assert_eq!(result_of(AggregateKernel::AverageDouble, &infinities), Some(f64::NAN.to_bits()));
    }

    #[test]
    fn last_is_the_newest_event_and_of_equal_times_the_later_one() {
        let mut cell = AggregateKernel::Last.identity().to_vec();
        for (word, time) in [(1, 5), (2, 7), (3, 6), (4, 7)] {
            AggregateKernel::Last.add(&mut cell, word, time);
        }
        assert_eq!(AggregateKernel::Last.result(&cell), Some(4));
    }
}
