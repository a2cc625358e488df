//! What answers have of HTTP beyond their content: compression, and which other origins' pages may read them.

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, DefaultPredicate, Predicate as _, SizeAbove};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// Answers that are smaller are not worth the work.
const COMPRESS_ABOVE: u64 = 1024;
/// How long a browser may remember what it may send.
const REMEMBER: std::time::Duration = std::time::Duration::from_secs(600);

/// Compresses answers as `Accept-Encoding` wishes; never a live stream.
pub(crate) fn compression() -> CompressionLayer<And<DefaultPredicate, SizeAbove>> {
    let worth_it = DefaultPredicate::new().and(SizeAbove::new(COMPRESS_ABOVE));
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it)
}

/// Lets pages of these origins ask; `*` is every origin. Keys are in a header, so there are no cookies to protect.
pub(crate) fn cors(origins: &[String]) -> CorsLayer {
    let allowed = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    let allowed =
        if origins.iter().any(|origin| origin == "*") { AllowOrigin::from(Any) } else { AllowOrigin::list(allowed) };
    let asked = [
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
        .allow_headers(asked)
        .expose_headers([header::ETAG, header::RETRY_AFTER])
        .max_age(REMEMBER)
}
