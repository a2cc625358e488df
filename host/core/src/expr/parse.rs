//! Parses a source to CEL's syntax tree with the place of each node, and rewords CEL's syntax errors.

use std::ops::Range;

use cel::common::ast::{Expr as Syntax, IdedExpr, SourceInfo};
use cel::{ParseError, ParseErrors};

use super::error::ExprError;
use super::limits::{self, MAX_DEPTH, find_too_deep_node};
use super::tree::children;
use super::{hints, tokens};

/// A source and its tree.
pub(super) struct Parsed<'a> {
    source: &'a str,
    info: SourceInfo,
    pub(super) root: IdedExpr,
}

impl<'a> Parsed<'a> {
    /// Parses a source within the limits. The caller must provide a stack that is large enough: see `parser_stack`.
    /// Macros such as `has(a)` stay calls.
    pub(super) fn new(source: &'a str) -> Result<Self, ExprError> {
        limits::check_length(source)?;
        let tokens = tokens::tokenize(source)?;
        limits::check_tokens(source, &tokens)?;
        hints::check_words(source, &tokens)?;
        let (root, info) = parse(source)?;
        Ok(Self { source, info, root })
    }

    /// A mistake at a node. The marker covers the whole node.
    pub(super) fn error(&self, node: &IdedExpr, message: impl Into<String>) -> ExprError {
        let extent = self.extent(node).unwrap_or(0..1);
        ExprError::at(self.source, extent.start, extent.end.saturating_sub(extent.start), message)
    }

    /// A mistake at the token that made a node: an operator, or a function's name.
    pub(super) fn error_at_token(&self, node: &IdedExpr, message: impl Into<String>) -> ExprError {
        let token = self.token(node).unwrap_or(0..1);
        ExprError::at(self.source, token.start, token.len(), message)
    }

    /// The bytes of a node's token. For a call the parser records its bracket; the token is the name before it.
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
            // The parser records the dot of `a.b`; the field's name follows it.
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

/// Parses a source. The tree has at most [`MAX_DEPTH`] levels, so that recursion over it is safe.
pub(super) fn parse(source: &str) -> Result<(IdedExpr, SourceInfo), ExprError> {
    let parser = cel::Env::default().with_optional_support(false).parser().enable_ident_escape_syntax(true);
    let (root, info) = parser.parse_with_source_info(source).map_err(|errors| reword_parse_errors(source, &errors))?;
    if let Some(node) = find_too_deep_node(&root) {
        let start = info.offset_for(node.id).map_or(0, |(start, _)| start as usize);
        let message =
            format!("nested too deeply: at most {MAX_DEPTH} operators, calls and lists may stand in one another");
        return Err(ExprError::at(source, start, 1, message));
    }
    Ok((root, info))
}

/// Rewords the first error of the parser that helps the author.
fn reword_parse_errors(source: &str, errors: &ParseErrors) -> ExprError {
    // "Incomplete ..." and "No `" only follow from another syntax error.
    let is_cause = |error: &&ParseError| !error.msg.starts_with("Incomplete") && !error.msg.starts_with("No `");
    let Some(error) = errors.errors.iter().find(is_cause).or(errors.errors.first()) else {
        return ExprError::at(source, 0, 1, "this is not an expression");
    };
    if source.trim().is_empty() {
        return ExprError::at(source, 0, 1, "the expression is empty");
    }
    let place = |number: isize| usize::try_from(number).unwrap_or(1);
    ExprError::at_place(source, place(error.pos.0), place(error.pos.1), reword_message(&error.msg))
}

fn reword_message(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    if message.contains("Recursion limit") {
        return "nested too deeply".to_owned();
    }
    if let Some(word) = message.strip_prefix("reserved identifier: ") {
        return hints::explain_reserved_word(word.trim_start_matches('.'));
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
            return describe_unexpected_token(rest.split(" expecting ").next().unwrap_or(rest));
        }
    }
    match message {
        "invalid int literal" => "this int is out of the range of 64 bits".to_owned(),
        "invalid double literal" => "this double is out of range".to_owned(),
        other => other.to_owned(),
    }
}

fn describe_unexpected_token(token: &str) -> String {
    match token {
        "'<EOF>'" => "the expression ends too early".to_owned(),
        token => format!("unexpected {token}"),
    }
}
