//! Advice for authors who write an expression as in SQL, Python or another language.

use super::error::ExprError;
use super::tokens::{Token, TokenKind};

/// Words that stand between two values in other languages, each with the advice for CEL.
const BETWEEN_VALUES: &[(&str, &str)] = &[
    ("and", "write '&&'"),
    ("or", "write '||'"),
    ("xor", "write '!='"),
    ("in", "write it in small letters"),
    ("eq", "write '=='"),
    ("equals", "write '=='"),
    ("ne", "write '!='"),
    ("lt", "write '<'"),
    ("le", "write '<='"),
    ("gt", "write '>'"),
    ("ge", "write '>='"),
    ("div", "write '/'"),
    ("mod", "write '%'"),
    ("between", "write x >= low && x <= high"),
    ("then", CONDITIONAL_HINT),
    ("else", CONDITIONAL_HINT),
    ("when", CONDITIONAL_HINT),
    ("like", TEXT_MATCH_HINT),
    ("ilike", TEXT_MATCH_HINT),
    ("rlike", TEXT_MATCH_HINT),
    ("regexp", TEXT_MATCH_HINT),
    ("similar", TEXT_MATCH_HINT),
    ("contains", "write it as a call, as in name.contains(\"a\")"),
    ("startswith", "write it as a call, as in name.startsWith(\"a\")"),
    ("endswith", "write it as a call, as in name.endsWith(\"a\")"),
    ("matches", "write it as a call, as in name.matches(\"^a\")"),
];

const CONDITIONAL_HINT: &str = "a choice is written condition ? a : b";
const TEXT_MATCH_HINT: &str = "write startsWith(), endsWith(), contains() or matches(), as in name.startsWith(\"a\")";

/// Words that are no names in CEL. A field with such a name is written in backquotes.
const KEYWORDS: [&str; 4] = ["in", "true", "false", "null"];

/// Finds what is never valid in CEL: two values side by side, and keywords where a name must stand.
pub(super) fn check_words(source: &str, tokens: &[Token]) -> Result<(), ExprError> {
    for (index, token) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| &tokens[before]);
        if let Some(message) = explain_misplaced_word(source, before, token) {
            return Err(ExprError::at(source, token.start, token.end - token.start, message));
        }
        let Some(before) = before.filter(|before| before.ends_value(source) && token.begins_value(source)) else {
            continue;
        };
        let (place, message) = explain_adjacent_values(source, before, &tokens[index..]);
        return Err(ExprError::at(source, place.start, place.end - place.start, message));
    }
    Ok(())
}

/// The message for a keyword, or a name in backquotes, in a wrong place.
fn explain_misplaced_word(source: &str, before: Option<&Token>, token: &Token) -> Option<String> {
    let follows_dot = before.is_some_and(|before| before.kind == TokenKind::Dot);
    let text = token.text(source);
    match token.kind {
        TokenKind::Quoted if !follows_dot => Some(format!("a name in backquotes follows a dot, as in event.{text}")),
        TokenKind::Word if follows_dot && KEYWORDS.contains(&text) => Some(format!(
            "'{text}' is a word of the language; a field of this name is written in backquotes: .`{text}`"
        )),
        TokenKind::Word if text == "in" && !before.is_some_and(|before| before.ends_value(source)) => Some(
            "'in' needs a value before it, as in country in [\"DE\"]; a field of this name is event.`in`".to_owned(),
        ),
        _ => None,
    }
}

