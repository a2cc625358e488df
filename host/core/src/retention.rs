//! The retention of a stream's records: by age and by size, separately for events and verdicts.

use serde::{Deserialize, Serialize};

use crate::size::Size;
use crate::span::Span;

/// The retention of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// The limits of its events.
    #[serde(default, skip_serializing_if = "Limits::is_default")]
    pub events: Limits,
    /// The limits of its verdicts.
    #[serde(default, skip_serializing_if = "Limits::is_default")]
    pub verdicts: Limits,
}

/// The limits of one log. An absent limit is the server's setting; a limit of 0 means that there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Records that were appended longer ago may be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Span>,
    /// The oldest records may be deleted while the log has more bytes, summed over its partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
}

impl Retention {
    /// True if no limit is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// These limits, with absent ones taken from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { events: self.events.or(other.events), verdicts: self.verdicts.or(other.verdicts) }
    }
}

impl Limits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn or(self, other: Self) -> Self {
        Self { age: self.age.or(other.age), size: self.size.or(other.size) }
    }

    /// The greatest age in ms; none if there is no limit.
    pub fn max_age(self) -> Option<i64> {
        self.age.filter(|age| age.0 > 0).map(Span::as_millis)
    }

    /// Each partition's share of the size limit in bytes, at least 1; none if there is no limit.
    pub fn max_bytes(self, partitions: u32) -> Option<u64> {
        self.size.filter(|size| size.0 > 0).map(|size| (size.0 / u64::from(partitions.max(1))).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_limits_are_those_of_the_server() {
        let read = |text: &str| serde_json::from_str::<Retention>(text).unwrap();
        let own = read(r#"{ "events": { "age": "0s", "size": "8MiB" } }"#);
        let server = read(r#"{ "events": { "age": "30d" }, "verdicts": { "age": "90d" } }"#);
        let both = own.or(server);
        assert_eq!((both.events.max_age(), both.events.max_bytes(4)), (None, Some(2 << 20)));
        assert_eq!((both.verdicts.max_age(), both.verdicts.max_bytes(4)), (Some(90 * 86_400_000), None));
        assert_eq!(serde_json::to_string(&own).unwrap(), r#"{"events":{"age":"0s","size":"8MiB"}}"#);
        assert!(serde_json::from_str::<Retention>(r#"{ "event": {} }"#).is_err());
    }
}
