//! `first(x)`: the value of the event with the least time; among equal times that of the event that came first.
//! Accumulator: `[time, value or word of a text]`.

use super::cells::{load_timed, save_timed};
use super::interface::{AggregateSpec, Kernel, LoadScope, SaveScope};
use super::{AggregateKernel, CorruptWindow, TextArena, WindowReader};
use crate::types::Type;

pub(super) const SPEC: AggregateSpec = AggregateSpec {
    name: "first",
    aliases: &["earliest", "oldest"],
    takes: "a bool, an int, a double, a string or a timestamp",
    select: |argument| match argument {
        Some(Type::Text) => Some((AggregateKernel::FirstText, Type::Text)),
        Some(ty @ (Type::Bool | Type::Int | Type::Double | Type::Timestamp)) => {
            Some((AggregateKernel::FirstWord, ty.clone()))
        }
        _ => None,
    },
    docs: [
        "`first(x)`",
        "bool, int, double, string or timestamp",
        "the value of the event with the least time; of equal times, of the event that came first. Texts are cut to 256 bytes",
        "missing",
    ],
};

/// The time in the accumulator of no events. It is greater than all event times.
const NO_EVENT_TIME: u64 = i64::MAX as u64;

pub(super) struct FirstWord;

impl Kernel for FirstWord {
    const IDENTITY: &'static [u64] = &[NO_EVENT_TIME, 0];

    #[inline]
    fn add(cell: &mut [u64], word: u64, time: i64) {
        Self::merge(cell, &[time as u64, word]);
    }

    #[inline]
    fn merge(cell: &mut [u64], newer: &[u64]) {
        // No events never have the lesser time.
        if (newer[0] as i64) < cell[0] as i64 {
            cell[..2].copy_from_slice(&newer[..2]);
        }
    }

    #[inline]
    fn result(cell: &[u64]) -> Option<u64> {
        (cell[0] != NO_EVENT_TIME).then_some(cell[1])
    }

    fn save(cell: &[u64], scope: &SaveScope<'_>, out: &mut Vec<u8>) {
        save_timed(cell[0], Self::result(cell), scope, out);
    }

    fn load(cell: &mut [u64], scope: &mut LoadScope<'_>, reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow> {
        load_timed(cell, scope, reader)
    }
}

pub(super) struct FirstText;

impl Kernel for FirstText {
    const IDENTITY: &'static [u64] = FirstWord::IDENTITY;

    #[inline]
    fn add(cell: &mut [u64], word: u64, time: i64) {
        FirstWord::add(cell, word, time);
    }

    fn add_text(cell: &mut [u64], text: &str, time: i64, texts: &mut TextArena) {
        if time < cell[0] as i64 {
            Self::free(cell, texts);
            cell[..2].copy_from_slice(&[time as u64, texts.insert(text)]);
        }
    }

    #[inline]
    fn merge(cell: &mut [u64], newer: &[u64]) {
        FirstWord::merge(cell, newer);
    }

    #[inline]
    fn result(cell: &[u64]) -> Option<u64> {
        FirstWord::result(cell)
    }

    fn free(cell: &[u64], texts: &mut TextArena) {
        if let Some(word) = Self::result(cell) {
            texts.remove(word);
        }
    }

    fn save(cell: &[u64], scope: &SaveScope<'_>, out: &mut Vec<u8>) {
        FirstWord::save(cell, scope, out);
    }

    fn load(cell: &mut [u64], scope: &mut LoadScope<'_>, reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow> {
        FirstWord::load(cell, scope, reader)
    }
}
