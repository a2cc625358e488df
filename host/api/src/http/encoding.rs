//! `Content-Encoding` of requests: decompresses bodies up to a limit.

use std::io::{self, Read};

use axum::http::{HeaderMap, header};

use super::error::ApiResult;
use super::{ApiError, Code};

/// The largest window of a zstd frame, as a power of two: 32 MiB. The decoder allocates the window.
const MAX_ZSTD_WINDOW_LOG: u32 = 25;

/// The largest number of bytes that Deflate decompresses from one byte.
const MAX_DEFLATE_RATIO: usize = 1032;

/// The compression of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Zstd,
}

/// The reason why bytes cannot be decompressed.
#[derive(Debug)]
pub(crate) enum DecompressError {
    /// The content is larger than the limit.
    TooLarge,
    /// The bytes are malformed.
    Broken(String),
}

impl From<io::Error> for DecompressError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Encoding {
    /// The encoding in the headers; none if the body is not compressed.
    pub(crate) fn from_headers(headers: &HeaderMap) -> ApiResult<Option<Self>> {
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

    /// The encoding of a body by its first bytes, as named in `Content-Encoding`; none if it does not look compressed.
    pub(crate) fn detect(bytes: &[u8]) -> Option<&'static str> {
        match bytes {
            [0x1f, 0x8b, ..] => Some("gzip"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
            _ => None,
        }
    }

    /// The largest number of bytes that compressed ones can become, at most the limit.
    pub(crate) fn max_decompressed_bytes(self, packed: usize, limit: usize) -> usize {
        match self {
            Self::Gzip => packed.saturating_mul(MAX_DEFLATE_RATIO).min(limit),
            Self::Zstd => limit,
        }
    }

    /// Decompresses a body. Gzip may have several members, zstd several frames.
    pub(crate) fn decompress(self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
        let mut out = Vec::new();
        match self {
            Self::Gzip => read_limited(flate2::bufread::MultiGzDecoder::new(bytes), limit, &mut out)?,
            Self::Zstd => read_limited(zstd_reader(bytes)?, limit, &mut out)?,
        }
        Ok(out)
    }
}

/// Reads zstd with a limited window.
pub(crate) fn zstd_reader(bytes: &[u8]) -> io::Result<impl Read> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(bytes)?;
    reader.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
    Ok(reader)
}

/// Appends the whole content of a reader to `out`, which must not be more than `limit` bytes.
pub(crate) fn read_limited(reader: impl Read, limit: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
    let before = out.len();
    // One byte beyond the limit shows that there is more.
    reader.take(limit as u64 + 1).read_to_end(out)?;
    if out.len() - before > limit { Err(DecompressError::TooLarge) } else { Ok(()) }
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
        Encoding::from_headers(&headers).map_err(|error| error.detail)
    }

    #[test]
    fn the_header_says_how_a_body_is_compressed() {
        assert_eq!(encoding("GZIP"), Ok(Some(Encoding::Gzip)));
        assert_eq!(encoding("zstd"), Ok(Some(Encoding::Zstd)));
        assert_eq!(encoding("identity"), Ok(None));
        assert_eq!(Encoding::from_headers(&HeaderMap::new()).ok(), Some(None));
        assert_eq!(encoding("br").unwrap_err(), "expected the content encoding gzip or zstd, got 'br'");
        assert_eq!(encoding("gzip, gzip").unwrap_err(), "expected the content encoding gzip or zstd, got 'gzip, gzip'");
    }

    #[test]
    fn bodies_are_decompressed_up_to_the_limit() {
        let text = b"payments ".repeat(1000);
        let both = [gzip(&text), gzip(b"more")].concat();
        assert_eq!(Encoding::Gzip.decompress(&both, 9004).unwrap(), [&text[..], b"more"].concat());
        let frames = [zstd::encode_all(&text[..], 3).unwrap(), zstd::encode_all(&b"more"[..], 3).unwrap()].concat();
        assert_eq!(Encoding::Zstd.decompress(&frames, 9004).unwrap(), [&text[..], b"more"].concat());
        for (encoding, bytes) in [(Encoding::Gzip, both), (Encoding::Zstd, frames)] {
            assert!(matches!(encoding.decompress(&bytes, 9003), Err(DecompressError::TooLarge)));
            assert!(matches!(encoding.decompress(&bytes[..bytes.len() - 3], 9004), Err(DecompressError::Broken(_))));
            assert!(matches!(encoding.decompress(b"plain text", 9004), Err(DecompressError::Broken(_))));
        }
    }

    #[test]
    fn decompression_of_a_bomb_stops_at_the_limit() {
        let bomb = zstd::encode_all(io::repeat(0).take(1 << 30), 3).unwrap();
        assert!(bomb.len() < 200_000);
        assert!(matches!(Encoding::Zstd.decompress(&bomb, 1 << 20), Err(DecompressError::TooLarge)));
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(matches!(Encoding::Gzip.decompress(&bomb, 1 << 20), Err(DecompressError::TooLarge)));
    }
}
