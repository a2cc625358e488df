//! Cursors: what a listing hands out to go on from. Opaque, and checked when they come back.

use assay_engine::ports::StoreError;
use xxhash_rust::xxh3::xxh3_64;

/// Which listing a cursor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    History = 1,
    Highest = 2,
    Neighbours = 3,
    DeadLetters = 4,
}

/// Writes a cursor: the listing, where to go on, four bytes of checksum, all as hex digits.
pub(super) fn write(listing: Listing, place: &[u8]) -> String {
    let mut bytes = vec![listing as u8];
    bytes.extend_from_slice(place);
    let checksum = xxh3_64(&bytes).to_be_bytes();
    bytes.extend_from_slice(&checksum[..4]);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a cursor of a listing back.
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
    // Keys in cursors are bounded, so whatever is longer is not one.
    if !text.len().is_multiple_of(2) || text.len() > 16 << 10 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_garbage_does_not() {
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
