//! The limits on a source: on its tokens before it is parsed, and on the tree that the parser has made of it.
//!
//! The first are told with the place of the token; the second hold whatever the first have overlooked: what checks,
//! lowers, evaluates and drops a tree recurses once a level, and a tree has at most [`MAX_DEPTH`] of them.

use cel::common::ast::IdedExpr;

use super::error::ExprError;
use super::tokens::{Kind, Token};
use super::tree::children;

/// The longest source, in bytes: a list of 5,000 numbers of six digits.
pub const MAX_SOURCE_BYTES: usize = 64 * 1024;
/// The most brackets, parentheses and braces that may be open at once.
pub const MAX_OPEN_BRACKETS: usize = 64;
/// The most operators, dots and calls in a chain (through all open brackets) without `&&`, `||` or a comma.
pub const MAX_CHAIN: usize = 256;
/// The most levels of a tree: operators, calls and lists that stand in one another.
pub const MAX_DEPTH: usize = 320;

/// Checks the length of a source.
pub(super) fn check_length(source: &str) -> Result<(), ExprError> {
    if source.len() <= MAX_SOURCE_BYTES {
        return Ok(());
    }
    let message = format!("the expression is {} bytes long, at most {MAX_SOURCE_BYTES} are allowed", source.len());
    Err(ExprError::at(source, 0, 1, message))
}

/// What is counted at one level of brackets.
#[derive(Default)]
struct Level {
    closer: char,
    start: usize,
    /// Operators since the last `&&`, `||` or comma; the parser balances chains of those two.
    operators: usize,
    /// `? :` since the last comma: each nests in the one before.
    choices: usize,
}

/// Checks that brackets match, how deep they nest and how long chains of operators are.
pub(super) fn check_tokens(source: &str, tokens: &[Token]) -> Result<(), ExprError> {
    let mut levels = vec![Level::default()];
    let mut counter = Counter { source, chain: 0 };
    for token in tokens {
        let level = innermost(&mut levels);
        match token.kind {
            Kind::Open(bracket) => {
                // An index or a call extends the chain it stands in.
                counter.count(level, token)?;
                if levels.len() > MAX_OPEN_BRACKETS {
                    let message = format!("nested too deeply: at most {MAX_OPEN_BRACKETS} brackets may be open");
                    return Err(error_at(source, token, message));
                }
                levels.push(Level { closer: closer_of(bracket), start: token.start, ..Level::default() });
            }
            Kind::Close(bracket) => {
                counter.end_chain(level, true);
                close(source, &mut levels, token, bracket)?;
            }
            Kind::Comma => counter.end_chain(level, true),
            Kind::Logic => counter.end_chain(level, false),
            Kind::Choice => {
                level.choices += 1;
                counter.chain += 1;
                counter.count(level, token)?;
            }
            Kind::Dot | Kind::Operator => counter.count(level, token)?,
            Kind::Word if token.text(source) == "in" => counter.count(level, token)?,
            Kind::Word | Kind::Quoted | Kind::Number | Kind::Text => {}
        }
    }
    match levels.last() {
        Some(level) if levels.len() > 1 => {
            let message = format!("this bracket is never closed with '{}'", level.closer);
            Err(ExprError::at(source, level.start, 1, message))
        }
        _ => Ok(()),
    }
}

/// The levels are never empty: the first is that of the whole source.
fn innermost(levels: &mut Vec<Level>) -> &mut Level {
    if levels.is_empty() {
        levels.push(Level::default());
    }
    let last = levels.len() - 1;
    &mut levels[last]
}

fn closer_of(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

fn close(source: &str, levels: &mut Vec<Level>, token: &Token, bracket: char) -> Result<(), ExprError> {
    match levels.last() {
        Some(level) if levels.len() > 1 && level.closer == bracket => {
            levels.pop();
            Ok(())
        }
        Some(level) if levels.len() > 1 => {
            Err(error_at(source, token, format!("expected '{}', found '{bracket}'", level.closer)))
        }
        _ => Err(error_at(source, token, format!("'{bracket}' closes no bracket"))),
    }
}

fn error_at(source: &str, token: &Token, message: impl Into<String>) -> ExprError {
    ExprError::at(source, token.start, token.end - token.start, message)
}

/// Counts the operators in the chains of all open brackets.
struct Counter<'a> {
    source: &'a str,
    chain: usize,
}

impl Counter<'_> {
    fn count(&mut self, level: &mut Level, token: &Token) -> Result<(), ExprError> {
        level.operators += 1;
        self.chain += 1;
        if self.chain > MAX_CHAIN {
            let message = format!("more than {MAX_CHAIN} operators in one chain; split the expression");
            return Err(error_at(self.source, token, message));
        }
        Ok(())
    }

    /// Begins a new chain at a level; `? :` nest until the next comma.
    fn end_chain(&mut self, level: &mut Level, ends_choices: bool) {
        self.chain -= level.operators;
        level.operators = 0;
        if ends_choices {
            self.chain -= level.choices;
            level.choices = 0;
        }
    }
}

/// A node that stands deeper in a tree than [`MAX_DEPTH`]. Walks with a list of its own, not by recursion.
pub(super) fn too_deep(root: &IdedExpr) -> Option<&IdedExpr> {
    let mut open = vec![(root, 1)];
    while let Some((node, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Some(node);
        }
        open.extend(children(node).into_iter().map(|child| (child, depth + 1)));
    }
    None
}
