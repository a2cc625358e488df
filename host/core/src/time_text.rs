//! Parses a time in a parameter or an option: RFC 3339, or milliseconds since 1970, exactly or not at all.

use crate::rfc3339;

/// Parses a time to milliseconds since 1970.
///
/// # Errors
/// The text is neither; the message says what is expected.
pub fn parse_time(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    // `parse` alone would accept `+5`, too.
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number.or_else(|| rfc3339::parse_millis(text)).ok_or_else(|| {
        format!("'{text}' is not a time: expected RFC 3339, such as 2026-01-31T12:00:00Z, or milliseconds since 1970")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rfc_3339_and_milliseconds_are_times() {
        for (text, millis) in [
            ("1767225600000", 1_767_225_600_000),
            ("-5", -5),
            ("2026-01-01T00:00:00Z", 1_767_225_600_000),
            ("2026-01-01T01:00:00.250+01:00", 1_767_225_600_250),
        ] {
            assert_eq!(parse_time(text), Ok(millis), "{text}");
        }
        for text in [
            "",
            "-",
            "+5",
            "1_000",
            "9223372036854775808",
            "yesterday",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T00Z",
            "2026-01-01T00:00:00Z[UTC]",
            "2026-01-01T00:00:00+0100",
            "2026-13-01T00:00:00Z",
        ] {
            assert!(parse_time(text).unwrap_err().contains("expected RFC 3339"), "{text}");
        }
    }
}
