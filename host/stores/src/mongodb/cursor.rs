//! Cursors: what a listing hands out to go on from. Opaque, and checked when they come back.

use ::mongodb::bson::Document;
use assay_engine::ports::StoreError;
use xxhash_rust::xxh3::xxh3_64;

/// The longest cursor that is read, in hex digits: one holds an entity's key.
const LONGEST: usize = 2 << 20;

/// Which listing a cursor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    Highest = 2,
    DeadLetters = 4,
}

/// Writes a cursor: the place as BSON, eight bytes of checksum, all as hex digits. None if the place has no BSON form.
pub(super) fn write(listing: Listing, place: &Document) -> Option<String> {
    let mut bytes = place.to_vec().ok()?;
    let checksum = checksum(listing, &bytes);
    bytes.extend_from_slice(&checksum);
    Some(hex(&bytes))
}

/// Reads a cursor of a listing back.
pub(super) fn read(listing: Listing, cursor: &str) -> Result<Document, StoreError> {
    let bytes = from_hex(cursor).ok_or(StoreError::BadCursor)?;
    let (place, stored) = bytes.split_last_chunk::<8>().ok_or(StoreError::BadCursor)?;
    if checksum(listing, place) != *stored {
        return Err(StoreError::BadCursor);
    }
    Document::from_reader(place).map_err(|_| StoreError::BadCursor)
}

fn checksum(listing: Listing, place: &[u8]) -> [u8; 8] {
    (xxh3_64(place) ^ listing as u64).to_be_bytes()
}

/// Bytes as hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from hex digits.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use ::mongodb::bson::doc;

    use super::*;

    #[test]
    fn a_cursor_comes_back_and_garbage_does_not() {
        let place = doc! { "score": -0.5, "key": "é" };
        let cursor = write(Listing::Highest, &place).unwrap();
        assert_eq!(read(Listing::Highest, &cursor), Ok(place));
        let mut altered = cursor.clone();
        altered.replace_range(12..13, if &cursor[12..13] == "f" { "e" } else { "f" });
        for bad in ["", "zz", "0", "é", "0102030405060708", &altered, &cursor[..cursor.len() - 2]] {
            assert_eq!(read(Listing::Highest, bad), Err(StoreError::BadCursor), "{bad}");
        }
        assert_eq!(read(Listing::DeadLetters, &cursor), Err(StoreError::BadCursor));
    }
}
