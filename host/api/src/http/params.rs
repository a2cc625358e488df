//! Query parameters that several routes share: times, limits, cursors.

use assay_core::rfc3339;
use assay_core::time_range::TimeRange;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

use super::ApiError;
use super::error::ApiResult;

/// How many items a page has that does not say so.
const DEFAULT_LIMIT: usize = 50;
/// The most items of a page.
const MAX_LIMIT: usize = 1000;

/// Which part of a listing is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// The most items of the page: 1 to 1000, else 50.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    pub(crate) limit: Option<usize>,
    /// The `cursor` of the page before; none: the first page.
    pub(crate) cursor: Option<String>,
}

/// Checks the limit of a page.
pub(crate) fn page_limit(requested: Option<usize>) -> ApiResult<usize> {
    match requested {
        None => Ok(DEFAULT_LIMIT),
        Some(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
        Some(limit) => Err(ApiError::bad_request(format!("limit: expected 1 to {MAX_LIMIT}, got {limit}"))),
    }
}

/// A time in a parameter, in ms since 1970: written as that number or as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) i64);

/// The times from one on and before another; none: that end is open.
pub(crate) fn times(from: Option<Time>, to: Option<Time>) -> TimeRange {
    TimeRange { from: from.map(|time| time.0), to: to.map(|time| time.0) }
}

impl std::str::FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(millis) = text.parse::<i64>() {
            return Ok(Self(millis));
        }
        rfc3339::parse_millis(text).map(Self).ok_or_else(|| {
            // In a query a + that is not escaped is a space.
            let hint = if text.contains(' ') { "; a + in a URL is written %2B" } else { "" };
            format!(
                "'{text}' is not a time: expected RFC 3339, such as 2026-01-31T12:00:00Z, or milliseconds since 1970{hint}"
            )
        })
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_both_forms() {
        assert_eq!("1767225600000".parse(), Ok(Time(1_767_225_600_000)));
        assert_eq!("-5".parse(), Ok(Time(-5)));
        assert_eq!("2026-01-01T00:00:00Z".parse(), Ok(Time(1_767_225_600_000)));
        assert_eq!("2026-01-01T01:00:00.250+01:00".parse(), Ok(Time(1_767_225_600_250)));
        for bad in ["", "yesterday", "2026-01-01", "2026-13-01T00:00:00Z"] {
            assert!(bad.parse::<Time>().unwrap_err().contains("expected RFC 3339"), "{bad}");
        }
    }

    #[test]
    fn limits_are_bounded() {
        assert_eq!(page_limit(None).unwrap(), 50);
        assert_eq!(page_limit(Some(1000)).unwrap(), 1000);
        assert!(page_limit(Some(0)).is_err());
        assert_eq!(page_limit(Some(1001)).unwrap_err().detail, "limit: expected 1 to 1000, got 1001");
    }
}
