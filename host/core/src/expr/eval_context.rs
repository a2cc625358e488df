//! The rows on which nodes are evaluated: those of a batch or, in the body of a macro, the items of lists.

use arrow_array::ArrayRef;

use super::column::{Column, mistyped};
use super::common_subexpressions::CseCache;
use super::lists::Lists;
use crate::types::Type;

/// A number of rows and the source of their values.
pub(super) struct EvalContext<'a> {
    pub(super) rows: usize,
    /// The columns of the batch; empty in the body of a macro, which has captured the values that it needs.
    pub(super) columns: &'a [ArrayRef],
    /// The shared values of the batch; none in the body of a macro.
    pub(super) cse_cache: Option<&'a CseCache<'a>>,
    items: Option<MacroItems<'a>>,
}

/// The rows in the body of a macro: one for each item.
pub(super) struct MacroItems<'a> {
    pub(super) lists: &'a Lists,
    /// The place of each item in the lists.
    pub(super) places: &'a [u32],
    /// The outer row to whose list each item belongs.
    pub(super) parents: &'a [u32],
    /// The row of the batch that each item comes from.
    pub(super) origins: &'a [u32],
    /// The captured values of the outer rows.
    pub(super) captured: &'a [Column],
}

impl<'a> EvalContext<'a> {
    pub(super) fn new(columns: &'a [ArrayRef], rows: usize, cse_cache: Option<&'a CseCache<'a>>) -> Self {
        Self { rows, columns, cse_cache, items: None }
    }

    pub(super) fn for_items(items: MacroItems<'a>) -> Self {
        Self { rows: items.places.len(), columns: &[], cse_cache: None, items: Some(items) }
    }

    /// The row of the batch that a row comes from.
    pub(super) fn origin(&self, row: usize) -> u32 {
        self.items.as_ref().map_or(row as u32, |items| items.origins[row])
    }

    /// The items, or a part of them.
    pub(super) fn item(&self, part: Option<usize>, ty: &Type) -> Column {
        match &self.items {
            Some(items) => items.lists.items_at(items.places, part, ty),
            None => mistyped(),
        }
    }

    /// A captured value of the outer row of each item.
    pub(super) fn captured(&self, index: usize) -> Column {
        match &self.items {
            Some(items) => items.captured[index].take(items.parents),
            None => mistyped(),
        }
    }
}
