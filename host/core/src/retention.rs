//! How long a stream's records are kept: by age and by size, events and verdicts told apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// How long a stream's records are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Its events.
    #[serde(default, skip_serializing_if = "Limits::is_default")]
    pub events: Limits,
    /// Its verdicts.
    #[serde(default, skip_serializing_if = "Limits::is_default")]
    pub verdicts: Limits,
}

/// What is kept of one log. What is not said is left to the server's setting; a limit of 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Records that were appended longer ago may be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Span>,
    /// The oldest records may be deleted while the log has more bytes, summed over its partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Bytes>,
}

impl Retention {
    /// Whether nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// With what is not said here taken from `other`.
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

    /// The age in ms, if there is a limit.
    pub fn max_age(self) -> Option<i64> {
        self.age.filter(|age| age.0 > 0).map(Span::as_millis)
    }

    /// Each partition's share of the bytes, if there is a limit.
    pub fn max_bytes(self, partitions: u32) -> Option<u64> {
        self.size.filter(|size| size.0 > 0).map(|size| (size.0 / u64::from(partitions.max(1))).max(1))
    }
}

/// A number of bytes as people write it: `10GiB`, `512MiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// The units, from the largest.
const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size)) {
            Some((unit, size)) => write!(f, "{}{unit}", self.0 / size),
            None => f.write_str("0B"),
        }
    }
}

/// A text that is not a number of bytes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a size: expected a whole number with the unit B, KiB, MiB, GiB or TiB, such as 512MiB or 10GiB")]
pub struct NotASize(String);

impl FromStr for Bytes {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let refused = || NotASize(text.to_owned());
        let (digits, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
        let number: u64 = digits.parse().map_err(|_| refused())?;
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
        number.checked_mul(*size).map(Self).ok_or_else(refused)
    }
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for text in ["0B", "1B", "1000B", "3KiB", "512MiB", "10GiB", "2TiB"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
        for bad in ["", "1", "GiB", "10GB", "10 GiB", "-1B", "1.5GiB", "99999999999TiB", "1é"] {
            assert!(bad.parse::<Bytes>().unwrap_err().to_string().contains("such as 512MiB"), "{bad}");
        }
    }

    #[test]
    fn what_a_stream_does_not_say_is_the_servers() {
        let read = |text: &str| serde_json::from_str::<Retention>(text).unwrap();
        let own = read(r#"{ "events": { "age": "0s", "size": "8MiB" } }"#);
        let server = read(r#"{ "events": { "age": "30d" }, "verdicts": { "age": "90d" } }"#);
        let both = own.or(server);
        assert_eq!((both.events.max_age(), both.events.max_bytes(4)), (None, Some(2 << 20)));
        assert_eq!((both.verdicts.max_age(), both.verdicts.max_bytes(4)), (Some(90 * 86_400_000), None));
        assert_eq!(serde_json::to_string(&own).unwrap(), r#"{"events":{"age":"0s","size":"8MiB"}}"#);
        assert!(serde_json::from_str::<Retention>(r#"{ "event": {} }"#).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,12}|[0-9KMGTiB]{0,24}") {
            let _ = text.parse::<Bytes>();
        }
    }
}
