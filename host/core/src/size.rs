//! A number of bytes as people write it: `4KiB`, `512MiB`, `10GiB`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// The units, from the largest.
const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl fmt::Display for Size {
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
pub struct ParseSizeError(String);

impl FromStr for Size {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, ParseSizeError> {
        let refused = || ParseSizeError(text.to_owned());
        let (digits, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
        let number: u64 = digits.parse().map_err(|_| refused())?;
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
        number.checked_mul(*size).map(Self).ok_or_else(refused)
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for text in ["0B", "1B", "1000B", "3KiB", "512MiB", "10GiB", "2TiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for bad in ["", "1", "GiB", "10GB", "10 GiB", "-1B", "1.5GiB", "99999999999TiB", "1é"] {
            assert!(bad.parse::<Size>().unwrap_err().to_string().contains("such as 512MiB"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,12}|[0-9KMGTiB]{0,24}") {
            let _ = text.parse::<Size>();
        }
    }
}
