//! Texts of error messages and query strings.

/// Shortens a server's text to at most some 600 characters: its beginning and its end, which often has the reason.
pub fn shorten(text: &str) -> String {
    const MAX_SHOWN_CHARS: usize = 300;
    let text = text.trim();
    let beginning = text.char_indices().nth(MAX_SHOWN_CHARS).map(|(at, _)| at);
    let end = text.char_indices().nth_back(MAX_SHOWN_CHARS).map(|(at, _)| at);
    match (beginning, end) {
        (Some(beginning), Some(end)) if beginning < end => format!("{} ... {}", &text[..beginning], &text[end..]),
        _ => text.to_owned(),
    }
}

/// Percent-encodes a text for a value in a query string (RFC 3986).
pub fn percent_encode(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(byte as char),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_answers_keep_both_ends() {
        let long = format!("{}{}", "é".repeat(500), "reason".repeat(100));
        let short = shorten(&long);
        assert!(short.starts_with('é') && short.ends_with("reason") && short.chars().count() < 610, "{short}");
        assert_eq!(shorten(" as it is\n"), "as it is");
    }
    #[test]
    fn query_values_are_escaped() {
        assert_eq!(percent_encode("my org&ä"), "my%20org%26%C3%A4");
    }
}
