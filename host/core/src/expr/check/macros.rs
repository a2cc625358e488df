//! CEL's macros: `exists`, `all`, `exists_one`, `filter` and `map`.

use cel::common::ast::{CallExpr, Expr as Syntax, IdedExpr};

use super::{Checked, Checker, Typed};
use crate::expr::each::{Each, Kind};
use crate::expr::error::ExprError;
use crate::expr::node::Node;
use crate::expr::tree::macro_parts;
use crate::types::Type;

/// How many macros may stand in the body of one another.
const DEEPEST_MACROS: usize = 4;

/// The item that the body of a macro is about.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) ty: Type,
    /// The part of the item that it stands for: of a map its key.
    pub(super) part: Option<usize>,
}

impl Checker<'_> {
    /// The call of a macro; none for another call.
    pub(super) fn macro_call(&mut self, at: &IdedExpr, call: &CallExpr) -> Option<Checked> {
        let (list, variable, rest) = macro_parts(call)?;
        Some(self.each(at, &call.func_name, list, variable, rest))
    }

    fn each(&mut self, at: &IdedExpr, name: &str, list: &IdedExpr, variable: &IdedExpr, rest: &[IdedExpr]) -> Checked {
        let Syntax::Ident(variable) = &variable.expr else {
            let message = format!("the first argument of {name}() names the item, as in items.{name}(item, ...)");
            return Err(self.parsed.error(variable, message));
        };
        if self.variables.len() == DEEPEST_MACROS {
            let message = format!("at most {DEEPEST_MACROS} macros may stand in one another");
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
            ("exists", [body]) => self.fold(Kind::Exists, found.node, item, body),
            ("all", [body]) => self.fold(Kind::All, found.node, item, body),
            ("exists_one" | "existsOne", [body]) => self.fold(Kind::ExistsOne, found.node, item, body),
            ("filter", _) | ("map", [_, _]) if over_keys => {
                Err(self.parsed.error_at_token(at, format!("{name}() of a map is not supported; map its keys first")))
            }
            ("filter", [body]) => self.filtered(found.node, item, body, list_type),
            ("map", [body]) => self.mapped(found.node, item, body),
            ("map", [passes, body]) => {
                let filtered = self.filtered(found.node, item.clone(), passes, list_type)?;
                self.mapped(filtered.node, item, body)
            }
            ("map", _) => Err(self.wrong_number(at, name, "3 or 4", rest.len() + 2)),
            _ => Err(self.wrong_number(at, name, "3", rest.len() + 2)),
        }
    }

    fn fold(&mut self, kind: Kind, list: Node, item: Variable, body: &IdedExpr) -> Checked {
        let (body, level) = self.body(item, body, Some(&Type::Bool))?;
        Ok(Typed::new(each(kind, level, list, body.node), Type::Bool))
    }

    fn filtered(&mut self, list: Node, item: Variable, body: &IdedExpr, ty: Type) -> Checked {
        let (body, level) = self.body(item, body, Some(&Type::Bool))?;
        Ok(Typed::new(each(Kind::Filter, level, list, body.node), ty))
    }

    fn mapped(&mut self, list: Node, item: Variable, place: &IdedExpr) -> Checked {
        let (body, level) = self.body(item, place, None)?;
        match body.ty {
            None => Err(self.parsed.error(place, "null alone has no type")),
            Some(Type::List(_) | Type::Map(_)) => {
                Err(self.parsed.error(place, "map() makes no lists of lists; map to a value"))
            }
            Some(ty) => {
                let list_type = Type::List(Box::new(ty.clone()));
                Ok(Typed::new(each(Kind::Map(ty), level, list, body.node), list_type))
            }
        }
    }

    /// The body of a macro, of an expected type if there is one, and its level.
    fn body(&mut self, item: Variable, body: &IdedExpr, ty: Option<&Type>) -> Result<(Typed, usize), ExprError> {
        self.variables.push(item);
        let level = self.variables.len();
        let found = self.check(body);
        self.variables.pop();
        let found = found?;
        match ty {
            Some(ty) => Ok((Typed::new(self.fit(body, found, ty)?, ty.clone()), level)),
            None => Ok((found, level)),
        }
    }
}

fn each(kind: Kind, level: usize, list: Node, body: Node) -> Node {
    let nests = has_macro(&body);
    Node::Each(Box::new(Each { kind, level, list, captured: Vec::new(), body, nests }))
}

fn has_macro(node: &Node) -> bool {
    matches!(node, Node::Each(_)) || node.children().into_iter().any(has_macro)
}
