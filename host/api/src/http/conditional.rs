//! `If-None-Match` of reads: what the client has already is not sent again.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The entity tags of `If-Match` or `If-None-Match`, without quotes. A proxy that compresses may have made them weak.
pub(crate) fn tags(header: &str) -> impl Iterator<Item = &str> {
    header.split(',').map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
}

/// Answers 304 instead of what the client has already.
pub(crate) async fn skip_unchanged(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().get(header::IF_NONE_MATCH).filter(|_| is_read).cloned();
    let response = next.run(request).await;
    let (Some(known), Some(tag)) = (known, response.headers().get(header::ETAG)) else { return response };
    if response.status() != StatusCode::OK || !is_known(&known, tag) {
        return response;
    }
    (StatusCode::NOT_MODIFIED, [(header::ETAG, tag.clone())]).into_response()
}

fn is_known(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else { return false };
    known.trim() == "*" || tags(known).any(|known| tags(tag).any(|tag| tag == known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_if_it_is_among_the_given() {
        let known =
            |given: &'static str| is_known(&HeaderValue::from_static(given), &HeaderValue::from_static("\"3\""));
        assert!(known("\"3\"") && known("\"2\", W/\"3\"") && known("*"));
        assert!(!known("\"2\"") && !known("") && !known("\"33\""));
    }
}
