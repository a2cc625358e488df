//! The interface of aggregates: the entry in the table, and the kernel, which is the aggregate over arguments of
//! certain types.

use super::{AggregateKernel, CorruptWindow, TextArena, WindowReader};
use crate::types::Type;

/// The most words of an accumulator.
pub(super) const MAX_CELL_WORDS: usize = 3;

/// The entry of an aggregate in the table.
pub(super) struct AggregateSpec {
    /// The name in a definition.
    pub(super) name: &'static str,
    /// Other words for it, which get the advice to use its name.
    pub(super) aliases: &'static [&'static str],
    /// The types of arguments that it takes, for errors.
    pub(super) takes: &'static str,
    /// The kernel and the type of the result over an argument of a type (`None`: no argument, as in `count()`). `None`
    /// if it does not take such an argument.
    pub(super) select: fn(Option<&Type>) -> Option<(AggregateKernel, Type)>,
    /// Its row in the table of docs/views.md without the cost: measure, argument, result, without events.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares the page with it"))]
    pub(super) docs: [&'static str; 4],
}

/// An aggregate over arguments of certain types. All functions are pure, so that equal events in equal order always
/// give equal bits.
///
/// The accumulator, or cell, is a fixed number of words, whose meaning its kernel knows; functions get a slice that
/// begins with the cell and may be longer. Content of variable size is in the arena of texts, and the cell has its
/// word. The cell of a tile owns that content, until `free`. A merge only copies words, so a merged cell borrows the
/// content of the tiles.
pub(super) trait Kernel {
    /// The cell of no events. Merging it changes nothing. It has at most [`MAX_CELL_WORDS`] words.
    const IDENTITY: &'static [u64];
    /// False if only the presence of arguments counts.
    const READS_VALUES: bool = true;
    /// True if there is no result without events.
    const CAN_BE_MISSING: bool = true;
    /// True if the result does not depend on the tiles between which the events are divided, nor on the grouping of
    /// merges. Otherwise it is equal in equal tiles, because `window` fixes the order of merges.
    #[cfg_attr(not(test), expect(dead_code, reason = "property tests compare exact results bit by bit"))]
    const IS_EXACT: bool = true;

    /// Adds a value: the bits of a double, an integer or a bool.
    fn add(cell: &mut [u64], word: u64, time: i64);

    /// Adds a text to the cell of a tile. A kernel that takes texts implements it.
    #[inline]
    fn add_text(cell: &mut [u64], _text: &str, time: i64, _texts: &mut TextArena) {
        Self::add(cell, 0, time);
    }

    /// Merges the cell of a newer tile into that of an older one.
    fn merge(cell: &mut [u64], newer: &[u64]);

    /// The result: bits of the result's type, or the word of a text. `None` if it is missing.
    fn result(cell: &[u64]) -> Option<u64>;

    /// The result of three cells, the oldest first: `a` merged with the merge of `b` and `c`.
    #[inline]
    fn result_of_three(a: &[u64], b: &[u64], c: &[u64]) -> Option<u64> {
        let (mut first, mut second) = (Self::copy(a), Self::copy(b));
        Self::merge(&mut second, c);
        Self::merge(&mut first, &second);
        Self::result(&first)
    }

    /// A copy of a cell. Words that the kernel does not have are 0.
    #[inline]
    fn copy(cell: &[u64]) -> [u64; MAX_CELL_WORDS] {
        let mut copy = [0; MAX_CELL_WORDS];
        let words = Self::IDENTITY.len();
        copy[..words].copy_from_slice(&cell[..words]);
        copy
    }

    /// Frees the content of variable size that the cell of a tile owns.
    #[inline]
    fn free(_cell: &[u64], _texts: &mut TextArena) {}

    /// Writes the cell of a tile to a saved window.
    fn save(cell: &[u64], scope: &SaveScope<'_>, out: &mut Vec<u8>);

    /// Reads what `save` writes into the cell of no events. Accepts no other bytes, so that each cell has exactly one
    /// encoding.
    ///
    /// # Errors
    /// The bytes are not those of a cell.
    fn load(cell: &mut [u64], scope: &mut LoadScope<'_>, reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow>;
}

/// The surroundings of a cell that is saved.
pub(in crate::view) struct SaveScope<'a> {
    /// The time at which the tile begins.
    pub(in crate::view) begin: i64,
    /// The type of the result.
    pub(in crate::view) ty: &'a Type,
    pub(in crate::view) texts: &'a TextArena,
}

/// The surroundings of a cell that is loaded.
pub(in crate::view) struct LoadScope<'a> {
    pub(in crate::view) bounds: TileBounds,
    /// The type of the result.
    pub(in crate::view) ty: &'a Type,
    pub(in crate::view) texts: &'a mut TextArena,
}

/// The bounds on times in a saved tile.
#[derive(Clone, Copy)]
pub(in crate::view) struct TileBounds {
    /// The time at which the tile begins, from which saved times count.
    pub(in crate::view) begin: i64,
    /// The least possible time of an event in the tile.
    pub(in crate::view) earliest: i64,
    /// The greatest possible time of an event in the tile: not later than the window's newest.
    pub(in crate::view) latest: i64,
}

impl TileBounds {
    /// Reads a time and checks that it is in the tile.
    pub(super) fn read_time(self, reader: &mut WindowReader<'_>) -> Result<i64, CorruptWindow> {
        let time = self.begin.saturating_add(reader.signed()?);
        reader.require((self.earliest..=self.latest).contains(&time), "a time does not lie in its tile")?;
        Ok(time)
    }
}
