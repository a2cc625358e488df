//! Translates an outcome into rows of the table `verdicts` and back: a row per verdict and a row per failure.
//!
//! Other programs can read the columns. The translation is lossless: reading returns the same outcome.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::value::Value;
use assay_core::verdict::{Attribute, Edge, Failure, Outcome, Reason, RuleStamp, Verdict};
use assay_engine::ports::StoreError;
use scylla::value::{CqlTimestamp, MaybeUnset};
use scylla::{DeserializeRow, SerializeRow};

use super::stamps::StampId;
use crate::connection::or_unset;
use crate::error::broken;
use crate::keys::{self, TablePartition};

/// Name, source, target, and the facets as a JSON object if there are any.
type NewEdge<'a> = (&'a str, &'a str, &'a str, Option<String>);
type StoredEdge = (String, String, String, Option<String>);

/// A verdict or a failure to write. Its fields are the bind markers of [`INSERT`], in order.
#[derive(SerializeRow)]
#[scylla(flavor = "enforce_order", skip_name_checks)]
pub(super) struct NewRow<'a> {
    stream: &'a str,
    log_partition: i32,
    pub(super) bucket: i64,
    offset: i64,
    position: i32,
    time: CqlTimestamp,
    key: &'a str,
    id: &'a str,
    rule: MaybeUnset<&'a str>,
    revision: MaybeUnset<i32>,
    mode: MaybeUnset<&'static str>,
    plugin: MaybeUnset<String>,
    stamp: MaybeUnset<StampId>,
    score: MaybeUnset<f64>,
    tags: MaybeUnset<&'a [String]>,
    reasons: MaybeUnset<Vec<(&'a str, f64)>>,
    edges: MaybeUnset<Vec<NewEdge<'a>>>,
    attributes: MaybeUnset<Vec<(&'a str, &'a str)>>,
    inputs: MaybeUnset<Vec<(&'a str, &'static str, String)>>,
    failure: MaybeUnset<&'a str>,
    message: MaybeUnset<&'a str>,
    ttl: i32,
}

/// The statement that writes a [`NewRow`].
pub(super) const INSERT: &str = "INSERT INTO {}.verdicts
    (stream, log_partition, bucket, offset, position, time, key, id, rule, revision, mode, plugin, stamp,
     score, tags, reasons, edges, attributes, inputs, failure, message)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?";

/// The statement that reads the [`StoredRow`]s of an event, ordered by their position in the outcome.
pub(super) const SELECT: &str = "SELECT time, key, id, stamp, score, tags, reasons, edges, attributes, inputs, failure,
    message FROM {}.verdicts WHERE stream = ? AND log_partition = ? AND bucket = ? AND offset = ?";

/// A verdict or a failure that was read. Its fields are the columns of [`SELECT`].
#[derive(DeserializeRow)]
pub(super) struct StoredRow {
    time: CqlTimestamp,
    key: String,
    id: String,
    stamp: Option<Vec<u8>>,
    score: Option<f64>,
    tags: Option<Vec<String>>,
    reasons: Option<Vec<(String, f64)>>,
    edges: Option<Vec<StoredEdge>>,
    attributes: Option<Vec<(String, String)>>,
    inputs: Option<Vec<(String, String, String)>>,
    failure: Option<String>,
    message: Option<String>,
}

/// Makes the rows of an outcome: its verdicts, then its failures. `find_stamp_id` returns the id of a rule's stamp.
pub(super) fn make_rows<'a>(
    table_partition: &'a TablePartition,
    outcome: &'a Outcome,
    find_stamp_id: impl Fn(&Arc<RuleStamp>) -> Option<StampId>,
    ttl: i32,
) -> Vec<NewRow<'a>> {
    let base_row = |position: usize, by: Option<&'a Arc<RuleStamp>>| NewRow {
        stream: &table_partition.stream,
        log_partition: table_partition.partition,
        bucket: keys::offset_bucket(outcome.offset),
        offset: keys::offset_to_bigint(outcome.offset),
        // The cast is lossless: a stream has few rules.
        position: position as i32,
        time: CqlTimestamp(outcome.time),
        key: &outcome.key,
        id: &outcome.id,
        rule: or_unset(by.map(|by| by.rule.as_str())),
        // The cast is lossless: revisions are counted from 1, one per change of the rule.
        revision: or_unset(by.map(|by| by.revision as i32)),
        mode: or_unset(by.map(|by| by.mode.name())),
        plugin: or_unset(
            by.and_then(|by| by.plugin.as_ref()).map(|plugin| format!("{}@{}", plugin.name, plugin.version)),
        ),
        stamp: or_unset(by.and_then(&find_stamp_id)),
        score: MaybeUnset::Unset,
        tags: MaybeUnset::Unset,
        reasons: MaybeUnset::Unset,
        edges: MaybeUnset::Unset,
        attributes: MaybeUnset::Unset,
        inputs: MaybeUnset::Unset,
        failure: MaybeUnset::Unset,
        message: MaybeUnset::Unset,
        ttl,
    };
    let verdict = |(position, verdict): (usize, &'a Verdict)| NewRow {
        score: or_unset(verdict.score),
        tags: or_unset(non_empty(&verdict.tags)),
        reasons: or_unset(
            non_empty(&verdict.reasons)
                .map(|reasons| reasons.iter().map(|reason| (reason.code.as_str(), reason.weight)).collect()),
        ),
        edges: or_unset(non_empty(&verdict.edges).map(|edges| edges.iter().map(encode_edge).collect())),
        attributes: or_unset(
            non_empty(&verdict.attributes)
                .map(|attributes| attributes.iter().map(|item| (item.name.as_str(), item.value.as_str())).collect()),
        ),
        inputs: or_unset(non_empty(&verdict.inputs).map(|inputs| inputs.iter().map(encode_input).collect())),
        ..base_row(position, Some(&verdict.by))
    };
    let failure = |(position, failure): (usize, &'a Failure)| NewRow {
        failure: MaybeUnset::Set(failure.code.as_str()),
        message: MaybeUnset::Set(&failure.message),
        ..base_row(position, failure.by.as_ref())
    };
    let failures = (outcome.verdicts.len()..).zip(&outcome.failures).map(failure);
    outcome.verdicts.iter().enumerate().map(verdict).chain(failures).collect()
}

