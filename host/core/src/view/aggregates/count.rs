//! `count()` and `count(x)`. Accumulator: `[count]`.

use super::cells::read_count;
use super::interface::{AggregateSpec, Kernel, LoadScope, SaveScope};
use super::{AggregateKernel, CorruptWindow, WindowReader};
use crate::types::Type;
use crate::wire::put_varint;

pub(super) const SPEC: AggregateSpec = AggregateSpec {
    name: "count",
    aliases: &["number"],
    takes: "anything",
    select: |_| Some((AggregateKernel::Count, Type::Int)),
    docs: ["`count()` `count(x)`", "none, or anything", "int: the number of events, or of those that have `x`", "0"],
};

pub(super) struct Count;

impl Kernel for Count {
    const IDENTITY: &'static [u64] = &[0];
    const READS_VALUES: bool = false;
    const CAN_BE_MISSING: bool = false;

    #[inline]
    fn add(cell: &mut [u64], _: u64, _: i64) {
        cell[0] += 1;
    }

    #[inline]
    fn merge(cell: &mut [u64], newer: &[u64]) {
        cell[0] += newer[0];
    }

    #[inline]
    fn result(cell: &[u64]) -> Option<u64> {
        Some(cell[0])
    }

    // One of the two most common kernels: this path has no copies.
    #[inline]
    fn result_of_three(a: &[u64], b: &[u64], c: &[u64]) -> Option<u64> {
        Some(a[0] + (b[0] + c[0]))
    }

    fn save(cell: &[u64], _: &SaveScope<'_>, out: &mut Vec<u8>) {
        put_varint(out, cell[0]);
    }

    fn load(cell: &mut [u64], _: &mut LoadScope<'_>, reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow> {
        cell[0] = read_count(reader)?;
        Ok(())
    }
}
