//! Checks operators: logic, comparison, arithmetic, `in`, and the conditional.

use std::sync::Arc;

use cel::common::ast::{CallExpr, Expr as Syntax, IdedExpr};

use super::{Checked, Checker, Typed};
use crate::expr::column::Constant;
use crate::expr::error::ExprError;
use crate::expr::functions::OPERATORS;
use crate::expr::kernels::compare::{self, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual, Relation};
use crate::expr::kernels::membership::Members;
use crate::expr::kernels::{items, list, logic};
use crate::expr::node::{Kernel, Node};
use crate::types::Type;

impl Checker<'_> {
    /// An operator call; none if the call is no operator.
    pub(super) fn check_operator(&mut self, node: &IdedExpr, call: &CallExpr) -> Option<Checked> {
        let arguments = call.args.as_slice();
        Some(match (call.func_name.as_str(), arguments) {
            ("_&&_", [a, b]) => self.check_logical(logic::and, a, b),
            ("_||_", [a, b]) => self.check_logical(logic::or, a, b),
            ("_?_:_", [condition, a, b]) => self.check_conditional(condition, a, b, node),
            ("_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_", [a, b]) => {
                self.check_comparison(node, call.func_name.trim_matches('_'), a, b)
            }
            ("@in", [value, list]) => self.check_membership(node, value, list),
            ("_[_]", [list, key]) => self.check_index(node, list, key),
            ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", [a, b]) => self.check_arithmetic(node, call, &[a, b]),
            ("-_" | "!_", [a]) => self.check_arithmetic(node, call, &[a]),
            _ => return None,
        })
    }

    fn check_bool(&mut self, node: &IdedExpr) -> Result<Node, ExprError> {
        let found = self.check(node)?;
        self.coerce(node, found, &Type::Bool)
    }

    fn check_logical(&mut self, kernel: Kernel, a: &IdedExpr, b: &IdedExpr) -> Checked {
        let arguments = vec![self.check_bool(a)?, self.check_bool(b)?];
        Ok(Typed::new(Node::Lenient { kernel, arguments }, Type::Bool))
    }

    fn check_conditional(&mut self, condition: &IdedExpr, a: &IdedExpr, b: &IdedExpr, at: &IdedExpr) -> Checked {
        let condition = self.check_bool(condition)?;
        let (a, b) = (self.check(a)?, self.check(b)?);
        let (a, b, ty) = self.unify_branches(at, a, b)?;
        let node = Node::Lenient { kernel: logic::choose, arguments: vec![condition, a, b] };
        Ok(Typed { node: node.folded(), ty, is_int_literal: false })
    }

    fn check_arithmetic(&mut self, at: &IdedExpr, call: &CallExpr, arguments: &[&IdedExpr]) -> Checked {
        let checked = arguments.iter().map(|argument| self.check(argument)).collect::<Result<Vec<_>, _>>()?;
        let name = match call.func_name.as_str() {
            "-_" => "-_",
            name => name.trim_matches('_'),
        };
        if let Some(typed) = self.choose_overload(OPERATORS, name, &checked) {
            return Ok(typed);
        }
        if let ("+", [Typed { ty: Some(Type::List(a)), .. }, Typed { ty: Some(Type::List(b)), .. }]) =
            (name, checked.as_slice())
            && a == b
            && !matches!(**a, Type::Record(_))
        {
            let ty = Type::List(a.clone());
            let arguments = checked.into_iter().map(|typed| typed.node).collect();
            return Ok(Typed::new(Node::Strict { kernel: list::concatenate, arguments }, ty));
        }
        let sign = name.trim_matches('_');
        let types: Vec<String> = checked.iter().map(Typed::name).collect();
        let has = |ty: Type| checked.iter().any(|typed| typed.ty == Some(ty.clone()));
        let advice = if has(Type::Int) && has(Type::Double) {
            "; write double(...) around the int"
        } else if name == "+" && has(Type::Text) {
            "; write string(...) around the other"
        } else {
            ""
        };
        Err(self.parsed.error_at_token(at, format!("'{sign}' does not take {}{advice}", types.join(" and "))))
    }

    fn check_comparison(&mut self, at: &IdedExpr, sign: &str, a: &IdedExpr, b: &IdedExpr) -> Checked {
        let (a, b) = (self.check(a)?, self.check(b)?);
        match (&a.ty, &b.ty) {
            (None, None) if sign == "==" => {
                return Ok(Typed::new(Node::Constant(Constant::Bool(true)), Type::Bool));
            }
            (None, None) if sign == "!=" => {
                return Ok(Typed::new(Node::Constant(Constant::Bool(false)), Type::Bool));
            }
            (None, Some(_)) if matches!(sign, "==" | "!=") => {
                return Ok(compare_with_null(sign, b.node));
            }
            (Some(_), None) if matches!(sign, "==" | "!=") => {
                return Ok(compare_with_null(sign, a.node));
            }
            (Some(left), Some(right)) => {
                if let Some(kernel) = comparison_kernel(sign, left, right) {
                    let node = Node::Strict { kernel, arguments: vec![a.node, b.node] };
                    return Ok(Typed::new(node, Type::Bool));
                }
            }
            _ => {}
        }
        Err(self.parsed.error_at_token(at, format!("'{sign}' does not compare {} with {}", a.name(), b.name())))
    }

    fn check_membership(&mut self, at: &IdedExpr, value: &IdedExpr, list: &IdedExpr) -> Checked {
        let place = value;
        let value = self.check(value)?;
        let Syntax::List(items) = &list.expr else {
            let list = self.check(list)?;
            return self.check_in(at, value, place, list);
        };
        let items = items.elements.iter().map(|item| Ok((item, self.check(item)?)));
        let items = items.collect::<Result<Vec<_>, ExprError>>()?;
        let ty = value.ty.clone().or_else(|| items.iter().find_map(|(_, item)| item.ty.clone()));
        let mut nodes = Vec::with_capacity(items.len());
        for (place, item) in items {
            nodes.push(match &ty {
                Some(ty) => self.coerce(place, item, ty)?,
                None => item.node,
            });
        }
        let constants: Option<Vec<Constant>> = nodes
            .iter()
            .map(|node| if let Node::Constant(constant) = node { Some(constant.clone()) } else { None })
            .collect();
        if let Some(constants) = constants {
            let members = Arc::new(Members::new(&constants));
            return Ok(Typed::new(Node::Member { value: Box::new(value.node), members }, Type::Bool));
        }
        match ty {
            Some(ty) if !matches!(ty, Type::List(_) | Type::Map(_)) => {
                let arguments = vec![value.node, Node::List { items: nodes, ty }];
                Ok(Typed::new(Node::Lenient { kernel: items::contains, arguments }, Type::Bool))
            }
            _ => Err(self.parsed.error_at_token(at, format!("'in' does not take {}", value.name()))),
        }
    }
}

