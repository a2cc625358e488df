//! An expression that is compiled and ready to be evaluated.

use arrow_array::{Array, ArrayRef, BooleanArray};

use super::check::{Checker, Typed};
use super::common_subexpressions::CseCache;
use super::error::{EvalError, ExprError};
use super::eval_context::EvalContext;
use super::node::Node;
use super::parse::Parsed;
use super::parser_stack;
use super::scope::Scope;
use super::tree::collect_paths;
use crate::types::Type;

/// A compiled expression. It is cheap to clone and can be shared between threads.
#[derive(Clone, Debug)]
pub struct Expr {
    pub(super) root: Node,
    ty: Type,
    columns: Vec<usize>,
}

impl Expr {
    /// Parses a source, checks it against the names and types of a scope, and lowers it.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn compile(source: &str, scope: &dyn Scope) -> Result<Self, ExprError> {
        parser_stack::run(source, || {
            let parsed = Parsed::new(source)?;
            let mut checker = Checker::new(&parsed, scope);
            let Typed { node, ty, .. } = checker.check(&parsed.root)?;
            match ty {
                Some(ty) => Ok(Self { root: node.hoist_invariants(), ty, columns: checker.into_columns() }),
                None => Err(parsed.error(&parsed.root, "null alone has no type")),
            }
        })
    }

    /// Compiles an expression of a given type; an int literal is taken for a double, and null for anything.
    ///
    /// # Errors
    /// The first mistake, with its place; another type than the expected one is a mistake of the whole.
    pub fn compile_as(source: &str, scope: &dyn Scope, expected: &Type) -> Result<Self, ExprError> {
        parser_stack::run(source, || {
            let parsed = Parsed::new(source)?;
            let mut checker = Checker::new(&parsed, scope);
            let found = checker.check(&parsed.root)?;
            let node = checker.coerce(&parsed.root, found, expected)?;
            Ok(Self { root: node.hoist_invariants(), ty: expected.clone(), columns: checker.into_columns() })
        })
    }

    /// The dotted paths that a source uses, each once, in the order of the source. Nothing is resolved or checked.
    ///
    /// # Errors
    /// The first mistake of syntax.
    pub fn paths(source: &str) -> Result<Vec<String>, ExprError> {
        parser_stack::run(source, || {
            let parsed = Parsed::new(source)?;
            let mut paths = Vec::new();
            collect_paths(&parsed.root, &mut Vec::new(), &mut paths);
            Ok(paths)
        })
    }

    /// The type of the values.
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// The slots of the columns that it reads, each once, in the order of the source.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The value for each row: an array of `ty().arrow()` with `rows` values. `columns[slot]` is the column of a slot;
    /// only the slots in `columns()` are read.
    ///
    /// # Errors
    /// The columns are not those that it was compiled for. Values never cause an error: a result that does not exist is
    /// null.
    pub fn eval(&self, columns: &[ArrayRef], rows: usize) -> Result<ArrayRef, EvalError> {
        self.eval_with(columns, rows, None)
    }

    /// As `eval`, with a cache of the values that it shares with others: see [`super::CommonSubexpressions`].
    ///
    /// # Errors
    /// As `eval`.
    pub fn eval_with(
        &self,
        columns: &[ArrayRef],
        rows: usize,
        cse_cache: Option<&CseCache<'_>>,
    ) -> Result<ArrayRef, EvalError> {
        Ok(self.root.eval(&EvalContext::new(columns, rows, cse_cache))?.into_array(&self.ty, rows))
    }

    /// True for each row that passes, without nulls: a missing condition does not pass.
    ///
    /// # Errors
    /// As `eval`; also if the expression is not a bool.
    pub fn filter(&self, columns: &[ArrayRef], rows: usize) -> Result<BooleanArray, EvalError> {
        self.filter_with(columns, rows, None)
    }

    /// As `filter`, with a cache of the values that it shares with others: see [`super::CommonSubexpressions`].
    ///
    /// # Errors
    /// As `filter`.
    pub fn filter_with(
        &self,
        columns: &[ArrayRef],
        rows: usize,
        cse_cache: Option<&CseCache<'_>>,
    ) -> Result<BooleanArray, EvalError> {
        if self.ty != Type::Bool {
            return Err(EvalError::NotAFilter(self.ty.clone()));
        }
        let passes = self.root.eval(&EvalContext::new(columns, rows, cse_cache))?.booleans(rows);
        Ok(match passes.nulls() {
            Some(nulls) => BooleanArray::new(passes.values() & nulls.inner(), None),
            None => passes,
        })
    }
}