/// The id of the stamp that a row names. `None` for a failure that no rule has caused.
pub(super) fn read_stamp_id(row: &StoredRow) -> Result<Option<StampId>, StoreError> {
    let id = row.stamp.as_deref().map(StampId::try_from).transpose();
    id.map_err(|_| broken("a verdict's row names its rule by a digest of a wrong length".to_owned()))
}

/// Builds the outcome of an event from its rows and their stamps. `None` if there is no row.
pub(super) fn build_outcome(
    offset: Offset,
    rows: Vec<(StoredRow, Option<Arc<RuleStamp>>)>,
) -> Result<Option<Outcome>, StoreError> {
    let Some((first, _)) = rows.first() else { return Ok(None) };
    let (time, key, id) = (first.time.0, first.key.clone(), first.id.clone());
    let mut outcome = Outcome { offset, time, key, id, verdicts: Vec::new(), failures: Vec::new() };
    for (row, by) in rows {
        match (row.failure, by) {
            (Some(code), by) => {
                let message = row.message.unwrap_or_default();
                outcome.failures.push(Failure { by, code: code.into(), message });
            }
            (None, Some(by)) => outcome.verdicts.push(Verdict {
                by,
                score: row.score,
                tags: row.tags.unwrap_or_default(),
                reasons: map_all(row.reasons, |(code, weight)| Ok(Reason { code, weight }))?,
                edges: map_all(row.edges, decode_edge)?,
                attributes: map_all(row.attributes, |(name, value)| Ok(Attribute { name, value }))?,
                inputs: map_all(row.inputs, |(name, kind, text)| Ok((name, decode_input(&kind, text)?)))?,
            }),
            (None, None) => return Err(broken(format!("the verdict of offset {offset} does not say whose it is"))),
        }
    }
    Ok(Some(outcome))
}

/// Maps the items of a collection column. CQL stores an empty collection as null.
fn map_all<T, U>(items: Option<Vec<T>>, decode: impl FnMut(T) -> Result<U, StoreError>) -> Result<Vec<U>, StoreError> {
    items.unwrap_or_default().into_iter().map(decode).collect()
}

/// Returns `None` for an empty slice, so that its column is not written.
fn non_empty<T>(items: &[T]) -> Option<&[T]> {
    (!items.is_empty()).then_some(items)
}

fn encode_edge(edge: &Edge) -> NewEdge<'_> {
    let facets = (!edge.facets.is_empty()).then(|| serde_json::json!(edge.facets).to_string());
    (&edge.name, &edge.source, &edge.target, facets)
}

fn decode_edge((name, source, target, facets): StoredEdge) -> Result<Edge, StoreError> {
    let facets = facets.map(|facets| serde_json::from_str(&facets)).transpose();
    let facets = facets.map_err(|error| broken(format!("the facets of an edge cannot be read: {error}")))?;
    Ok(Edge { name, source, target, facets: facets.unwrap_or_default() })
}

/// Encodes an input as its name, type and value. Parsing the value's text returns the same value.
fn encode_input((name, value): &(String, Value)) -> (&str, &'static str, String) {
    let (kind, text) = match value {
        Value::Null => ("null", String::new()),
        Value::Bool(value) => ("bool", value.to_string()),
        Value::Int(value) => ("int", value.to_string()),
        Value::Double(value) => ("double", value.to_string()),
        Value::Text(value) => ("string", value.clone()),
        Value::Timestamp(value) => ("timestamp", value.to_string()),
    };
    (name, kind, text)
}

fn decode_input(kind: &str, text: String) -> Result<Value, StoreError> {
    let parsed = match kind {
        "null" => Some(Value::Null),
        "bool" => text.parse().ok().map(Value::Bool),
        "int" => text.parse().ok().map(Value::Int),
        "double" => text.parse().ok().map(Value::Double),
        "timestamp" => text.parse().ok().map(Value::Timestamp),
        "string" => return Ok(Value::Text(text)),
        _ => None,
    };
    parsed.ok_or_else(|| broken(format!("a verdict's input says '{text}', which is no {kind}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_round_trip() {
        let values = [
            Value::Null,
            Value::Bool(true),
            Value::Int(i64::MIN),
            Value::Double(0.1 + 0.2),
            Value::Double(-0.0),
            Value::Double(f64::INFINITY),
            Value::Double(5e-324),
            Value::Text("null".to_owned()),
            Value::Timestamp(-1),
        ];
        for before in values {
            let (_, kind, text) = encode_input(&("x".to_owned(), before.clone()));
            assert_eq!(decode_input(kind, text).ok(), Some(before));
        }
        let (_, kind, text) = encode_input(&("x".to_owned(), Value::Double(f64::NAN)));
        assert!(matches!(decode_input(kind, text), Ok(Value::Double(value)) if value.is_nan()));
        assert!(decode_input("int", "1.5".to_owned()).is_err() && decode_input("float", String::new()).is_err());
    }
}
