//! Evaluates equal parts of many expressions once per batch. [`CommonSubexpressions`] finds and marks the parts when
//! expressions are compiled; a [`CseCache`] holds their values while a batch is evaluated.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use arrow_array::ArrayRef;
use xxhash_rust::xxh3::xxh3_128;

use super::column::Column;
use super::compiled::Expr;
use super::error::EvalError;
use super::eval_context::EvalContext;
use super::node::Node;

/// The parts that several expressions over the same columns have in common.
#[derive(Debug, Default)]
pub struct CommonSubexpressions {
    /// The number of occurrences of each part, by its fingerprint.
    counts: HashMap<u128, usize>,
    /// The cell of each shared part in a [`CseCache`], by the part's fingerprint.
    cells: HashMap<u128, usize>,
    /// A slot whose column differs between the expressions.
    own_slot: Option<usize>,
}

impl CommonSubexpressions {
    /// Counts the parts of expressions over the same columns. Parts that read `own_slot`, whose column may differ, are
    /// not shared.
    pub fn new<'e>(exprs: impl IntoIterator<Item = &'e Expr>, own_slot: Option<usize>) -> Self {
        let mut subexpressions = Self { own_slot, ..Self::default() };
        for expr in exprs {
            subexpressions.count_nodes(&expr.root);
        }
        subexpressions
    }

    /// Marks the parts that an expression shares with others.
    pub fn mark(&mut self, expr: &mut Expr) {
        self.mark_shared_node(&mut expr.root, 1);
    }

    /// The number of shared parts in the expressions that are marked so far.
    pub fn shared_count(&self) -> usize {
        self.cells.len()
    }

    fn count_nodes(&mut self, node: &Node) {
        if self.can_share(node) {
            *self.counts.entry(node.fingerprint()).or_default() += 1;
        }
        for child in node.children() {
            self.count_nodes(child);
        }
    }

    /// Marks the shared parts below a node. The node stands in a part that occurs `around` times; only a part that
    /// occurs more often than the one around it is worth a cell of its own.
    fn mark_shared_node(&mut self, node: &mut Node, around: usize) {
        let fingerprint = node.fingerprint();
        let times = self.counts.get(&fingerprint).copied().unwrap_or(0).max(around);
        for child in node.children_mut() {
            self.mark_shared_node(child, times);
        }
        if times > around && self.can_share(node) {
            let next = self.cells.len();
            let cell = *self.cells.entry(fingerprint).or_insert(next);
            let inner = std::mem::replace(node, Node::Captured(0));
            *node = Node::Shared { cell, node: Box::new(inner) };
        }
    }

    fn can_share(&self, node: &Node) -> bool {
        !matches!(node, Node::Constant(_) | Node::Column { .. })
            && self.own_slot.is_none_or(|slot| !node.reads_slot(slot))
    }
}

impl Node {
    fn reads_slot(&self, own: usize) -> bool {
        matches!(self, Self::Column { slot, .. } if *slot == own)
            || self.children().into_iter().any(|child| child.reads_slot(own))
    }

    /// A hash that is equal for nodes that compute the same values from the same columns.
    fn fingerprint(&self) -> u128 {
        // The hash covers the names and types of all nodes below, as `Debug` writes them. A kernel is identified by its
        // address: two kernels at one address are the same code. A part that is marked as shared has the fingerprint of
        // its node.
        let own = match self {
            Self::Shared { node, .. } => return node.fingerprint(),
            Self::Strict { kernel, .. } => format!("strict {kernel:?}"),
            Self::Lenient { kernel, .. } => format!("lenient {kernel:?}"),
            Self::Member { members, .. } => format!("member {members:?}"),
            Self::Matches { pattern, .. } => format!("matches {:?}", pattern.as_str()),
            Self::Local { zone, .. } => format!("local {zone:?}"),
            Self::List { ty, .. } => format!("list {ty:?}"),
            Self::Pick { by, part, ty, .. } => format!("pick {by:?} {part:?} {ty:?}"),
            Self::Comprehension(comprehension) => {
                format!("each {:?} {:x}", comprehension.kind, comprehension.body.fingerprint())
            }
            Self::Constant(_) | Self::Column { .. } | Self::Item { .. } | Self::Captured(_) => format!("{self:?}"),
        };
        let mut bytes = own.into_bytes();
        for child in self.children() {
            bytes.extend_from_slice(&child.fingerprint().to_le_bytes());
        }
        xxh3_128(&bytes)
    }
}

/// The values of shared parts for one batch, or for some of its rows.
#[derive(Debug, Default)]
pub struct CseCache<'a> {
    cells: RefCell<Vec<Option<Column>>>,
    computed: Cell<usize>,
    whole: Option<WholeBatch<'a>>,
}

/// The batch from which the rows of a cache are selected.
#[derive(Debug)]
struct WholeBatch<'a> {
    cse_cache: &'a CseCache<'a>,
    columns: &'a [ArrayRef],
    rows: usize,
    /// The selected rows, ascending.
    kept: &'a [u32],
}

impl<'a> CseCache<'a> {
    /// An empty cache for a batch. `cells` is the `shared_count` of the [`CommonSubexpressions`].
    pub fn new(cells: usize) -> Self {
        Self { cells: RefCell::new(vec![None; cells]), ..Self::default() }
    }

    /// A cache for the rows `kept` of the batch, which has these columns and `rows` rows. Values that were computed for
    /// the whole batch are taken from its cache. If at least half of the rows are kept, missing values are computed for
    /// the whole batch, too, so that other rules can use them.
    pub fn of_rows(&'a self, columns: &'a [ArrayRef], rows: usize, kept: &'a [u32]) -> Self {
        let cells = self.cells.borrow().len();
        Self { whole: Some(WholeBatch { cse_cache: self, columns, rows, kept }), ..Self::new(cells) }
    }

    /// The number of values that were computed for this cache's own rows.
    pub fn computed_count(&self) -> usize {
        self.computed.get()
    }

    /// The value of a cell; computes it with the node if it is not there yet.
    pub(super) fn get_or_eval(&self, cell: usize, node: &Node, context: &EvalContext<'_>) -> Result<Column, EvalError> {
        if let Some(value) = self.get(cell) {
            return Ok(value);
        }
        let value = match &self.whole {
            Some(whole) if whole.cse_cache.get(cell).is_some() || whole.kept.len() * 2 >= whole.rows => {
                let batch = EvalContext::new(whole.columns, whole.rows, Some(whole.cse_cache));
                whole.cse_cache.get_or_eval(cell, node, &batch)?.take(whole.kept)
            }
            _ => {
                self.computed.set(self.computed.get() + 1);
                node.eval(context)?
            }
        };
        if let Some(slot) = self.cells.borrow_mut().get_mut(cell) {
            *slot = Some(value.clone());
        }
        Ok(value)
    }

    fn get(&self, cell: usize) -> Option<Column> {
        self.cells.borrow().get(cell).cloned().flatten()
    }
}
