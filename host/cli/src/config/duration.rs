//! A duration in the config: a whole number with a unit, such as `1ms`, `500us`, `20s` or `5m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration in the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigDuration(pub Duration);

impl ConfigDuration {
    pub(crate) const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

/// Units and their sizes in microseconds, longest first: a duration is written in the longest unit that divides it.
const UNITS: [(&str, u64); 5] = [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

impl FromStr for ConfigDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("'{text}' is not a duration: expected a number with us, ms, s, m or h, such as 500ms");
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| refused())?;
        let (_, micros) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(refused)?;
        let micros = number.checked_mul(*micros).ok_or_else(refused)?;
        Ok(Self(Duration::from_micros(micros)))
    }
}

impl fmt::Display for ConfigDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros() as u64;
        let (unit, size) =
            UNITS.iter().find(|(_, size)| micros != 0 && micros.is_multiple_of(*size)).unwrap_or(&("us", 1));
        write!(f, "{}{unit}", micros / size)
    }
}

impl Serialize for ConfigDuration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ConfigDuration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_duration_is_read_back() {
        for text in ["1ms", "500us", "20s", "5m", "2h"] {
            assert_eq!(text.parse::<ConfigDuration>().unwrap().to_string(), text);
        }
        for bad in ["", "1", "s", "1.5s", "-1s", "1 day", "99999999999999999999s"] {
            assert!(bad.parse::<ConfigDuration>().unwrap_err().contains("not a duration"), "{bad}");
        }
    }
}
