//! How the blocks of an Avro file are compressed.

use crate::http::{Undo, read_limited, zstd_reader};

/// The codecs that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

impl Codec {
    pub(super) fn named(name: &[u8]) -> Result<Self, String> {
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

    /// Appends a block's bytes, unpacked, to `out`: at most `limit`.
    pub(super) fn unpack(self, packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Undo> {
        match self {
            Self::Null => read_limited(packed, limit, out),
            Self::Deflate => read_limited(flate2::bufread::DeflateDecoder::new(packed), limit, out),
            Self::Snappy => unpack_snappy(packed, limit, out),
            Self::Zstandard => read_limited(zstd_reader(packed)?, limit, out),
        }
    }
}

/// Snappy without frames, then the CRC-32 of what was packed, most significant byte first.
fn unpack_snappy(packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Undo> {
    let broken = |error: snap::Error| Undo::Broken(error.to_string());
    let (packed, sum) = packed.split_last_chunk().ok_or_else(|| Undo::Broken("it has no checksum".to_owned()))?;
    // The length stands in front: a bomb is told before anything is unpacked.
    let length = snap::raw::decompress_len(packed).map_err(broken)?;
    if length > limit {
        return Err(Undo::TooLarge);
    }
    let start = out.len();
    out.resize(start + length, 0);
    snap::raw::Decoder::new().decompress(packed, &mut out[start..]).map_err(broken)?;
    let mut crc = flate2::Crc::new();
    crc.update(&out[start..]);
    if crc.sum().to_be_bytes() == *sum { Ok(()) } else { Err(Undo::Broken("its checksum does not fit".to_owned())) }
}
