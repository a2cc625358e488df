//! Evaluates macros: the body is evaluated for the items of many rows at once, and its values are combined per list.
//!
//! Parts of the body that do not depend on the item are evaluated once for the outer rows and captured: see `hoist`.

use arrow_array::ArrayRef;
use arrow_buffer::BooleanBuffer;

use super::column::{Column, mistyped};
use super::error::EvalError;
use super::eval_context::{EvalContext, MacroItems};
use super::lists::{Lists, concatenate_arrays};
use super::node::{Node, eval_all};
use super::text_builder::TextBuilder;
use crate::types::Type;

/// The most items that a macro evaluates for one event; with more, the macro's value is missing.
pub(super) const MAX_ITEMS_PER_EVENT: usize = 1 << 16;
/// The most bytes of text that `map` collects for one event; with more, the macro's value is missing.
const MAX_MAP_TEXT_BYTES: usize = 256 * 1024;
/// The approximate number of items for which a body is evaluated at once. It bounds the memory for intermediate
/// columns.
const CHUNK_ITEMS: usize = 4096;

/// A macro over a list.
#[derive(Clone, Debug)]
pub(super) struct Comprehension {
    pub(super) kind: ComprehensionKind,
    /// The nesting depth of its body: the number of macros around it, this one included.
    pub(super) level: usize,
    pub(super) list: Node,
    /// The expressions over the outer rows that the body uses.
    pub(super) captured: Vec<Node>,
    pub(super) body: Node,
    /// True if the body contains macros.
    pub(super) has_nested: bool,
}

/// The way in which the values of the body are combined.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ComprehensionKind {
    Exists,
    All,
    ExistsOne,
    Filter,
    /// A list of the values, which have this type.
    Map(Type),
}

impl Comprehension {
    pub(super) fn eval(&self, context: &EvalContext<'_>) -> Result<Column, EvalError> {
        let lists = match self.list.eval(context)? {
            Column::Lists(lists) => lists,
            list if list.is_null() => return Ok(list),
            _ => mistyped(),
        };
        let fits = find_rows_within_limit(&lists, context);
        let lists = lists.keep_rows_where(fits);
        let captured: Vec<Column> =
            eval_all(&self.captured, context)?.into_iter().map(Column::without_long_texts).collect();
        let mut values = BodyValues::new(&self.kind, context.rows);
        let mut items = (0..context.rows).flat_map(|row| lists.places(row).map(move |place| (row, place))).peekable();
        let (mut places, mut parents, mut origins) = (Vec::new(), Vec::new(), Vec::new());
        while items.peek().is_some() {
            places.clear();
            parents.clear();
            origins.clear();
            while let Some((row, place)) = items.peek().copied() {
                let origin = context.origin(row);
                // A nested macro counts all items of an event, so an event must not be split between chunks.
                if places.len() >= CHUNK_ITEMS && (!self.has_nested || origins.last() != Some(&origin)) {
                    break;
                }
                places.push(place);
                parents.push(row as u32);
                origins.push(origin);
                items.next();
            }
            let inside = MacroItems {
                lists: &lists,
                places: &places,
                parents: &parents,
                origins: &origins,
                captured: &captured,
            };
            let body = self.body.eval(&EvalContext::for_items(inside))?;
            values.add(body, &places, &parents, &origins);
        }
        drop(items);
        Ok(values.finish(lists))
    }
}

/// The rows of events whose lists together have at most `MAX_ITEMS_PER_EVENT` items; none if all have.
fn find_rows_within_limit(lists: &Lists, context: &EvalContext<'_>) -> Option<BooleanBuffer> {
    let origins: Vec<u32> = (0..context.rows).map(|row| context.origin(row)).collect();
    let mut fits = Vec::with_capacity(context.rows);
    for rows in origins.chunk_by(|a, b| a == b) {
        let first = fits.len();
        let items: usize = (first..first + rows.len()).map(|row| lists.len(row)).sum();
        fits.resize(first + rows.len(), items <= MAX_ITEMS_PER_EVENT);
    }
    fits.contains(&false).then(|| fits.into())
}

/// Collects the values of a body, chunk by chunk.
struct BodyValues<'k> {
    kind: &'k ComprehensionKind,
    /// By row: the number of items that are true; for `all` the number that are false.
    hits: Vec<u32>,
    /// By row: true if the body was missing for an item.
    has_missing: Vec<bool>,
    /// The places of the items that passed a filter.
    passed: Vec<u32>,
    /// The values of `map` that are not texts, chunk by chunk.
    mapped: Vec<ArrayRef>,
    texts: TextBuilder,
    text_bytes: TextBytes,
}

