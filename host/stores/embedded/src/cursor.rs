//! Cursors: the position at which a listing continues. They are opaque to clients, and a checksum rejects other texts.

use assay_engine::ports::StoreError;
use xxhash_rust::xxh3::xxh3_64;

/// Longer texts are rejected before they are decoded. The keys in cursors are shorter.
const MAX_CURSOR_DIGITS: usize = 16 << 10;

/// The listing that a cursor belongs to. The numbers are part of the cursor's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    History = 1,
    Highest = 2,
    Neighbours = 3,
    DeadLetters = 4,
}

/// Writes a cursor: the listing, the position and four bytes of checksum, as hex digits.
pub(super) fn write(listing: Listing, position: &[u8]) -> String {
    let mut bytes = vec![listing as u8];
    bytes.extend_from_slice(position);
    let checksum = xxh3_64(&bytes).to_be_bytes();
    bytes.extend_from_slice(&checksum[..4]);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the position of a cursor.
///
/// # Errors
/// [`StoreError::BadCursor`] if [`write`] did not make it for this listing.
pub(super) fn read(listing: Listing, cursor: &str) -> Result<Vec<u8>, StoreError> {
    let mut bytes = from_hex(cursor).ok_or(StoreError::BadCursor)?;
    let body = bytes.len().checked_sub(4).ok_or(StoreError::BadCursor)?;
    let checksum = bytes.split_off(body);
    if xxh3_64(&bytes).to_be_bytes()[..4] != checksum || bytes.first() != Some(&(listing as u8)) {
        return Err(StoreError::BadCursor);
    }
    bytes.remove(0);
    Ok(bytes)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !text.len().is_multiple_of(2) || text.len() > MAX_CURSOR_DIGITS || !is_hex {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_other_texts_are_rejected() {
        let cursor = write(Listing::History, b"here");
        assert_eq!(read(Listing::History, &cursor).ok().as_deref(), Some(&b"here"[..]));
        let mut altered = cursor.clone();
        altered.replace_range(2..3, "f");
        for bad in ["", "zz", "0", "é", "01020304", &altered, &cursor[..cursor.len() - 2]] {
            assert!(matches!(read(Listing::History, bad), Err(StoreError::BadCursor)), "{bad}");
        }
        assert!(read(Listing::Highest, &cursor).is_err());
    }
}
