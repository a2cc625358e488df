//! Parses definitions in YAML strictly. Messages have one line with the place and, where it is known, the right way to
//! write it.
//!
//! YAML 1.2: only `true` and `false` are booleans, and `1_000` is a text. A tag such as `!flag` is refused: it is
//! nearly always an expression without quotes, and would otherwise be dropped silently.

use serde::de::DeserializeOwned;

use crate::plain_words::in_plain_words;

/// Parses a YAML document. The parser bounds the depth (64 levels) and the expansion of aliases.
///
/// # Errors
/// One line with the mistake, its place and, where it is known, advice.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        reject_unsupported_tags: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map(|location| location.line());
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let line = line.and_then(|line| text.lines().nth(usize::try_from(line.checked_sub(1)?).ok()?));
        let message = in_plain_words(first);
        // Advice on quotes does not help with a value of a wrong type, and some messages already contain it.
        let is_about_quotes = !message.starts_with("expected") && !message.contains("put the expression in quotes");
        match line.and_then(hint).filter(|_| is_about_quotes) {
            Some(hint) => format!("{message}; {hint}"),
            None => message,
        }
    })
}

/// Advice for a line in which YAML's own characters have broken an expression.
fn hint(line: &str) -> Option<String> {
    let (_, value) = line.split_once(':')?;
    let value = value.trim();
    if value.contains('?') && value.contains(": ") {
        return Some("': ' has a meaning in YAML: put the expression in quotes, as in 'a ? 1 : 0'".to_owned());
    }
    match value.chars().next()? {
        sign @ ('!' | '*' | '&' | '@' | '`' | '%') => {
            Some(format!("'{sign}' has a meaning in YAML: put the expression in quotes, as in '!(a && b)'"))
        }
        '"' | '\'' | '[' | '{' => Some(
            "an expression that begins with a quote or a bracket stands in quotes as a whole, as in '\"a\" in b'"
                .to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn refusal(text: &str) -> String {
        parse::<Value>(text).expect_err(text)
    }

    #[test]
    fn expressions_that_yaml_reads_otherwise_get_a_hint() {
        for text in [
            "score: a ? 1 : 0\n",
            "rule: r\nwhen: !flag\n",
            "rule: r\nwhen: *flag\n",
            "when: \"a\" in b\n",
            "when: [1] == b\n",
            "tags: { x: a ? 1 : 0 }\n",
        ] {
            assert!(refusal(text).contains("in quotes"), "{text}: {}", refusal(text));
            assert!(refusal(text).contains("line"), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn values_are_those_of_yaml_1_2() {
        let value: Value =
            parse("a: 1_000\nb: NO\nc: on\nd: 12:30:00\ne: 010\nf: 0x10\ng: 1e3\nh: true\ni: 2026-01-05\n").unwrap();
        let expected = serde_json::json!({
            "a": "1_000", "b": "NO", "c": "on", "d": "12:30:00", "e": 10.0, "f": 16, "g": 1000.0, "h": true, "i": "2026-01-05"
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn documents_without_end_are_refused_at_once() {
        let depth = 100_000;
        let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for (before, name) in "abcdefgh".chars().zip("bcdefghi".chars()) {
            bomb.push_str(&format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(",")));
        }
        let block: String = (0..2000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
        for text in [
            bomb,
            "[".repeat(depth),
            format!("{}1{}", "[".repeat(depth), "]".repeat(depth)),
            format!("{}1{}", "{a: ".repeat(depth), "}".repeat(depth)),
            "- ".repeat(depth),
            "? ".repeat(depth),
            format!("{}1", "a: ".repeat(depth)),
            block,
            "&a [*a]".to_owned(),
            "a: &a\n  b: *a\n".to_owned(),
            "a: 1\n---\na: 2\n".to_owned(),
            "a: 1\na: 2\n".to_owned(),
        ] {
            let message = refusal(&text);
            assert!(message.len() < 400 && !message.contains("Option<") && !message.contains("from_"), "{message}");
        }
    }
}
