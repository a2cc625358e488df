//! Parses times: RFC 3339 (section 5.6), exactly or not at all. Other forms of ISO 8601 are refused.
//!
//! `t` and `z` may be lower case and a space may replace the `T`, as the RFC allows. A fraction may have any number of
//! digits; digits finer than a nanosecond are dropped, towards the past. A leap second is accepted only as 23:59:60 UTC
//! at the end of a month, and is read as the last nanosecond of that day. Years before 0 are written `-000044`, as this
//! program writes them.

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Nanoseconds since 1970 of a time with its offset, such as `2026-01-31T12:00:00.5+01:00`.
pub fn parse(text: &str) -> Option<i128> {
    let (moment, rest) = parse_date_time(text)?;
    let offset = parse_offset_seconds(rest)?;
    moment.nanos(offset)
}

/// Milliseconds since 1970 of a time with its offset, rounded towards the past.
pub fn parse_millis(text: &str) -> Option<i64> {
    i64::try_from(parse(text)?.div_euclid(1_000_000)).ok()
}

/// Nanoseconds since 1970 of a date and a time without an offset, as if it were UTC.
pub(crate) fn parse_local(text: &str) -> Option<i128> {
    let (moment, rest) = parse_date_time(text)?;
    if rest.is_empty() { moment.nanos(0) } else { None }
}

/// Days since 1970 of a date alone.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let (days, rest) = parse_date_part(text)?;
    rest.is_empty().then_some(days)
}

/// Nanoseconds since midnight of a time of day, such as `12:30:00.5`; the seconds may be left out.
pub(crate) fn parse_time_of_day(text: &str) -> Option<i64> {
    let (second, nanos, rest) = match text.len() {
        5 => parse_time_part(&format!("{text}:00")).map(|(second, nanos, _)| (second, nanos, ""))?,
        _ => parse_time_part(text)?,
    };
    // A time of day has no leap second, and digits finer than a nanosecond would be lost.
    (rest.is_empty() && second.leap == 0 && text.len() <= "12:30:00.123456789".len())
        .then_some(second.of_day * 1_000_000_000 + nanos)
}

/// A date and a time of day without offset.
struct ParsedInstant {
    days: i64,
    second: SecondOfDay,
    nanos: i64,
}

/// A second of a day. `leap` is 1 for the leap second that follows it, else 0.
struct SecondOfDay {
    of_day: i64,
    leap: i64,
}

impl ParsedInstant {
    fn nanos(&self, offset: i64) -> Option<i128> {
        let seconds = self.days * SECONDS_PER_DAY + self.second.of_day - offset;
        if self.second.leap == 0 {
            return Some(i128::from(seconds) * NANOS_PER_SECOND + i128::from(self.nanos));
        }
        let midnight = seconds + 1;
        let is_end_of_month = midnight % SECONDS_PER_DAY == 0 && day_of_month(midnight / SECONDS_PER_DAY) == 1;
        is_end_of_month.then(|| i128::from(midnight) * NANOS_PER_SECOND - 1)
    }
}

fn parse_date_time(text: &str) -> Option<(ParsedInstant, &str)> {
    let (days, rest) = parse_date_part(text)?;
    let (second, nanos, rest) = parse_time_part(rest.strip_prefix(['T', 't', ' '])?)?;
    Some((ParsedInstant { days, second, nanos }, rest))
}

