//! Query parameters that several routes share: times, limits, cursors.

use assay_core::time_range::TimeRange;
use assay_core::time_text::parse_time;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

use super::ApiError;
use super::error::ApiResult;

/// The default number of items of a page.
const DEFAULT_LIMIT: usize = 50;
/// The largest number of items of a page.
const MAX_LIMIT: usize = 1000;

/// The parameters of a page of a listing.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// The number of items of the page: 1 to 1000; 50 by default.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    pub(crate) limit: Option<usize>,
    /// The `cursor` of the page before. Without it: the first page.
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

/// The times from `from` (inclusive) to `to` (exclusive). A missing end is open.
pub(crate) fn time_range(from: Option<Time>, to: Option<Time>) -> TimeRange {
    TimeRange { from: from.map(|time| time.0), to: to.map(|time| time.0) }
}

impl std::str::FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // In a query string a + that is not escaped means a space.
        let hint = if text.contains(' ') { "; a + in a URL is written %2B" } else { "" };
        parse_time(text).map(Self).map_err(|message| message + hint)
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
    fn a_plus_that_the_query_lost_is_named() {
        assert_eq!("2026-01-01T01:00:00+01:00".parse(), Ok(Time(1_767_225_600_000)));
        let refused = "2026-01-01T01:00:00 01:00".parse::<Time>().unwrap_err();
        assert!(refused.contains("expected RFC 3339") && refused.ends_with("is written %2B"), "{refused}");
    }

    #[test]
    fn limits_are_bounded() {
        assert_eq!(page_limit(None).unwrap(), 50);
        assert_eq!(page_limit(Some(1000)).unwrap(), 1000);
        assert!(page_limit(Some(0)).is_err());
        assert_eq!(page_limit(Some(1001)).unwrap_err().detail, "limit: expected 1 to 1000, got 1001");
    }
}
