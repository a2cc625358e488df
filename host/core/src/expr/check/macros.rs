//! Checks CEL's macros: `exists`, `all`, `exists_one`, `filter` and `map`.

use cel::common::ast::{CallExpr, Expr as Syntax, IdedExpr};

use super::{Checked, Checker, Typed};
use crate::expr::comprehension::{Comprehension, ComprehensionKind};
use crate::expr::error::ExprError;
use crate::expr::node::Node;
use crate::expr::tree::macro_parts;
use crate::types::Type;

/// The most macros that may be nested in one another's bodies.
const MAX_MACRO_DEPTH: usize = 4;

/// The variable of a macro: the item that its body is evaluated for.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) ty: Type,
    /// The part of the item that it stands for: of a map's entry its key; none: the whole item.
    pub(super) part: Option<usize>,
}

impl Checker<'_> {
    /// The call of a macro; none for another call.
    pub(super) fn check_macro(&mut self, at: &IdedExpr, call: &CallExpr) -> Option<Checked> {
        let (list, variable, rest) = macro_parts(call)?;
        Some(self.check_comprehension(at, &call.func_name, list, variable, rest))
    }

    fn check_comprehension(
        &mut self,
        at: &IdedExpr,
        name: &str,
        list: &IdedExpr,
        variable: &IdedExpr,
        rest: &[IdedExpr],
    ) -> Checked {
        let Syntax::Ident(variable) = &variable.expr else {
            let message = format!("the first argument of {name}() names the item, as in items.{name}(item, ...)");
            return Err(self.parsed.error(variable, message));
        };
        if self.variables.len() == MAX_MACRO_DEPTH {
            let message = format!("at most {MAX_MACRO_DEPTH} macros may stand in one another");
            return Err(self.parsed.error_at_token(at, message));
        }
        let found = self.check(list)?;
        let (ty, part) = match &found.ty {
            Some(Type::List(item)) => ((**item).clone(), None),
            Some(Type::Map(_)) => (Type::Text, Some(0)),
            _ => {
                return Err(self.parsed.error(list, format!("{name}() takes a list or a map, found {}", found.name())));
            }
        };
        let item = Variable { name: variable.clone(), ty: ty.clone(), part };
        let over_keys = part.is_some();
        let list_type = Type::List(Box::new(ty));
        match (name, rest) {
            ("exists", [body]) => self.check_quantifier(ComprehensionKind::Exists, found.node, item, body),
            ("all", [body]) => self.check_quantifier(ComprehensionKind::All, found.node, item, body),
            ("exists_one" | "existsOne", [body]) => {
                self.check_quantifier(ComprehensionKind::ExistsOne, found.node, item, body)
            }
            ("filter", _) | ("map", [_, _]) if over_keys => {
                Err(self.parsed.error_at_token(at, format!("{name}() of a map is not supported; map its keys first")))
            }
            ("filter", [body]) => self.check_filter(found.node, item, body, list_type),
            ("map", [body]) => self.check_map(found.node, item, body),
            ("map", [passes, body]) => {
                let filtered = self.check_filter(found.node, item.clone(), passes, list_type)?;
                self.check_map(filtered.node, item, body)
            }
            ("map", _) => Err(self.wrong_argument_count(at, name, "3 or 4", rest.len() + 2)),
            _ => Err(self.wrong_argument_count(at, name, "3", rest.len() + 2)),
        }
    }

    fn check_quantifier(&mut self, kind: ComprehensionKind, list: Node, item: Variable, body: &IdedExpr) -> Checked {
        let (body, level) = self.check_body(item, body, Some(&Type::Bool))?;
        Ok(Typed::new(comprehension_node(kind, level, list, body.node), Type::Bool))
    }

    fn check_filter(&mut self, list: Node, item: Variable, body: &IdedExpr, ty: Type) -> Checked {
        let (body, level) = self.check_body(item, body, Some(&Type::Bool))?;
        Ok(Typed::new(comprehension_node(ComprehensionKind::Filter, level, list, body.node), ty))
    }

    fn check_map(&mut self, list: Node, item: Variable, place: &IdedExpr) -> Checked {
        let (body, level) = self.check_body(item, place, None)?;
        match body.ty {
            None => Err(self.parsed.error(place, "null alone has no type")),
            Some(Type::List(_) | Type::Map(_)) => {
                Err(self.parsed.error(place, "map() makes no lists of lists; map to a value"))
            }
            Some(ty) => {
                let list_type = Type::List(Box::new(ty.clone()));
                Ok(Typed::new(comprehension_node(ComprehensionKind::Map(ty), level, list, body.node), list_type))
            }
        }
    }

    /// Checks the body of a macro, coerced to a type if one is given. Also returns the body's level.
    fn check_body(&mut self, item: Variable, body: &IdedExpr, ty: Option<&Type>) -> Result<(Typed, usize), ExprError> {
        self.variables.push(item);
        let level = self.variables.len();
        let found = self.check(body);
        self.variables.pop();
        let found = found?;
        match ty {
            Some(ty) => Ok((Typed::new(self.coerce(body, found, ty)?, ty.clone()), level)),
            None => Ok((found, level)),
        }
    }
}

fn comprehension_node(kind: ComprehensionKind, level: usize, list: Node, body: Node) -> Node {
    let has_nested = has_macro(&body);
    Node::Comprehension(Box::new(Comprehension { kind, level, list, captured: Vec::new(), body, has_nested }))
}

fn has_macro(node: &Node) -> bool {
    matches!(node, Node::Comprehension(_)) || node.children().into_iter().any(has_macro)
}
