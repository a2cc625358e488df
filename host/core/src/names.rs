//! Newtypes for values that must not be mixed up (offsets, partitions, digests), and checks of keys and names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The position of a record in a partition of a log, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// The offset after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a partition within its log. All events of an entity are in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionIndex(pub u32);

impl fmt::Display for PartitionIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The partition of a key's events: XXH3 (64 bits) of the key's UTF-8 bytes, modulo the number of partitions.
///
/// It must never change, because logs on disk depend on it.
pub fn partition_of(key: &str, partitions: u32) -> PartitionIndex {
    let hash = xxhash_rust::xxh3::xxh3_64(key.as_bytes());
    // The divisor is a u32, so the remainder fits.
    PartitionIndex((hash % u64::from(partitions.max(1))) as u32)
}

/// The most bytes, as UTF-8, of an entity's key or an event's id. Stores use both within their own keys, whose size is
/// limited.
pub const MAX_KEY_BYTES: usize = 1024;

/// Checks that a text can be an entity's key or an event's id.
///
/// # Errors
/// The text is empty, too long, `.` or `..`.
pub fn check_key(key: &str) -> Result<(), KeyProblem> {
    match key.len() {
        0 => Err(KeyProblem::Empty),
        1..=MAX_KEY_BYTES if matches!(key, "." | "..") => Err(KeyProblem::Dots),
        1..=MAX_KEY_BYTES => Ok(()),
        length => Err(KeyProblem::TooLong(length)),
    }
}

/// The reason why a text cannot be an entity's key or an event's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// The text is empty.
    #[error("expected a text of 1 to {MAX_KEY_BYTES} bytes as the stream's key or id, found an empty one")]
    Empty,
    /// The text has more than [`MAX_KEY_BYTES`] bytes; the field is their number.
    #[error("expected a text of 1 to {MAX_KEY_BYTES} bytes as the stream's key or id, found {0} bytes")]
    TooLong(usize),
    /// The text is `.` or `..`. Clients remove these segments from the path of a URL, even percent-encoded (WHATWG URL,
    /// section 4.4).
    #[error("a stream's key or id must not be \".\" or \"..\": no URL can name it")]
    Dots,
}

/// SHA-256 of a plugin's bytes as they were uploaded. The text form is `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The 64 hex digits alone.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a digest.
#[derive(Debug, thiserror::Error)]
#[error("a digest is 'sha256:' and 64 hex digits, not '{0}'")]
pub struct ParseDigestError(String);

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let refused = || ParseDigestError(text.to_owned());
        let hex = text.strip_prefix("sha256:").ok_or_else(refused)?;
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(refused());
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).map_err(|_| refused())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Checks the name of a stream, view, rule or table: a lower-case letter, then up to 63 lower-case letters, digits, `-`
/// or `_`.
///
/// # Errors
/// The name breaks this rule; the error says how.
pub fn check_name(name: &str) -> Result<(), InvalidName> {
    let refused = |why| Err(InvalidName { name: name.to_owned(), why });
    if name.is_empty() {
        return refused("it is empty");
    }
    if name.len() > 64 {
        return refused("it is longer than 64 characters");
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return refused("it must begin with a letter a-z");
    }
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_') {
        return refused("it may hold only a-z, 0-9, '-' and '_'");
    }
    Ok(())
}

/// A name that breaks the rule for names.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is not a name: {why}")]
pub struct InvalidName {
    /// The name.
    pub name: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse::<Digest>().ok(), Some(digest));
        assert!("sha256:12".parse::<Digest>().is_err());
        assert!("ba78".parse::<Digest>().is_err());
    }

    #[test]
    fn partitions_of_keys_are_fixed() {
        let partitions: Vec<u32> = ["", "card-1", "card-2", "é"].map(|key| partition_of(key, 8).0).to_vec();
        assert_eq!(partitions, partitions_as_released());
    }

    fn partitions_as_released() -> Vec<u32> {
        // XXH3-64 of the empty text is 0x2d06800538d394c2, and so on for the rest.
        ["", "card-1", "card-2", "é"].map(|key| (xxhash_rust::xxh3::xxh3_64(key.as_bytes()) % 8) as u32).to_vec()
    }

    #[test]
    fn keys_are_texts_of_1_to_1024_bytes_that_a_url_can_name() {
        for good in ["a", "a/b", "%2F", "?", "#", " ", "...", "é", "\0", &"é".repeat(512)] {
            assert_eq!(check_key(good), Ok(()), "{good}");
        }
        assert_eq!(check_key(""), Err(KeyProblem::Empty));
        assert_eq!(check_key(&"é".repeat(513)), Err(KeyProblem::TooLong(1026)));
        assert_eq!((check_key("."), check_key("..")), (Err(KeyProblem::Dots), Err(KeyProblem::Dots)));
    }

    #[test]
    fn a_name_begins_with_a_letter_and_has_at_most_64_plain_characters() {
        assert!(check_name("card-velocity_2").is_ok());
        for bad in ["", "Card", "1a", "a b", "a.b", &"a".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
