//! Reads request bodies: what they are by their content type, and never more than a limit.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};

use super::encoding::{Encoding, Undo};
use super::error::ApiResult;
use super::{ApiError, Code};

/// The content types that bodies come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    Json,
    JsonLines,
    Yaml,
    Avro,
}

impl BodyFormat {
    /// The content types that mean it; the first is the registered one, or the one in common use.
    fn content_types(self) -> &'static [&'static str] {
        match self {
            Self::Json => &["application/json", "text/json"],
            Self::JsonLines => {
                &["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"]
            }
            Self::Yaml => &["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"],
            Self::Avro => &["application/avro", "avro/binary", "application/vnd.apache.avro"],
        }
    }
}

/// What a body is by its content type; JSON without one.
pub(crate) fn body_format(headers: &HeaderMap, taken: &[BodyFormat]) -> ApiResult<BodyFormat> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Ok(BodyFormat::Json) };
    let given = given.to_str().unwrap_or_default();
    // Parameters such as a charset may follow; all these formats are UTF-8 anyway.
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let found = taken.iter().find(|format| format.content_types().contains(&essence.as_str()));
    found.copied().ok_or_else(|| {
        let names: Vec<_> = taken.iter().map(|format| format.content_types()[0]).collect();
        let detail = format!("expected the content type {}, got '{given}'", names.join(" or "));
        ApiError::new(Code::UnsupportedMediaType, detail)
    })
}

/// Reads a body of at most `limit` bytes, before and after its `Content-Encoding` is undone; `advice` says what to do
/// with a larger one.
pub(crate) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    patience: Duration,
    advice: &str,
) -> ApiResult<Bytes> {
    let encoding = Encoding::of(headers)?;
    let bytes = collect(body, limit, patience, advice).await?;
    match encoding {
        None => Ok(bytes),
        Some(encoding) => {
            let undone = tokio::task::spawn_blocking(move || encoding.undo(&bytes, limit)).await;
            match undone.map_err(|_| ApiError::internal())? {
                Ok(bytes) => Ok(bytes.into()),
                Err(Undo::TooLarge) => Err(too_large(limit, advice)),
                Err(Undo::Broken(why)) => {
                    Err(ApiError::bad_request(format!("the body is not what Content-Encoding says: {why}")))
                }
            }
        }
    }
}

fn too_large(limit: usize, advice: &str) -> ApiError {
    ApiError::new(Code::TooLarge, format!("the body is larger than {}; {advice}", in_bytes(limit)))
}

async fn collect(body: Body, limit: usize, patience: Duration, advice: &str) -> ApiResult<Bytes> {
    let too_large = || too_large(limit, advice);
    let declared = axum::body::HttpBody::size_hint(&body).lower();
    if declared > limit as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(patience, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // The reader stops at the limit with an error of its own kind; all other errors are a broken connection.
        Ok(Err(error)) if is_length_limit(&error) => Err(too_large()),
        Ok(Err(error)) => Err(ApiError::bad_request(format!("the body broke off: {error}"))),
        Err(_) => {
            let detail = format!("the body did not arrive within {} s", patience.as_secs());
            Err(ApiError::new(Code::Timeout, detail))
        }
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.to_string().contains("length limit") {
            return true;
        }
        source = error.source();
    }
    false
}

/// A number of bytes for people.
pub(crate) fn in_bytes(bytes: usize) -> String {
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

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_with_advice() {
        let patience = Duration::from_secs(5);
        let headers = HeaderMap::new();
        let read = |size: usize| read_body(&headers, Body::from(vec![b'x'; size]), 1024, patience, "send less");
        assert_eq!(read(1024).await.unwrap().len(), 1024);
        let refused = read(1025).await.unwrap_err();
        assert_eq!(refused.code, Code::TooLarge);
        assert_eq!(refused.detail, "the body is larger than 1 KiB; send less");
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_over_the_limit_is_refused_too() {
        // A body without a size hint, as one sent in chunks is.
        let stream = OneByOne(2000);
        let headers = HeaderMap::new();
        let refused = read_body(&headers, Body::new(stream), 1024, Duration::from_secs(5), "send less").await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, Code::TooLarge);
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
