//! An expression that is compiled and ready to be evaluated.

use arrow_array::{Array, ArrayRef, BooleanArray};

use super::check::{Checker, Typed};
use super::error::{EvalError, ExprError};
use super::frame::Frame;
use super::node::Node;
use super::own_stack;
use super::parse::Parsed;
use super::scope::Scope;
use super::share::Memo;
use super::tree::collect_paths;
use crate::types::Type;

/// A compiled expression. Cheap to clone, and shared between threads as it is.
#[derive(Clone, Debug)]
pub struct Expr {
    pub(super) root: Node,
    ty: Type,
    columns: Vec<usize>,
}

impl Expr {
    /// Parses, checks against the names and types of a scope, and lowers.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn compile(source: &str, scope: &dyn Scope) -> Result<Self, ExprError> {
        own_stack::run(source, || {
            let parsed = Parsed::new(source)?;
            let mut checker = Checker::new(&parsed, scope);
            let Typed { node, ty, .. } = checker.check(&parsed.root)?;
            match ty {
                Some(ty) => Ok(Self { root: node.placed(), ty, columns: checker.into_columns() }),
                None => Err(parsed.error(&parsed.root, "null alone has no type")),
            }
        })
    }

    /// Compiles an expression of a given type; an int literal is taken for a double, and null for anything.
    ///
    /// # Errors
    /// The first mistake, with its place; another type than the expected one is a mistake of the whole.
    pub fn compile_as(source: &str, scope: &dyn Scope, expected: &Type) -> Result<Self, ExprError> {
        own_stack::run(source, || {
            let parsed = Parsed::new(source)?;
            let mut checker = Checker::new(&parsed, scope);
            let found = checker.check(&parsed.root)?;
            let node = checker.fit(&parsed.root, found, expected)?;
            Ok(Self { root: node.placed(), ty: expected.clone(), columns: checker.into_columns() })
        })
    }

    /// The dotted paths that a source uses, each once, in its order; nothing is looked up or checked.
    ///
    /// # Errors
    /// The first mistake of syntax.
    pub fn paths(source: &str) -> Result<Vec<String>, ExprError> {
        own_stack::run(source, || {
            let parsed = Parsed::new(source)?;
            let mut paths = Vec::new();
            collect_paths(&parsed.root, &mut Vec::new(), &mut paths);
            Ok(paths)
        })
    }

    /// The type of its values.
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// The slots of the columns it reads, each once, in the order of the source.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Its value for each row: an array of `ty().arrow()` with `rows` values. `columns[slot]` is the column
    /// of a slot; only the slots in `columns()` are looked at.
    ///
    /// # Errors
    /// Columns that are not those it was compiled for. No value is an error: what has none is null.
    pub fn eval(&self, columns: &[ArrayRef], rows: usize) -> Result<ArrayRef, EvalError> {
        self.eval_with(columns, rows, None)
    }

    /// As `eval`, with the values that it shares with others: see [`Sharing`](super::Sharing).
    ///
    /// # Errors
    /// As `eval`.
    pub fn eval_with(&self, columns: &[ArrayRef], rows: usize, memo: Option<&Memo<'_>>) -> Result<ArrayRef, EvalError> {
        Ok(self.root.eval(&Frame::new(columns, rows, memo))?.into_array(&self.ty, rows))
    }

    /// For each row whether it passes, without nulls: a missing condition does not pass.
    ///
    /// # Errors
    /// As `eval`; and an expression that is not a bool.
    pub fn filter(&self, columns: &[ArrayRef], rows: usize) -> Result<BooleanArray, EvalError> {
        self.filter_with(columns, rows, None)
    }

    /// As `filter`, with the values that it shares with others: see [`Sharing`](super::Sharing).
    ///
    /// # Errors
    /// As `filter`.
    pub fn filter_with(
        &self,
        columns: &[ArrayRef],
        rows: usize,
        memo: Option<&Memo<'_>>,
    ) -> Result<BooleanArray, EvalError> {
        if self.ty != Type::Bool {
            return Err(EvalError::NotAFilter(self.ty.clone()));
        }
        let passes = self.root.eval(&Frame::new(columns, rows, memo))?.booleans(rows);
        Ok(match passes.nulls() {
            Some(nulls) => BooleanArray::new(passes.values() & nulls.inner(), None),
            None => passes,
        })
    }
}
