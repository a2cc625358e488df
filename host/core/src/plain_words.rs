//! Rewords messages of serde and its formats for authors of definitions: without names of Rust types.

/// Phrases of the parsers of JSON, YAML and TOML, each with its replacement.
const PHRASES: &[(&str, &str)] = &[
    ("EOF while parsing a value", "the text ends too early, a value is missing"),
    ("EOF while parsing an object", "the text ends within an object"),
    ("EOF while parsing a list", "the text ends within a list"),
    ("EOF while parsing a string", "the text ends within a string"),
    ("trailing characters", "the JSON has ended, but something follows it"),
    ("trailing comma", "there is a comma before the closing bracket"),
    (
        "control character (\\u0000-\\u001F) found while parsing a string",
        "a control character in a text is not escaped",
    ),
    ("lone leading surrogate in hex escape", "a character is escaped wrongly"),
    ("unexpected end of hex escape", "a character is escaped wrongly"),
    ("invalid escape", "a character is escaped wrongly"),
    ("invalid unicode code point", "a character is escaped wrongly"),
    ("key must be a string", "the names of an object stand in double quotes"),
    ("expected ident", "expected a value"),
    ("recursion limit exceeded", "nested too deeply"),
    ("unknown variant ", "unknown value "),
    ("cannot deserialize null into string; use Option<String>", "expected a text, found nothing"),
    ("invalid boolean (strict mode expects true/false)", "expected true or false"),
    ("invalid floating point", "expected a number"),
    ("externally tagged enum expected scalar or mapping", "expected one of the known words"),
    ("expected string key for externally tagged enum", "expected one of the known words"),
    ("unexpected value for unit enum variant", "expected one of the known words"),
    ("expected string scalar", "expected a text"),
    ("expected mapping start", "expected a map"),
    ("expected sequence start", "expected a list"),
    ("expected single YAML node", "expected one value"),
    ("block sequence entries", "items of a list"),
    ("block sequence", "list"),
    ("flow sequence", "list in brackets"),
    ("flow mapping", "map in braces"),
    ("block mapping", "map"),
    ("mapping values are", "a second ': ' is"),
    ("mapping keys are", "a name is"),
    ("escape sequence", "escape"),
    ("block scalar", "block of text"),
    ("double-quoted scalar", "text in quotes"),
    ("single-quoted scalar", "text in quotes"),
    ("quoted scalar", "text in quotes"),
    ("plain scalar", "text"),
    ("non-finite float ", "not a finite number: "),
    (" rejected by the configured policy", ""),
    (" is not allowed by configured policy", " is not taken"),
    (" are not allowed by configured policy", " are not taken"),
    ("invalid i64", "expected a whole number"),
    ("invalid i32", "expected a whole number"),
    ("invalid u64", "expected a whole number, 0 or more"),
    ("invalid u32", "expected a whole number, 0 or more"),
    ("invalid usize", "expected a whole number, 0 or more"),
];

/// Names of types in serde's messages, each with its replacement.
const TYPES: &[(&str, &str)] = &[
    ("a string", "a text"),
    ("string", "a text"),
    ("a borrowed string", "a text"),
    ("a boolean", "true or false"),
    ("bool", "true or false"),
    ("a sequence", "a list"),
    ("sequence", "a list"),
    ("a map", "a map"),
    ("map", "a map"),
    ("unit", "nothing"),
    ("unit value", "nothing"),
    ("null", "nothing"),
    ("Option value", "a value"),
    ("option", "a value"),
    ("any valid JSON value", "a value"),
    ("variant identifier", "one of the known words"),
    ("field identifier", "a name"),
    ("string or map", "one of the known words"),
    ("string only", "one of the known words"),
    ("an integer", "a whole number"),
    ("a float", "a number"),
    ("f32", "a number"),
    ("f64", "a number"),
    ("i8", "a whole number"),
    ("i16", "a whole number"),
    ("i32", "a whole number"),
    ("i64", "a whole number"),
    ("isize", "a whole number"),
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number, 0 or more"),
    ("usize", "a whole number, 0 or more"),
];

