//! What nodes are evaluated on: the rows of a batch, or items of lists in the body of a macro.

use arrow_array::ArrayRef;

use super::column::{Column, mistyped};
use super::lists::Lists;
use super::share::Memo;
use crate::types::Type;

/// Rows, and where their values come from.
pub(super) struct Frame<'a> {
    pub(super) rows: usize,
    /// The columns of the batch; none in the body of a macro, which has captured what it needs of them.
    pub(super) columns: &'a [ArrayRef],
    /// The shared values of the batch; none in the body of a macro.
    pub(super) memo: Option<&'a Memo<'a>>,
    items: Option<Items<'a>>,
}

/// The rows in the body of a macro: one for each item.
pub(super) struct Items<'a> {
    pub(super) lists: &'a Lists,
    /// The place of each item.
    pub(super) places: &'a [u32],
    /// The row outside that each item's list is of.
    pub(super) parents: &'a [u32],
    /// The row of the batch that each item comes from.
    pub(super) origins: &'a [u32],
    /// Values of the rows outside.
    pub(super) captured: &'a [Column],
}

impl<'a> Frame<'a> {
    pub(super) fn new(columns: &'a [ArrayRef], rows: usize, memo: Option<&'a Memo<'a>>) -> Self {
        Self { rows, columns, memo, items: None }
    }

    pub(super) fn of_items(items: Items<'a>) -> Self {
        Self { rows: items.places.len(), columns: &[], memo: None, items: Some(items) }
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

    /// A value of the rows outside, for each item.
    pub(super) fn captured(&self, index: usize) -> Column {
        match &self.items {
            Some(items) => items.captured[index].take(items.parents),
            None => mistyped(),
        }
    }
}
