//! A verdict as a message: Avro in Confluent's frame, one for each event and rule.

use assay_core::names::Offset;
use assay_core::rule::Mode;
use assay_core::value::Value;
use assay_core::verdict::{Outcome, Verdict};
use assay_core::wire::{put_f64, put_signed};
use assay_engine::ports::StreamPartition;

use super::Ready;
use super::mark::Mark;

/// The schema of published verdicts. `write` below follows it field by field.
pub(super) const SCHEMA: &str = include_str!("verdict.avsc");

pub(super) fn ready(frame: &[u8], of: &StreamPartition, block: Offset, outcome: &Outcome, verdict: &Verdict) -> Ready {
    let mark = Mark { offset: outcome.offset, block, rule: verdict.by.rule.clone() };
    let mut payload = frame.to_vec();
    write(&mut payload, of, outcome, verdict);
    Ready { headers: mark.headers(), mark, key: outcome.key.clone().into_bytes(), payload }
}

fn write(out: &mut Vec<u8>, of: &StreamPartition, outcome: &Outcome, verdict: &Verdict) {
    let by = &*verdict.by;
    text(out, &of.stream);
    put_signed(out, i64::from(of.partition.0));
    // Offsets are far below what an i64 holds.
    put_signed(out, outcome.offset.0 as i64);
    put_signed(out, outcome.time);
    text(out, &outcome.key);
    optional(out, Some(&*outcome.id).filter(|id| !id.is_empty()));
    text(out, &by.rule);
    put_signed(out, i64::from(by.revision));
    text(out, mode(by.mode));
    let plugin = by.plugin.as_ref();
    optional(out, plugin.map(|plugin| format!("{}@{}", plugin.name, plugin.version)).as_deref());
    optional(out, plugin.map(|plugin| plugin.digest.to_string()).as_deref());
    match verdict.score {
        None => put_signed(out, 0),
        Some(score) => {
            put_signed(out, 1);
            put_f64(out, score);
        }
    }
    items(out, &verdict.tags, |out, tag| text(out, tag));
    items(out, &verdict.reasons, |out, reason| {
        text(out, &reason.code);
        put_f64(out, reason.weight);
    });
    items(out, &verdict.edges, |out, edge| {
        text(out, &edge.name);
        text(out, &edge.source);
        text(out, &edge.target);
        let facets: Vec<_> = edge.facets.iter().collect();
        items(out, &facets, |out, (name, facet)| {
            text(out, name);
            value(out, &of_json(facet));
        });
    });
    items(out, &verdict.attributes, |out, (name, value)| {
        text(out, name);
        text(out, value);
    });
    items(out, &verdict.inputs, |out, (name, input)| {
        text(out, name);
        value(out, input);
    });
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Active => "active",
        Mode::Shadow => "shadow",
        // A paused rule says nothing.
        Mode::Paused => "paused",
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    // No text is longer than an i64 can say.
    put_signed(out, text.len() as i64);
    out.extend_from_slice(text.as_bytes());
}

fn optional(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        None => put_signed(out, 0),
        Some(value) => {
            put_signed(out, 1);
            text(out, value);
        }
    }
}

/// An array or a map: one block of items, then an empty one.
fn items<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    if !items.is_empty() {
        put_signed(out, items.len() as i64);
        items.iter().for_each(|item| write(out, item));
    }
    put_signed(out, 0);
}

fn value(out: &mut Vec<u8>, value: &Value) {
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
            text(out, value);
        }
    }
}

/// A facet; what is no bool, number or text is none.
fn of_json(facet: &serde_json::Value) -> Value {
    match facet {
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::String(value) => Value::Text(value.clone()),
        facet => facet.as_i64().map(Value::Int).or(facet.as_f64().map(Value::Double)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use assay_core::names::{Digest, Partition};
    use assay_core::schema::{Schema, to_json};
    use assay_core::verdict::{Edge, PluginStamp, Reason, RuleStamp};
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
        let of = StreamPartition { stream: Arc::from("payments"), partition: Partition(2) };
        let mut avro = Vec::new();
        write(&mut avro, &of, outcome, &outcome.verdicts[0]);
        to_json(&Schema::parse(SCHEMA).unwrap(), &avro).unwrap()
    }

    #[test]
    fn a_verdict_is_written_as_its_schema_says() {
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
            attributes: vec![("country".to_owned(), "de".to_owned())],
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
    fn what_is_missing_is_null_or_empty() {
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
