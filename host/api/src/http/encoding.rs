//! `Content-Encoding` of requests: what is compressed is undone, never beyond a limit.

use std::io::{self, Read};

use axum::http::{HeaderMap, header};

use super::error::ApiResult;
use super::{ApiError, Code};

/// The largest window that a zstd frame may ask memory for, as a power of two: 32 MiB.
const ZSTD_WINDOW: u32 = 25;

/// Deflate makes no more bytes of one.
const MAX_DEFLATE_RATIO: usize = 1032;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Zstd,
}

/// Why compressed bytes cannot be undone.
#[derive(Debug)]
pub(crate) enum Undo {
    /// There is more than the limit.
    TooLarge,
    /// They are not what they should be.
    Broken(String),
}

impl From<io::Error> for Undo {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Encoding {
    /// What the headers say; none: the body is as it is.
    pub(crate) fn of(headers: &HeaderMap) -> ApiResult<Option<Self>> {
        let given: Vec<_> = headers.get_all(header::CONTENT_ENCODING).iter().collect();
        let given = match given.as_slice() {
            [] => return Ok(None),
            [one] => one.to_str().unwrap_or_default().trim().to_ascii_lowercase(),
            _ => "several".to_owned(),
        };
        match given.as_str() {
            "" | "identity" => Ok(None),
            "gzip" | "x-gzip" => Ok(Some(Self::Gzip)),
            "zstd" => Ok(Some(Self::Zstd)),
            other => {
                let detail = format!("expected the content encoding gzip or zstd, got '{other}'");
                Err(ApiError::new(Code::UnsupportedMediaType, detail))
            }
        }
    }

    /// How a body is compressed that begins so, as `Content-Encoding` calls it; none: it does not look compressed.
    pub(crate) fn seen_in(bytes: &[u8]) -> Option<&'static str> {
        match bytes {
            [0x1f, 0x8b, ..] => Some("gzip"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
            _ => None,
        }
    }

    /// What so many bytes become at most, and never more than a limit.
    pub(crate) fn most_unpacked(self, packed: usize, limit: usize) -> usize {
        match self {
            Self::Gzip => packed.saturating_mul(MAX_DEFLATE_RATIO).min(limit),
            Self::Zstd => limit,
        }
    }

    /// Undoes it. Gzip may have several members, zstd several frames.
    pub(crate) fn undo(self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, Undo> {
        let mut out = Vec::new();
        match self {
            Self::Gzip => read_limited(flate2::bufread::MultiGzDecoder::new(bytes), limit, &mut out)?,
            Self::Zstd => read_limited(zstd_reader(bytes)?, limit, &mut out)?,
        }
        Ok(out)
    }
}

/// Reads zstd whose window is no larger than a body may be.
pub(crate) fn zstd_reader(bytes: &[u8]) -> io::Result<impl Read> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(bytes)?;
    reader.window_log_max(ZSTD_WINDOW)?;
    Ok(reader)
}

/// Appends all that a reader has to `out`, which must not be more than `limit` bytes.
pub(crate) fn read_limited(reader: impl Read, limit: usize, out: &mut Vec<u8>) -> Result<(), Undo> {
    let before = out.len();
    // One byte more than allowed tells that there is more.
    reader.take(limit as u64 + 1).read_to_end(out)?;
    if out.len() - before > limit { Err(Undo::TooLarge) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn encoding(value: &'static str) -> Result<Option<Encoding>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, value.parse().unwrap());
        Encoding::of(&headers).map_err(|error| error.detail)
    }

    #[test]
    fn the_header_says_how_a_body_is_compressed() {
        assert_eq!(encoding("GZIP"), Ok(Some(Encoding::Gzip)));
        assert_eq!(encoding("zstd"), Ok(Some(Encoding::Zstd)));
        assert_eq!(encoding("identity"), Ok(None));
        assert_eq!(Encoding::of(&HeaderMap::new()).ok(), Some(None));
        assert_eq!(encoding("br").unwrap_err(), "expected the content encoding gzip or zstd, got 'br'");
        assert_eq!(encoding("gzip, gzip").unwrap_err(), "expected the content encoding gzip or zstd, got 'gzip, gzip'");
    }

    #[test]
    fn what_was_compressed_comes_back_and_no_more_than_the_limit() {
        let text = b"payments ".repeat(1000);
        let both = [gzip(&text), gzip(b"more")].concat();
        assert_eq!(Encoding::Gzip.undo(&both, 9004).unwrap(), [&text[..], b"more"].concat());
        let frames = [zstd::encode_all(&text[..], 3).unwrap(), zstd::encode_all(&b"more"[..], 3).unwrap()].concat();
        assert_eq!(Encoding::Zstd.undo(&frames, 9004).unwrap(), [&text[..], b"more"].concat());
        for (encoding, bytes) in [(Encoding::Gzip, both), (Encoding::Zstd, frames)] {
            assert!(matches!(encoding.undo(&bytes, 9003), Err(Undo::TooLarge)));
            assert!(matches!(encoding.undo(&bytes[..bytes.len() - 3], 9004), Err(Undo::Broken(_))));
            assert!(matches!(encoding.undo(b"plain text", 9004), Err(Undo::Broken(_))));
        }
    }

    #[test]
    fn a_bomb_is_given_up_at_the_limit() {
        let bomb = zstd::encode_all(io::repeat(0).take(1 << 30), 3).unwrap();
        assert!(bomb.len() < 200_000);
        assert!(matches!(Encoding::Zstd.undo(&bomb, 1 << 20), Err(Undo::TooLarge)));
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(matches!(Encoding::Gzip.undo(&bomb, 1 << 20), Err(Undo::TooLarge)));
    }
}