/// The bytes of text that `map` has collected for the current event, and the rows of events that had too many.
#[derive(Default)]
struct TextBytes {
    origin: u32,
    bytes: usize,
    /// The rows of events with too much text.
    too_long: Vec<u32>,
}

impl<'k> BodyValues<'k> {
    fn new(kind: &'k ComprehensionKind, rows: usize) -> Self {
        Self {
            kind,
            hits: vec![0; rows],
            has_missing: vec![false; rows],
            passed: Vec::new(),
            mapped: Vec::new(),
            texts: TextBuilder::new(0),
            text_bytes: TextBytes::default(),
        }
    }

    fn add(&mut self, body: Column, places: &[u32], parents: &[u32], origins: &[u32]) {
        let rows = places.len();
        match self.kind {
            ComprehensionKind::Map(Type::Text) => self.add_texts(&body, parents, origins),
            ComprehensionKind::Map(ty) => self.mapped.push(body.into_array(ty, rows)),
            kind => {
                let wanted = *kind != ComprehensionKind::All;
                let (bools, present) = (body.booleans(rows), body.present(rows));
                for (item, (place, parent)) in places.iter().zip(parents).enumerate() {
                    let parent = *parent as usize;
                    if !present.value(item) {
                        self.has_missing[parent] = true;
                    } else if bools.value(item) == wanted {
                        self.hits[parent] += 1;
                        if *kind == ComprehensionKind::Filter {
                            self.passed.push(*place);
                        }
                    }
                }
            }
        }
    }

    fn add_texts(&mut self, body: &Column, parents: &[u32], origins: &[u32]) {
        let present = body.present(parents.len());
        let texts = (!body.is_null()).then(|| body.texts());
        for (item, (parent, origin)) in parents.iter().zip(origins).enumerate() {
            let spent = &mut self.text_bytes;
            if spent.origin != *origin {
                (spent.origin, spent.bytes) = (*origin, 0);
            }
            match texts.filter(|_| present.value(item)).map(|texts| texts.get(item)) {
                Some(text) if spent.bytes + text.len() <= MAX_MAP_TEXT_BYTES => {
                    spent.bytes += text.len();
                    self.texts.push(text);
                }
                Some(_) => {
                    spent.too_long.push(*parent);
                    self.texts.push_missing();
                }
                None => self.texts.push_missing(),
            }
        }
    }

    fn finish(self, lists: Lists) -> Column {
        let rows = self.hits.len();
        let Self { hits, has_missing, .. } = &self;
        let (values, known): (BooleanBuffer, BooleanBuffer) = match self.kind {
            ComprehensionKind::Exists => (
                BooleanBuffer::collect_bool(rows, |row| hits[row] > 0),
                BooleanBuffer::collect_bool(rows, |row| hits[row] > 0 || !has_missing[row]),
            ),
            ComprehensionKind::All => (
                BooleanBuffer::collect_bool(rows, |row| hits[row] == 0),
                BooleanBuffer::collect_bool(rows, |row| hits[row] > 0 || !has_missing[row]),
            ),
            ComprehensionKind::ExistsOne => (
                BooleanBuffer::collect_bool(rows, |row| hits[row] == 1),
                BooleanBuffer::collect_bool(rows, |row| !has_missing[row]),
            ),
            ComprehensionKind::Filter => return Column::Lists(self.into_filtered(lists)),
            ComprehensionKind::Map(_) => return Column::Lists(self.into_mapped(lists)),
        };
        let nulls = (known.count_set_bits() < rows).then(|| known.into());
        Column::Bools(values, nulls).union_nulls(lists.nulls.as_ref())
    }

    fn into_filtered(self, lists: Lists) -> Lists {
        let ranges = make_ranges(self.hits.iter().copied());
        Lists { ranges, order: Some(self.passed.into()), ..lists }
    }

    fn into_mapped(self, lists: Lists) -> Lists {
        let items = match self.kind {
            ComprehensionKind::Map(Type::Text) => std::sync::Arc::new(self.texts.finish()) as ArrayRef,
            ComprehensionKind::Map(ty) => concatenate_arrays(&self.mapped, &ty.arrow()),
            _ => mistyped(),
        };
        let lengths = (0..self.hits.len()).map(|row| lists.len(row) as u32);
        let mapped = Lists { ranges: make_ranges(lengths), nulls: lists.nulls, order: None, items };
        if self.text_bytes.too_long.is_empty() {
            return mapped;
        }
        let mut fits = vec![true; self.hits.len()];
        self.text_bytes.too_long.iter().for_each(|row| fits[*row as usize] = false);
        mapped.keep_rows_where(Some(fits.into()))
    }
}

/// Consecutive ranges of the given lengths.
fn make_ranges(lengths: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut end = 0;
    lengths
        .map(|length| {
            (end, {
                end += length;
                end
            })
        })
        .collect()
}
