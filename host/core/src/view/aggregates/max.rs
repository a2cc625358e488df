//! `max(x)`. Accumulators: of ints and timestamps `[value, 1 if there is one]`; of doubles `[value]`, NaN when there is
//! none.

use super::cells::{load_optional_int, save_optional_int};
use super::interface::{AggregateSpec, Kernel, LoadScope, SaveScope};
use super::{AggregateKernel, CorruptWindow, WindowReader};
use crate::types::Type;

pub(super) const SPEC: AggregateSpec = AggregateSpec {
    name: "max",
    aliases: &["maximum", "greatest"],
    takes: "an int, a double or a timestamp",
    select: |argument| match argument {
        Some(Type::Double) => Some((AggregateKernel::MaxDouble, Type::Double)),
        Some(ty @ (Type::Int | Type::Timestamp)) => Some((AggregateKernel::MaxInt, ty.clone())),
        _ => None,
    },
    docs: ["`max(x)`", "int, double or timestamp", "the same type: the greatest value; -0.0 is below 0.0", "missing"],
};

pub(super) struct MaxInt;

impl Kernel for MaxInt {
    const IDENTITY: &'static [u64] = &[0, 0];

    #[inline]
    fn add(cell: &mut [u64], word: u64, _: i64) {
        Self::merge(cell, &[word, 1]);
    }

    #[inline]
    fn merge(cell: &mut [u64], newer: &[u64]) {
        if newer[1] != 0 && (cell[1] == 0 || (newer[0] as i64) > (cell[0] as i64)) {
            cell[..2].copy_from_slice(&newer[..2]);
        }
    }

    #[inline]
    fn result(cell: &[u64]) -> Option<u64> {
        (cell[1] != 0).then_some(cell[0])
    }

    fn save(cell: &[u64], _: &SaveScope<'_>, out: &mut Vec<u8>) {
        save_optional_int(cell, out);
    }

    fn load(cell: &mut [u64], _: &mut LoadScope<'_>, reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow> {
        load_optional_int(cell, reader)
    }
}

pub(super) struct MaxDouble;

impl Kernel for MaxDouble {
    const IDENTITY: &'static [u64] = &[f64::NAN.to_bits()];

    #[inline]
    fn add(cell: &mut [u64], word: u64, _: i64) {
        Self::merge(cell, &[word]);
    }

    #[inline]
    fn merge(cell: &mut [u64], newer: &[u64]) {
        // The total order distinguishes -0.0 from 0.0, so that the result does not depend on the order of events.
        let (old, new) = (f64::from_bits(cell[0]), f64::from_bits(newer[0]));
        if !new.is_nan() && (old.is_nan() || new.total_cmp(&old).is_gt()) {
            cell[0] = newer[0];
        }
    }

    #[inline]
    fn result(cell: &[u64]) -> Option<u64> {
        (!f64::from_bits(cell[0]).is_nan()).then_some(cell[0])
    }

    fn save(cell: &[u64], _: &SaveScope<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&cell[0].to_le_bytes());
    }

    fn load(cell: &mut [u64], _: &mut LoadScope<'_>, reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow> {
        cell[0] = reader.double()?;
        Ok(())
    }
}
