//! A verdict as a message: Avro in Confluent's frame, one message for each event and rule.

use assay_core::names::Offset;
use assay_core::value::Value;
use assay_core::verdict::{Outcome, Verdict};
use assay_core::wire::{put_f64, put_signed};
use assay_engine::ports::PartitionId;

use super::OutboxRecord;
use super::mark::Mark;

/// The schema of published verdicts. [`put_verdict`] writes its fields in their order.
pub(super) const SCHEMA: &str = include_str!("verdict.avsc");

pub(super) fn encode_record(
    frame: &[u8],
    partition: &PartitionId,
    block: Offset,
    outcome: &Outcome,
    verdict: &Verdict,
) -> OutboxRecord {
    let mark = Mark { offset: outcome.offset, block, rule: verdict.by.rule.clone() };
    let mut payload = frame.to_vec();
    put_verdict(&mut payload, partition, outcome, verdict);
    OutboxRecord { headers: mark.make_headers(), mark, key: outcome.key.clone().into_bytes(), payload }
}

fn put_verdict(out: &mut Vec<u8>, partition: &PartitionId, outcome: &Outcome, verdict: &Verdict) {
    let by = &*verdict.by;
    put_text(out, &partition.stream);
    put_signed(out, i64::from(partition.partition.0));
    // Offsets are far below what an i64 holds.
    put_signed(out, outcome.offset.0 as i64);
    put_signed(out, outcome.time);
    put_text(out, &outcome.key);
    put_optional(out, Some(&*outcome.id).filter(|id| !id.is_empty()));
    put_text(out, &by.rule);
    put_signed(out, i64::from(by.revision));
    put_text(out, by.mode.name());
    let plugin = by.plugin.as_ref();
    put_optional(out, plugin.map(|plugin| format!("{}@{}", plugin.name, plugin.version)).as_deref());
    put_optional(out, plugin.map(|plugin| plugin.digest.to_string()).as_deref());
    match verdict.score {
        None => put_signed(out, 0),
        Some(score) => {
            put_signed(out, 1);
            put_f64(out, score);
        }
    }
    put_items(out, &verdict.tags, |out, tag| put_text(out, tag));
    put_items(out, &verdict.reasons, |out, reason| {
        put_text(out, &reason.code);
        put_f64(out, reason.weight);
    });
    put_items(out, &verdict.edges, |out, edge| {
        put_text(out, &edge.name);
        put_text(out, &edge.source);
        put_text(out, &edge.target);
        let facets: Vec<_> = edge.facets.iter().collect();
        put_items(out, &facets, |out, (name, facet)| {
            put_text(out, name);
            put_value(out, &facet_value(facet));
        });
    });
    put_items(out, &verdict.attributes, |out, attribute| {
        put_text(out, &attribute.name);
        put_text(out, &attribute.value);
    });
    put_items(out, &verdict.inputs, |out, (name, input)| {
        put_text(out, name);
        put_value(out, input);
    });
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // The length of a text fits in an i64.
    put_signed(out, text.len() as i64);
    out.extend_from_slice(text.as_bytes());
}

fn put_optional(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        None => put_signed(out, 0),
        Some(value) => {
            put_signed(out, 1);
            put_text(out, value);
        }
    }
}

/// Writes an array or a map: one block of items, then an empty block.
fn put_items<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    if !items.is_empty() {
        put_signed(out, items.len() as i64);
        items.iter().for_each(|item| write(out, item));
    }
    put_signed(out, 0);
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => put_signed(out, 0),
        Value::Bool(value) => {
            put_signed(out, 1);
            out.push(u8::from(*value));
        }
        Value::Int(value) | Value::Timestamp(value) => {
            put_signed(out, 2);
            put_signed(out, *value);
        }
        Value::Double(value) => {
            put_signed(out, 3);
            put_f64(out, *value);
        }
        Value::Text(value) => {
            put_signed(out, 4);
            put_text(out, value);
        }
    }
}

