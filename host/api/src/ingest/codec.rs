//! The compression of the blocks of an Avro file.

use crate::http::{DecompressError, read_limited, zstd_reader};

/// The supported codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

impl Codec {
    pub(super) fn from_name(name: &[u8]) -> Result<Self, String> {
        match name {
            b"null" => Ok(Self::Null),
            b"deflate" => Ok(Self::Deflate),
            b"snappy" => Ok(Self::Snappy),
            b"zstandard" => Ok(Self::Zstandard),
            other => {
                let other = String::from_utf8_lossy(&other[..other.len().min(64)]).into_owned();
                Err(format!("its codec is '{other}': expected null, deflate, snappy or zstandard"))
            }
        }
    }

    /// Appends a block's decompressed bytes to `out`, at most `limit`.
    pub(super) fn decompress(self, packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
        match self {
            Self::Null => read_limited(packed, limit, out),
            Self::Deflate => read_limited(flate2::bufread::DeflateDecoder::new(packed), limit, out),
            Self::Snappy => decompress_snappy(packed, limit, out),
            Self::Zstandard => read_limited(zstd_reader(packed)?, limit, out),
        }
    }
}

/// Snappy without frames, then the CRC-32 of the decompressed bytes, most significant byte first.
fn decompress_snappy(packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
    let broken = |error: snap::Error| DecompressError::Broken(error.to_string());
    let (packed, sum) =
        packed.split_last_chunk().ok_or_else(|| DecompressError::Broken("it has no checksum".to_owned()))?;
    // The length comes first, so a bomb is refused before anything is decompressed.
    let length = snap::raw::decompress_len(packed).map_err(broken)?;
    if length > limit {
        return Err(DecompressError::TooLarge);
    }
    let start = out.len();
    out.resize(start + length, 0);
    snap::raw::Decoder::new().decompress(packed, &mut out[start..]).map_err(broken)?;
    let mut crc = flate2::Crc::new();
    crc.update(&out[start..]);
    if crc.sum().to_be_bytes() == *sum {
        Ok(())
    } else {
        Err(DecompressError::Broken("its checksum does not match".to_owned()))
    }
}
