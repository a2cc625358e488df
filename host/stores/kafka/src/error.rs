//! Errors of librdkafka and the brokers as errors of the ports, with advice for the operator.

use std::fmt::Display;

use assay_engine::ports::StoreError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The store's name in errors.
pub(super) const STORE: &str = "Kafka";

pub(super) fn unavailable(message: impl Into<String>) -> StoreError {
    StoreError::Unavailable { store: STORE, message: message.into() }
}

pub(super) fn broken(message: impl Into<String>) -> StoreError {
    StoreError::Broken { store: STORE, message: message.into() }
}

/// The error of a failed operation: `doing` names it.
pub(super) fn failed(doing: impl Display, error: &KafkaError) -> StoreError {
    failed_with(doing, error.rdkafka_error_code(), error)
}

/// As [`failed`], by the code of an error.
pub(super) fn failed_with(doing: impl Display, code: Option<RDKafkaErrorCode>, error: &dyn Display) -> StoreError {
    use RDKafkaErrorCode as Code;
    match code {
        Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            broken(format!("{doing}: {error}; give the user of this process the right to do it (ACLs)"))
        }
        Some(Code::MessageSizeTooLarge) => {
            broken(format!("{doing}: {error}; raise max.message.bytes of the topic, or the broker's message.max.bytes"))
        }
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
            unavailable(format!("{doing}: {error}; was the topic deleted?"))
        }
        _ => unavailable(format!("{doing}: {error}")),
    }
}

/// The error of calls that wait while the adapters are closed.
pub(super) fn closed() -> StoreError {
    unavailable("the connection was closed")
}
