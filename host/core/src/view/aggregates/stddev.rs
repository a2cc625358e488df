//! `stddev(x)`: the sample standard deviation. Accumulator: `[count, mean, sum of squared distances from the mean]`.
//!
//! A value is added by Welford's method (1962), tiles are merged by that of Chan, Golub and LeVeque (1979). Neither
//! subtracts large sums of squares from each other, so the result is right also if values are far from 0 and close to
//! each other. Division and square root are rounded as IEEE 754 says, so equal tiles give equal bits on every machine.

use super::cells::{canonical_bits, read_count};
use super::interface::{AggregateSpec, Kernel, LoadScope, SaveScope};
use super::{AggregateKernel, CorruptWindow, WindowReader};
use crate::types::Type;
use crate::wire::put_varint;

pub(super) const SPEC: AggregateSpec = AggregateSpec {
    name: "stddev",
    aliases: &["std", "deviation", "stddev_samp"],
    takes: "an int or a double",
    select: |argument| match argument {
        Some(Type::Int) => Some((AggregateKernel::DeviationInt, Type::Double)),
        Some(Type::Double) => Some((AggregateKernel::DeviationDouble, Type::Double)),
        _ => None,
    },
    docs: [
        "`stddev(x)`",
        "int or double",
        "double: the standard deviation of a sample, with n - 1 in the denominator; missing of fewer than two values",
        "missing",
    ],
};

pub(super) struct DeviationDouble;

impl Kernel for DeviationDouble {
    const IDENTITY: &'static [u64] = &[0, 0, 0];
    const IS_EXACT: bool = false;

    #[inline]
    fn add(cell: &mut [u64], word: u64, _: i64) {
        let [value, mean, squares] = [word, cell[1], cell[2]].map(f64::from_bits);
        cell[0] += 1;
        let distance = value - mean;
        let mean = mean + distance / cell[0] as f64;
        cell[1] = canonical_bits(mean);
        cell[2] = canonical_bits(squares + distance * (value - mean));
    }

    #[inline]
    fn merge(cell: &mut [u64], newer: &[u64]) {
        if newer[0] == 0 {
            return;
        }
        if cell[0] == 0 {
            return cell[..3].copy_from_slice(&newer[..3]);
        }
        let [mean, newer_mean, squares, newer_squares] = [cell[1], newer[1], cell[2], newer[2]].map(f64::from_bits);
        let count = cell[0] as f64;
        cell[0] += newer[0];
        let newer_share = newer[0] as f64 / cell[0] as f64;
        let distance = newer_mean - mean;
        cell[1] = canonical_bits(mean + distance * newer_share);
        cell[2] = canonical_bits(squares + newer_squares + distance * distance * (count * newer_share));
    }

    #[inline]
    fn result(cell: &[u64]) -> Option<u64> {
        (cell[0] > 1).then(|| canonical_bits((f64::from_bits(cell[2]) / (cell[0] - 1) as f64).sqrt()))
    }

    // Count, and when there are any: mean, squares.
    fn save(cell: &[u64], _: &SaveScope<'_>, out: &mut Vec<u8>) {
        put_varint(out, cell[0]);
        if cell[0] != 0 {
            out.extend_from_slice(&cell[1].to_le_bytes());
            out.extend_from_slice(&cell[2].to_le_bytes());
        }
    }

    fn load(cell: &mut [u64], _: &mut LoadScope<'_>, reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow> {
        cell[0] = read_count(reader)?;
        if cell[0] != 0 {
            cell[1] = reader.double()?;
            // Not checked to be positive: it is minus infinity if the distance of two values is out of range.
            cell[2] = reader.double()?;
        }
        Ok(())
    }
}

pub(super) struct DeviationInt;

impl Kernel for DeviationInt {
    const IDENTITY: &'static [u64] = DeviationDouble::IDENTITY;
    const IS_EXACT: bool = false;

    #[inline]
    fn add(cell: &mut [u64], word: u64, time: i64) {
        DeviationDouble::add(cell, (word as i64 as f64).to_bits(), time);
    }

    #[inline]
    fn merge(cell: &mut [u64], newer: &[u64]) {
        DeviationDouble::merge(cell, newer);
    }

    #[inline]
    fn result(cell: &[u64]) -> Option<u64> {
        DeviationDouble::result(cell)
    }

    fn save(cell: &[u64], scope: &SaveScope<'_>, out: &mut Vec<u8>) {
        DeviationDouble::save(cell, scope, out);
    }

    fn load(cell: &mut [u64], scope: &mut LoadScope<'_>, reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow> {
        DeviationDouble::load(cell, scope, reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(values: &[f64]) -> Vec<u64> {
        let mut cell = DeviationDouble::IDENTITY.to_vec();
        values.iter().for_each(|value| DeviationDouble::add(&mut cell, value.to_bits(), 0));
        cell
    }

    #[test]
    fn values_far_from_zero_keep_their_deviation() {
        // The deviation of 4, 7, 13 and 16 is the square root of 30. Sums of squares would lose it from 1e9 on.
        for base in [0.0, 1e9, -1e12] {
            let values = [4.0, 7.0, 13.0, 16.0].map(|value| base + value);
            for split in 0..=values.len() {
                let (older, newer) = values.split_at(split);
                let mut cell = fold(older);
                DeviationDouble::merge(&mut cell, &fold(newer));
                let found = DeviationDouble::result(&cell).map(f64::from_bits).unwrap();
                assert!((found - 30f64.sqrt()).abs() < 1e-9, "{found} from {base} split at {split}");
            }
        }
    }

    #[test]
    fn it_needs_two_values() {
        let result = |values: &[f64]| DeviationDouble::result(&fold(values)).map(f64::from_bits);
        assert_eq!(result(&[]), None);
        assert_eq!(result(&[5.0]), None);
        assert_eq!(result(&[5.0, 5.0]), Some(0.0));
        assert_eq!(result(&[1.0, 3.0]), Some(2f64.sqrt()));
        for values in [[f64::INFINITY, 1.0], [1.0, f64::NEG_INFINITY], [f64::MAX, f64::MIN]] {
            let bits = DeviationDouble::result(&fold(&values));
            assert_eq!(bits, Some(f64::NAN.to_bits()), "{values:?}");
        }
    }
}
