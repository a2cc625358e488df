//! Outcomes and verdicts as JSON. Times are milliseconds since 1970; NaN is null.

use assay_core::names::Digest;
use assay_core::recorded_failure_code::RecordedFailureCode;
use assay_core::rule::Mode;
use assay_core::verdict::{Facets, Failure, Outcome, Verdict};
use assay_engine::ports::Place;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The place of an event in its stream's log.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct PlaceJson {
    /// The partition.
    #[schema(example = 3)]
    pub(crate) partition: u32,
    /// The offset in it.
    #[schema(example = 4711)]
    pub(crate) offset: u64,
}

impl From<Place> for PlaceJson {
    fn from(place: Place) -> Self {
        Self { partition: place.partition.0, offset: place.offset.0 }
    }
}

/// The verdicts of the rules on one event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutcomeJson {
    /// The event's place in the log.
    pub(crate) place: PlaceJson,
    /// The event's id; missing when the stream declares none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) id: String,
    /// Its entity; missing when no rule judged the event, or it could not be read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) key: String,
    /// Its time, ms since 1970; missing with the entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<i64>,
    /// One per rule that judged it.
    pub(crate) verdicts: Vec<VerdictJson>,
    /// One per rule that failed on it.
    pub(crate) failures: Vec<FailureJson>,
}

/// The verdict of one rule on one event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerdictJson {
    /// The rule.
    #[schema(example = "card-velocity")]
    rule: String,
    /// Its revision.
    revision: u32,
    /// `active`, or `shadow`, which does not count.
    #[schema(value_type = String, example = "active")]
    mode: Mode,
    /// The exact plugin; missing for an expression rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<PluginJson>,
    /// The score, or null.
    #[schema(example = 0.93)]
    score: Option<f64>,
    /// The tags.
    tags: Vec<String>,
    /// The reasons for the score, with weights.
    reasons: Vec<ReasonJson>,
    /// Facts about the event: name and value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<AttributeJson>,
    /// The edges of the graph that the event makes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edges: Vec<EdgeJson>,
    /// The inputs of the rule, by name.
    #[schema(value_type = Object)]
    inputs: Map<String, Value>,
}

/// The exact plugin of a verdict.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PluginJson {
    name: String,
    version: String,
    /// SHA-256 of its bytes, as `sha256:` and hex digits.
    #[schema(value_type = String)]
    digest: Digest,
}

/// A reason for a score.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReasonJson {
    code: String,
    weight: f64,
}

/// A fact about an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttributeJson {
    name: String,
    value: String,
}

/// Two nodes that an event connects.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EdgeJson {
    name: String,
    source: String,
    target: String,
    /// Further values of the edge, by name.
    #[serde(skip_serializing_if = "Facets::is_empty")]
    #[schema(value_type = Object)]
    facets: Facets,
}

/// A rule's failure on an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailureJson {
    /// The rule; missing when the event itself could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// Its revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u32>,
    /// The code of the failure.
    #[schema(value_type = String, example = "plugin-trap")]
    code: RecordedFailureCode,
    /// A description of the failure.
    message: String,
}

/// An outcome as JSON.
pub(crate) fn outcome_json(place: Place, outcome: &Outcome) -> OutcomeJson {
    OutcomeJson {
        place: place.into(),
        id: outcome.id.clone(),
        key: outcome.key.clone(),
        time: (!outcome.key.is_empty()).then_some(outcome.time),
        verdicts: outcome.verdicts.iter().map(verdict_json).collect(),
        failures: outcome.failures.iter().map(failure_json).collect(),
    }
}

/// A verdict as JSON.
pub(crate) fn verdict_json(verdict: &Verdict) -> VerdictJson {
    let by = &verdict.by;
    let reasons = verdict.reasons.iter().map(|reason| ReasonJson { code: reason.code.clone(), weight: reason.weight });
    let attributes = verdict
        .attributes
        .iter()
        .map(|attribute| AttributeJson { name: attribute.name.clone(), value: attribute.value.clone() });
    let edges = verdict.edges.iter().map(|edge| EdgeJson {
        name: edge.name.clone(),
        source: edge.source.clone(),
        target: edge.target.clone(),
        facets: edge.facets.clone(),
    });
    VerdictJson {
        rule: by.rule.clone(),
        revision: by.revision,
        mode: by.mode,
        plugin: by.plugin.as_ref().map(|plugin| PluginJson {
            name: plugin.name.clone(),
            version: plugin.version.clone(),
            digest: plugin.digest,
        }),
        score: verdict.score.filter(|score| score.is_finite()),
        tags: verdict.tags.clone(),
        reasons: reasons.collect(),
        attributes: attributes.collect(),
        edges: edges.collect(),
        inputs: verdict.inputs.iter().map(|(name, value)| (name.clone(), value.to_json())).collect(),
    }
}

/// A failure as JSON.
pub(crate) fn failure_json(failure: &Failure) -> FailureJson {
    FailureJson {
        rule: failure.by.as_ref().map(|by| by.rule.clone()),
        revision: failure.by.as_ref().map(|by| by.revision),
        code: failure.code.clone(),
        message: failure.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use assay_core::names::{Offset, PartitionIndex};
    use assay_core::verdict::{Attribute, Edge, PluginStamp, Reason, RuleStamp};

    use super::*;

    #[test]
    fn an_outcome_is_rendered_in_full() {
        let by = Arc::new(RuleStamp {
            rule: "card-velocity".into(),
            revision: 3,
            mode: Mode::Active,
            plugin: Some(PluginStamp { name: "velocity".into(), version: "1.2.0".into(), digest: Digest::of(b"abc") }),
            tags: Vec::new(),
            reasons: Vec::new(),
            edges: Vec::new(),
            attributes: Vec::new(),
            inputs: Vec::new(),
        });
        let verdict = Verdict {
            by: by.clone(),
            score: Some(0.93),
            tags: vec!["review".into()],
            reasons: vec![Reason { code: "high-spend".into(), weight: 1.5 }],
            edges: vec![Edge {
                name: "paid".into(),
                source: "card:1".into(),
                target: "merchant:2".into(),
                facets: [("amount".to_owned(), 12.5.into())].into(),
            }],
            attributes: vec![Attribute { name: "speed-kmh".into(), value: "812".into() }],
            inputs: vec![
                ("amount".into(), assay_core::value::Value::Double(f64::NAN)),
                ("count".into(), assay_core::value::Value::Int(7)),
            ],
        };
        let failures = vec![Failure { by: None, code: "event-unreadable".into(), message: "cut short".into() }];
        let outcome = Outcome {
            offset: Offset(4),
            time: 1000,
            key: "card-1".into(),
            id: "p1".into(),
            verdicts: vec![verdict],
            failures,
        };
        let place = Place { partition: PartitionIndex(2), offset: Offset(4) };
        let json = serde_json::to_string_pretty(&outcome_json(place, &outcome)).unwrap();
        insta::assert_snapshot!(json);
    }
}