fn compare_with_null(sign: &str, node: Node) -> Typed {
    let kernel = if sign == "==" { logic::is_missing } else { logic::is_present };
    Typed::new(Node::Lenient { kernel, arguments: vec![node] }, Type::Bool)
}

/// The kernel that compares values of two types; none if they cannot be compared.
fn comparison_kernel(sign: &str, left: &Type, right: &Type) -> Option<Kernel> {
    match sign {
        "==" => relation_kernel::<Equal>(left, right),
        "!=" => relation_kernel::<NotEqual>(left, right),
        "<" => relation_kernel::<Less>(left, right),
        "<=" => relation_kernel::<LessOrEqual>(left, right),
        ">" => relation_kernel::<Greater>(left, right),
        ">=" => relation_kernel::<GreaterOrEqual>(left, right),
        _ => None,
    }
}

fn relation_kernel<R: Relation>(left: &Type, right: &Type) -> Option<Kernel> {
    Some(match (left, right) {
        (Type::Int, Type::Int) | (Type::Timestamp, Type::Timestamp) | (Type::Duration, Type::Duration) => {
            compare::numbers::<R, i64>
        }
        (Type::Double, Type::Double) => compare::numbers::<R, f64>,
        (Type::Int, Type::Double) => compare::int_with_double::<R>,
        (Type::Double, Type::Int) => compare::double_with_int::<R>,
        (Type::Text, Type::Text) => compare::texts::<R>,
        (Type::Bool, Type::Bool) => compare::bools::<R>,
        (Type::List(a), Type::List(b)) if a == b && !matches!(**a, Type::Record(_)) => match R::ON_EQUALS? {
            true => items::equal,
            false => items::differ,
        },
        _ => return None,
    })
}
