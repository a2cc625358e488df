//! Exact numbers of a JSON text. The parser gives a double for a number with a point or an exponent, and that may
//! differ slightly from the number in the text.

use super::super::decimal::MAX_DIGITS;

/// Counts the numbers that the parser reads, so that the text of a number can be found where a double is not exact
/// enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberTexts<'j> {
    /// None if the JSON was parsed earlier and the text is not available.
    text: Option<&'j str>,
    /// The number of numbers that the parser has read.
    parsed: usize,
    /// The number of numbers in the text before `at`.
    passed: usize,
    at: usize,
}

impl<'j> NumberTexts<'j> {
    pub(super) fn new(text: Option<&'j str>) -> Self {
        Self { text, parsed: 0, passed: 0, at: 0 }
    }

    /// Counts a number that the parser has read.
    #[inline]
    pub(super) fn count(&mut self) {
        self.parsed += 1;
    }

    /// The text of the number that was counted last. It relies on the JSON up to there being well-formed, which the
    /// parser has checked.
    pub(super) fn find_newest(&mut self) -> Option<&'j str> {
        let bytes = self.text?.as_bytes();
        loop {
            match *bytes.get(self.at)? {
                b'"' => self.at = find_string_end(bytes, self.at)?,
                b'-' | b'0'..=b'9' => {
                    let start = self.at;
                    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                    self.at += bytes[start..].iter().take_while(|byte| is_part(byte)).count();
                    self.passed += 1;
                    if self.passed == self.parsed {
                        return self.text?.get(start..self.at);
                    }
                }
                _ => self.at += 1,
            }
        }
    }
}

/// The byte after the string that begins at `at`.
fn find_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// An exact number: digits without leading and trailing zeros, times a power of ten.
#[derive(Debug, PartialEq)]
pub(super) struct ExactNumber {
    is_negative: bool,
    /// Empty for zero.
    digits: String,
    exponent: i64,
}

/// The bound on exponents. Numbers with larger ones are outside of the range of all types.
const MAX_EXPONENT: i64 = 1 << 40;

impl ExactNumber {
    /// Parses a number that the JSON parser has accepted.
    pub(super) fn parse(text: &str) -> Self {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let beyond = if exponent.starts_with('-') { -MAX_EXPONENT } else { MAX_EXPONENT };
        // An exponent that does not parse is outside of i64, far beyond the length of any text.
        let exponent = exponent.parse().map_or(beyond, |exponent: i64| exponent.clamp(-MAX_EXPONENT, MAX_EXPONENT));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_end_matches('0');
        let exponent = exponent - fraction.len() as i64 + (all.len() - digits.len()) as i64;
        let digits = digits.trim_start_matches('0');
        Self { is_negative, digits: digits.to_owned(), exponent: if digits.is_empty() { 0 } else { exponent } }
    }

    /// The number as an i64, if it is a whole number in that range.
    pub(super) fn whole(&self) -> Option<i64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let zeros = usize::try_from(self.exponent).ok()?;
        // An i64 has at most 19 digits.
        if self.digits.len().checked_add(zeros)? > 19 {
            return None;
        }
        let sign = if self.is_negative { "-" } else { "" };
        format!("{sign}{}{}", self.digits, "0".repeat(zeros)).parse().ok()
    }

    /// The number without an exponent, such as `-12.5`; none if it has more digits than any decimal type.
    pub(super) fn decimal_text(&self) -> Option<String> {
        let places = usize::try_from(self.exponent.unsigned_abs()).ok().filter(|places| *places <= MAX_DIGITS)?;
        if self.digits.len() > MAX_DIGITS {
            return None;
        }
        let sign = if self.is_negative { "-" } else { "" };
        if self.exponent >= 0 {
            let digits = if self.digits.is_empty() { "0" } else { &self.digits };
            return Some(format!("{sign}{digits}{}", "0".repeat(places)));
        }
        let digits = format!("{:0>width$}", self.digits, width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        Some(format!("{sign}{whole}.{fraction}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_of_the_last_counted_number_is_found() {
        let text = r#"{"1": [1, -2.50, "3\\", {"\"4": 5e+7}], "é": 0}"#;
        let mut numbers = NumberTexts::new(Some(text));
        numbers.count();
        numbers.count();
        assert_eq!(numbers.find_newest(), Some("-2.50"));
        numbers.count();
        assert_eq!(numbers.find_newest(), Some("5e+7"));
        numbers.count();
        assert_eq!(numbers.find_newest(), Some("0"));
        numbers.count();
        assert_eq!(numbers.find_newest(), None);
        assert_eq!(NumberTexts::new(None).find_newest(), None);
    }

    #[test]
    fn whole_numbers_are_exact_however_they_are_written() {
        for (text, whole) in [
            ("3.0", Some(3)),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("9.007199254740993e15", Some(9_007_199_254_740_993)),
            ("922337203685477580.7e1", Some(i64::MAX)),
            ("-9223372036854775808.000", Some(i64::MIN)),
            ("9223372036854775808.0", None),
            ("9007199254740992.5", None),
            ("1000e-3", Some(1)),
            ("0e999999999999999999999", Some(0)),
            ("-0.0", Some(0)),
            ("1e-400", None),
            ("1e-99999999999999999999", None),
            ("1e19", None),
            ("1.00000000000000000000001", None),
        ] {
            assert_eq!(ExactNumber::parse(text).whole(), whole, "{text}");
        }
    }

    proptest! {
        #[test]
        fn decimals_are_the_number_that_was_written(whole in any::<i64>(), shift in 0_usize..30, zeros in 0_usize..4) {
            let text = format!("{whole}{}e-{}", "0".repeat(zeros), shift + zeros);
            let exact = ExactNumber::parse(&text);
            let found = exact.decimal_text().unwrap();
            let (before, after) = found.split_once('.').unwrap_or((&found, ""));
            let digits = format!("{before}{after}{}", "0".repeat(shift.saturating_sub(after.len())));
            prop_assert_eq!(digits.parse::<i128>().unwrap(), i128::from(whole), "{} {}", text, found);
        }
    }
}
