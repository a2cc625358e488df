//! A span of time as people write it: `90s`, `15m`, `1h`, `1h30m`, `30d`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The units, from the largest, with their milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A span of time in milliseconds, at most [`Span::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub u64);

impl Span {
    /// The longest span that is read: 36,500 days.
    pub const MAX: Self = Self(36_500 * 86_400_000);

    /// The same in signed milliseconds, for arithmetic with times.
    pub fn as_millis(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One number with the largest unit that divides the span: 90s stays 90s, and 3600s becomes 1h.
        match UNITS.iter().find(|(_, length)| self.0 >= *length && self.0.is_multiple_of(*length)) {
            Some((unit, length)) => write!(f, "{}{unit}", self.0 / length),
            None => f.write_str("0s"),
        }
    }
}

/// A text that is not a span of time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a span of time: {why}")]
pub struct ParseSpanError {
    text: String,
    why: &'static str,
}

/// The text of most errors.
const EXPECTED: &str = "expected numbers with units ms, s, m, h or d, such as 90s, 15m, 1h30m or 7d";

impl FromStr for Span {
    type Err = ParseSpanError;

    fn from_str(text: &str) -> Result<Self, ParseSpanError> {
        let refused = |why| ParseSpanError { text: text.to_owned(), why };
        let mut rest = text;
        let mut total: u64 = 0;
        // Units descend from left to right, so that each occurs at most once: 1h30m, but not 30m1h.
        let mut units = UNITS.as_slice();
        while !rest.is_empty() {
            let (digits, after) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
            if digits.is_empty() {
                return Err(refused(EXPECTED));
            }
            let (unit, after) = after.split_at(after.bytes().take_while(u8::is_ascii_alphabetic).count());
            let place = units.iter().position(|(name, _)| *name == unit).ok_or_else(|| refused(EXPECTED))?;
            let part = digits.parse().ok().and_then(|number: u64| number.checked_mul(units[place].1));
            total = part
                .and_then(|part| total.checked_add(part))
                .filter(|total| *total <= Self::MAX.0)
                .ok_or_else(|| refused("it is longer than 36500d"))?;
            units = &units[place + 1..];
            rest = after;
        }
        if text.is_empty() { Err(refused(EXPECTED)) } else { Ok(Self(total)) }
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_parsed_to_milliseconds() {
        for (text, millis) in [
            ("0s", 0),
            ("250ms", 250),
            ("90s", 90_000),
            ("15m", 900_000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("30d", 2_592_000_000),
            ("36500d", Span::MAX.0),
        ] {
            assert_eq!(text.parse(), Ok(Span(millis)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_spans() {
        for bad in ["", "1", "h", "1 h", "-1h", "1.5h", "1w", "30m1h", "1h1h", "36501d", "99999999999999999999d", "1é"]
        {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
        let error = "1w".parse::<Span>().unwrap_err().to_string();
        assert_eq!(
            error,
            "'1w' is not a span of time: expected numbers with units ms, s, m, h or d, such as 90s, 15m, 1h30m or 7d"
        );
    }

    proptest! {
        #[test]
        fn a_span_is_read_as_it_is_written(millis in 0..=Span::MAX.0) {
            let span = Span(millis);
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}|[0-9dhms]{0,24}") {
            let _ = text.parse::<Span>();
        }
    }
}
