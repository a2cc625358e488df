//! Answers and errors in the registry's own media type: `{"error_code": 40401, "message": "..."}`, where the code's
//! first three digits are the status.

use assay_engine::ports::StoreError;
use assay_engine::registry::RegistryError;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::http::{ApiError, MAX_DETAIL_BYTES, shorten};

/// The content type of all answers.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// Only this part of the API names Basic in its challenge: a browser that has asked for a password sends it with every
/// request to this server, even with one that another page has made.
const CHALLENGE: &str = "Bearer realm=\"assay\", Basic realm=\"assay\", charset=\"UTF-8\"";
/// The largest problem document that is turned into an error of the registry.
const MAX_PROBLEM_BYTES: usize = 1 << 20;

/// An answer as JSON.
pub(super) struct RegistryAnswer<T>(pub(super) T);

impl<T: Serialize> IntoResponse for RegistryAnswer<T> {
    fn into_response(self) -> Response {
        // Plain structs and lists always serialize.
        let json = serde_json::to_vec(&self.0).unwrap_or_default();
        ([(header::CONTENT_TYPE, MEDIA_TYPE)], json).into_response()
    }
}

/// A schema's text, which is JSON, as the answer.
pub(super) fn schema_text(schema: String) -> Response {
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], schema).into_response()
}

/// The result of a handler.
pub(super) type RegistryResult<T> = Result<RegistryAnswer<T>, RegistryFailure>;

/// Refusals of this module, beside those of the engine.
pub(super) enum RegistryRefusal {
    /// 40403.
    UnknownId(String),
    /// 40408: the subject has no compatibility level of its own.
    NoOwnLevel(String),
    /// 40409: the subject has no mode of its own.
    NoOwnMode(String),
    /// 42201.
    Schema(String),
    /// 42202.
    Version(String),
    /// 42205.
    Import(String),
}

/// An error for the client.
pub(super) enum RegistryFailure {
    /// An error of the protocol.
    Registry(RegistryError),
    /// A part of the protocol that this server does not support.
    Refusal(RegistryRefusal),
    /// An error of the whole API, such as one about the body.
    Api(ApiError),
}

impl From<RegistryError> for RegistryFailure {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl From<RegistryRefusal> for RegistryFailure {
    fn from(refused: RegistryRefusal) -> Self {
        Self::Refusal(refused)
    }
}

impl From<ApiError> for RegistryFailure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl RegistryFailure {
    /// The error code and the message.
    fn parts(self) -> (u32, String) {
        match self {
            Self::Registry(error) => (error_code(&error), error.to_string()),
            Self::Refusal(refused) => match refused {
                RegistryRefusal::UnknownId(id) => (40403, format!("Schema {id} not found")),
                RegistryRefusal::NoOwnLevel(subject) => {
                    (40408, format!("Subject '{subject}' does not have subject-level compatibility configured"))
                }
                RegistryRefusal::NoOwnMode(subject) => {
                    (40409, format!("Subject '{subject}' does not have subject-level mode configured"))
                }
                RegistryRefusal::Schema(message) => (42201, format!("Invalid schema: {message}")),
                RegistryRefusal::Version(text) => {
                    let allowed = "Allowed values are between [1, 2^31-1] and the string \"latest\"";
                    (42202, format!("The specified version '{text}' is not a valid version id. {allowed}"))
                }
                RegistryRefusal::Import(message) => (42205, message),
            },
            Self::Api(error) => (u32::from(error.code.parts().1.as_u16()), error.detail),
        }
    }
}

fn error_code(error: &RegistryError) -> u32 {
    match error {
        RegistryError::UnknownSubject(_) => 40401,
        RegistryError::UnknownVersion(_) => 40402,
        RegistryError::UnknownSchema => 40403,
        RegistryError::InvalidSubject(_) => 42208,
        RegistryError::Invalid(_) => 42201,
        RegistryError::Incompatible { .. } => 409,
        RegistryError::Full => 507,
        RegistryError::Store(StoreError::Unavailable { .. } | StoreError::Panicked { .. }) => 503,
        RegistryError::Store(_) => 50001,
    }
}

impl IntoResponse for RegistryFailure {
    fn into_response(self) -> Response {
        let (code, mut message) = self.parts();
        shorten(&mut message, MAX_DETAIL_BYTES);
        let three_digits = if code < 1000 { code } else { code / 100 };
        let status = u16::try_from(three_digits).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::warn!(code, message, "the schema registry failed");
        }
        (status, RegistryAnswer(json!({ "error_code": code, "message": message }))).into_response()
    }
}

/// Converts problem details of the layers and the framework under `/registry` to errors of the registry.
pub(crate) async fn render_errors(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_ours = path == "/registry" || path.starts_with("/registry/");
    let why_fixed = why_fixed(path);
    let response = next.run(request).await;
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"));
    if !(is_ours && is_problem) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let problem = to_bytes(body, MAX_PROBLEM_BYTES).await.unwrap_or_default();
    let problem: Value = serde_json::from_slice(&problem).unwrap_or_default();
    let mut message = problem["detail"].as_str().unwrap_or_default().to_owned();
    if parts.status == StatusCode::METHOD_NOT_ALLOWED {
        message.push_str(why_fixed);
    }
    let error = json!({ "error_code": parts.status.as_u16(), "message": message }).to_string();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    parts.headers.remove(header::CONTENT_LENGTH);
    if parts.status == StatusCode::UNAUTHORIZED {
        parts.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
    Response::from_parts(parts, Body::from(error))
}

/// The reason why this registry lacks a method that other registries have.
fn why_fixed(path: &str) -> &'static str {
    match path.split('/').nth(2) {
        Some("subjects") => {
            "; schemas are never deleted, for events in the log may be written in them: register a new version instead"
        }
        Some("config" | "mode") => {
            "; settings cannot be changed: every subject has the compatibility BACKWARD and the mode READWRITE"
        }
        _ => "",
    }
}
