//! The limits on a source: on its tokens before it is parsed, and on the tree that the parser makes.
//!
//! The limits on tokens give errors with a place. The limit on the tree protects the stack even where the token limits
//! miss a case: code that checks, lowers, evaluates and drops a tree recurses once per level, and a tree has at most
//! [`MAX_DEPTH`] levels.

use cel::common::ast::IdedExpr;

use super::error::ExprError;
use super::tokens::{Token, TokenKind};
use super::tree::children;

/// The longest source, in bytes: enough for a list of 5,000 numbers of six digits.
pub const MAX_SOURCE_BYTES: usize = 64 * 1024;
/// The most brackets, parentheses and braces that may be open at once.
pub const MAX_OPEN_BRACKETS: usize = 64;
/// The most operators, dots and calls in a chain without `&&`, `||` or a comma. A chain continues inside open brackets.
pub const MAX_CHAIN: usize = 256;
/// The most levels of a tree: operators, calls and lists that are nested in one another.
pub const MAX_DEPTH: usize = 320;

/// Checks the length of a source.
pub(super) fn check_length(source: &str) -> Result<(), ExprError> {
    if source.len() <= MAX_SOURCE_BYTES {
        return Ok(());
    }
    let message = format!("the expression is {} bytes long, at most {MAX_SOURCE_BYTES} are allowed", source.len());
    Err(ExprError::at(source, 0, 1, message))
}

/// The counts at one level of brackets.
#[derive(Default)]
struct BracketLevel {
    closer: char,
    start: usize,
    /// Operators since the last `&&`, `||` or comma. `&&` and `||` do not count, because the parser balances their
    /// chains.
    operators: usize,
    /// `?` since the last comma: each nests in the one before it.
    choices: usize,
}

/// Checks that brackets match, how deep they nest and how long chains of operators are.
pub(super) fn check_tokens(source: &str, tokens: &[Token]) -> Result<(), ExprError> {
    let mut levels = vec![BracketLevel::default()];
    let mut counter = ChainCounter { source, chain: 0 };
    for token in tokens {
        let level = innermost_level(&mut levels);
        match token.kind {
            TokenKind::Open(bracket) => {
                // An index or a call extends the chain that it stands in.
                counter.count_operator(level, token)?;
                if levels.len() > MAX_OPEN_BRACKETS {
                    let message = format!("nested too deeply: at most {MAX_OPEN_BRACKETS} brackets may be open");
                    return Err(error_at(source, token, message));
                }
                levels.push(BracketLevel {
                    closer: closing_bracket(bracket),
                    start: token.start,
                    ..BracketLevel::default()
                });
            }
            TokenKind::Close(bracket) => {
                counter.end_chain(level, true);
                close_bracket(source, &mut levels, token, bracket)?;
            }
            TokenKind::Comma => counter.end_chain(level, true),
            TokenKind::Logic => counter.end_chain(level, false),
            TokenKind::Choice => {
                level.choices += 1;
                counter.chain += 1;
                counter.count_operator(level, token)?;
            }
            TokenKind::Dot | TokenKind::Operator => counter.count_operator(level, token)?,
            TokenKind::Word if token.text(source) == "in" => counter.count_operator(level, token)?,
            TokenKind::Word | TokenKind::Quoted | TokenKind::Number | TokenKind::Text => {}
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

/// The innermost level. The levels are never empty: the first is that of the whole source.
fn innermost_level(levels: &mut Vec<BracketLevel>) -> &mut BracketLevel {
    if levels.is_empty() {
        levels.push(BracketLevel::default());
    }
    let last = levels.len() - 1;
    &mut levels[last]
}

fn closing_bracket(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

fn close_bracket(source: &str, levels: &mut Vec<BracketLevel>, token: &Token, bracket: char) -> Result<(), ExprError> {
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
struct ChainCounter<'a> {
    source: &'a str,
    chain: usize,
}

impl ChainCounter<'_> {
    fn count_operator(&mut self, level: &mut BracketLevel, token: &Token) -> Result<(), ExprError> {
        level.operators += 1;
        self.chain += 1;
        if self.chain > MAX_CHAIN {
            let message = format!("more than {MAX_CHAIN} operators in one chain; split the expression");
            return Err(error_at(self.source, token, message));
        }
        Ok(())
    }

    /// Ends the chain at a level. `? :` end only with `ends_choices`, because they nest until the next comma.
    fn end_chain(&mut self, level: &mut BracketLevel, ends_choices: bool) {
        self.chain -= level.operators;
        level.operators = 0;
        if ends_choices {
            self.chain -= level.choices;
            level.choices = 0;
        }
    }
}

/// A node that is deeper in the tree than [`MAX_DEPTH`], if there is one. It uses a stack on the heap, because
/// recursion could overflow here.
pub(super) fn find_too_deep_node(root: &IdedExpr) -> Option<&IdedExpr> {
    let mut open = vec![(root, 1)];
    while let Some((node, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Some(node);
        }
        open.extend(children(node).into_iter().map(|child| (child, depth + 1)));
    }
    None
}
