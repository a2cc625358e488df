//! The typed tree that an expression is lowered to, and its evaluation a column at a time.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_buffer::NullBuffer;
use regex::Regex;

use super::column::{Column, Constant};
use super::error::EvalError;
use super::kernels::membership::{self, Members};
use super::kernels::text;
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
}

impl Node {
    /// The value for each row.
    pub(super) fn eval(&self, columns: &[ArrayRef], rows: usize) -> Result<Column, EvalError> {
        match self {
            Self::Constant(constant) => Ok(Column::Constant(constant.clone())),
            Self::Column { slot, ty } => load(columns, *slot, ty, rows),
            Self::Strict { kernel, arguments } => {
                let arguments = eval_all(arguments, columns, rows)?;
                if arguments.iter().any(Column::is_null) {
                    return Ok(Column::Constant(Constant::Null));
                }
                let nulls = arguments.iter().fold(None, |nulls: Option<NullBuffer>, argument| {
                    NullBuffer::union(nulls.as_ref(), argument.nulls())
                });
                Ok(kernel(&arguments, rows).also_missing(nulls.as_ref()))
            }
            Self::Lenient { kernel, arguments } => Ok(kernel(&eval_all(arguments, columns, rows)?, rows)),
            Self::Member { value, members } => {
                Ok(Column::Bools(membership::contains(members, &value.eval(columns, rows)?, rows), None))
            }
            Self::Matches { text, pattern } => {
                let text = text.eval(columns, rows)?;
                if text.is_null() {
                    return Ok(text);
                }
                let nulls = text.nulls().cloned();
                Ok(Column::Bools(text::matches(&text, pattern, rows), nulls))
            }
        }
    }

    /// The node itself, or the constant it always is.
    pub(super) fn folded(self) -> Self {
        let constant = match &self {
            Self::Constant(_) | Self::Column { .. } => false,
            Self::Strict { arguments, .. } | Self::Lenient { arguments, .. } => {
                arguments.iter().all(|argument| matches!(argument, Self::Constant(_)))
            }
            Self::Member { value, .. } => matches!(**value, Self::Constant(_)),
            Self::Matches { text, .. } => matches!(**text, Self::Constant(_)),
        };
        // Without columns nothing can fail.
        match (constant, self.eval(&[], 1)) {
            (true, Ok(column)) => Self::Constant(column.first()),
            _ => self,
        }
    }
}

fn eval_all(nodes: &[Node], columns: &[ArrayRef], rows: usize) -> Result<Vec<Column>, EvalError> {
    nodes.iter().map(|node| node.eval(columns, rows)).collect()
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
