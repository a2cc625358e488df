//! The typed tree that an expression is lowered to, and its evaluation a column at a time.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_buffer::NullBuffer;
use jiff::tz::TimeZone;
use regex::Regex;

use super::column::{Column, Constant};
use super::comprehension::Comprehension;
use super::error::EvalError;
use super::eval_context::EvalContext;
use super::kernels::membership::{self, Members};
use super::kernels::{list, text, time};
use super::lists::Lists;
use crate::types::Type;

/// Computes a column from the columns of its arguments and the number of rows. It never fails: a result that does not
/// exist is missing.
pub(super) type Kernel = fn(&[Column], usize) -> Column;

/// A node of the typed tree.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Constant(Constant),
    Column {
        slot: usize,
        ty: Type,
    },
    /// A kernel whose result is missing where an argument is missing.
    Strict {
        kernel: Kernel,
        arguments: Vec<Node>,
    },
    /// A kernel that handles missing arguments itself.
    Lenient {
        kernel: Kernel,
        arguments: Vec<Node>,
    },
    /// True if a value is one of some constants.
    Member {
        value: Box<Node>,
        members: Arc<Members>,
    },
    /// True if a text has a match of a pattern.
    Matches {
        text: Box<Node>,
        pattern: Regex,
    },
    /// The local time of a zone, as if it were UTC.
    Local {
        time: Box<Node>,
        zone: TimeZone,
    },
    /// A list of values of one type.
    List {
        items: Vec<Node>,
        ty: Type,
    },
    /// One item of a list by its index, or one value of a map by its key.
    Pick {
        list: Box<Node>,
        by: PickBy,
        key: Box<Node>,
        part: Option<usize>,
        ty: Type,
    },
    /// A macro.
    Comprehension(Box<Comprehension>),
    /// The variable of a macro: the current item, or a part of it.
    Item {
        /// The level of its macro: the number of macros around the body, that one included.
        level: usize,
        part: Option<usize>,
        ty: Type,
    },
    /// A captured value of the outer rows, by its index in the [`Comprehension`].
    Captured(usize),
    /// A part that other expressions also compute: see [`super::common_subexpressions`].
    Shared {
        cell: usize,
        node: Box<Node>,
    },
}

/// The way in which `Pick` finds the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PickBy {
    Index,
    Key,
}

impl Node {
    /// The value for each row of a context.
    pub(super) fn eval(&self, context: &EvalContext<'_>) -> Result<Column, EvalError> {
        let rows = context.rows;
        match self {
            Self::Constant(constant) => Ok(Column::Constant(constant.clone())),
            Self::Column { slot, ty } => load_column(context.columns, *slot, ty, rows),
            Self::Strict { kernel, arguments } => {
                let arguments = eval_all(arguments, context)?;
                if arguments.iter().any(Column::is_null) {
                    return Ok(Column::Constant(Constant::Null));
                }
                let nulls = arguments.iter().fold(None, |nulls: Option<NullBuffer>, argument| {
                    NullBuffer::union(nulls.as_ref(), argument.nulls())
                });
                Ok(kernel(&arguments, rows).union_nulls(nulls.as_ref()))
            }
            Self::Lenient { kernel, arguments } => Ok(kernel(&eval_all(arguments, context)?, rows)),
            Self::Member { value, members } => {
                Ok(Column::Bools(membership::contains(members, &value.eval(context)?, rows), None))
            }
            Self::Matches { text, pattern } => {
                let text = text.eval(context)?;
                if text.is_null() {
                    return Ok(text);
                }
                let nulls = text.nulls().cloned();
                Ok(Column::Bools(text::matches(&text, pattern, rows), nulls))
            }
            Self::Local { time, zone } => {
                let time = time.eval(context)?;
                if time.is_null() {
                    Ok(time)
                } else {
                    Ok(time::to_local_time(&time, zone, rows).union_nulls(time.nulls()))
                }
            }
            Self::List { items, ty } => Ok(Column::Lists(Lists::from_columns(eval_all(items, context)?, ty, rows))),
            Self::Pick { list, by, key, part, ty } => {
                let (list, key) = (list.eval(context)?, key.eval(context)?);
                Ok(list::pick(&list, *by, &key, *part, ty, rows))
            }
            Self::Comprehension(comprehension) => comprehension.eval(context),
            Self::Item { part, ty, .. } => Ok(context.item(*part, ty)),
            Self::Captured(index) => Ok(context.captured(*index)),
            Self::Shared { cell, node } => match context.cse_cache {
                Some(cse_cache) => cse_cache.get_or_eval(*cell, node, context),
                None => node.eval(context),
            },
        }
    }

    /// The node, or its constant value if it depends on constants alone.
    pub(super) fn folded(self) -> Self {
        let constant = |node: &Self| matches!(node, Self::Constant(_));
        let is_constant = match &self {
            Self::Constant(_)
            | Self::Column { .. }
            | Self::Item { .. }
            | Self::Captured(_)
            | Self::Comprehension(_) => false,
            Self::List { .. } | Self::Shared { .. } => false,
            _ => self.children().into_iter().all(constant),
        };
        if !is_constant {
            return self;
        }
        // Evaluation without columns cannot fail. A list has no constant form.
        match self.eval(&EvalContext::new(&[], 1, None)) {
            Ok(column) => column.first().map_or(self, Self::Constant),
            Err(_) => self,
        }
    }

    /// The direct children. The body of a macro is not among them, because it is evaluated on other rows.
    pub(super) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Constant(_) | Self::Column { .. } | Self::Item { .. } | Self::Captured(_) => Vec::new(),
            Self::Strict { arguments, .. } | Self::Lenient { arguments, .. } => arguments.iter().collect(),
            Self::List { items, .. } => items.iter().collect(),
            Self::Member { value: node, .. }
            | Self::Matches { text: node, .. }
            | Self::Local { time: node, .. }
            | Self::Shared { node, .. } => vec![node],
            Self::Pick { list, key, .. } => vec![list, key],
            Self::Comprehension(comprehension) => {
                std::iter::once(&comprehension.list).chain(&comprehension.captured).collect()
            }
        }
    }

    /// As `children`.
    pub(super) fn children_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Constant(_) | Self::Column { .. } | Self::Item { .. } | Self::Captured(_) => Vec::new(),
            Self::Strict { arguments, .. } | Self::Lenient { arguments, .. } => arguments.iter_mut().collect(),
            Self::List { items, .. } => items.iter_mut().collect(),
            Self::Member { value: node, .. }
            | Self::Matches { text: node, .. }
            | Self::Local { time: node, .. }
            | Self::Shared { node, .. } => vec![node],
            Self::Pick { list, key, .. } => vec![list, key],
            Self::Comprehension(comprehension) => {
                std::iter::once(&mut comprehension.list).chain(&mut comprehension.captured).collect()
            }
        }
    }
}

/// Evaluates several nodes on the same rows.
pub(super) fn eval_all(nodes: &[Node], context: &EvalContext<'_>) -> Result<Vec<Column>, EvalError> {
    nodes.iter().map(|node| node.eval(context)).collect()
}

fn load_column(columns: &[ArrayRef], slot: usize, ty: &Type, rows: usize) -> Result<Column, EvalError> {
    let array = columns.get(slot).ok_or(EvalError::NoColumn { slot, columns: columns.len() })?;
    if array.len() != rows {
        return Err(EvalError::Length { slot, expected: rows, found: array.len() });
    }
    Column::from_array(array, ty).ok_or_else(|| EvalError::Type {
        slot,
        expected: ty.clone(),
        found: array.data_type().clone(),
    })
}
