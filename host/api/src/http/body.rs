//! Reads request bodies up to a limit, and their format from the content type.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt as _;

use super::budget::{Budget, Hold};
use super::encoding::{DecompressError, Encoding};
use super::error::ApiResult;
use super::{ApiError, Code};

/// The longest pause between two frames of a body.
const MAX_SILENCE: Duration = Duration::from_secs(10);

/// The bytes of a too large body that are read and discarded before the answer.
const MAX_DISCARD_BYTES: usize = 4 << 20;
/// The time that this may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// The formats of bodies, each with its content types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    Json,
    JsonLines,
    Yaml,
    Avro,
    /// Bytes whose format follows from their content.
    Octets,
}

impl BodyFormat {
    /// The content types of the format. The first is the registered one, or the one in common use.
    fn content_types(self) -> &'static [&'static str] {
        match self {
            Self::Json => &["application/json", "text/json"],
            Self::JsonLines => {
                &["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"]
            }
            Self::Yaml => &["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"],
            Self::Avro => &["application/avro", "avro/binary", "application/vnd.apache.avro"],
            Self::Octets => &["application/octet-stream"],
        }
    }
}

/// The media type of a body without its parameters, in lower case (RFC 9110, 8.3.1); none without the header.
pub(crate) fn essence(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or_default();
    // Parameters such as a charset may follow. They do not matter: all formats are UTF-8 or binary.
    Some(given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// The format of a body by its content type; JSON without one.
pub(crate) fn body_format(headers: &HeaderMap, taken: &[BodyFormat]) -> ApiResult<BodyFormat> {
    let Some(essence) = essence(headers) else { return Ok(BodyFormat::Json) };
    let found = taken.iter().find(|format| format.content_types().contains(&essence.as_str()));
    found.copied().ok_or_else(|| {
        let names: Vec<_> = taken.iter().map(|format| format.content_types()[0]).collect();
        let detail = format!("expected the content type {}, got '{essence}'", names.join(" or "));
        ApiError::new(Code::UnsupportedMediaType, detail)
    })
}

/// A body in memory, with its part of the budget.
pub(crate) struct HeldBody {
    pub(crate) bytes: Bytes,
    pub(crate) hold: Hold,
}

impl std::ops::Deref for HeldBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads bodies within a budget and a timeout.
pub(crate) struct BodyReader<'a> {
    pub(crate) budget: &'a Budget,
    /// The time a body may take to arrive.
    pub(crate) timeout: Duration,
}

impl BodyReader<'_> {
    /// Reads a body of at most `limit` bytes, compressed and uncompressed. `advice` is the end of the error about a
    /// larger one.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        limit: usize,
        advice: &str,
    ) -> ApiResult<HeldBody> {
        let encoding = Encoding::from_headers(headers)?;
        let mut hold = self.budget.hold();
        let bytes = self.collect(body, limit, advice, &mut hold).await?;
        let Some(encoding) = encoding else {
            return match Encoding::detect(&bytes) {
                Some(name) => {
                    let detail = format!("the body is compressed: send the header 'Content-Encoding: {name}' with it");
                    Err(ApiError::bad_request(detail))
                }
                None => Ok(HeldBody { bytes, hold }),
            };
        };
        hold.grow(encoding.max_decompressed_bytes(bytes.len(), limit)).await?;
        let decompressed = tokio::task::spawn_blocking(move || encoding.decompress(&bytes, limit)).await;
        match decompressed.map_err(|_| ApiError::internal())? {
            Ok(bytes) => {
                hold.shrink_to(bytes.len());
                Ok(HeldBody { bytes: bytes.into(), hold })
            }
            Err(DecompressError::TooLarge) => Err(too_large(limit, advice)),
            Err(DecompressError::Broken(why)) => {
                Err(ApiError::bad_request(format!("the body is not what Content-Encoding says: {why}")))
            }
        }
    }

    async fn collect(&self, body: Body, limit: usize, advice: &str, hold: &mut Hold) -> ApiResult<Bytes> {
        if HttpBody::size_hint(&body).lower() > limit as u64 {
            discard_rest(body.into_data_stream()).await;
            return Err(too_large(limit, advice));
        }
        let timed_out =
            |seconds: u64, what: &str| Err(ApiError::new(Code::Timeout, format!("{what} within {seconds} s")));
        let deadline = tokio::time::Instant::now() + self.timeout;
        let silence = MAX_SILENCE.min(self.timeout);
        let mut frames = body.into_data_stream();
        let mut bytes = Vec::new();
        loop {
            let now = tokio::time::Instant::now();
            if now >= deadline {
                return timed_out(self.timeout.as_secs(), "the body did not arrive");
            }
            let frame = match tokio::time::timeout_at(deadline.min(now + silence), frames.next()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => return Err(ApiError::bad_request("the body broke off")),
                Ok(None) => return Ok(bytes.into()),
                Err(_) if now + silence < deadline => {
                    return timed_out(silence.as_secs(), "nothing more of the body arrived");
                }
                Err(_) => return timed_out(self.timeout.as_secs(), "the body did not arrive"),
            };
            if frame.len() > limit - bytes.len() {
                discard_rest(frames).await;
                return Err(too_large(limit, advice));
            }
            hold.grow(frame.len()).await?;
            bytes.extend_from_slice(&frame);
        }
    }
}

