//! Fields of timestamps (UTC) and durations, which are milliseconds in ints.

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

use crate::expr::column::{Column, Native};
use crate::expr::loops::{map, split_nulls};
use crate::expr::text_builder::TextBuilder;
use crate::rfc3339::parse_millis;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn map_to_ints(arguments: &[Column], rows: usize, f: impl Fn(i64) -> i64) -> Column {
    i64::into_column(map(i64::numbers(&arguments[0]), rows, f), None)
}

/// A date of the proleptic Gregorian calendar.
struct CivilDate {
    year: i64,
    /// From 1.
    month: i64,
    /// From 1.
    day: i64,
    /// From 0.
    day_of_year: i64,
}

/// The date of a timestamp: Howard Hinnant's civil_from_days, which counts years from March.
fn civil_date(timestamp: i64) -> CivilDate {
    let days = timestamp.div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * from_march + 2) / 153;
    let day = from_march - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let is_leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    // March 1 is day 59 of a year, or 60 in a leap year. January 1 is 306 days after the March 1 before it.
    let day_of_year = if month <= 2 { from_march - 306 } else { from_march + 59 + i64::from(is_leap) };
    CivilDate { year, month, day, day_of_year }
}

pub(in crate::expr) fn year(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |time| civil_date(time).year)
}

/// From 1, for January.
pub(in crate::expr) fn month(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |time| civil_date(time).month)
}

/// From 0, for January: CEL's getMonth.
pub(in crate::expr) fn month_from_zero(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |time| civil_date(time).month - 1)
}

/// Of the month, from 1.
pub(in crate::expr) fn day(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |time| civil_date(time).day)
}

/// Of the month, from 0: CEL's getDayOfMonth.
pub(in crate::expr) fn day_from_zero(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |time| civil_date(time).day - 1)
}

/// From 0.
pub(in crate::expr) fn day_of_year(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |time| civil_date(time).day_of_year)
}

/// From 0, for Sunday; 1970-01-01 was a Thursday.
pub(in crate::expr) fn day_of_week(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |time| (time.div_euclid(DAY) + 4).rem_euclid(7))
}

pub(in crate::expr) fn hour(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |time| time.rem_euclid(DAY) / HOUR)
}

pub(in crate::expr) fn minute(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |time| time.rem_euclid(HOUR) / MINUTE)
}

pub(in crate::expr) fn second(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |time| time.rem_euclid(MINUTE) / SECOND)
}

pub(in crate::expr) fn millisecond(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |time| time.rem_euclid(SECOND))
}

pub(in crate::expr) fn whole_hours(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |span| span / HOUR)
}

pub(in crate::expr) fn whole_minutes(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |span| span / MINUTE)
}

pub(in crate::expr) fn whole_seconds(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |span| span / SECOND)
}

/// The milliseconds after the last whole second: CEL's getMilliseconds of a duration.
pub(in crate::expr) fn millisecond_of_span(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |span| span % SECOND)
}

/// Seconds since 1970: CEL's int(timestamp).
pub(in crate::expr) fn unix_seconds(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |time| time.div_euclid(SECOND))
}

/// From seconds since 1970; missing outside of the range of milliseconds.
pub(in crate::expr) fn from_unix_seconds(arguments: &[Column], rows: usize) -> Column {
    let times = map(i64::numbers(&arguments[0]), rows, |seconds| seconds.checked_mul(SECOND));
    let (values, nulls) = split_nulls(&times);
    i64::into_column(values, nulls)
}

/// From RFC 3339; missing for any other text.
pub(in crate::expr) fn from_text(arguments: &[Column], rows: usize) -> Column {
    let texts = arguments[0].texts();
    let times: Vec<Option<i64>> = (0..rows).map(|row| parse_millis(texts.get(row))).collect();
    let (values, nulls) = split_nulls(&times);
    i64::into_column(values, nulls)
}

/// As RFC 3339 text; missing outside of the years 0 to 9999, which RFC 3339 can express.
pub(in crate::expr) fn timestamp_to_text(arguments: &[Column], rows: usize) -> Column {
    let times = i64::numbers(&arguments[0]);
    let mut builder = TextBuilder::new(rows);
    for row in 0..rows {
        match jiff::Timestamp::from_millisecond(times.at(row)) {
            Ok(time) if (0..=9999).contains(&civil_date(times.at(row)).year) => builder.push_display(time),
            _ => builder.push_missing(),
        }
    }
    Column::Texts(builder.finish())
}

