//! Macros: a body that is evaluated for the items of all rows at once, and what its values make of each list.
//!
//! What of the body does not depend on the item is evaluated for the rows outside, once, and captured: see `place`.

use arrow_array::ArrayRef;
use arrow_buffer::BooleanBuffer;

use super::column::{Column, mistyped};
use super::error::EvalError;
use super::frame::{Frame, Items};
use super::lists::{Lists, concatenated};
use super::node::{Node, eval_all};
use super::text_builder::TextBuilder;
use crate::types::Type;

/// The most items that a macro looks at for one event; where there are more, its value is missing.
pub(super) const MOST_ITEMS: usize = 1 << 16;
/// The most bytes of text that `map` collects for one event; where there are more, its value is missing.
const MOST_TEXT: usize = 256 * 1024;
/// How many items a body is evaluated for at once, about.
const CHUNK: usize = 4096;

/// A macro over a list.
#[derive(Clone, Debug)]
pub(super) struct Each {
    pub(super) kind: Kind,
    /// How many macros are around its body, itself included.
    pub(super) level: usize,
    pub(super) list: Node,
    /// What the body uses of the rows outside.
    pub(super) captured: Vec<Node>,
    pub(super) body: Node,
    /// Whether there are macros in the body.
    pub(super) nests: bool,
}

/// What the values of the body are put together to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Exists,
    All,
    ExistsOne,
    Filter,
    /// The values themselves, of a type.
    Map(Type),
}

impl Each {
    pub(super) fn eval(&self, frame: &Frame<'_>) -> Result<Column, EvalError> {
        let lists = match self.list.eval(frame)? {
            Column::Lists(lists) => lists,
            list if list.is_null() => return Ok(list),
            _ => mistyped(),
        };
        let fits = rows_that_fit(&lists, frame);
        let lists = lists.missing_where_not(fits);
        let captured: Vec<Column> =
            eval_all(&self.captured, frame)?.into_iter().map(Column::without_long_texts).collect();
        let mut values = Values::new(&self.kind, frame.rows);
        let mut items = (0..frame.rows).flat_map(|row| lists.places(row).map(move |place| (row, place))).peekable();
        let (mut places, mut parents, mut origins) = (Vec::new(), Vec::new(), Vec::new());
        while items.peek().is_some() {
            places.clear();
            parents.clear();
            origins.clear();
            while let Some((row, place)) = items.peek().copied() {
                let origin = frame.origin(row);
                // Macros inside count the items of an event, so all of them must be there.
                if places.len() >= CHUNK && (!self.nests || origins.last() != Some(&origin)) {
                    break;
                }
                places.push(place);
                parents.push(row as u32);
                origins.push(origin);
                items.next();
            }
            let inside =
                Items { lists: &lists, places: &places, parents: &parents, origins: &origins, captured: &captured };
            let body = self.body.eval(&Frame::of_items(inside))?;
            values.add(body, &places, &parents, &origins);
        }
        drop(items);
        Ok(values.finish(lists))
    }
}

/// Which rows come from an event whose lists have not too many items together; none if all do.
fn rows_that_fit(lists: &Lists, frame: &Frame<'_>) -> Option<BooleanBuffer> {
    let origins: Vec<u32> = (0..frame.rows).map(|row| frame.origin(row)).collect();
    let mut fits = Vec::with_capacity(frame.rows);
    for rows in origins.chunk_by(|a, b| a == b) {
        let first = fits.len();
        let items: usize = (first..first + rows.len()).map(|row| lists.len(row)).sum();
        fits.resize(first + rows.len(), items <= MOST_ITEMS);
    }
    fits.contains(&false).then(|| fits.into())
}

/// The values of a body as they come, chunk by chunk.
struct Values<'k> {
    kind: &'k Kind,
    /// By row: how many items were true; for `all` how many were false.
    hits: Vec<u32>,
    /// By row: whether the body was missing for an item.
    unsure: Vec<bool>,
    /// The items that passed a filter.
    passed: Vec<u32>,
    /// What `map` has made, and for how many items of each row.
    made: Vec<ArrayRef>,
    texts: TextBuilder,
    text_bytes: TextBytes,
}

/// How much text `map` has made for the event at hand, and for which it was too much.
#[derive(Default)]
struct TextBytes {
    origin: u32,
    bytes: usize,
    /// Rows whose event has too much.
    too_long: Vec<u32>,
}

impl<'k> Values<'k> {
    fn new(kind: &'k Kind, rows: usize) -> Self {
        Self {
            kind,
            hits: vec![0; rows],
            unsure: vec![false; rows],
            passed: Vec::new(),
            made: Vec::new(),
            texts: TextBuilder::new(0),
            text_bytes: TextBytes::default(),
        }
    }

    fn add(&mut self, body: Column, places: &[u32], parents: &[u32], origins: &[u32]) {
        let rows = places.len();
        match self.kind {
            Kind::Map(Type::Text) => self.add_texts(&body, parents, origins),
            Kind::Map(ty) => self.made.push(body.into_array(ty, rows)),
            kind => {
                let wanted = *kind != Kind::All;
                let (bools, present) = (body.booleans(rows), body.present(rows));
                for (item, (place, parent)) in places.iter().zip(parents).enumerate() {
                    let parent = *parent as usize;
                    if !present.value(item) {
                        self.unsure[parent] = true;
                    } else if bools.value(item) == wanted {
                        self.hits[parent] += 1;
                        if *kind == Kind::Filter {
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
                Some(text) if spent.bytes + text.len() <= MOST_TEXT => {
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
        let Self { hits, unsure, .. } = &self;
        let (values, known): (BooleanBuffer, BooleanBuffer) = match self.kind {
            Kind::Exists => (
                BooleanBuffer::collect_bool(rows, |row| hits[row] > 0),
                BooleanBuffer::collect_bool(rows, |row| hits[row] > 0 || !unsure[row]),
            ),
            Kind::All => (
                BooleanBuffer::collect_bool(rows, |row| hits[row] == 0),
                BooleanBuffer::collect_bool(rows, |row| hits[row] > 0 || !unsure[row]),
            ),
            Kind::ExistsOne => (
                BooleanBuffer::collect_bool(rows, |row| hits[row] == 1),
                BooleanBuffer::collect_bool(rows, |row| !unsure[row]),
            ),
            Kind::Filter => return Column::Lists(self.filtered(lists)),
            Kind::Map(_) => return Column::Lists(self.mapped(lists)),
        };
        let nulls = (known.count_set_bits() < rows).then(|| known.into());
        Column::Bools(values, nulls).also_missing(lists.nulls.as_ref())
    }

    fn filtered(self, lists: Lists) -> Lists {
        let ranges = ranges(self.hits.iter().copied());
        Lists { ranges, order: Some(self.passed.into()), ..lists }
    }

    fn mapped(self, lists: Lists) -> Lists {
        let items = match self.kind {
            Kind::Map(Type::Text) => std::sync::Arc::new(self.texts.finish()) as ArrayRef,
            Kind::Map(ty) => concatenated(&self.made, &ty.arrow()),
            _ => mistyped(),
        };
        let lengths = (0..self.hits.len()).map(|row| lists.len(row) as u32);
        let mapped = Lists { ranges: ranges(lengths), nulls: lists.nulls, order: None, items };
        if self.text_bytes.too_long.is_empty() {
            return mapped;
        }
        let mut fits = vec![true; self.hits.len()];
        self.text_bytes.too_long.iter().for_each(|row| fits[*row as usize] = false);
        mapped.missing_where_not(Some(fits.into()))
    }
}

/// Ranges of some lengths, one behind the other.
fn ranges(lengths: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
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
