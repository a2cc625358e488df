//! Checks lists and maps: literals, items by index and by key, parts of items, `in`, and the functions that take lists.

use cel::common::ast::{Expr as Syntax, IdedExpr, SelectExpr};

use super::{Checked, Checker, Typed};
use crate::expr::column::Constant;
use crate::expr::error::ExprError;
use crate::expr::kernels::{items, list};
use crate::expr::node::{Kernel, Node, PickBy};
use crate::expr::scope::{Resolution, advice};
use crate::types::Type;

impl Checker<'_> {
    /// `[a, b]`: values of one type.
    pub(super) fn check_list(&mut self, at: &IdedExpr, items: &[IdedExpr]) -> Checked {
        let checked = items.iter().map(|item| self.check(item)).collect::<Result<Vec<_>, _>>()?;
        let types = || checked.iter().filter_map(|item| item.ty.clone());
        let ty = types().find(|ty| *ty == Type::Double).or_else(|| types().next());
        let Some(ty) = ty else {
            return Err(self.parsed.error(at, "a list without a value has no type"));
        };
        if matches!(ty, Type::List(_) | Type::Map(_)) {
            return Err(self.parsed.error(at, "lists of lists are not supported"));
        }
        let nodes = items.iter().zip(checked).map(|(place, item)| self.coerce(place, item, &ty));
        let items = nodes.collect::<Result<Vec<_>, _>>()?;
        let list = Type::List(Box::new(ty.clone()));
        Ok(Typed::new(Node::List { items, ty }, list))
    }

    /// `list[0]` or `map["key"]`.
    pub(super) fn check_index(&mut self, at: &IdedExpr, list: &IdedExpr, key: &IdedExpr) -> Checked {
        let found = self.check(list)?;
        let (by, key_type, ty) = match &found.ty {
            Some(Type::List(item)) => (PickBy::Index, Type::Int, (**item).clone()),
            Some(Type::Map(value)) => (PickBy::Key, Type::Text, (**value).clone()),
            _ => {
                let message = format!("only lists and maps have items, this is {}", found.name());
                return Err(self.parsed.error_at_token(at, message));
            }
        };
        let key_found = self.check(key)?;
        let key = self.coerce(key, key_found, &key_type)?;
        Ok(pick_node(found.node, by, key, ty))
    }

    /// `labels.key` of a map in a column; none if it is neither that nor a field of a list.
    pub(super) fn check_map_entry(&mut self, select: &SelectExpr) -> Option<Checked> {
        let path = crate::expr::tree::path(&select.operand)?;
        match self.scope.resolve(&path) {
            Resolution::Column { ty: Type::Map(_), .. } => Some(self.check_part(&select.operand, &select.field)),
            Resolution::Column { ty: Type::List(_), .. } => {
                let message = format!("'{path}' is a list; name one of its items, as in {path}[0].{}", select.field);
                Some(Err(self.parsed.error(&select.operand, message)))
            }
            _ => None,
        }
    }

    /// A field of an expression that is not a name: a part of an item, or the value of a map under a key.
    pub(super) fn check_part(&mut self, base: &IdedExpr, name: &str) -> Checked {
        let found = match &base.expr {
            // Parts of records inside an item have dotted names.
            Syntax::Select(inner) if self.is_item(&inner.operand) => {
                return self.check_part(&inner.operand, &format!("{}.{name}", inner.field));
            }
            _ => self.check_item(base)?,
        };
        match (found.node, found.ty) {
            (node, Some(Type::Record(parts))) => {
                let Some(place) = parts.iter().position(|(part, _)| part == name) else {
                    let advice = advice(name, parts.iter().map(|(part, _)| part.as_str()));
                    return Err(self.parsed.error(base, format!("its items have no '{name}'; {advice}")));
                };
                let (place, part_type) = (Some(place), parts[place].1.clone());
                Ok(match node {
                    Node::Item { level, .. } => {
                        Typed::new(Node::Item { level, part: place, ty: part_type.clone() }, part_type)
                    }
                    Node::Pick { list, by, key, .. } => {
                        Typed::new(Node::Pick { list, by, key, part: place, ty: part_type.clone() }, part_type)
                    }
                    _ => return Err(self.parsed.error(base, "only an item of a list has parts")),
                })
            }
            (node, Some(Type::Map(value))) => {
                Ok(pick_node(node, PickBy::Key, Node::Constant(Constant::Text(name.into())), *value))
            }
            _ => Err(self.parsed.error(base, "only a name has fields")),
        }
    }

    /// True if a node is an item with parts, or a part that is a record.
    fn is_item(&self, node: &IdedExpr) -> bool {
        match &node.expr {
            Syntax::Ident(name) => self.find_variable(name).is_some(),
            Syntax::Select(select) => self.is_item(&select.operand),
            Syntax::Call(call) => call.func_name == "_[_]",
            _ => false,
        }
    }

    /// `value in list` and `key in map`.
    pub(super) fn check_in(&mut self, at: &IdedExpr, value: Typed, place: &IdedExpr, list: Typed) -> Checked {
        match list.ty.clone() {
            Some(Type::Map(_)) => {
                let key = self.coerce(place, value, &Type::Text)?;
                Ok(Typed::new(Node::Strict { kernel: list::has_key, arguments: vec![key, list.node] }, Type::Bool))
            }
            Some(Type::List(item)) if !matches!(*item, Type::Record(_)) => {
                let value = self.coerce(place, value, &item)?;
                Ok(Typed::new(Node::Lenient { kernel: items::contains, arguments: vec![value, list.node] }, Type::Bool))
            }
            _ => Err(self.parsed.error_at_token(at, format!("'in' does not look into {}", list.name()))),
        }
    }

    /// `sum`, `min` and `max` of a list, `join` and `split`; none for another function.
    pub(super) fn check_list_function(
        &mut self,
        at: &IdedExpr,
        name: &str,
        arguments: &[&IdedExpr],
    ) -> Option<Checked> {
        match (name, arguments) {
            ("sum" | "min" | "max", [list]) => Some(self.check_list_aggregate(name, list)),
            ("sum", _) => Some(Err(self.wrong_argument_count(at, name, "1", arguments.len()))),
            ("join", [list, separator @ ..]) if separator.len() < 2 => {
                Some(self.check_join(list, separator.first().copied()))
            }
            ("join", _) => Some(Err(self.wrong_argument_count(at, name, "1 or 2", arguments.len()))),
            ("split", [text, separator, limit @ ..]) if limit.len() < 2 => {
                Some(self.check_split(text, separator, limit.first().copied()))
            }
            ("split", _) => Some(Err(self.wrong_argument_count(at, name, "2 or 3", arguments.len()))),
            _ => None,
        }
    }

    fn check_list_aggregate(&mut self, name: &str, list: &IdedExpr) -> Checked {
        let found = self.check(list)?;
        let item = match &found.ty {
            Some(Type::List(item)) => Some((**item).clone()),
            _ => None,
        };
        let kernel: Option<Kernel> = match (name, &item) {
            ("sum", Some(Type::Int | Type::Duration)) => Some(list::sum_ints),
            ("sum", Some(Type::Double)) => Some(list::sum_doubles),
            ("min", Some(Type::Int | Type::Timestamp | Type::Duration)) => Some(list::min::<i64>),
            ("min", Some(Type::Double)) => Some(list::min::<f64>),
            ("max", Some(Type::Int | Type::Timestamp | Type::Duration)) => Some(list::max::<i64>),
            ("max", Some(Type::Double)) => Some(list::max::<f64>),
            _ => None,
        };
        match (kernel, item) {
            (Some(kernel), Some(item)) => Ok(Typed::new(Node::Strict { kernel, arguments: vec![found.node] }, item)),
            _ => {
                let message = format!("{name}() of one argument takes a list of numbers, found {}", found.name());
                Err(self.parsed.error(list, message))
            }
        }
    }

    fn check_join(&mut self, list: &IdedExpr, separator: Option<&IdedExpr>) -> Checked {
        let (texts, found) = (Type::List(Box::new(Type::Text)), self.check(list)?);
        let list = self.coerce(list, found, &texts)?;
        let separator = match separator {
            Some(separator) => self.check_text(separator)?,
            None => Node::Constant(Constant::Text("".into())),
        };
        Ok(Typed::new(Node::Strict { kernel: list::join, arguments: vec![list, separator] }, Type::Text))
    }

    fn check_split(&mut self, text: &IdedExpr, separator: &IdedExpr, limit: Option<&IdedExpr>) -> Checked {
        let (text, separator) = (self.check_text(text)?, self.check_text(separator)?);
        let limit = match limit {
            Some(limit) => {
                let found = self.check(limit)?;
                self.coerce(limit, found, &Type::Int)?
            }
            None => Node::Constant(Constant::Int(-1)),
        };
        let node = Node::Strict { kernel: list::split, arguments: vec![text, separator, limit] };
        Ok(Typed::new(node, Type::List(Box::new(Type::Text))))
    }

    fn check_text(&mut self, place: &IdedExpr) -> Result<Node, ExprError> {
        let found = self.check(place)?;
        self.coerce(place, found, &Type::Text)
    }
}

fn pick_node(list: Node, by: PickBy, key: Node, ty: Type) -> Typed {
    // The entries of a map have two parts, the key and the value.
    let part = (by == PickBy::Key).then_some(1);
    Typed::new(Node::Pick { list: Box::new(list), by, key: Box::new(key), part, ty: ty.clone() }, ty)
}
