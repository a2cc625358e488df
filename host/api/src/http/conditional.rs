//! Entity tags (RFC 9110, 8.8.3), and `If-None-Match` of reads, which are answered with 304 if nothing has changed.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The value of a conditional header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EntityTags {
    /// `*`.
    Any,
    List(Vec<EntityTag>),
}

/// One entity tag, without quotes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EntityTag {
    pub(crate) tag: String,
    /// A weak tag promises the same meaning, not the same bytes. Proxies that compress make tags weak.
    pub(crate) is_weak: bool,
}

impl EntityTags {
    /// The tags of all lines of a header; none: there is no such header.
    pub(crate) fn of(headers: &HeaderMap, name: HeaderName) -> Option<Self> {
        let mut tags = Vec::new();
        let mut lines = headers.get_all(name).iter().peekable();
        lines.peek()?;
        for line in lines {
            let line = String::from_utf8_lossy(line.as_bytes());
            if line.trim() == "*" {
                return Some(Self::Any);
            }
            tags.extend(split_list(&line).into_iter().map(EntityTag::read));
        }
        Some(Self::List(tags))
    }

    /// True if a tag is among them by the weak comparison (RFC 9110, 8.8.3.2), which reads use.
    fn matches_weakly(&self, wanted: &EntityTag) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| tag.tag == wanted.tag),
        }
    }

    /// The strong tags, which alone can match by the strong comparison of changes.
    pub(crate) fn strong(&self) -> impl Iterator<Item = &str> {
        let tags = match self {
            Self::Any => &[],
            Self::List(tags) => tags.as_slice(),
        };
        tags.iter().filter(|tag| !tag.is_weak).map(|tag| tag.tag.as_str())
    }
}

impl EntityTag {
    fn read(text: &str) -> Self {
        let (is_weak, quoted) = match text.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        Self { tag: quoted.trim_matches('"').to_owned(), is_weak }
    }
}

/// The parts between commas outside of quotes, without empty ones (RFC 9110, 5.6.1.2).
fn split_list(line: &str) -> Vec<&str> {
    let mut is_quoted = false;
    let parts = line.split(move |c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Answers 304 if the client has the current version already.
pub(crate) async fn skip_unchanged(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = if is_read { EntityTags::of(request.headers(), header::IF_NONE_MATCH) } else { None };
    let response = next.run(request).await;
    let tag = response.headers().get(header::ETAG).and_then(|tag| Some((tag, EntityTag::read(tag.to_str().ok()?))));
    let (Some(known), Some((header, tag))) = (known, tag) else { return response };
    if response.status() != StatusCode::OK || !known.matches_weakly(&tag) {
        return response;
    }
    let caching = response.headers().get(header::CACHE_CONTROL).cloned();
    let caching = caching.unwrap_or(HeaderValue::from_static("no-cache"));
    (StatusCode::NOT_MODIFIED, [(header::ETAG, header.clone()), (header::CACHE_CONTROL, caching)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(lines: &[&'static str]) -> Option<EntityTags> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(line));
        }
        EntityTags::of(&headers, header::IF_NONE_MATCH)
    }

    #[test]
    fn reads_compare_weakly_and_changes_strongly() {
        let has = |lines: &[&'static str]| tags(lines).unwrap().matches_weakly(&EntityTag::read("\"3\""));
        assert!(has(&["\"3\""]) && has(&["\"2\", W/\"3\""]) && has(&["*"]) && has(&["\"2\"", "\"3\""]));
        assert!(!has(&["\"2\""]) && !has(&[""]) && !has(&["\"33\""]) && !has(&["\"2,3\""]));
        let all = tags(&["\"1\", W/\"2\" ,, \"3,4\"", "5"]).unwrap();
        assert_eq!(all.strong().collect::<Vec<_>>(), ["1", "3,4", "5"]);
        assert_eq!(tags(&[]), None);
        assert_eq!(tags(&["\"1\"", " * "]), Some(EntityTags::Any));
    }
}
