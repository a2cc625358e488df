//! Problem details (RFC 9457), the form of every error of the API.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::bounds::{MAX_DETAIL_BYTES, bound_extensions, shorten};

/// The kinds of errors, each with a stable name, a status and a title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    EntityNotFound,
    MethodNotAllowed,
    Timeout,
    Conflict,
    InUse,
    NotKept,
    RevisionMismatch,
    TooLarge,
    UnsupportedMediaType,
    InvalidDefinition,
    InvalidEvents,
    InvalidPlugin,
    Internal,
    Unsupported,
    Overloaded,
    Behind,
    Unavailable,
    Other(StatusCode),
}

impl Code {
    /// Name, status and title.
    pub(crate) fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::BadRequest => ("bad-request", StatusCode::BAD_REQUEST, "The request cannot be understood"),
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED, "An API key is needed"),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "The API key lacks the role"),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "It is not there"),
            Self::EntityNotFound => ("entity-not-found", StatusCode::NOT_FOUND, "Nothing is known of this entity"),
            Self::MethodNotAllowed => ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "Not with this method"),
            Self::Timeout => ("timeout", StatusCode::REQUEST_TIMEOUT, "The request took too long to arrive"),
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "It contradicts what is there"),
            Self::InUse => ("in-use", StatusCode::CONFLICT, "Others use it"),
            Self::NotKept => ("not-kept", StatusCode::CONFLICT, "Some of what it needs is not kept any more"),
            Self::RevisionMismatch => {
                ("revision-mismatch", StatusCode::PRECONDITION_FAILED, "It has changed meanwhile")
            }
            Self::TooLarge => ("too-large", StatusCode::PAYLOAD_TOO_LARGE, "The request is too large"),
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "This content type is not taken here")
            }
            Self::InvalidDefinition => {
                ("invalid-definition", StatusCode::UNPROCESSABLE_ENTITY, "The definition is not valid")
            }
            Self::InvalidEvents => ("invalid-events", StatusCode::UNPROCESSABLE_ENTITY, "None of the events is valid"),
            Self::InvalidPlugin => ("invalid-plugin", StatusCode::UNPROCESSABLE_ENTITY, "The plugin was refused"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The server failed"),
            Self::Unsupported => ("unsupported", StatusCode::NOT_IMPLEMENTED, "The stores in use cannot do it"),
            Self::Overloaded => ("overloaded", StatusCode::SERVICE_UNAVAILABLE, "The server is busy"),
            Self::Behind => ("scoring-behind", StatusCode::SERVICE_UNAVAILABLE, "Scoring is behind"),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "A store does not answer"),
            Self::Other(status) => ("http", status, status.canonical_reason().unwrap_or("The request failed")),
        }
    }
}

/// An error for the client.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    pub(crate) detail: String,
    /// Extension members of the problem, such as `problems`.
    pub(crate) extensions: Map<String, Value>,
}

/// The result of a handler.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// An error as the client gets it: problem details (RFC 9457), `application/problem+json`.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// The kind of error, stable: `urn:assay:` and a code.
    #[schema(example = "urn:assay:not-found")]
    r#type: String,
    /// A title for people.
    #[schema(example = "It is not there")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// The failure of this request, and the remedy.
    #[schema(example = "there is no rule 'card-velocity'")]
    detail: String,
    /// More members, by the kind of error: `problems` (invalid-definition), `users` (in-use), `accepted`, `rejected` and
    /// `errors` (invalid-events), `from` and `to` (not-kept: the possible times, ms since 1970; `to` null: no end).
    /// `NAME_left_out` counts the items of a list that are not shown, because an error has less than 64 KiB.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    extensions: Map<String, Value>,
}

impl ApiError {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), extensions: Map::new() }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// The error about an unknown entity or node of the graph.
    pub(crate) fn entity_not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::EntityNotFound, detail)
    }

    /// A failure whose cause is only for the server's log.
    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal, "an unexpected failure; the server's log has the reason")
    }

    /// Adds an extension member.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.to_owned(), value.into());
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(mut self) -> Response {
        let (name, status, title) = self.code.parts();
        // A message may repeat what the client has sent, which may be large.
        shorten(&mut self.detail, MAX_DETAIL_BYTES);
        bound_extensions(&mut self.extensions);
        if status.is_server_error() {
            tracing::warn!(code = name, detail = self.detail, "a request failed");
        }
        let body = ProblemBody {
            r#type: format!("urn:assay:{name}"),
            title,
            status: status.as_u16(),
            detail: self.detail,
            extensions: self.extensions,
        };
        // Maps with text keys and plain values always serialize; an empty body is the worst that can come.
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.code {
            Code::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"assay\""));
            }
            Code::Overloaded | Code::Behind | Code::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
