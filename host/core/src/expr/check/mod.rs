//! The type checker: walks CEL's syntax tree once and lowers it to typed nodes, constants folded.

mod calls;
mod lists;
mod macros;
mod operators;

use cel::common::ast::{Expr as Syntax, IdedExpr, LiteralValue};

use self::macros::Variable;
use super::column::Constant;
use super::error::ExprError;
use super::functions::Overload;
use super::hints::foreign_literal;
use super::node::Node;
use super::parse::Parsed;
use super::scope::{Resolution, Scope};
use super::tree::path;
use crate::types::Type;

/// A node and its type.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) node: Node,
    /// None for the literal `null`, which has any type.
    pub(super) ty: Option<Type>,
    /// True for an int literal, which is read as a double where one is needed.
    is_int_literal: bool,
}

impl Typed {
    fn new(node: Node, ty: Type) -> Self {
        Self { node: node.folded(), ty: Some(ty), is_int_literal: false }
    }

    /// The double of an int literal, if the double is exact.
    fn as_double(&self) -> Option<Node> {
        match self.node {
            Node::Constant(Constant::Int(int)) if self.is_int_literal && i128::from(int) == int as f64 as i128 => {
                Some(Node::Constant(Constant::Double(int as f64)))
            }
            _ => None,
        }
    }

    fn name(&self) -> String {
        self.ty.as_ref().map_or_else(|| "null".to_owned(), Type::to_string)
    }
}

/// Checks one expression.
pub(super) struct Checker<'a> {
    parsed: &'a Parsed<'a>,
    scope: &'a dyn Scope,
    columns: Vec<usize>,
    /// The variables of the macros around the current node, the innermost last.
    variables: Vec<Variable>,
}

type Checked = Result<Typed, ExprError>;

impl<'a> Checker<'a> {
    pub(super) fn new(parsed: &'a Parsed<'a>, scope: &'a dyn Scope) -> Self {
        Self { parsed, scope, columns: Vec::new(), variables: Vec::new() }
    }

    /// The slots that the checked expression reads.
    pub(super) fn into_columns(self) -> Vec<usize> {
        self.columns
    }

