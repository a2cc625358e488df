//! String literals of RDF and DQL. Both have the same escapes.

/// A text in quotes. Control characters are escaped as `\uXXXX`.
pub(super) fn quote(text: &str) -> String {
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

/// A list of texts in quotes, as `eq` takes it.
pub(super) fn quote_list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", texts.map(quote).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_end_their_quotes() {
        assert_eq!(quote("a\"b\\c\n\u{0}é\u{85}"), "\"a\\\"b\\\\c\\u000A\\u0000é\\u0085\"");
        assert_eq!(quote_list(["a", "b"].into_iter()), "[\"a\",\"b\"]");
    }
}
