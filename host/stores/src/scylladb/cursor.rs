//! The cursor of a history: the time and offset of the last event that was given out. Opaque, and checked when it
//! comes back.

use assay_engine::ports::StoreError;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a cursor's text: time, offset, four bytes of checksum, each as two hex digits.
const LENGTH: usize = 40;

/// Writes where to go on.
pub(super) fn write(time: i64, offset: i64) -> String {
    let place = (u128::from(time as u64) << 64) | u128::from(offset as u64);
    format!("{place:032x}{:08x}", checksum(place))
}

/// Reads it back.
pub(super) fn read(text: &str) -> Result<(i64, i64), StoreError> {
    if text.len() != LENGTH || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(StoreError::BadCursor);
    }
    let (place, sum) = text.split_at(LENGTH - 8);
    let place = u128::from_str_radix(place, 16).map_err(|_| StoreError::BadCursor)?;
    let sum = u32::from_str_radix(sum, 16).map_err(|_| StoreError::BadCursor)?;
    if sum != checksum(place) {
        return Err(StoreError::BadCursor);
    }
    Ok(((place >> 64) as i64, place as i64))
}

fn checksum(place: u128) -> u32 {
    xxh3_64(&place.to_be_bytes()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_garbage_does_not() {
        for place in [(0, 0), (-5, 7), (i64::MIN, i64::MAX), (i64::MAX, -1)] {
            assert_eq!(read(&write(place.0, place.1)).ok(), Some(place));
        }
        let cursor = write(1, 2);
        let altered = cursor.replacen('0', "1", 1);
        for bad in ["", "garbage", "00", &altered, &cursor[1..], &"ä".repeat(20)] {
            assert_eq!(read(bad), Err(StoreError::BadCursor), "{bad}");
        }
    }
}
