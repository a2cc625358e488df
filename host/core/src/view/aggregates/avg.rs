//! `avg(x)`: the mean. Accumulator: `[sum as a double, count]`.

use super::cells::{canonical_bits, read_count, sum_bits};
use super::interface::{AggregateSpec, Kernel, LoadScope, SaveScope};
use super::{AggregateKernel, CorruptWindow, WindowReader};
use crate::types::Type;
use crate::wire::put_varint;

pub(super) const SPEC: AggregateSpec = AggregateSpec {
    name: "avg",
    aliases: &["average", "mean"],
    takes: "an int or a double",
    select: |argument| match argument {
        Some(Type::Int) => Some((AggregateKernel::AverageInt, Type::Double)),
        Some(Type::Double) => Some((AggregateKernel::AverageDouble, Type::Double)),
        _ => None,
    },
    docs: ["`avg(x)`", "int or double", "double: the mean", "missing"],
};

pub(super) struct AverageDouble;

impl Kernel for AverageDouble {
    const IDENTITY: &'static [u64] = &[0, 0];
    const IS_EXACT: bool = false;

    #[inline]
    fn add(cell: &mut [u64], word: u64, _: i64) {
        cell[0] = sum_bits(cell[0], word);
        cell[1] += 1;
    }

    #[inline]
    fn merge(cell: &mut [u64], newer: &[u64]) {
        cell[0] = sum_bits(cell[0], newer[0]);
        cell[1] += newer[1];
    }

    #[inline]
    fn result(cell: &[u64]) -> Option<u64> {
        let mean = f64::from_bits(cell[0]) / cell[1] as f64;
        (cell[1] != 0).then(|| canonical_bits(mean))
    }

    fn save(cell: &[u64], _: &SaveScope<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&cell[0].to_le_bytes());
        put_varint(out, cell[1]);
    }

    fn load(cell: &mut [u64], _: &mut LoadScope<'_>, reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow> {
        cell[0] = reader.double()?;
        cell[1] = read_count(reader)?;
        Ok(())
    }
}

pub(super) struct AverageInt;

impl Kernel for AverageInt {
    const IDENTITY: &'static [u64] = AverageDouble::IDENTITY;
    const IS_EXACT: bool = false;

    #[inline]
    fn add(cell: &mut [u64], word: u64, time: i64) {
        AverageDouble::add(cell, (word as i64 as f64).to_bits(), time);
    }

    #[inline]
    fn merge(cell: &mut [u64], newer: &[u64]) {
        AverageDouble::merge(cell, newer);
    }

    #[inline]
    fn result(cell: &[u64]) -> Option<u64> {
        AverageDouble::result(cell)
    }

    fn save(cell: &[u64], scope: &SaveScope<'_>, out: &mut Vec<u8>) {
        AverageDouble::save(cell, scope, out);
    }

    fn load(cell: &mut [u64], scope: &mut LoadScope<'_>, reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow> {
        AverageDouble::load(cell, scope, reader)
    }
}
