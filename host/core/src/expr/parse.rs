//! From source to CEL's syntax tree, with the place of each node, and CEL's syntax errors in our words.

use std::ops::Range;

use cel::common::ast::{CallExpr, Expr as Syntax, IdedExpr, SourceInfo};
use cel::{ParseError, ParseErrors};

use super::error::ExprError;
use super::tokens;

/// A source and its tree.
pub(super) struct Parsed<'a> {
    source: &'a str,
    info: SourceInfo,
    pub(super) root: IdedExpr,
}

impl<'a> Parsed<'a> {
    /// Parses a source within the limits. Macros such as `has(a)` stay calls.
    pub(super) fn new(source: &'a str) -> Result<Self, ExprError> {
        tokens::check_limits(source)?;
        let parser = cel::Env::default().with_optional_support(false).parser();
        match parser.parse_with_source_info(source) {
            Ok((root, info)) => Ok(Self { source, info, root }),
            Err(errors) => Err(translate(source, &errors)),
        }
    }

    /// A mistake at a node, all of which is marked.
    pub(super) fn error(&self, node: &IdedExpr, message: impl Into<String>) -> ExprError {
        let extent = self.extent(node).unwrap_or(0..1);
        ExprError::at(self.source, extent.start, extent.end.saturating_sub(extent.start), message)
    }

    /// A mistake at the token that made a node: an operator, or a function's name.
    pub(super) fn error_at_token(&self, node: &IdedExpr, message: impl Into<String>) -> ExprError {
        let token = self.token(node).unwrap_or(0..1);
        ExprError::at(self.source, token.start, token.len(), message)
    }

    /// The bytes of a node's token. Of a call the parser notes the bracket, which its name stands before.
    fn token(&self, node: &IdedExpr) -> Option<Range<usize>> {
        let (start, stop) = self.info.offset_for(node.id)?;
        let (start, end) = (start as usize, stop as usize + 1);
        if let Syntax::Call(call) = &node.expr {
            let before = self.source.get(..start).unwrap_or_default().trim_end();
            if before.ends_with(&call.func_name) {
                return Some(before.len() - call.func_name.len()..before.len());
            }
        }
        Some(start..end)
    }

    /// The bytes from the first to the last token of a node and all below it.
    fn extent(&self, node: &IdedExpr) -> Option<Range<usize>> {
        let token = self.token(node);
        let mut extent = match &node.expr {
            // The parser notes the dot of `a.b`; the field's name is behind it.
            Syntax::Select(select) => token.map(|dot| dot.start..dot.end + select.field.len()),
            _ => token,
        };
        for child in children(node) {
            extent = match (extent, self.extent(child)) {
                (Some(a), Some(b)) => Some(a.start.min(b.start)..a.end.max(b.end)),
                (a, b) => a.or(b),
            };
        }
        extent
    }
}

/// The nodes right below a node.
pub(super) fn children(node: &IdedExpr) -> Vec<&IdedExpr> {
    match &node.expr {
        Syntax::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Syntax::Select(select) => vec![&select.operand],
        Syntax::List(list) => list.elements.iter().collect(),
        Syntax::Map(map) => map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Syntax::Struct(record) => record.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        // Without macros there are no comprehensions.
        Syntax::Comprehension(_) | Syntax::Ident(_) | Syntax::Literal(_) | Syntax::Unspecified => Vec::new(),
    }
}

fn entry_parts(entry: &cel::common::ast::EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        cel::common::ast::EntryExpr::StructField(field) => vec![&field.value],
        cel::common::ast::EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// The dotted path that a node spells, if it is nothing but names.
pub(super) fn path(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Syntax::Ident(name) => Some(name.clone()),
        Syntax::Select(select) if !select.test => Some(format!("{}.{}", path(&select.operand)?, select.field)),
        _ => None,
    }
}

/// The names of macros: calls whose second argument names the item that the others are about.
pub(super) const MACROS: [&str; 6] = ["all", "exists", "existsOne", "exists_one", "filter", "map"];

/// The list, the variable and the rest of a macro's call; none for another call.
pub(super) fn macro_parts(call: &CallExpr) -> Option<(&IdedExpr, &IdedExpr, &[IdedExpr])> {
    if !MACROS.contains(&call.func_name.as_str()) {
        return None;
    }
    match (call.target.as_deref(), call.args.as_slice()) {
        (Some(list), [variable, rest @ ..]) => Some((list, variable, rest)),
        (None, [list, variable, rest @ ..]) => Some((list, variable, rest)),
        _ => None,
    }
}

/// Collects the paths in a tree, each once, in the order of the source; variables of macros are none.
pub(super) fn collect_paths(node: &IdedExpr, variables: &mut Vec<String>, found: &mut Vec<String>) {
    if let Some(path) = path(node) {
        let root = path.split('.').next().unwrap_or_default();
        if !variables.iter().any(|variable| variable == root) && !found.contains(&path) {
            found.push(path);
        }
        return;
    }
    if let Syntax::Call(call) = &node.expr
        && let Some((list, IdedExpr { expr: Syntax::Ident(variable), .. }, rest)) = macro_parts(call)
    {
        collect_paths(list, variables, found);
        variables.push(variable.clone());
        rest.iter().for_each(|node| collect_paths(node, variables, found));
        variables.pop();
        return;
    }
    for child in children(node) {
        collect_paths(child, variables, found);
    }
}

/// The first of the parser's errors that says something, in our words.
fn translate(source: &str, errors: &ParseErrors) -> ExprError {
    // "Incomplete ..." only follows from a syntax error behind it.
    let telling = |error: &&ParseError| !error.msg.starts_with("Incomplete") && !error.msg.starts_with("No `");
    let Some(error) = errors.errors.iter().find(telling).or(errors.errors.first()) else {
        return ExprError::at(source, 0, 1, "this is not an expression");
    };
    if source.trim().is_empty() {
        return ExprError::at(source, 0, 1, "the expression is empty");
    }
    let place = |number: isize| usize::try_from(number).unwrap_or(1);
    ExprError::at_place(source, place(error.pos.0), place(error.pos.1), reworded(&error.msg))
}

fn reworded(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    if message.contains("Recursion limit") {
        return "nested too deeply".to_owned();
    }
    if let Some(word) = message.strip_prefix("reserved identifier: ") {
        return format!("'{word}' is a reserved word");
    }
    if let Some(rest) = message.strip_prefix("missing ") {
        let (missing, before) = rest.split_once(" at ").unwrap_or((rest, ""));
        return if before.contains("<EOF>") {
            format!("missing {missing} at the end")
        } else {
            format!("missing {missing}")
        };
    }
    for start in ["mismatched input ", "extraneous input ", "no viable alternative at input "] {
        if let Some(rest) = message.strip_prefix(start) {
            return unexpected(rest.split(" expecting ").next().unwrap_or(rest));
        }
    }
    match message {
        "invalid int literal" => "this int is out of the range of 64 bits".to_owned(),
        "invalid double literal" => "this double is out of range".to_owned(),
        other => other.to_owned(),
    }
}

fn unexpected(token: &str) -> String {
    match token {
        "'<EOF>'" => "the expression ends too early".to_owned(),
        "'and'" => "unexpected 'and'; write '&&'".to_owned(),
        "'or'" => "unexpected 'or'; write '||'".to_owned(),
        token => format!("unexpected {token}"),
    }
}
