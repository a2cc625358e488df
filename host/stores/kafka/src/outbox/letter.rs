//! A dead letter as a message: JSON, with the fields for filtering also in headers.

use assay_core::names::Offset;
use assay_core::verdict::{Failure, Outcome};
use assay_engine::ports::{PartitionId, StoreError};
use rdkafka::message::Header;
use serde::Serialize;

use super::super::error::broken;
use super::OutboxRecord;
use super::mark::Mark;

/// The payload. The event's bytes are in the topic of the events, at the partition and offset.
#[derive(Serialize)]
struct LetterMessage<'a> {
    stream: &'a str,
    partition: u32,
    offset: u64,
    /// The event's time, ms since 1970; 0 when it could not be read.
    time: i64,
    key: &'a str,
    id: &'a str,
    code: &'a str,
    message: &'a str,
    rule: Option<&'a str>,
    revision: Option<u32>,
    plugin: Option<String>,
    digest: Option<String>,
}

/// The rule that failed; empty if the event could not be read.
pub(super) fn failed_rule(failure: &Failure) -> &str {
    failure.by.as_ref().map_or("", |by| by.rule.as_str())
}

pub(super) fn encode_record(
    partition: &PartitionId,
    block: Offset,
    outcome: &Outcome,
    failure: &Failure,
) -> Result<OutboxRecord, StoreError> {
    let by = failure.by.as_ref();
    let plugin = by.and_then(|by| by.plugin.as_ref());
    let letter = LetterMessage {
        stream: &partition.stream,
        partition: partition.partition.0,
        offset: outcome.offset.0,
        time: outcome.time,
        key: &outcome.key,
        id: &outcome.id,
        code: failure.code.as_str(),
        message: &failure.message,
        rule: by.map(|by| by.rule.as_str()),
        revision: by.map(|by| by.revision),
        plugin: plugin.map(|plugin| format!("{}@{}", plugin.name, plugin.version)),
        digest: plugin.map(|plugin| plugin.digest.to_string()),
    };
    let payload = serde_json::to_vec(&letter).map_err(|error| broken(format!("writing a dead letter: {error}")))?;
    let mark = Mark { offset: outcome.offset, block, rule: failed_rule(failure).to_owned() };
    let mut headers = mark
        .make_headers()
        .insert(Header { key: "assay-code", value: Some(letter.code) })
        .insert(Header { key: "assay-message", value: Some(letter.message) });
    let revision = letter.revision.map(|revision| revision.to_string());
    for (key, value) in
        [("assay-revision", &revision), ("assay-plugin", &letter.plugin), ("assay-digest", &letter.digest)]
    {
        if let Some(value) = value {
            headers = headers.insert(Header { key, value: Some(value) });
        }
    }
    Ok(OutboxRecord { mark, key: outcome.key.clone().into_bytes(), payload, headers })
}
