//! Converts dates, times of day, durations and UUIDs to their texts in JSON, and back.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::civil::{Date, DateTime, Time};

use super::node::TimeUnit;
use crate::rfc3339;

const EPOCH: Date = jiff::civil::date(1970, 1, 1);
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_DAY: i128 = 86_400 * NANOS_PER_SECOND;
/// The length of a UUID's text, in bytes.
pub(super) const UUID_LENGTH: usize = 36;

/// `2026-01-31`; none outside of the years -9999 to 9999.
pub(super) fn date_text(days: i32) -> Option<String> {
    let date = EPOCH.checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
    Some(date.to_string())
}

pub(super) fn date_days(text: &str) -> Option<i32> {
    i32::try_from(rfc3339::parse_date(text)?).ok()
}

/// `12:30:00.5`; none if the number is no time of a day.
pub(super) fn time_text(unit: TimeUnit, raw: i64) -> Option<String> {
    let per_day = 86_400_000 * unit.per_milli();
    if !(0..per_day).contains(&raw) {
        return None;
    }
    let nanos = raw * (1_000_000 / unit.per_milli());
    let second = |per: i64| (nanos / (1_000_000_000 * per) % 60) as i8;
    let hour = (nanos / 3_600_000_000_000) as i8;
    let time = Time::new(hour, second(60), second(1), (nanos % 1_000_000_000) as i32).ok()?;
    Some(time.to_string())
}

/// Units since midnight. Digits finer than the unit are refused, because they would be lost.
pub(super) fn time_raw(unit: TimeUnit, text: &str) -> Option<i64> {
    let nanos = rfc3339::parse_time_of_day(text)?;
    let per_unit = 1_000_000 / unit.per_milli();
    (nanos % per_unit == 0).then_some(nanos / per_unit)
}

/// `2026-01-31T12:30:00.000001`, without a zone; none outside of the years -9999 to 9999.
///
/// Date and time are combined here, because the range of jiff's `Timestamp` ends a day before that of its dates.
pub(super) fn local_text(nanos: i128) -> Option<String> {
    let days = i32::try_from(nanos.div_euclid(NANOS_PER_DAY)).ok()?;
    let date = EPOCH.checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
    let of_day = nanos.rem_euclid(NANOS_PER_DAY);
    let second = |per: i128| (of_day / (NANOS_PER_SECOND * per) % 60) as i8;
    let hour = (of_day / (3_600 * NANOS_PER_SECOND)) as i8;
    let time = Time::new(hour, second(60), second(1), (of_day % NANOS_PER_SECOND) as i32).ok()?;
    Some(DateTime::from_parts(date, time).to_string())
}

/// `2026-01-31T12:30:00.000001Z`; none outside of the years -9999 to 9999.
pub(super) fn instant_text(nanos: i128) -> Option<String> {
    local_text(nanos).map(|text| text + "Z")
}

/// Nanoseconds since 1970 of a text without a zone.
pub(super) fn local_nanos(text: &str) -> Option<i128> {
    rfc3339::parse_local(text)
}

/// Nanoseconds since 1970 of an RFC 3339 text; none also if its offset moves it outside of the years that have a text.
pub(super) fn instant_nanos(text: &str) -> Option<i128> {
    rfc3339::parse(text).filter(|nanos| local_text(*nanos).is_some())
}

/// `P1M2DT3.004S`: months, days, and seconds with milliseconds. Parts that are zero are left out.
pub(super) fn duration_text(bytes: &[u8]) -> String {
    let mut parts = bytes.chunks_exact(4).map(|part| part.try_into().map_or(0, u32::from_le_bytes));
    let [months, days, millis] = [(); 3].map(|()| parts.next().unwrap_or(0));
    let mut text = "P".to_owned();
    // Writing to a string cannot fail.
    if months > 0 {
        let _ = write!(text, "{months}M");
    }
    if days > 0 {
        let _ = write!(text, "{days}D");
    }
    if millis > 0 || text.len() == 1 {
        let _ = write!(text, "T{}", f64::from(millis) / 1_000.0);
        text.push('S');
    }
    text
}

/// Parses an ISO 8601 duration to months, days and milliseconds: a year is twelve months, a week seven days.
pub(super) fn duration_bytes(text: &str) -> Option<[u8; 12]> {
    let (date, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (text.strip_prefix('P')?, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let (years, date) = split_duration_part(date, 'Y')?;
    let (months, date) = split_duration_part(date, 'M')?;
    let (weeks, date) = split_duration_part(date, 'W')?;
    let (days, date) = split_duration_part(date, 'D')?;
    let (hours, time) = split_duration_part(time, 'H')?;
    let (minutes, time) = split_duration_part(time, 'M')?;
    if !date.is_empty() {
        return None;
    }
    let millis = hours * HOUR + minutes * MINUTE + if time.is_empty() { 0 } else { parse_second_millis(time)? };
    let parts = [years * 12 + months, weeks * 7 + days, millis];
    let mut bytes = [0; 12];
    for (place, part) in bytes.chunks_exact_mut(4).zip(parts) {
        place.copy_from_slice(&u32::try_from(part).ok()?.to_le_bytes());
    }
    Some(bytes)
}

/// The number before `unit`, 0 where the text has none, and the rest of the text.
fn split_duration_part(text: &str, unit: char) -> Option<(u64, &str)> {
    match text.split_once(unit) {
        Some((number, rest)) => Some((u64::from(parse_digits(number)?), rest)),
        None => Some((0, text)),
    }
}

fn parse_second_millis(text: &str) -> Option<u64> {
    let text = text.strip_suffix('S')?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > 3 {
        return None;
    }
    Some(u64::from(parse_digits(seconds)?) * SECOND + u64::from(parse_digits(&format!("{fraction:0<3}"))?))
}

/// Parses digits without a sign.
fn parse_digits(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// `f81d4fae-7dec-11d0-a765-00a0c91e6bf6`, from 16 bytes.
pub(super) fn uuid_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Parses the usual form of 36 characters, with digits in either case (RFC 9562, section 4).
pub(super) fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; UUID_LENGTH] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0_u8; 16];
    let mut digits = 0;
    for (place, char) in text.iter().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            if *char != b'-' {
                return None;
            }
            continue;
        }
        let digit = char::from(*char).to_digit(16)? as u8;
        bytes[digits / 2] = bytes[digits / 2] << 4 | digit;
        digits += 1;
    }
    Some(bytes)
}

/// The text in small letters, if it is a UUID.
pub(super) fn canonical_uuid(text: &str) -> Option<Cow<'_, str>> {
    uuid_bytes(text)?;
    let has_capitals = text.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if has_capitals { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) })
}

#[cfg(test)]
mod tests;
