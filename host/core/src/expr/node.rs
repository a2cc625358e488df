//! The typed tree that an expression is lowered to, and its evaluation a column at a time.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_buffer::NullBuffer;
use jiff::tz::TimeZone;
use regex::Regex;

use super::column::{Column, Constant};
use super::each::Each;
use super::error::EvalError;
use super::frame::Frame;
use super::kernels::membership::{self, Members};
use super::kernels::{list, text, time};
use super::lists::Lists;
use crate::types::Type;

/// Computes a column from the columns of its arguments. It never fails: what has no value is missing.
pub(super) type Kernel = fn(&[Column], usize) -> Column;

/// A step of an expression.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Constant(Constant),
    Column {
        slot: usize,
        ty: Type,
    },
    /// A kernel that is missing wherever an argument is, and sees only values.
    Strict {
        kernel: Kernel,
        arguments: Vec<Node>,
    },
    /// A kernel that decides itself what a missing argument means.
    Lenient {
        kernel: Kernel,
        arguments: Vec<Node>,
    },
    /// Whether a value is one of some constants.
    Member {
        value: Box<Node>,
        members: Arc<Members>,
    },
    /// Whether a text has a match of a pattern.
    Matches {
        text: Box<Node>,
        pattern: Regex,
    },
    /// The time that clocks of a zone show, as if it were UTC.
    Local {
        time: Box<Node>,
        zone: TimeZone,
    },
    /// A list of values of one type.
    List {
        items: Vec<Node>,
        ty: Type,
    },
    /// One item of a list, by its index, or of a map, by its key.
    Pick {
        list: Box<Node>,
        by: By,
        key: Box<Node>,
        part: Option<usize>,
        ty: Type,
    },
    /// A macro.
    Each(Box<Each>),
    /// The item that the body of a macro is evaluated for, or a part of it.
    Item {
        /// How many macros are around it.
        level: usize,
        part: Option<usize>,
        ty: Type,
    },
    /// A value of the rows around the body of a macro: see [`Each`].
    Captured(usize),
    /// What other expressions compute as well: see [`super::share`].
    Shared {
        cell: usize,
        node: Box<Node>,
    },
}

/// How an item is picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Index,
    Key,
}

impl Node {
    /// The value for each row of a frame.
    pub(super) fn eval(&self, frame: &Frame<'_>) -> Result<Column, EvalError> {
        let rows = frame.rows;
        match self {
            Self::Constant(constant) => Ok(Column::Constant(constant.clone())),
            Self::Column { slot, ty } => load(frame.columns, *slot, ty, rows),
            Self::Strict { kernel, arguments } => {
                let arguments = eval_all(arguments, frame)?;
                if arguments.iter().any(Column::is_null) {
                    return Ok(Column::Constant(Constant::Null));
                }
                let nulls = arguments.iter().fold(None, |nulls: Option<NullBuffer>, argument| {
                    NullBuffer::union(nulls.as_ref(), argument.nulls())
                });
                Ok(kernel(&arguments, rows).also_missing(nulls.as_ref()))
            }
            Self::Lenient { kernel, arguments } => Ok(kernel(&eval_all(arguments, frame)?, rows)),
            Self::Member { value, members } => {
                Ok(Column::Bools(membership::contains(members, &value.eval(frame)?, rows), None))
            }
            Self::Matches { text, pattern } => {
                let text = text.eval(frame)?;
                if text.is_null() {
                    return Ok(text);
                }
                let nulls = text.nulls().cloned();
                Ok(Column::Bools(text::matches(&text, pattern, rows), nulls))
            }
            Self::Local { time, zone } => {
                let time = time.eval(frame)?;
                if time.is_null() { Ok(time) } else { Ok(time::local(&time, zone, rows).also_missing(time.nulls())) }
            }
            Self::List { items, ty } => Ok(Column::Lists(Lists::of_columns(eval_all(items, frame)?, ty, rows))),
            Self::Pick { list, by, key, part, ty } => {
                let (list, key) = (list.eval(frame)?, key.eval(frame)?);
                Ok(list::pick(&list, *by, &key, *part, ty, rows))
            }
            Self::Each(each) => each.eval(frame),
            Self::Item { part, ty, .. } => Ok(frame.item(*part, ty)),
            Self::Captured(index) => Ok(frame.captured(*index)),
            Self::Shared { cell, node } => match frame.memo {
                Some(memo) => memo.value(*cell, node, frame),
                None => node.eval(frame),
            },
        }
    }

    /// The node itself, or the constant it always is.
    pub(super) fn folded(self) -> Self {
        let constant = |node: &Self| matches!(node, Self::Constant(_));
        let is_constant = match &self {
            Self::Constant(_) | Self::Column { .. } | Self::Item { .. } | Self::Captured(_) | Self::Each(_) => false,
            Self::List { .. } | Self::Shared { .. } => false,
            _ => self.children().into_iter().all(constant),
        };
        if !is_constant {
            return self;
        }
        // Without columns nothing can fail; a list is no constant.
        match self.eval(&Frame::new(&[], 1, None)) {
            Ok(column) => column.first().map_or(self, Self::Constant),
            Err(_) => self,
        }
    }

    /// The nodes right below it, of a macro all but the body.
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
            Self::Each(each) => std::iter::once(&each.list).chain(&each.captured).collect(),
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
            Self::Each(each) => std::iter::once(&mut each.list).chain(&mut each.captured).collect(),
        }
    }
}

pub(super) fn eval_all(nodes: &[Node], frame: &Frame<'_>) -> Result<Vec<Column>, EvalError> {
    nodes.iter().map(|node| node.eval(frame)).collect()
}

fn load(columns: &[ArrayRef], slot: usize, ty: &Type, rows: usize) -> Result<Column, EvalError> {
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
