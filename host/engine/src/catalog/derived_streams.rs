//! Completes the definitions of derived streams: time, id and schema are those of the source.

use std::collections::BTreeMap;

use assay_core::stream::{ORIGIN, StreamDef};
use serde_json::{Value, json};

use crate::ports::catalog::{Change, Definition, Kind, Snapshot};
use crate::problem::Problem;

/// Fills in what derived streams take from their sources, which may be among the same changes. Streams that are derived
/// from one with another schema change with it.
pub(crate) fn complete_derived_streams(changes: &mut Vec<Change>, now: &Snapshot) -> Vec<Problem> {
    add_dependents(changes, now);
    let mut streams: BTreeMap<String, Option<Definition>> =
        now.of(Kind::Stream).map(|revision| (revision.name.clone(), revision.definition.clone())).collect();
    let changed = changes.iter().filter(|change| change.kind == Kind::Stream);
    streams.extend(changed.map(|change| (change.name.clone(), change.definition.clone())));
    let mut problems = Vec::new();
    for Change { name, definition, .. } in changes {
        let Some(Definition::Stream(def)) = definition else { continue };
        let Some(from) = def.from.clone() else { continue };
        let source = streams.get(&from).and_then(Option::as_ref);
        if let Err((at, message)) = inherit_fields(def, &from, source) {
            let (name, at) = (name.clone(), at.to_owned());
            problems.push(Problem { kind: Kind::Stream, name, at, message });
        }
    }
    problems
}

/// Adds the streams that have to change because their source does.
fn add_dependents(changes: &mut Vec<Change>, now: &Snapshot) {
    let mut dependents = Vec::new();
    for (revision, derived) in now.all::<StreamDef>() {
        let Some(from) = &derived.from else { continue };
        let change_of = |name: &str| changes.iter().find(|change| change.is_of(Kind::Stream, name));
        if change_of(&revision.name).is_some() {
            continue;
        }
        let Some(Definition::Stream(source)) = change_of(from).and_then(|change| change.definition.as_ref()) else {
            continue;
        };
        if now.find::<StreamDef>(from).is_some_and(|before| before.schema != source.schema) {
            let inherited = StreamDef { time: String::new(), id: None, schema: Value::Null, ..derived.clone() };
            dependents.push(Change::set(&revision.name, inherited));
        }
    }
    changes.extend(dependents);
}

/// Fills in the fields that a definition takes from its source. A field that contradicts the source is the error.
fn inherit_fields(def: &mut StreamDef, from: &str, source: Option<&Definition>) -> Result<(), (&'static str, String)> {
    let source = match source {
        None => return Err(("from", format!("there is no stream '{from}'"))),
        Some(Definition::Stream(source)) => source,
        // It is damaged, which is refused when the plan is made.
        Some(_) => return Ok(()),
    };
    if let Some(first) = &source.from {
        let advice = format!("derive it from '{first}' as well");
        return Err(("from", format!("'{from}' is derived itself, from '{first}': {advice}")));
    }
    let key = &def.key;
    if key.split('.').next() == Some(ORIGIN) {
        let message = format!("'{key}' is where an event is in the source, and no field of the source's events");
        return Err(("key", message));
    }
    let refused = |field| (field, format!("a derived stream takes it from its source, '{from}': leave it out"));
    if !def.time.is_empty() && def.time != source.time {
        return Err(refused("time"));
    }
    if def.id.as_ref().is_some_and(|id| !id.is_empty() && Some(id) != source.id.as_ref()) {
        return Err(refused("id"));
    }
    let schema = with_origin(&source.schema).map_err(|message| ("schema", message))?;
    if !def.schema.is_null() && def.schema != schema {
        return Err(refused("schema"));
    }
    def.time.clone_from(&source.time);
    def.id.clone_from(&source.id);
    def.schema = schema;
    Ok(())
}

