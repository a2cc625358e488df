//! Reads JSON bodies of requests that are no definitions, and says in plain words why one cannot be read.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::ApiError;
use super::error::ApiResult;

/// Reads a body of a known shape, such as `{"name": "...", "roles": ["ingest"]}`.
pub(crate) fn read_json<T: DeserializeOwned>(text: &[u8], shape: &str) -> ApiResult<T> {
    serde_json::from_slice(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        let message = error.to_string();
        // The place is told by us.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        let why = match error.classify() {
            Category::Data => mismatch(message),
            _ if text.is_empty() => "the body is empty".to_owned(),
            _ if std::str::from_utf8(text).is_err() => "the body is not UTF-8".to_owned(),
            _ => syntax(message).to_owned(),
        };
        ApiError::bad_request(format!("expected {shape}: {why} ({place})"))
    })
}

/// Why a text is no JSON, out of the parser's words.
fn syntax(message: &str) -> &'static str {
    match message {
        "trailing characters" => "something follows the end of the JSON value",
        "trailing comma" => "there is a comma before the closing bracket",
        "recursion limit exceeded" => "it is nested too deeply",
        "key must be a string" => "the name of a member is not in double quotes",
        message if message.starts_with("EOF") => "the JSON breaks off",
        message if message.starts_with("invalid utf-8") => "it is not UTF-8",
        message if message.contains("number out of range") => "a number is out of range",
        message if message.contains("escape") => "a character is escaped wrongly",
        message if message.contains("control character") => "a control character in a text is not escaped",
        _ => "this is not valid JSON",
    }
}

/// The parser's words about a text, which end with the place, in plain words.
pub(crate) fn plain_syntax(message: &str) -> String {
    match message.rsplit_once(" at line ") {
        Some((message, place)) => format!("{} (line {})", syntax(message), place.replacen(" column", ", column", 1)),
        None => syntax(message).to_owned(),
    }
}

/// Why a JSON value does not fit, out of serde's words.
fn mismatch(message: &str) -> String {
    let quoted = |start: &str| message.strip_prefix(start).and_then(|rest| rest.split_once('`'));
    if let Some((name, _)) = quoted("missing field `") {
        return format!("'{name}' is missing");
    }
    if let Some((name, _)) = quoted("duplicate field `") {
        return format!("'{name}' is there twice");
    }
    if let Some((name, rest)) = quoted("unknown field `") {
        return format!("there is no '{name}' here{}", known(rest));
    }
    if let Some((name, rest)) = quoted("unknown variant `") {
        return format!("'{name}' is no known value{}", known(rest));
    }
    let parts = message.strip_prefix("invalid ").and_then(|rest| rest.split_once(": ")?.1.rsplit_once(", expected "));
    match parts {
        Some((found, expected)) => format!("expected {}, found {}", plain(expected), plain(found)),
        None => message.to_owned(),
    }
}

/// The names in ", expected one of `a`, `b`", as a hint.
fn known(rest: &str) -> String {
    let names: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    if names.is_empty() { String::new() } else { format!("; there is {}", names.join(", ")) }
}

/// A type as serde names it, for people.
fn plain(kind: &str) -> String {
    match kind {
        kind if kind.starts_with("struct ") || kind == "map" || kind == "a map" => "an object".to_owned(),
        "sequence" | "a sequence" => "an array".to_owned(),
        "null" | "unit" => "null".to_owned(),
        kind if kind.starts_with("variant ") || kind.starts_with("enum ") => "a text".to_owned(),
        kind if ["u8", "u16", "u32", "u64", "usize"].contains(&kind) => "a whole number from 0 on".to_owned(),
        kind if ["i8", "i16", "i32", "i64"].contains(&kind) => "a whole number".to_owned(),
        kind => kind.replace("string \"", "the text \"").replace("a string", "a text"),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "it is only read")]
    struct Wanted {
        name: String,
        count: u32,
        kind: Kind,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Big,
        Small,
    }

    #[test]
    fn every_refusal_is_in_plain_words() {
        for (text, why) in [
            ("", "the body is empty"),
            ("{", "the JSON breaks off"),
            ("{} {}", "'name' is missing"),
            ("\"a\"", "expected an object, found the text \"a\""),
            ("12", "expected an object, found integer `12`"),
            ("{\"name\": 3}", "expected a text, found integer `3`"),
            ("{\"count\": \"many\"}", "expected a whole number from 0 on, found the text \"many\""),
            ("{\"colour\": 1}", "there is no 'colour' here; there is name, count, kind"),
            ("{\"kind\": \"huge\"}", "'huge' is no known value; there is big, small"),
            ("{\"name\": \"a\", \"name\": \"b\"}", "'name' is there twice"),
            ("{\"name\": \"a\", \"count\": 1, \"kind\": \"big\"} x", "something follows the end of the JSON value"),
            ("{name: 1}", "the name of a member is not in double quotes"),
            ("nonsense", "this is not valid JSON"),
        ] {
            let error = read_json::<Wanted>(text.as_bytes(), "{...}").unwrap_err();
            assert!(error.detail.contains(why), "{text}: {}", error.detail);
            for word in ["struct", "EOF", "trailing", "invalid", "variant", "sequence"] {
                assert!(!error.detail.contains(word) || why.contains(word), "{text}: {}", error.detail);
            }
        }
        assert_eq!(
            plain_syntax("trailing characters at line 2 column 5"),
            "something follows the end of the JSON value (line 2, column 5)"
        );
        let error = read_json::<Wanted>(b"\"\xff\"", "{...}").unwrap_err();
        assert!(error.detail.contains("not UTF-8"), "{}", error.detail);
    }
}
