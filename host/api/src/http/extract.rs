//! Reads paths and query strings like the framework, but with the API's own errors.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path as FrameworkPath, Query as FrameworkQuery};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::ApiError;

/// The framework's prefix of an error about a parameter.
const FOREIGN_PREFIX: &str = "Failed to deserialize query string: ";

/// The parts of the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match FrameworkPath::from_request_parts(parts, state).await {
            Ok(FrameworkPath(read)) => Ok(Self(read)),
            Err(rejection) => Err(unreadable_path(rejection)),
        }
    }
}

fn unreadable_path(rejection: PathRejection) -> ApiError {
    let PathRejection::FailedToDeserializePathParams(rejection) = rejection else { return ApiError::internal() };
    match rejection.into_kind() {
        ErrorKind::ParseErrorAtKey { value, expected_type, .. }
        | ErrorKind::ParseErrorAtIndex { value, expected_type, .. }
        | ErrorKind::ParseError { value, expected_type } => {
            ApiError::bad_request(format!("'{value}' in the path: expected {}", describe(expected_type)))
        }
        ErrorKind::InvalidUtf8InPathParam { key } => {
            ApiError::bad_request(format!("the {key} in the path is not percent-encoded UTF-8"))
        }
        _ => ApiError::internal(),
    }
}

/// The expected form of a value of a Rust type.
fn describe(expected_type: &str) -> &str {
    match expected_type {
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0 on",
        "i64" | "i32" => "a whole number",
        "bool" => "true or false",
        _ => "another value",
    }
}

/// The query string. It was checked against the document before, so the only errors left are those of times and spans,
/// whose parsers have readable messages.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match FrameworkQuery::try_from_uri(&parts.uri) {
            Ok(FrameworkQuery(read)) => Ok(Self(read)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.strip_prefix(FOREIGN_PREFIX).unwrap_or(&text);
                Err(ApiError::bad_request(format!("a parameter cannot be read: {text}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[tokio::test]
    async fn a_query_is_refused_without_the_frameworks_words() {
        #[derive(Debug, serde::Deserialize)]
        struct Asked {
            #[allow(dead_code, reason = "it never comes so far")]
            at: crate::http::Time,
        }
        let (mut parts, ()) = Request::builder().uri("/x?at=soon").body(()).unwrap().into_parts();
        let error = Query::<Asked>::from_request_parts(&mut parts, &()).await.err().unwrap();
        assert!(error.detail.starts_with("a parameter cannot be read: at: 'soon' is not a time"), "{}", error.detail);
    }
}
