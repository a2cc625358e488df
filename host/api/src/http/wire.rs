//! Compression of answers, and CORS.

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, DefaultPredicate, Predicate as _, SizeAbove};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// Smaller answers are not compressed.
const MIN_COMPRESSED_BYTES: u64 = 1024;
/// The time a browser may cache the answer to a preflight request.
const CORS_MAX_AGE: std::time::Duration = std::time::Duration::from_secs(600);

/// Compresses answers as `Accept-Encoding` asks, but never a live stream.
pub(crate) fn compression() -> CompressionLayer<And<DefaultPredicate, SizeAbove>> {
    let predicate = DefaultPredicate::new().and(SizeAbove::new(MIN_COMPRESSED_BYTES));
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(predicate)
}

/// Allows requests of pages of these origins; `*` means all. Keys are in a header, so there are no cookies to protect.
pub(crate) fn cors(origins: &[String]) -> CorsLayer {
    let allowed = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    let allowed =
        if origins.iter().any(|origin| origin == "*") { AllowOrigin::from(Any) } else { AllowOrigin::list(allowed) };
    let request_headers = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        HeaderName::from_static("last-event-id"),
    ];
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::PUT, Method::POST, Method::DELETE])
        .allow_headers(request_headers)
        .expose_headers([header::ETAG, header::RETRY_AFTER])
        .max_age(CORS_MAX_AGE)
}