/// `2026-01-31`: days since 1970, and the rest.
fn parse_date_part(text: &str) -> Option<(i64, &str)> {
    let (year, rest) = match text.strip_prefix('-') {
        Some(rest) => {
            parse_digits(rest, 6).map(|(year, rest)| (-year, rest)).filter(|(year, _)| (-9999..0).contains(year))?
        }
        None => parse_digits(text, 4)?,
    };
    let (month, rest) = parse_digits(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = parse_digits(rest.strip_prefix('-')?, 2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    Some((days_from_civil(year, month, day), rest))
}

/// `12:30:00.5`: the second, nanoseconds, and the rest.
fn parse_time_part(text: &str) -> Option<(SecondOfDay, i64, &str)> {
    let (hour, rest) = parse_digits(text, 2)?;
    let (minute, rest) = parse_digits(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = parse_digits(rest.strip_prefix(':')?, 2)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let leap = i64::from(second == 60);
    let second = SecondOfDay { of_day: hour * 3600 + minute * 60 + second - leap, leap };
    let Some(fraction) = rest.strip_prefix('.') else { return Some((second, 0, rest)) };
    let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let nanos: String = fraction[..length].chars().chain("000000000".chars()).take(9).collect();
    Some((second, nanos.parse().ok().filter(|_| length > 0)?, &fraction[length..]))
}

/// `Z`, `+01:00`: seconds east of UTC. Nothing may follow.
fn parse_offset_seconds(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, rest) = parse_digits(&text[1..], 2)?;
    let (minutes, rest) = parse_digits(rest.strip_prefix(':')?, 2)?;
    (hours <= 23 && minutes <= 59 && rest.is_empty()).then_some(sign * (hours * 3600 + minutes * 60))
}

/// The number of so many digits that a text begins with, and the rest.
fn parse_digits(text: &str, count: usize) -> Option<(i64, &str)> {
    let (number, rest) = text.split_at_checked(count)?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((number.parse().ok()?, rest))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let is_leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant's days_from_civil, which counts years from March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// From 1: the same author's civil_from_days, of which only the day is needed.
fn day_of_month(days: i64) -> i64 {
    let day_of_era = (days + 719_468).rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * from_march + 2) / 153;
    from_march - (153 * month_from_march + 2) / 5 + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_of_rfc_3339_are_parsed() {
        for (text, millis) in [
            ("2026-01-31T12:00:00Z", 1_769_860_800_000),
            ("2026-01-31t12:00:00z", 1_769_860_800_000),
            ("2026-01-31 12:00:00Z", 1_769_860_800_000),
            ("1985-04-12T23:20:50.52Z", 482_196_050_520),
            ("1996-12-19T16:39:57-08:00", 851_042_397_000),
            ("1937-01-01T12:00:27.87+00:20", -1_041_337_172_130),
            ("2026-01-31T12:00:00-00:00", 1_769_860_800_000),
            ("2026-01-31T12:00:00+23:59", 1_769_774_460_000),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
            ("2026-01-31T12:00:00.1234567890123Z", 1_769_860_800_123),
            ("1969-12-31T23:59:59.9999Z", -1),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000),
            ("1900-03-01T00:00:00Z", -2_203_891_200_000),
            ("1990-12-31T23:59:60Z", 662_687_999_999),
            ("1990-12-31T15:59:60-08:00", 662_687_999_999),
            ("1991-01-01T05:44:60+05:45", 662_687_999_999),
        ] {
            assert_eq!(parse_millis(text), Some(millis), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "2026-01-31T12:30:60Z",
            "2026-01-30T23:59:60Z",
            "2026-01-31T23:59:60+01:00",
            "2026-01-31T12:00:61Z",
            "2026-02-29T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:00",
            "2026-01-31",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00+24:00",
            "2026-01-31T12:00:00+01:60",
            "2026-1-31T12:00:00Z",
            "26-01-31T12:00:00Z",
            "2026-01-31T12:00:00 Z",
            " 2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00Z ",
            "1769860800000",
            "",
            "now",
            "+02026-01-31T12:00:00Z",
            "2026-01-31T12:00:00.123",
            "2026-W05-6T12:00:00Z",
            "2026-01-31T12:00Z",
            "2026-01-31T12:00:00+0100",
            "2026-01-31T12:00:00+01",
            "2026-01-31T12:00:00,5Z",
            "2026-01-31T12:00:00Z[UTC]",
            "20260131T120000Z",
            "2026-01-31T12:00:00\u{2212}01:00",
            "٢٠٢٦-01-31T12:00:00Z",
            "2026-01-31T12:00:00é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn dates_and_times_without_offset_are_parsed() {
        assert_eq!(parse_date("1970-01-02"), Some(1));
        assert_eq!(parse_date("-000001-12-31"), parse_date("0000-01-01").map(|day| day - 1));
        assert_eq!(parse_local("1970-01-01T00:00:00.000000001"), Some(1));
        assert_eq!(parse_local("1970-01-01T00:00:00Z"), None);
        assert_eq!(parse_time_of_day("12:30"), Some(45_000_000_000_000));
        assert_eq!(parse_time_of_day("00:00:00.5"), Some(500_000_000));
        for text in ["24:00:00", "23:59:60", "12", "1:00:00", "12:00:00Z", "T12:00:00", "12:3"] {
            assert_eq!(parse_time_of_day(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn times_and_dates_agree_with_jiff(nanos in -377_705_023_201_000_000_000_i128..253_402_207_200_000_000_000) {
            let time = jiff::Timestamp::from_nanosecond(nanos).unwrap();
            prop_assert_eq!(parse(&time.to_string()), Some(nanos));
            let date = jiff::tz::TimeZone::UTC.to_datetime(time).date();
            prop_assert_eq!(parse_date(&date.to_string()), Some(i64::try_from(nanos.div_euclid(86_400_000_000_000)).unwrap()));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,30}|[-0-9:.TZtz+ é]{0,35}") {
            let _ = (parse(&text), parse_local(&text), parse_date(&text), parse_time_of_day(&text));
        }
    }
}