    /// Checks a node that must be a value. An item with parts is none.
    pub(super) fn check(&mut self, node: &IdedExpr) -> Checked {
        let found = self.check_item(node)?;
        let Some(Type::Record(parts)) = &found.ty else { return Ok(found) };
        let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).take(8).collect();
        let message = format!("an item with parts is no value; name one of them, such as {}", names.join(", "));
        Err(self.parsed.error(node, message))
    }

    /// Checks a node that may also be an item with parts.
    fn check_item(&mut self, node: &IdedExpr) -> Checked {
        match &node.expr {
            Syntax::Literal(literal) => self.check_literal(node, literal),
            Syntax::Ident(_) | Syntax::Select(_) => self.check_name(node),
            Syntax::Call(call) => self.check_call(node, call),
            Syntax::List(list) => self.check_list(node, &list.elements),
            Syntax::Map(_) | Syntax::Struct(_) => Err(self.parsed.error(node, "maps cannot be written")),
            Syntax::Comprehension(_) | Syntax::Unspecified => Err(self.parsed.error(node, "this is not supported")),
        }
    }

    /// A variable of a macro, the path of a column, or a part of another expression.
    fn check_name(&mut self, node: &IdedExpr) -> Checked {
        let path = path(node);
        let root = path.as_deref().and_then(|path| path.split('.').next());
        match (&node.expr, &path) {
            (Syntax::Ident(name), _) if let Some(item) = self.find_variable(name) => Ok(item),
            (_, Some(path)) if root.is_none_or(|root| self.find_variable(root).is_none()) => {
                self.check_path(node, path)
            }
            (Syntax::Select(select), _) => self.check_part(&select.operand, &select.field),
            _ => Err(self.parsed.error(node, "only a name has fields")),
        }
    }

    /// The variable of that name of the innermost macro that has one.
    fn find_variable(&self, name: &str) -> Option<Typed> {
        let (index, item) = self.variables.iter().enumerate().rfind(|(_, item)| item.name == name)?;
        let (level, part, ty) = (index + 1, item.part, item.ty.clone());
        Some(Typed::new(Node::Item { level, part, ty: ty.clone() }, ty))
    }

    /// The node of an expression that must have a type.
    pub(super) fn coerce(&self, at: &IdedExpr, found: Typed, expected: &Type) -> Result<Node, ExprError> {
        match &found.ty {
            None => return Ok(found.node),
            Some(ty) if ty == expected => return Ok(found.node),
            Some(_) if *expected == Type::Double => {
                if let Some(node) = found.as_double() {
                    return Ok(node);
                }
            }
            Some(_) => {}
        }
        let advice = match (&found.ty, expected) {
            (Some(Type::Int), Type::Double) => "; write double(...)",
            (Some(Type::Double), Type::Int) => "; write int(...)",
            _ => "",
        };
        Err(self.parsed.error(at, format!("expected {expected}, found {}{advice}", found.name())))
    }

    fn check_literal(&self, node: &IdedExpr, literal: &LiteralValue) -> Checked {
        let (constant, ty) = match literal {
            LiteralValue::Null => {
                return Ok(Typed { node: Node::Constant(Constant::Null), ty: None, is_int_literal: false });
            }
            LiteralValue::Boolean(value) => (Constant::Bool(*value.inner()), Type::Bool),
            LiteralValue::Int(value) => (Constant::Int(*value.inner()), Type::Int),
            LiteralValue::Double(value) => (Constant::Double(*value.inner()), Type::Double),
            LiteralValue::String(value) => (Constant::Text(value.inner().into()), Type::Text),
            LiteralValue::UInt(_) => {
                return Err(self.parsed.error(node, "unsigned ints are not supported; drop the 'u'"));
            }
            LiteralValue::Bytes(_) => {
                return Err(self.parsed.error(node, "bytes are not supported; write a string"));
            }
        };
        let is_int_literal = ty == Type::Int;
        Ok(Typed { node: Node::Constant(constant), ty: Some(ty), is_int_literal })
    }

    fn check_path(&mut self, node: &IdedExpr, path: &str) -> Checked {
        match self.scope.resolve(path) {
            Resolution::Column { slot, ty } => {
                if !self.columns.contains(&slot) {
                    self.columns.push(slot);
                }
                Ok(Typed::new(Node::Column { slot, ty: ty.clone() }, ty))
            }
            Resolution::Unknown { advice } => {
                if let Syntax::Select(select) = &node.expr
                    && let Some(entry) = self.check_map_entry(select)
                {
                    return entry;
                }
                let advice = foreign_literal(path).map_or(advice, str::to_owned);
                let advice = if advice.is_empty() { advice } else { format!("; {advice}") };
                Err(self.parsed.error(node, format!("unknown name '{path}'{advice}")))
            }
        }
    }

    /// The first overload that takes the arguments as they are, else one that takes int literals as doubles.
    fn choose_overload(&self, overloads: &'static [Overload], name: &str, arguments: &[Typed]) -> Option<Typed> {
        let named = || overloads.iter().filter(|o| o.name == name && o.parameters.len() == arguments.len());
        let exact = |o: &&Overload| o.parameters.iter().zip(arguments).all(|(p, a)| a.ty.as_ref() == Some(p));
        let takes = |parameter: &Type, argument: &Typed| {
            argument.ty.as_ref() == Some(parameter) || (*parameter == Type::Double && argument.as_double().is_some())
        };
        let near = |o: &&Overload| o.parameters.iter().zip(arguments).all(|(p, a)| takes(p, a));
        let overload = named().find(exact).or_else(|| named().find(near))?;
        let fitted = overload.parameters.iter().zip(arguments).map(|(parameter, argument)| {
            match (argument.ty.as_ref() == Some(parameter), argument.as_double()) {
                (false, Some(double)) => double,
                _ => argument.node.clone(),
            }
        });
        let node = Node::Strict { kernel: overload.kernel, arguments: fitted.collect() };
        Some(Typed::new(node, overload.result.clone()))
    }

    /// Gives two branches one type: the same type, an int literal beside a double, or null beside anything.
    fn unify_branches(&self, at: &IdedExpr, a: Typed, b: Typed) -> Result<(Node, Node, Option<Type>), ExprError> {
        let ty = match (&a.ty, &b.ty) {
            (None, ty) | (ty, None) => ty.clone(),
            (Some(x), Some(y)) if x == y => Some(x.clone()),
            (Some(Type::Double), _) | (_, Some(Type::Double)) => {
                let double = |typed: &Typed| match &typed.ty {
                    Some(Type::Double) => Some(typed.node.clone()),
                    _ => typed.as_double(),
                };
                if let (Some(a), Some(b)) = (double(&a), double(&b)) {
                    return Ok((a, b, Some(Type::Double)));
                }
                return Err(self.not_one_type(at, &a, &b));
            }
            _ => return Err(self.not_one_type(at, &a, &b)),
        };
        if let Some(list @ (Type::List(_) | Type::Map(_))) = &ty {
            return Err(self.parsed.error(at, format!("choosing between values of type {list} is not supported")));
        }
        Ok((a.node, b.node, ty))
    }

    fn not_one_type(&self, at: &IdedExpr, a: &Typed, b: &Typed) -> ExprError {
        let mixed =
            matches!((&a.ty, &b.ty), (Some(Type::Int), Some(Type::Double)) | (Some(Type::Double), Some(Type::Int)));
        let advice = if mixed { "; write double(...) around the int" } else { "" };
        self.parsed.error(at, format!("the values must have one type, found {} and {}{advice}", a.name(), b.name()))
    }
}