/// A schema with a field more, behind all others, for the place that an event came from.
fn with_origin(schema: &Value) -> Result<Value, String> {
    let mut schema = schema.clone();
    // A schema that is no record is refused with the source.
    if let Some(fields) = schema["fields"].as_array_mut() {
        if fields.iter().any(|field| field["name"] == ORIGIN) {
            return Err(format!("the source has a field '{ORIGIN}', which is where the place of an event goes"));
        }
        let place = [json!({ "name": "partition", "type": "int" }), json!({ "name": "offset", "type": "long" })];
        let doc = "Where the event is in the stream that this one is derived from.";
        let kind = json!({ "type": "record", "name": "Origin", "namespace": "assay", "doc": doc, "fields": place });
        fields.push(json!({ "name": ORIGIN, "type": kind }));
    }
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::catalog::Revision;

    fn source() -> Value {
        let schema = json!({ "type": "record", "name": "P", "fields": [{ "name": "card", "type": "string" }] });
        json!({ "stream": "payments", "key": "card", "time": "at", "schema": schema })
    }

    fn change(name: &str, body: Value) -> Change {
        Change::from_json(Kind::Stream, name, body)
    }

    fn stream(change: &Change) -> StreamDef {
        match &change.definition {
            Some(Definition::Stream(def)) => (**def).clone(),
            other => panic!("expected a stream, got {other:?}"),
        }
    }

    fn completed(derived: Value) -> Result<StreamDef, Problem> {
        let mut changes = vec![change("by_device", derived), change("payments", source())];
        match complete_derived_streams(&mut changes, &Snapshot::default()).pop() {
            Some(problem) => Err(problem),
            None => Ok(stream(&changes[0])),
        }
    }

    #[test]
    fn what_is_taken_may_stand_there_again() {
        let whole = completed(json!({ "stream": "by_device", "from": "payments", "key": "device" })).unwrap();
        assert_eq!((whole.time.as_str(), &whole.id), ("at", &None));
        assert_eq!(whole.schema["fields"][1]["name"], ORIGIN);
        assert_eq!(completed(json!(whole)).unwrap(), whole);
    }

    #[test]
    fn derived_streams_change_with_the_schema_of_their_source() {
        let derived = completed(json!({ "stream": "by_device", "from": "payments", "key": "device" })).unwrap();
        let revision = |change| Revision::after(None, change, 1, "", 0);
        let changes = [change("payments", source()), Change::set("by_device", derived)];
        let now = Snapshot { version: 1, revisions: changes.into_iter().map(revision).collect() };
        let mut wider = source();
        let mut changes = vec![change("payments", wider.clone())];
        assert!(complete_derived_streams(&mut changes, &now).is_empty());
        assert_eq!(changes.len(), 1, "nothing is new");
        wider["schema"]["fields"].as_array_mut().unwrap().push(json!({ "name": "n", "type": "int", "default": 0 }));
        let mut changes = vec![change("payments", wider)];
        assert!(complete_derived_streams(&mut changes, &now).is_empty());
        let schema = stream(&changes[1]).schema;
        let fields = schema["fields"].as_array().unwrap();
        let names: Vec<&str> = fields.iter().map(|field| field["name"].as_str().unwrap()).collect();
        assert_eq!((changes[1].name.as_str(), names), ("by_device", vec!["card", "n", ORIGIN]));
    }

    #[test]
    fn what_contradicts_the_source_is_refused() {
        let derived = |field: &str, value: Value| {
            let mut body = json!({ "stream": "by_device", "from": "payments", "key": "device" });
            body[field] = value;
            completed(body).unwrap_err()
        };
        assert_eq!(derived("time", json!("later")).at, "time");
        assert_eq!(derived("schema", source()["schema"].clone()).at, "schema");
        assert_eq!(derived("from", json!("nothing")).message, "there is no stream 'nothing'");
        assert!(derived("from", json!("by_device")).message.contains("derived itself"));
    }
}
