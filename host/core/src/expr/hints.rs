//! Advice for those who write an expression as they would in SQL, Python or another language.

use super::error::ExprError;
use super::tokens::{Kind, Token};

/// Words that stand between two values in other languages, with what to write.
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
    ("then", CHOICE),
    ("else", CHOICE),
    ("when", CHOICE),
    ("like", LIKE),
    ("ilike", LIKE),
    ("rlike", LIKE),
    ("regexp", LIKE),
    ("similar", LIKE),
    ("contains", "write it as a call, as in name.contains(\"a\")"),
    ("startswith", "write it as a call, as in name.startsWith(\"a\")"),
    ("endswith", "write it as a call, as in name.endsWith(\"a\")"),
    ("matches", "write it as a call, as in name.matches(\"^a\")"),
];

const CHOICE: &str = "a choice is written condition ? a : b";
const LIKE: &str = "write startsWith(), endsWith(), contains() or matches(), as in name.startsWith(\"a\")";

/// Words that are no names in CEL, and which only backquotes make the name of a field.
const KEYWORDS: [&str; 4] = ["in", "true", "false", "null"];

/// Finds what no CEL expression has: two values side by side, and words of the language where a name must stand.
pub(super) fn check_words(source: &str, tokens: &[Token]) -> Result<(), ExprError> {
    for (index, token) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| &tokens[before]);
        if let Some(message) = misplaced(source, before, token) {
            return Err(ExprError::at(source, token.start, token.end - token.start, message));
        }
        let Some(before) = before.filter(|before| before.ends_value(source) && token.begins_value(source)) else {
            continue;
        };
        let (place, message) = side_by_side(source, before, &tokens[index..]);
        return Err(ExprError::at(source, place.start, place.end - place.start, message));
    }
    Ok(())
}

/// A word of the language, or a name in backquotes, where it cannot stand.
fn misplaced(source: &str, before: Option<&Token>, token: &Token) -> Option<String> {
    let follows_dot = before.is_some_and(|before| before.kind == Kind::Dot);
    let text = token.text(source);
    match token.kind {
        Kind::Quoted if !follows_dot => Some(format!("a name in backquotes follows a dot, as in event.{text}")),
        Kind::Word if follows_dot && KEYWORDS.contains(&text) => Some(format!(
            "'{text}' is a word of the language; a field of this name is written in backquotes: .`{text}`"
        )),
        Kind::Word if text == "in" && !before.is_some_and(|before| before.ends_value(source)) => Some(
            "'in' needs a value before it, as in country in [\"DE\"]; a field of this name is event.`in`".to_owned(),
        ),
        _ => None,
    }
}

/// The place of the mistake and advice; `rest` begins with the second of the two values.
fn side_by_side<'t>(source: &str, before: &'t Token, rest: &'t [Token]) -> (&'t Token, String) {
    let token = &rest[0];
    let (left, word) = (before.text(source), token.text(source));
    let following = |offset: usize| {
        rest.get(offset).filter(|token| token.kind == Kind::Word).map(|token| token.text(source).to_ascii_lowercase())
    };
    let named = if before.kind == Kind::Word { left } else { "x" };
    if before.kind == Kind::Word {
        match left.to_ascii_lowercase().as_str() {
            "not" => return (before, format!("unexpected '{left}'; write '!', as in !(a && b)")),
            "if" | "case" => return (before, format!("unexpected '{left}'; {CHOICE}")),
            _ => {}
        }
    }
    if before.kind == Kind::Text && token.kind == Kind::Text && before.end == token.start {
        let quote = &left[left.len() - 1..];
        return (token, format!("a quote within a string is written \\{quote}, not {quote}{quote}"));
    }
    if before.kind == Kind::Number && token.kind == Kind::Word && before.end == token.start {
        let is_grouped = word.starts_with('_');
        let reason = if is_grouped { "digits are not grouped with '_'" } else { "a number has digits alone" };
        return (token, format!("unexpected '{word}' in a number; {reason}"));
    }
    if token.kind != Kind::Word {
        return (token, format!("unexpected {word}; an operator is missing before it"));
    }
    // The words up to one of those that follow, as they are written.
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
        "if" | "iff" | "iif" | "case" => CHOICE,
        "len" | "length" | "count" => "write size()",
        "ifnull" | "nvl" | "isnull" => "write coalesce(a, b), or a == null",
        "like" | "regexp" => LIKE,
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

/// Advice for a word that CEL has reserved.
pub(super) fn reserved(word: &str) -> String {
    match word {
        "if" | "else" => format!("'{word}' is a reserved word; {CHOICE}"),
        _ => format!("'{word}' is a reserved word; a field of this name is event.{word}"),
    }
}
