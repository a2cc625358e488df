//! An outcome as rows: one per verdict and one per failure. Other programs can read them, and they give back the very
//! same outcome.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::rule::Mode;
use assay_core::value::Value;
use assay_core::verdict::{Edge, Failure, Outcome, Reason, RuleStamp, Verdict};
use assay_engine::ports::StoreError;
use scylla::value::{CqlTimestamp, MaybeUnset};
use scylla::{DeserializeRow, SerializeRow};

use super::super::connection::set;
use super::super::error::broken;
use super::super::keys::{self, Home};
use super::stamps::StampId;

/// Name, ends, and the facets as a JSON object if there are any.
type NewEdge<'a> = (&'a str, &'a str, &'a str, Option<String>);
type StoredEdge = (String, String, String, Option<String>);

/// A verdict or a failure as it is written. Its fields are the statement's markers, in order.
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
    attributes: MaybeUnset<&'a [(String, String)]>,
    inputs: MaybeUnset<Vec<(&'a str, &'static str, String)>>,
    failure: MaybeUnset<&'a str>,
    message: MaybeUnset<&'a str>,
    ttl: i32,
}

/// The statement that takes a [`NewRow`].
pub(super) const INSERT: &str = "INSERT INTO {}.verdicts
    (stream, log_partition, bucket, offset, position, time, key, id, rule, revision, mode, plugin, stamp,
     score, tags, reasons, edges, attributes, inputs, failure, message)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?";

/// The statement that gives [`StoredRow`]s, in the order in which they were written.
pub(super) const SELECT: &str = "SELECT time, key, id, stamp, score, tags, reasons, edges, attributes, inputs, failure,
    message FROM {}.verdicts WHERE stream = ? AND log_partition = ? AND bucket = ? AND offset = ?";

/// A verdict or a failure as it is read.
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

/// The rows of an outcome: its verdicts, then its failures.
pub(super) fn rows<'a>(
    home: &'a Home,
    outcome: &'a Outcome,
    id_of: impl Fn(&Arc<RuleStamp>) -> Option<StampId>,
    ttl: i32,
) -> Vec<NewRow<'a>> {
    let blank = |position: usize, by: Option<&'a Arc<RuleStamp>>| NewRow {
        stream: &home.stream,
        log_partition: home.partition,
        bucket: keys::offset_bucket(outcome.offset),
        offset: keys::bigint(outcome.offset),
        // Rules of a stream are few.
        position: position as i32,
        time: CqlTimestamp(outcome.time),
        key: &outcome.key,
        id: &outcome.id,
        rule: set(by.map(|by| by.rule.as_str())),
        // Revisions count from 1.
        revision: set(by.map(|by| by.revision as i32)),
        mode: set(by.map(|by| mode(by.mode))),
        plugin: set(by.and_then(|by| by.plugin.as_ref()).map(|plugin| format!("{}@{}", plugin.name, plugin.version))),
        stamp: set(by.and_then(&id_of)),
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
        score: set(verdict.score),
        tags: set(filled(&verdict.tags)),
        reasons: set(filled(&verdict.reasons).map(|all| all.iter().map(|it| (it.code.as_str(), it.weight)).collect())),
        edges: set(filled(&verdict.edges).map(|all| all.iter().map(edge).collect())),
        attributes: set(filled(&verdict.attributes)),
        inputs: set(filled(&verdict.inputs).map(|all| all.iter().map(input).collect())),
        ..blank(position, Some(&verdict.by))
    };
    let failure = |(position, failure): (usize, &'a Failure)| NewRow {
        failure: MaybeUnset::Set(&failure.code),
        message: MaybeUnset::Set(&failure.message),
        ..blank(position, failure.by.as_ref())
    };
    let failures = (outcome.verdicts.len()..).zip(&outcome.failures).map(failure);
    outcome.verdicts.iter().enumerate().map(verdict).chain(failures).collect()
}

/// The stamps that rows name.
pub(super) fn stamp_of(row: &StoredRow) -> Result<Option<StampId>, StoreError> {
    let id = row.stamp.as_deref().map(StampId::try_from).transpose();
    id.map_err(|_| broken("a verdict's row names its rule by a digest of a wrong length".to_owned()))
}

/// Puts an outcome together again; none if there is no row.
pub(super) fn outcome(
    offset: Offset,
    rows: Vec<(StoredRow, Option<Arc<RuleStamp>>)>,
) -> Result<Option<Outcome>, StoreError> {
    let Some((first, _)) = rows.first() else { return Ok(None) };
    let (time, key, id) = (first.time.0, first.key.clone(), first.id.clone());
    let mut outcome = Outcome { offset, time, key, id, verdicts: Vec::new(), failures: Vec::new() };
    for (row, by) in rows {
        match (row.failure, by) {
            (Some(code), by) => {
                outcome.failures.push(Failure { by, code, message: row.message.unwrap_or_default() });
            }
            (None, Some(by)) => outcome.verdicts.push(Verdict {
                by,
                score: row.score,
                tags: row.tags.unwrap_or_default(),
                reasons: all(row.reasons, |(code, weight)| Ok(Reason { code, weight }))?,
                edges: all(row.edges, read_edge)?,
                attributes: row.attributes.unwrap_or_default(),
                inputs: all(row.inputs, |(name, kind, text)| Ok((name, value(&kind, text)?)))?,
            }),
            (None, None) => return Err(broken(format!("the verdict of offset {offset} does not say whose it is"))),
        }
    }
    Ok(Some(outcome))
}

fn all<T, U>(from: Option<Vec<T>>, to: impl FnMut(T) -> Result<U, StoreError>) -> Result<Vec<U>, StoreError> {
    from.unwrap_or_default().into_iter().map(to).collect()
}

fn filled<T>(all: &[T]) -> Option<&[T]> {
    (!all.is_empty()).then_some(all)
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Active => "active",
        Mode::Shadow => "shadow",
        Mode::Paused => "paused",
    }
}

fn edge(edge: &Edge) -> NewEdge<'_> {
    let facets = (!edge.facets.is_empty()).then(|| serde_json::json!(edge.facets).to_string());
    (&edge.name, &edge.source, &edge.target, facets)
}

fn read_edge((name, source, target, facets): StoredEdge) -> Result<Edge, StoreError> {
    let facets = facets.map(|facets| serde_json::from_str(&facets)).transpose();
    let facets = facets.map_err(|error| broken(format!("the facets of an edge cannot be read: {error}")))?;
    Ok(Edge { name, source, target, facets: facets.unwrap_or_default() })
}

/// An input: name, type, and the value as text that gives back the same value.
fn input((name, value): &(String, Value)) -> (&str, &'static str, String) {
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

fn value(kind: &str, text: String) -> Result<Value, StoreError> {
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
    fn inputs_come_back_as_they_were() {
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
            let (_, kind, text) = input(&("x".to_owned(), before.clone()));
            assert_eq!(value(kind, text).ok(), Some(before));
        }
        let (_, kind, text) = input(&("x".to_owned(), Value::Double(f64::NAN)));
        assert!(matches!(value(kind, text), Ok(Value::Double(value)) if value.is_nan()));
        assert!(value("int", "1.5".to_owned()).is_err() && value("float", String::new()).is_err());
    }
}
