//! Converts the engine's errors to problem details.

use assay_engine::ports::StoreError;
use assay_engine::{ChangeError, IngestError, ReadError};
use assay_runtime::PluginError;

use super::{ApiError, Code};

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } | StoreError::Panicked { .. } => {
                Self::new(Code::Unavailable, error.to_string())
            }
            StoreError::Broken { .. } => Self::new(Code::Internal, error.to_string()),
            StoreError::BadCursor => Self::bad_request(error.to_string()),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound(message) => Self::not_found(message),
            ReadError::NotKept { from, .. } => {
                Self::new(Code::NotKept, error.to_string()).with("from", from).with("to", serde_json::Value::Null)
            }
            ReadError::Bad(message) => Self::bad_request(message),
            ReadError::Unsupported(message) => Self::new(Code::Unsupported, message),
            ReadError::Store(error) => error.into(),
        }
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::UnknownStream { .. } => Self::not_found(error.to_string()),
            IngestError::Derived { .. } => Self::new(Code::Conflict, error.to_string()),
            IngestError::Behind(_) => Self::new(Code::Behind, error.to_string()),
            IngestError::Store(error) => error.into(),
            IngestError::Plan(_) => Self::new(Code::Internal, error.to_string()),
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Invalid(problems) => {
                let detail = match problems.as_slice() {
                    [problem] => problem.to_string(),
                    problems => format!("{} problems; nothing was changed", problems.len()),
                };
                let problems = problems.iter().map(|problem| serde_json::json!(problem)).collect::<Vec<_>>();
                Self::new(Code::InvalidDefinition, detail).with("problems", problems)
            }
            ChangeError::Conflict(message) => Self::new(Code::Conflict, message),
            ChangeError::NotFound(message) => Self::not_found(message),
            ChangeError::Plugin(error @ PluginError::Setup(_)) => Self::new(Code::Internal, error.to_string()),
            ChangeError::Plugin(error) => Self::new(Code::InvalidPlugin, error.to_string()),
            ChangeError::Store(error) => error.into(),
        }
    }
}
