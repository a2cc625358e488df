//! Cursors: the position at which a listing continues. They are opaque to clients, and a checksum rejects other texts.

use ::mongodb::bson::Document;
use assay_engine::ports::StoreError;
use xxhash_rust::xxh3::xxh3_64;

/// Longer cursors are rejected before they are decoded. A cursor can hold a long entity key.
const MAX_CURSOR_DIGITS: usize = 2 << 20;

/// The listing that a cursor belongs to. The numbers are part of the checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    Highest = 2,
    DeadLetters = 4,
}

/// Writes a cursor: the position as BSON and eight bytes of checksum, as hex digits. None if the position has no BSON
/// form.
pub(super) fn write(listing: Listing, position: &Document) -> Option<String> {
    let mut bytes = position.to_vec().ok()?;
    let checksum = checksum(listing, &bytes);
    bytes.extend_from_slice(&checksum);
    Some(hex(&bytes))
}

/// Reads a cursor.
///
/// # Errors
/// [`StoreError::BadCursor`] if [`write`] did not make it for this listing.
pub(super) fn read(listing: Listing, cursor: &str) -> Result<Document, StoreError> {
    let bytes = from_hex(cursor).ok_or(StoreError::BadCursor)?;
    let (position, stored) = bytes.split_last_chunk::<8>().ok_or(StoreError::BadCursor)?;
    if checksum(listing, position) != *stored {
        return Err(StoreError::BadCursor);
    }
    Document::from_reader(position).map_err(|_| StoreError::BadCursor)
}

fn checksum(listing: Listing, position: &[u8]) -> [u8; 8] {
    (xxh3_64(position) ^ listing as u64).to_be_bytes()
}

/// Bytes as hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from hex digits.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2)
        || text.len() > MAX_CURSOR_DIGITS
        || !text.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use ::mongodb::bson::doc;

    use super::*;

    #[test]
    fn cursors_round_trip_and_other_texts_are_rejected() {
        let position = doc! { "score": -0.5, "key": "é" };
        let cursor = write(Listing::Highest, &position).unwrap();
        assert_eq!(read(Listing::Highest, &cursor), Ok(position));
        let mut altered = cursor.clone();
        altered.replace_range(12..13, if &cursor[12..13] == "f" { "e" } else { "f" });
        for bad in ["", "zz", "0", "é", "0102030405060708", &altered, &cursor[..cursor.len() - 2]] {
            assert_eq!(read(Listing::Highest, bad), Err(StoreError::BadCursor), "{bad}");
        }
        assert_eq!(read(Listing::DeadLetters, &cursor), Err(StoreError::BadCursor));
    }
}
