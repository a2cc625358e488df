//! The cursor of a history: the time and offset of the last event of a page, with a checksum. Clients must treat it as
//! opaque.

use assay_engine::ports::StoreError;
use xxhash_rust::xxh3::xxh3_64;

/// The length of a cursor in hex digits: eight bytes of time, eight bytes of offset and four bytes of checksum.
const LENGTH: usize = 40;

/// Encodes a cursor.
pub(super) fn write(time: i64, offset: i64) -> String {
    let position = (u128::from(time as u64) << 64) | u128::from(offset as u64);
    format!("{position:032x}{:08x}", checksum(position))
}

/// Decodes a cursor into its time and offset.
///
/// # Errors
/// [`StoreError::BadCursor`] if the text is no cursor.
pub(super) fn read(text: &str) -> Result<(i64, i64), StoreError> {
    if text.len() != LENGTH || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(StoreError::BadCursor);
    }
    let (position, sum) = text.split_at(LENGTH - 8);
    let position = u128::from_str_radix(position, 16).map_err(|_| StoreError::BadCursor)?;
    let sum = u32::from_str_radix(sum, 16).map_err(|_| StoreError::BadCursor)?;
    if sum != checksum(position) {
        return Err(StoreError::BadCursor);
    }
    Ok(((position >> 64) as i64, position as i64))
}

fn checksum(position: u128) -> u32 {
    xxh3_64(&position.to_be_bytes()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_other_texts_are_refused() {
        for position in [(0, 0), (-5, 7), (i64::MIN, i64::MAX), (i64::MAX, -1)] {
            assert_eq!(read(&write(position.0, position.1)).ok(), Some(position));
        }
        let cursor = write(1, 2);
        let altered = cursor.replacen('0', "1", 1);
        for bad in ["", "garbage", "00", &altered, &cursor[1..], &"ä".repeat(20)] {
            assert_eq!(read(bad), Err(StoreError::BadCursor), "{bad}");
        }
    }
}
