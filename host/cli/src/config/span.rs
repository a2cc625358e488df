//! A duration as people write it in a config: `1ms`, `500us`, `20s`, `5m`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A duration as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration(pub std::time::Duration);

impl Duration {
    pub(crate) const fn secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }
}

/// Units with their microseconds, longest first.
const UNITS: [(&str, u64); 5] = [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("'{text}' is not a duration: expected a number with us, ms, s, m or h, such as 500ms");
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| refused())?;
        let (_, micros) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(refused)?;
        let micros = number.checked_mul(*micros).ok_or_else(refused)?;
        Ok(Self(std::time::Duration::from_micros(micros)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros() as u64;
        let (unit, size) =
            UNITS.iter().find(|(_, size)| micros != 0 && micros.is_multiple_of(*size)).unwrap_or(&("us", 1));
        write!(f, "{}{unit}", micros / size)
    }
}

impl Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_as_it_is_written() {
        for text in ["1ms", "500us", "20s", "5m", "2h"] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
        }
        for bad in ["", "1", "s", "1.5s", "-1s", "1 day", "99999999999999999999s"] {
            assert!(bad.parse::<Duration>().unwrap_err().contains("not a duration"), "{bad}");
        }
    }
}
