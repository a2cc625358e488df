//! Texts as RDF and DQL write them, in quotes. Both take the same escapes.

/// A text in quotes. Control characters are escaped by number.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(char))),
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

/// Texts in quotes, as a list.
pub(super) fn quoted_list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", texts.map(quoted).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_end_their_quotes() {
        assert_eq!(quoted("a\"b\\c\n\u{0}é\u{85}"), "\"a\\\"b\\\\c\\u000A\\u0000é\\u0085\"");
        assert_eq!(quoted_list(["a", "b"].into_iter()), "[\"a\",\"b\"]");
    }
}
