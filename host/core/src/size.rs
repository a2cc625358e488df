//! A number of bytes as people write it: `4KiB`, `16MiB`, `10GB`, `512`.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The largest unit that divides it, so that what is written reads back as the same.
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.iter().find(|(_, length)| self.0 >= *length && self.0.is_multiple_of(*length)) {
            Some((unit, length)) => write!(f, "{}{unit}", self.0 / length),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// A text that is no number of bytes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no number of bytes: expected a number with a unit, such as 4KiB, 16MiB or 10GB")]
pub struct NotASize(String);

impl FromStr for Size {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        text.parse::<ByteSize>().map(|size| Self(size.0)).map_err(|_| NotASize(text.to_owned()))
    }
}

impl Serialize for Size {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, written) in [
            ("4KiB", 4096, "4KiB"),
            ("16 MiB", 16 << 20, "16MiB"),
            ("1.5KiB", 1536, "1536B"),
            ("10GB", 10_000_000_000, "10000000000B"),
            ("7", 7, "7B"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, written));
            assert_eq!(written.parse(), Ok(size));
        }
        for bad in ["", "much", "-1", "4 elephants", "KiB"] {
            assert!(bad.parse::<Size>().unwrap_err().to_string().contains("such as 4KiB"), "{bad}");
        }
    }
}