/// The beginnings of messages about a value that a field does not take.
const MISMATCHES: [&str; 3] = ["invalid type: ", "invalid value: ", "invalid length "];

/// Messages whose rest is for programmers: the beginning, and the replacement of the whole message.
const TRUNCATED_PHRASES: &[(&str, &str)] = &[
    ("budget breached: ", "the document is larger, or nests deeper, than is read"),
    ("alias replay ", "aliases repeat more than is read"),
    ("alias expansion ", "aliases repeat more than is read"),
    ("multiple YAML documents detected", "there is more than one document; send one at a time"),
    ("recursive references require", "an alias stands within what it repeats"),
];

/// Rewords a message of serde. Unknown parts stay as they are.
pub fn in_plain_words(message: &str) -> String {
    let mut message = message.to_owned();
    for (begin, ours) in TRUNCATED_PHRASES {
        if let Some(place) = message.find(begin) {
            // The line and the column follow the part that is cut, and are kept.
            let suffix =
                message[place..].find(" at line ").map_or(String::new(), |at| message[place + at..].to_owned());
            message = format!("{}{ours}{suffix}", &message[..place]);
        }
    }
    for begin in MISMATCHES {
        message = reword_mismatches(&message, begin);
    }
    message = reword_duplicate(&message);
    message = reword_quoted(&message, "missing field `", |name| format!("'{name}' is missing"));
    message = reword_quoted(&message, "duplicate field `", |name| format!("the name '{name}' is there twice"));
    for (theirs, ours) in PHRASES {
        message = message.replace(theirs, ours);
    }
    message.replace('`', "'")
}

/// "invalid type: integer `5`, expected a string at line 1" becomes "expected a text, found the number 5 at line 1".
fn reword_mismatches(message: &str, begin: &str) -> String {
    let Some((before, rest)) = message.split_once(begin) else { return message.to_owned() };
    let Some((found, rest)) = split_last_before(rest, ", expected ") else { return message.to_owned() };
    let end = [" at line ", "\n", " in "].iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
    let (expected, suffix) = rest.split_at(end);
    let found = if begin == "invalid length " { format!("a list of {found}") } else { plain_value(found) };
    format!("{before}expected {}, found {found}{}", plain_type(expected), reword_mismatches(suffix, begin))
}

/// Splits at the last separator in the first line, because a text that was found may contain the separator, too.
fn split_last_before<'m>(text: &'m str, separator: &str) -> Option<(&'m str, &'m str)> {
    let line = text.find('\n').unwrap_or(text.len());
    let place = text[..line].rfind(separator)?;
    Some((&text[..place], &text[place + separator.len()..]))
}

/// Rewords the type that a field takes, such as "struct RuleDef with 14 elements" or "u32".
fn plain_type(expected: &str) -> String {
    if let Some((_, plain)) = TYPES.iter().find(|(theirs, _)| *theirs == expected) {
        return (*plain).to_owned();
    }
    let first = expected.split(' ').next().unwrap_or_default();
    match first {
        "struct" => "a map".to_owned(),
        "enum" | "variant" => "one of the known words".to_owned(),
        "tuple" => "a list".to_owned(),
        "newtype" | "unit" | "internally" | "adjacently" => "a value".to_owned(),
        _ => expected.to_owned(),
    }
}

/// Rewords the value that was found, such as "integer `5`" or "sequence".
fn plain_value(found: &str) -> String {
    if let Some((_, plain)) = TYPES.iter().find(|(theirs, _)| *theirs == found) {
        return (*plain).to_owned();
    }
    let quoted = |begin: &str| found.strip_prefix(begin).and_then(|rest| rest.strip_suffix('`'));
    if let Some(number) = quoted("integer `").or_else(|| quoted("floating point `")) {
        return format!("the number {number}");
    }
    if let Some(value) = quoted("boolean `") {
        return value.to_owned();
    }
    match found.strip_prefix("string ") {
        Some(text) => format!("the text {text}"),
        None => plain_type(found),
    }
}

