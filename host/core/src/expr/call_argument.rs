//! Finds the argument of a text that is one call, such as `sum(amount)`, without parsing the argument.

use std::ops::Range;

use super::tokens::{TokenKind, tokenize};

/// The range of bytes between the brackets of a text that is one call, such as `amount` in `sum(amount)`.
pub(crate) fn call_argument(text: &str) -> Result<Range<usize>, CallError> {
    let tokens = tokenize(text).map_err(|error| CallError::Syntax(error.message))?;
    let open = tokens.iter().find(|token| token.kind == TokenKind::Open('(')).ok_or(CallError::NotClosed)?;
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Open(_) => depth += 1,
            TokenKind::Close(_) => depth = depth.saturating_sub(1),
            TokenKind::Comma if depth == 1 => return Err(CallError::TwoArguments),
            _ => {}
        }
        if depth == 0 && token.start > open.start {
            let is_end = token.kind == TokenKind::Close(')') && index + 1 == tokens.len();
            return if is_end { Ok(open.end..token.start) } else { Err(CallError::TrailingTokens) };
        }
    }
    Err(CallError::NotClosed)
}

/// The reason why a text is not one call of one argument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the parenthesis is not closed")]
    NotClosed,
    #[error("it takes one argument")]
    TwoArguments,
    #[error("expected one call and nothing behind it")]
    TrailingTokens,
    #[error("{0}")]
    Syntax(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_of_a_call_is_found() {
        for (text, argument) in [("sum(a)", "a"), ("count()", ""), (r#"last(x in [r"\", ")"])"#, r#"x in [r"\", ")"]"#)]
        {
            assert_eq!(call_argument(text).map(|range| &text[range]), Ok(argument));
        }
        assert_eq!(call_argument("sum(a, b)"), Err(CallError::TwoArguments));
        assert_eq!(call_argument("sum(a"), Err(CallError::NotClosed));
        assert_eq!(call_argument("sum(a) + sum(b)"), Err(CallError::TrailingTokens));
        assert_eq!(call_argument("sum(a]"), Err(CallError::TrailingTokens));
    }
}
