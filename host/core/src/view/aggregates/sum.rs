//! `sum(x)`. Accumulator: `[sum]`. Integers saturate at the ends of their range instead of wrapping.

use super::cells::sum_bits;
use super::interface::{AggregateSpec, Kernel, LoadScope, SaveScope};
use super::{AggregateKernel, CorruptWindow, WindowReader};
use crate::types::Type;
use crate::wire::put_signed;

pub(super) const SPEC: AggregateSpec = AggregateSpec {
    name: "sum",
    aliases: &["total"],
    takes: "an int or a double",
    select: |argument| match argument {
        Some(Type::Int) => Some((AggregateKernel::SumInt, Type::Int)),
        Some(Type::Double) => Some((AggregateKernel::SumDouble, Type::Double)),
        _ => None,
    },
    docs: [
        "`sum(x)`",
        "int or double",
        "the same type; ints stop at the ends of their range instead of wrapping around",
        "0",
    ],
};

pub(super) struct SumInt;

impl Kernel for SumInt {
    const IDENTITY: &'static [u64] = &[0];
    const CAN_BE_MISSING: bool = false;

    #[inline]
    fn add(cell: &mut [u64], word: u64, _: i64) {
        cell[0] = (cell[0] as i64).saturating_add(word as i64) as u64;
    }

    #[inline]
    fn merge(cell: &mut [u64], newer: &[u64]) {
        cell[0] = (cell[0] as i64).saturating_add(newer[0] as i64) as u64;
    }

    #[inline]
    fn result(cell: &[u64]) -> Option<u64> {
        Some(cell[0])
    }

    fn save(cell: &[u64], _: &SaveScope<'_>, out: &mut Vec<u8>) {
        put_signed(out, cell[0] as i64);
    }

    fn load(cell: &mut [u64], _: &mut LoadScope<'_>, reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow> {
        cell[0] = reader.signed()? as u64;
        Ok(())
    }
}

pub(super) struct SumDouble;

impl Kernel for SumDouble {
    const IDENTITY: &'static [u64] = &[0];
    const CAN_BE_MISSING: bool = false;
    const IS_EXACT: bool = false;

    #[inline]
    fn add(cell: &mut [u64], word: u64, _: i64) {
        cell[0] = sum_bits(cell[0], word);
    }

    #[inline]
    fn merge(cell: &mut [u64], newer: &[u64]) {
        cell[0] = sum_bits(cell[0], newer[0]);
    }

    #[inline]
    fn result(cell: &[u64]) -> Option<u64> {
        Some(cell[0])
    }

    // One of the two most common kernels: this path has no copies.
    #[inline]
    fn result_of_three(a: &[u64], b: &[u64], c: &[u64]) -> Option<u64> {
        Some(sum_bits(a[0], sum_bits(b[0], c[0])))
    }

    fn save(cell: &[u64], _: &SaveScope<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&cell[0].to_le_bytes());
    }

    fn load(cell: &mut [u64], _: &mut LoadScope<'_>, reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow> {
        cell[0] = reader.double()?;
        Ok(())
    }
}