/// "duplicate mapping key: NAME, set an option if acceptable" becomes "the name 'NAME' is there twice".
fn reword_duplicate(message: &str) -> String {
    let Some((before, rest)) = message.split_once("duplicate mapping key") else { return message.to_owned() };
    let place = rest.find(" at line ").unwrap_or(rest.len());
    let (name, suffix) = rest.split_at(place);
    let end = [", set ", " is not allowed"].iter().filter_map(|end| name.find(end)).min().unwrap_or(name.len());
    let name = name[..end].trim_matches([':', ' ', '`']);
    format!("{before}the name '{name}' is there twice{suffix}")
}

/// Rewords each occurrence of `begin`, a name and a backquote.
fn reword_quoted(message: &str, begin: &str, ours: impl Fn(&str) -> String) -> String {
    let mut reworded = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, after)) = rest.split_once(begin) {
        let Some((name, after)) = after.split_once('`') else { break };
        reworded.push_str(before);
        reworded.push_str(&ours(name));
        rest = after;
    }
    reworded + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_serde_are_reworded_for_authors() {
        for (theirs, ours) in [
            (
                "invalid type: integer `5`, expected a string at line 1 column 2",
                "expected a text, found the number 5 at line 1 column 2",
            ),
            ("invalid type: map, expected struct RuleDef with 14 elements", "expected a map, found a map"),
            ("invalid length 3, expected struct RuleDef with 14 elements", "expected a map, found a list of 3"),
            (
                "invalid value: integer `-1`, expected u32",
                "expected a whole number from 0 to 4294967295, found the number -1",
            ),
            (
                "invalid type: string \"a, expected b\", expected a boolean",
                "expected true or false, found the text \"a, expected b\"",
            ),
            ("missing field `key`", "'key' is missing"),
            ("duplicate field `key` at line 2 column 1", "the name 'key' is there twice at line 2 column 1"),
            (
                "unknown variant `fast`, expected one of `active`, `paused`",
                "unknown value 'fast', expected one of 'active', 'paused'",
            ),
            (
                "duplicate mapping key: score, set DuplicateKeyPolicy in Options if acceptable at line 4, column 1",
                "the name 'score' is there twice at line 4, column 1",
            ),
            (
                "non-finite float '.inf' rejected by the configured policy at line 3",
                "not a finite number: '.inf' at line 3",
            ),
            ("'1w' is not a span of time", "'1w' is not a span of time"),
        ] {
            assert_eq!(in_plain_words(theirs), ours);
        }
    }

    #[test]
    fn syntax_errors_of_json_are_reworded_with_their_place() {
        for (text, ours) in [
            ("", "the text ends too early, a value is missing"),
            ("{", "the text ends within an object"),
            ("[", "the text ends within a list"),
            ("\"a", "the text ends within a string"),
            ("{\"a\" 1}", "expected ':'"),
            ("[1 2]", "expected ',' or ']'"),
            ("[1,]", "there is a comma before the closing bracket"),
            ("{} {}", "the JSON has ended, but something follows it"),
            ("{a: 1}", "the names of an object stand in double quotes"),
            ("nonsense", "expected a value"),
            ("\"\\x\"", "a character is escaped wrongly"),
            ("\"\\ud800\"", "a character is escaped wrongly"),
            ("\"\t\"", "a control character in a text is not escaped"),
            ("1e999", "number out of range"),
        ] {
            let theirs = serde_json::from_str::<serde_json::Value>(text).unwrap_err().to_string();
            let message = in_plain_words(&theirs);
            assert!(message.starts_with(&format!("{ours} at line 1 column ")), "{text}: {message}");
        }
    }
}
