//! Equal parts of many expressions are evaluated once a batch: [`Sharing`] finds and marks them when expressions are
//! compiled, a [`Memo`] holds their values while a batch is evaluated.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use arrow_array::ArrayRef;
use xxhash_rust::xxh3::xxh3_128;

use super::column::Column;
use super::compiled::Expr;
use super::error::EvalError;
use super::frame::Frame;
use super::node::Node;

/// What expressions that are evaluated on the same columns have in common.
#[derive(Debug, Default)]
pub struct Sharing {
    /// How often each part occurs, by its fingerprint.
    counts: HashMap<u128, usize>,
    /// The cells of parts that are shared.
    cells: HashMap<u128, usize>,
    /// A slot whose column is not the same for all of them.
    own_slot: Option<usize>,
}

impl Sharing {
    /// Of expressions that read the same columns; what reads `own_slot`, whose column may differ, is not shared.
    pub fn new<'e>(exprs: impl IntoIterator<Item = &'e Expr>, own_slot: Option<usize>) -> Self {
        let mut sharing = Self { own_slot, ..Self::default() };
        for expr in exprs {
            sharing.count(&expr.root);
        }
        sharing
    }

    /// Marks what an expression has in common with others.
    pub fn mark(&mut self, expr: &mut Expr) {
        self.mark_node(&mut expr.root, 1);
    }

    /// How many parts are shared, of the expressions marked so far.
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    fn count(&mut self, node: &Node) {
        if self.can_share(node) {
            *self.counts.entry(node.fingerprint()).or_default() += 1;
        }
        for child in node.children() {
            self.count(child);
        }
    }

    /// Marks a node that stands in a shared part which occurs `around` times.
    fn mark_node(&mut self, node: &mut Node, around: usize) {
        let fingerprint = node.fingerprint();
        let times = self.counts.get(&fingerprint).copied().unwrap_or(0).max(around);
        for child in node.children_mut() {
            self.mark_node(child, times);
        }
        if times > around && self.can_share(node) {
            let next = self.cells.len();
            let cell = *self.cells.entry(fingerprint).or_insert(next);
            let inner = std::mem::replace(node, Node::Captured(0));
            *node = Node::Shared { cell, node: Box::new(inner) };
        }
    }

    fn can_share(&self, node: &Node) -> bool {
        !matches!(node, Node::Constant(_) | Node::Column { .. }) && self.own_slot.is_none_or(|slot| !node.reads(slot))
    }
}

impl Node {
    fn reads(&self, own: usize) -> bool {
        matches!(self, Self::Column { slot, .. } if *slot == own)
            || self.children().into_iter().any(|child| child.reads(own))
    }

    /// Equal for nodes that compute the same of the same columns, different for all others.
    fn fingerprint(&self) -> u128 {
        // Names and types of everything below, as `Debug` writes them. A kernel is its address: two kernels at one
        // address are one piece of code. What is shared already counts as what it computes.
        let own = match self {
            Self::Shared { node, .. } => return node.fingerprint(),
            Self::Strict { kernel, .. } => format!("strict {kernel:?}"),
            Self::Lenient { kernel, .. } => format!("lenient {kernel:?}"),
            Self::Member { members, .. } => format!("member {members:?}"),
            Self::Matches { pattern, .. } => format!("matches {:?}", pattern.as_str()),
            Self::Local { zone, .. } => format!("local {zone:?}"),
            Self::List { ty, .. } => format!("list {ty:?}"),
            Self::Pick { by, part, ty, .. } => format!("pick {by:?} {part:?} {ty:?}"),
            Self::Each(each) => format!("each {:?} {:x}", each.kind, each.body.fingerprint()),
            Self::Constant(_) | Self::Column { .. } | Self::Item { .. } | Self::Captured(_) => format!("{self:?}"),
        };
        let mut bytes = own.into_bytes();
        for child in self.children() {
            bytes.extend_from_slice(&child.fingerprint().to_le_bytes());
        }
        xxh3_128(&bytes)
    }
}

/// The shared values of one batch, or of some of its rows.
#[derive(Debug, Default)]
pub struct Memo<'a> {
    cells: RefCell<Vec<Option<Column>>>,
    computed: Cell<usize>,
    whole: Option<Whole<'a>>,
}

/// The batch that a memo's rows are some of.
#[derive(Debug)]
struct Whole<'a> {
    memo: &'a Memo<'a>,
    columns: &'a [ArrayRef],
    rows: usize,
    /// Which rows, rising.
    kept: &'a [u32],
}

impl<'a> Memo<'a> {
    /// For a batch and the cells of a [`Sharing`].
    pub fn new(cells: usize) -> Self {
        Self { cells: RefCell::new(vec![None; cells]), ..Self::default() }
    }

    /// For some rows of the batch, which has these columns and so many rows. What was computed for the batch is taken
    /// from there; so is the rest, if it is at least half of the rows that are kept.
    pub fn of_rows(&'a self, columns: &'a [ArrayRef], rows: usize, kept: &'a [u32]) -> Self {
        let cells = self.cells.borrow().len();
        Self { whole: Some(Whole { memo: self, columns, rows, kept }), ..Self::new(cells) }
    }

    /// How many values were computed, those of some rows not included.
    pub fn computed(&self) -> usize {
        self.computed.get()
    }

    /// The value of a cell, which the node computes.
    pub(super) fn value(&self, cell: usize, node: &Node, frame: &Frame<'_>) -> Result<Column, EvalError> {
        if let Some(value) = self.found(cell) {
            return Ok(value);
        }
        let value = match &self.whole {
            Some(whole) if whole.memo.found(cell).is_some() || whole.kept.len() * 2 >= whole.rows => {
                let batch = Frame::new(whole.columns, whole.rows, Some(whole.memo));
                whole.memo.value(cell, node, &batch)?.take(whole.kept)
            }
            _ => {
                self.computed.set(self.computed.get() + 1);
                node.eval(frame)?
            }
        };
        if let Some(place) = self.cells.borrow_mut().get_mut(cell) {
            *place = Some(value.clone());
        }
        Ok(value)
    }

    fn found(&self, cell: usize) -> Option<Column> {
        self.cells.borrow().get(cell).cloned().flatten()
    }
}