/// In seconds, as CEL writes it: `90s`, `-0.25s`.
pub(in crate::expr) fn span_to_text(arguments: &[Column], rows: usize) -> Column {
    let spans = i64::numbers(&arguments[0]);
    let mut builder = TextBuilder::new(rows);
    for span in (0..rows).map(|row| spans.at(row)) {
        let sign = if span < 0 { "-" } else { "" };
        let (seconds, rest) = (span.unsigned_abs() / 1000, span.unsigned_abs() % 1000);
        let fraction = if rest == 0 { String::new() } else { format!(".{rest:03}") };
        builder.push_display(format_args!("{sign}{seconds}{}s", fraction.trim_end_matches('0')));
    }
    Column::Texts(builder.finish())
}

/// The zone of a name such as `Europe/Berlin`, or of an offset such as `+02:00`.
pub(in crate::expr) fn parse_zone(name: &str) -> Option<TimeZone> {
    let (sign, offset) = match name.strip_prefix('-') {
        Some(offset) => (-1, offset),
        None => (1, name.strip_prefix('+').unwrap_or(name)),
    };
    let Some((hours, minutes)) = offset.split_once(':') else {
        return TimeZoneDatabase::bundled().get(name).ok();
    };
    let two_digits = |text: &str| match text.as_bytes() {
        [b'0'..=b'9', b'0'..=b'9'] => text.parse::<i32>().ok(),
        _ => None,
    };
    let hours = two_digits(hours).filter(|hours| *hours < 24)?;
    let minutes = two_digits(minutes).filter(|minutes| *minutes < 60)?;
    Some(TimeZone::fixed(Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?))
}

/// The local times of a zone, as if they were UTC. Missing outside of the years -9999 to 9999, which jiff supports.
pub(in crate::expr) fn to_local_time(times: &Column, zone: &TimeZone, rows: usize) -> Column {
    let shown = |time: i64| {
        let offset = zone.to_offset(jiff::Timestamp::from_millisecond(time).ok()?);
        time.checked_add(i64::from(offset.seconds()) * SECOND)
    };
    let (values, nulls) = split_nulls(&map(i64::numbers(times), rows, shown));
    i64::into_column(values, nulls)
}

/// The milliseconds of a duration as Go and CEL write it (`1h30m`, `-1.5s`, `250ms`). Finer digits are dropped.
pub(in crate::expr) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut nanoseconds: i128 = 0;
    loop {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        nanoseconds = nanoseconds.checked_add(parse_duration_part(number, unit)?)?;
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    let signed = if negative { -nanoseconds } else { nanoseconds };
    i64::try_from(signed / 1_000_000).ok()
}

/// The nanoseconds of one part such as `1.5h`.
fn parse_duration_part(number: &str, unit: &str) -> Option<i128> {
    let unit: i128 = match unit {
        // CEL has no days, but all other spans of time in definitions may be written in days.
        "d" => 86_400_000_000_000,
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" => 1_000,
        "ns" => 1,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // 15 digits bound the arithmetic to 128 bits. They are finer than a nanosecond in every unit.
    if whole.len() > 15 || fraction.len() > 15 || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let digits = |text: &str| {
        if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() }
    };
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    Some(digits(whole)? * unit + digits(fraction)? * unit / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(parse_duration("1h30m"), Some(90 * MINUTE));
        assert_eq!(parse_duration("7d"), Some(7 * DAY));
        assert_eq!(parse_duration("-1.5s"), Some(-1500));
        assert_eq!(parse_duration("+250ms"), Some(250));
        assert_eq!(parse_duration(".5m"), Some(30 * SECOND));
        assert_eq!(parse_duration("1999us"), Some(1));
        assert_eq!(parse_duration("0"), Some(0));
        for bad in ["", "1", "h", "1h ", "1x", "1..5s", ".s", "1h-3m", "9999999999999999h", "999999999999999h"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates_agree_with_another_calendar() {
        for day in (-1_000_000..1_000_000_i64).step_by(37) {
            let other = jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(day));
            let ours = civil_date(day * DAY + DAY - 1);
            let found = (ours.year, ours.month, ours.day, ours.day_of_year + 1);
            let expected = (other.year().into(), other.month().into(), other.day().into(), other.day_of_year().into());
            assert_eq!(found, expected, "day {day}");
        }
        // No overflow at the ends.
        assert!(civil_date(i64::MAX).year > 290_000_000 && civil_date(i64::MIN).year < -290_000_000);
    }
}
