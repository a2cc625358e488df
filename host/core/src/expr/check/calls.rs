//! Checks calls of functions: those of the table by their overloads, and the few that need more than types.

use cel::common::ast::{CallExpr, Expr as Syntax, IdedExpr};

use super::{Checked, Checker, Typed};
use crate::expr::column::Constant;
use crate::expr::error::ExprError;
use crate::expr::functions::{self, FUNCTIONS, Overload};
use crate::expr::kernels::{list, logic, time};
use crate::expr::node::Node;
use crate::expr::pattern;
use crate::expr::tree::path;
use crate::rfc3339::parse_millis;
use crate::types::Type;

impl Checker<'_> {
    pub(super) fn check_call(&mut self, node: &IdedExpr, call: &CallExpr) -> Checked {
        if let Some(checked) = self.check_operator(node, call) {
            return checked;
        }
        if let Some(checked) = self.check_macro(node, call) {
            return checked;
        }
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match call.func_name.as_str() {
            "has" => self.check_has(node, &arguments),
            "coalesce" => self.check_coalesce(node, &arguments),
            "matches" => self.check_matches(node, &arguments),
            "timestamp" => self.check_timestamp(node, &arguments),
            "duration" => self.check_duration(node, &arguments),
            "size" => self.check_size(node, &arguments),
            name => {
                if let Some(checked) = self.check_list_function(node, name, &arguments) {
                    return checked;
                }
                if !FUNCTIONS.iter().any(|overload| overload.name == name) {
                    return Err(self.parsed.error_at_token(node, functions::explain_unknown_function(name)));
                }
                if let ([time, zone], true) = (arguments.as_slice(), functions::PARTS_OF_TIME.contains(&name)) {
                    return self.check_local_time_part(node, name, time, zone);
                }
                let checked = arguments.iter().map(|argument| self.check(argument)).collect::<Result<Vec<_>, _>>()?;
                self.check_function(node, name, &arguments, checked)
            }
        }
    }

    fn check_function(&mut self, at: &IdedExpr, name: &str, arguments: &[&IdedExpr], checked: Vec<Typed>) -> Checked {
        match self.choose_overload(FUNCTIONS, name, &checked) {
            Some(typed) => Ok(typed),
            None => Err(self.explain_refusal(at, name, arguments, &checked)),
        }
    }

    /// The error for arguments that no overload takes: it names their number, the one argument that is wrong, or all of
    /// them.
    fn explain_refusal(&self, at: &IdedExpr, name: &str, arguments: &[&IdedExpr], checked: &[Typed]) -> ExprError {
        let overloads: Vec<&Overload> = FUNCTIONS.iter().filter(|overload| overload.name == name).collect();
        let fitting: Vec<&Overload> =
            overloads.iter().copied().filter(|overload| overload.parameters.len() == checked.len()).collect();
        let Some(first) = fitting.first() else {
            let mut numbers: Vec<String> = overloads.iter().map(|o| o.parameters.len().to_string()).collect();
            numbers.dedup();
            return self.wrong_argument_count(at, name, &numbers.join(" or "), checked.len());
        };
        if let Some(null) = checked.iter().position(|argument| argument.ty.is_none()) {
            let message = "null has no type here; test with == null, or replace with coalesce()";
            return self.parsed.error(arguments[null], message);
        }
        if fitting.len() == 1 {
            let pairs = first.parameters.iter().zip(checked).zip(arguments);
            let wrong = pairs.filter(|((parameter, argument), _)| argument.ty.as_ref() != Some(parameter));
            for ((parameter, argument), place) in wrong {
                if let Err(error) = self.coerce(place, argument.clone(), parameter) {
                    return ExprError { message: format!("{name}(): {}", error.message), ..error };
                }
            }
        }
        let found: Vec<String> = checked.iter().map(Typed::name).collect();
        let taken: Vec<String> = fitting.iter().map(|overload| signature(overload)).collect();
        let message = format!("{name}() does not take ({}); it takes {}", found.join(", "), taken.join(" or "));
        self.parsed.error_at_token(at, message)
    }

    pub(super) fn wrong_argument_count(&self, at: &IdedExpr, name: &str, expected: &str, found: usize) -> ExprError {
        let plural = if expected == "1" { "" } else { "s" };
        self.parsed.error_at_token(at, format!("{name}() takes {expected} argument{plural}, found {found}"))
    }

    /// `getHours(time, "Europe/Berlin")` and the like.
    fn check_local_time_part(&mut self, at: &IdedExpr, name: &str, time: &IdedExpr, zone: &IdedExpr) -> Checked {
        let found = self.check(time)?;
        let node = Box::new(self.coerce(time, found, &Type::Timestamp)?);
        let Node::Constant(Constant::Text(text)) = self.check(zone)?.node else {
            return Err(self.parsed.error(zone, "the time zone must be a constant string such as \"Europe/Berlin\""));
        };
        let Some(parsed) = time::parse_zone(&text) else {
            let message = format!("'{text}' is no time zone; write one as \"Europe/Berlin\" or \"+02:00\"");
            return Err(self.parsed.error(zone, message));
        };
        let local = Typed::new(Node::Local { time: node, zone: parsed }, Type::Timestamp);
        self.check_function(at, name, &[time], vec![local])
    }

    /// `has(a.b)`: true if there is a value under a name.
    fn check_has(&mut self, at: &IdedExpr, arguments: &[&IdedExpr]) -> Checked {
        let [argument] = arguments else {
            return Err(self.wrong_argument_count(at, "has", "1", arguments.len()));
        };
        let is_item = matches!(&argument.expr, Syntax::Select(_))
            || matches!(&argument.expr, Syntax::Call(call) if call.func_name == "_[_]");
        if path(argument).is_none() && !is_item {
            return Err(self
                .parsed
                .error(argument, "has() takes a name such as device.os, or an item such as list[0]"));
        }
        let node = self.check(argument)?.node;
        Ok(Typed::new(Node::Lenient { kernel: logic::is_present, arguments: vec![node] }, Type::Bool))
    }

    fn check_coalesce(&mut self, at: &IdedExpr, arguments: &[&IdedExpr]) -> Checked {
        let [a, b] = arguments else {
            return Err(self.wrong_argument_count(at, "coalesce", "2", arguments.len()));
        };
        let (a, b) = (self.check(a)?, self.check(b)?);
        let (a, b, ty) = self.unify_branches(at, a, b)?;
        let node = Node::Lenient { kernel: logic::coalesce, arguments: vec![a, b] };
        Ok(Typed { node: node.folded(), ty, is_int_literal: false })
    }

    fn check_matches(&mut self, at: &IdedExpr, arguments: &[&IdedExpr]) -> Checked {
        let [text, place] = arguments else {
            return Err(self.wrong_argument_count(at, "matches", "2", arguments.len()));
        };
        let found = self.check(text)?;
        let text = Box::new(self.coerce(text, found, &Type::Text)?);
        let Node::Constant(Constant::Text(pattern)) = self.check(place)?.node else {
            return Err(self.parsed.error(place, "the pattern of matches() must be a constant string"));
        };
        let pattern = pattern::compile(&pattern)
            .map_err(|reason| self.parsed.error(place, format!("this is no regular expression: {reason}")))?;
        Ok(Typed::new(Node::Matches { text, pattern }, Type::Bool))
    }

    /// A constant text must be a time. A text from a column that is no time makes the value missing.
    fn check_timestamp(&mut self, at: &IdedExpr, arguments: &[&IdedExpr]) -> Checked {
        let checked = arguments.iter().map(|argument| self.check(argument)).collect::<Result<Vec<_>, _>>()?;
        if let [Typed { node: Node::Constant(Constant::Text(text)), .. }] = checked.as_slice()
            && parse_millis(text).is_none()
        {
            let message = format!("'{text}' is no time; write one as \"2025-01-31T12:00:00Z\"");
            return Err(self.parsed.error(arguments[0], message));
        }
        self.check_function(at, "timestamp", arguments, checked)
    }

    fn check_duration(&mut self, at: &IdedExpr, arguments: &[&IdedExpr]) -> Checked {
        let [argument] = arguments else {
            return Err(self.wrong_argument_count(at, "duration", "1", arguments.len()));
        };
        let Node::Constant(Constant::Text(text)) = self.check(argument)?.node else {
            return Err(self.parsed.error(argument, "duration() takes a constant string such as \"1h30m\""));
        };
        match time::parse_duration(&text) {
            Some(span) => Ok(Typed::new(Node::Constant(Constant::Int(span)), Type::Duration)),
            None => {
                let message = format!("'{text}' is no duration; write one as \"1h30m\", \"90s\" or \"250ms\"");
                Err(self.parsed.error(argument, message))
            }
        }
    }

    /// Also takes lists and maps, whose types the table of overloads cannot name.
    fn check_size(&mut self, at: &IdedExpr, arguments: &[&IdedExpr]) -> Checked {
        let checked = arguments.iter().map(|argument| self.check(argument)).collect::<Result<Vec<_>, _>>()?;
        match checked.as_slice() {
            [Typed { node, ty: Some(Type::List(_) | Type::Map(_)), .. }] => {
                let node = Node::Strict { kernel: list::size, arguments: vec![node.clone()] };
                Ok(Typed::new(node, Type::Int))
            }
            _ => self.check_function(at, "size", arguments, checked),
        }
    }
}

fn signature(overload: &Overload) -> String {
    let parameters: Vec<String> = overload.parameters.iter().map(Type::to_string).collect();
    format!("({})", parameters.join(", "))
}