/// Reads and discards a part of the body that a refused client is still sending. Otherwise the client would see a reset
/// connection instead of the answer.
async fn discard_rest(mut frames: BodyDataStream) {
    let mut bytes = 0;
    let reading = async {
        while let Some(Ok(frame)) = frames.next().await {
            bytes += frame.len();
            if bytes > MAX_DISCARD_BYTES {
                return;
            }
        }
    };
    // The answer is the same, no matter how much was read.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, reading).await;
}

fn too_large(limit: usize, advice: &str) -> ApiError {
    ApiError::new(Code::TooLarge, format!("the body is larger than {}; {advice}", format_bytes(limit)))
}

/// A number of bytes in readable units.
pub(crate) fn format_bytes(bytes: usize) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format_of(content_type: &'static str) -> Result<BodyFormat, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        body_format(&headers, &[BodyFormat::Json, BodyFormat::Yaml]).map_err(|error| error.detail)
    }

    #[test]
    fn a_content_type_says_what_a_body_is() {
        assert_eq!(format_of("application/json; charset=utf-8"), Ok(BodyFormat::Json));
        assert_eq!(format_of("Application/YAML"), Ok(BodyFormat::Yaml));
        assert_eq!(body_format(&HeaderMap::new(), &[BodyFormat::Yaml]).unwrap(), BodyFormat::Json);
        assert_eq!(
            format_of("text/plain").unwrap_err(),
            "expected the content type application/json or application/yaml, got 'text/plain'"
        );
    }

    async fn read(body: Body, timeout: Duration) -> ApiResult<HeldBody> {
        let budget = Budget::new(1 << 20, 2048, Duration::from_secs(5));
        BodyReader { budget: &budget, timeout }.read(&HeaderMap::new(), body, 1024, "send less").await
    }

    const TIMEOUT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_with_advice() {
        assert_eq!(read(Body::from(vec![b'x'; 1024]), TIMEOUT).await.ok().map(|body| body.len()), Some(1024));
        let refused = read(Body::from(vec![b'x'; 1025]), TIMEOUT).await.err().unwrap();
        assert_eq!(refused.code, Code::TooLarge);
        assert_eq!(refused.detail, "the body is larger than 1 KiB; send less");
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_over_the_limit_is_refused_too() {
        // A body without a size hint, as one sent in chunks is.
        let refused = read(Body::new(OneByOne(2000)), TIMEOUT).await.err().unwrap();
        assert_eq!(refused.code, Code::TooLarge);
    }

    #[tokio::test]
    async fn a_body_that_stops_is_refused() {
        let silent = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let refused = read(silent, Duration::from_millis(20)).await.err().unwrap();
        assert_eq!(refused.code, Code::Timeout);
    }

    #[tokio::test]
    async fn a_compressed_body_without_the_header_is_refused_with_advice() {
        for (magic, name) in [(&b"\x1f\x8b\x08rest"[..], "gzip"), (&b"\x28\xb5\x2f\xfdrest"[..], "zstd")] {
            let refused = read(Body::from(magic), TIMEOUT).await.err().unwrap();
            assert!(refused.detail.contains(&format!("'Content-Encoding: {name}'")), "{}", refused.detail);
        }
    }

    struct OneByOne(usize);

    impl axum::body::HttpBody for OneByOne {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            if self.0 == 0 {
                return std::task::Poll::Ready(None);
            }
            self.0 -= 1;
            std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(b"x")))))
        }
    }
}