/// The token of the mistake and the message for two values side by side. `rest` begins with the second value.
fn explain_adjacent_values<'t>(source: &str, before: &'t Token, rest: &'t [Token]) -> (&'t Token, String) {
    let token = &rest[0];
    let (left, word) = (before.text(source), token.text(source));
    let following = |offset: usize| {
        rest.get(offset)
            .filter(|token| token.kind == TokenKind::Word)
            .map(|token| token.text(source).to_ascii_lowercase())
    };
    let named = if before.kind == TokenKind::Word { left } else { "x" };
    if before.kind == TokenKind::Word {
        match left.to_ascii_lowercase().as_str() {
            "not" => return (before, format!("unexpected '{left}'; write '!', as in !(a && b)")),
            "if" | "case" => return (before, format!("unexpected '{left}'; {CONDITIONAL_HINT}")),
            _ => {}
        }
    }
    if before.kind == TokenKind::Text && token.kind == TokenKind::Text && before.end == token.start {
        let quote = &left[left.len() - 1..];
        return (token, format!("a quote within a string is written \\{quote}, not {quote}{quote}"));
    }
    if before.kind == TokenKind::Number && token.kind == TokenKind::Word && before.end == token.start {
        let is_grouped = word.starts_with('_');
        let reason = if is_grouped { "digits are not grouped with '_'" } else { "a number has digits alone" };
        return (token, format!("unexpected '{word}' in a number; {reason}"));
    }
    if token.kind != TokenKind::Word {
        return (token, format!("unexpected {word}; an operator is missing before it"));
    }
    // The source from the second value to the end of a following token.
    let up_to = |offset: usize| &source[token.start..rest[offset].end];
    let advice = match (word.to_ascii_lowercase().as_str(), following(1).as_deref(), following(2).as_deref()) {
        ("not", Some("in"), _) => format!("unexpected '{}'; write !({named} in [...])", up_to(1)),
        ("not", Some(next), _) if BETWEEN_VALUES.iter().any(|(known, _)| *known == next) => {
            format!("unexpected '{}'; write !(...) around the opposite", up_to(1))
        }
        ("is", Some("null"), _) => format!("unexpected '{}'; write {named} == null", up_to(1)),
        ("is", Some("not"), Some("null")) => format!("unexpected '{}'; write {named} != null", up_to(2)),
        ("is", Some("not"), _) => format!("unexpected '{}'; write '!='", up_to(1)),
        ("is", ..) => format!("unexpected '{word}'; write '=='"),
        (lower, ..) => match BETWEEN_VALUES.iter().find(|(known, _)| *known == lower) {
            Some((_, advice)) => format!("unexpected '{word}'; {advice}"),
            None => format!("unexpected '{word}'; an operator is missing before it"),
        },
    };
    (token, advice)
}

/// Advice for an unknown name that is a literal of another language.
pub(super) fn foreign_literal(name: &str) -> Option<&'static str> {
    match name {
        "NULL" | "Null" | "None" | "nil" | "undefined" => Some("write null, in small letters"),
        "TRUE" | "True" => Some("write true, in small letters"),
        "FALSE" | "False" => Some("write false, in small letters"),
        "NaN" | "nan" | "inf" | "Infinity" => Some("there is no literal for it; write 0.0 / 0.0 or 1.0 / 0.0"),
        _ => None,
    }
}

/// Advice for an unknown function that another language has.
pub(super) fn foreign_function(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "not" => "write '!'",
        "and" => "write '&&'",
        "or" => "write '||'",
        "if" | "iff" | "iif" | "case" => CONDITIONAL_HINT,
        "len" | "length" | "count" => "write size()",
        "ifnull" | "nvl" | "isnull" => "write coalesce(a, b), or a == null",
        "like" | "regexp" => TEXT_MATCH_HINT,
        "now" | "today" | "current_timestamp" => {
            "an expression sees no clock; the event's own time is a field of the event"
        }
        "concat" => "write a + b",
        "substr" => "write substring(s, from, to)",
        "pow" | "power" => "there are no powers: multiply, as in x * x",
        "any" | "some" => "write list.exists(item, ...)",
        _ => return None,
    })
}

/// The message for a word that CEL has reserved.
pub(super) fn explain_reserved_word(word: &str) -> String {
    match word {
        "if" | "else" => format!("'{word}' is a reserved word; {CONDITIONAL_HINT}"),
        _ => format!("'{word}' is a reserved word; a field of this name is event.{word}"),
    }
}
