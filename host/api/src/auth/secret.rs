//! The secret text of a key: made once, shown once, kept only as its SHA-256.

use sha2::{Digest, Sha256};

/// The prefix of every generated secret, by which scanners for leaked keys can find it.
const PREFIX: &str = "assay_";

/// A secret. It has no `Debug` and no `Display`, so that it does not get into logs.
pub(crate) struct Secret(String);

impl Secret {
    /// A new secret: `assay_` and 256 random bits as 64 hex digits.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub(crate) fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{PREFIX}{}", hex(&bytes))))
    }

    /// A given secret.
    pub(crate) fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The hash that the catalog stores. A plain SHA-256 is enough, because 256 random bits cannot be guessed.
    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The text, to show it to its owner.
    pub(crate) fn reveal(self) -> String {
        self.0
    }
}

/// Bytes as hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 64 hex digits as bytes.
pub(crate) fn hash_from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        // Two digits below 16 fit in a byte.
        *byte = (nibble(pair[0])? * 16 + nibble(pair[1])?) as u8;
    }
    Some(bytes)
}

/// Compares two hashes in a time that does not depend on the position of a difference.
pub(crate) fn equal_in_constant_time(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_and_differ() {
        let first = Secret::generate().unwrap().reveal();
        assert_eq!(first.len(), PREFIX.len() + 64);
        assert_ne!(first, Secret::generate().unwrap().reveal());
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = Secret::from_text("abc").hash();
        assert_eq!(hex(&hash), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash_from_hex(&hex(&hash)), Some(hash));
        assert_eq!(hash_from_hex("ba78"), None);
        assert_eq!(hash_from_hex(&"é".repeat(32)), None);
    }

    #[test]
    fn hashes_that_differ_in_one_bit_are_not_equal() {
        let hash = Secret::from_text("abc").hash();
        assert!(equal_in_constant_time(&hash, &hash));
        for bit in 0..256 {
            let mut other = hash;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!equal_in_constant_time(&hash, &other));
        }
    }
}