/// The value of a facet; null for JSON other than booleans, numbers and texts.
fn facet_value(facet: &serde_json::Value) -> Value {
    match facet {
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::String(value) => Value::Text(value.clone()),
        facet => facet.as_i64().map(Value::Int).or(facet.as_f64().map(Value::Double)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use assay_core::names::{Digest, PartitionIndex};
    use assay_core::rule::Mode;
    use assay_core::schema::{Schema, to_json};
    use assay_core::verdict::{Attribute, Edge, PluginStamp, Reason, RuleStamp};
    use serde_json::json;

    use super::*;

    fn stamp(plugin: Option<PluginStamp>) -> Arc<RuleStamp> {
        Arc::new(RuleStamp {
            rule: "velocity".to_owned(),
            revision: 3,
            mode: Mode::Shadow,
            plugin,
            tags: vec![],
            reasons: vec![],
            edges: vec![],
            attributes: vec![],
            inputs: vec![],
        })
    }

    fn outcome(verdict: Verdict) -> Outcome {
        Outcome {
            offset: Offset(9),
            time: 1_700_000_000_000,
            key: "card-1".to_owned(),
            id: "p-1".to_owned(),
            verdicts: vec![verdict],
            failures: vec![],
        }
    }

    fn as_json(outcome: &Outcome) -> serde_json::Value {
        let partition = PartitionId { stream: Arc::from("payments"), partition: PartitionIndex(2) };
        let mut avro = Vec::new();
        put_verdict(&mut avro, &partition, outcome, &outcome.verdicts[0]);
        to_json(&Schema::parse(SCHEMA).unwrap(), &avro).unwrap()
    }

    #[test]
    fn verdicts_are_written_in_their_schema() {
        let digest = Digest::of(b"plugin");
        let plugin = PluginStamp { name: "velocity".to_owned(), version: "1.2.3".to_owned(), digest };
        let verdict = Verdict {
            by: stamp(Some(plugin)),
            score: Some(0.25),
            tags: vec!["review".to_owned()],
            reasons: vec![Reason { code: "fast".to_owned(), weight: -1.5 }],
            edges: vec![Edge {
                name: "paid".to_owned(),
                source: "a".to_owned(),
                target: "b".to_owned(),
                facets: [("amount".to_owned(), 0.5.into()), ("seen".to_owned(), 7.into())].into(),
            }],
            attributes: vec![Attribute { name: "country".to_owned(), value: "de".to_owned() }],
            inputs: vec![
                ("amount".to_owned(), Value::Double(2.5)),
                ("count".to_owned(), Value::Int(-7)),
                ("home".to_owned(), Value::Bool(true)),
                ("none".to_owned(), Value::Null),
                ("shop".to_owned(), Value::Text("é".to_owned())),
            ],
        };
        let expected = json!({
            "stream": "payments", "partition": 2, "offset": 9, "time": 1_700_000_000_000_i64, "key": "card-1",
            "id": "p-1", "rule": "velocity", "revision": 3, "mode": "shadow", "plugin": "velocity@1.2.3",
            "digest": digest.to_string(), "score": 0.25, "tags": ["review"],
            "reasons": [{"code": "fast", "weight": -1.5}],
            "edges": [{"name": "paid", "source": "a", "target": "b", "facets": {"amount": 0.5, "seen": 7}}],
            "attributes": {"country": "de"},
            "inputs": {"amount": 2.5, "count": -7, "home": true, "none": null, "shop": "é"},
        });
        assert_eq!(as_json(&outcome(verdict)), expected);
    }

    #[test]
    fn missing_values_are_null_or_empty() {
        let verdict = Verdict {
            by: stamp(None),
            score: None,
            tags: vec![],
            reasons: vec![],
            edges: vec![],
            attributes: vec![],
            inputs: vec![],
        };
        let json = as_json(&Outcome { id: String::new(), ..outcome(verdict) });
        assert!(["id", "plugin", "digest", "score"].iter().all(|name| json[name].is_null()), "{json}");
        assert_eq!((&json["tags"], &json["inputs"]), (&json!([]), &json!({})));
    }
}
