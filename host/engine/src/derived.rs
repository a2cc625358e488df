//! Derived streams: the events of another stream under another key.
//!
//! A sink (`sinks/derive`) of the owner of a partition of the derived stream merges the partitions of the source in the
//! order of time and appends the events of its entities, with the place that each came from behind its other fields.
//! After a crash it appends some again, those of each partition of the source in their old order; whoever scores the
//! derived stream knows for each partition of the source how far it has come, saves that with its checkpoints, and passes
//! over what it has had.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::schema::{Extractor, FieldError, Scalar};
use assay_core::stream::ORIGIN;
use assay_core::wire::put_signed;
use serde_json::{Value, json};

use crate::plan::StreamPlan;
use crate::ports::Place;
use crate::ports::catalog::{Change, Kind, Snapshot};
use crate::problem::Problem;

/// What a derived stream takes from its source.
const INHERITED_FIELDS: [&str; 3] = ["time", "id", "schema"];

/// Fills in what derived streams take from their sources, which may be among the same changes. Streams that are derived
/// from one with another schema change with it.
pub(crate) fn complete_derived_streams(changes: &mut Vec<Change>, now: &Snapshot) -> Vec<Problem> {
    add_dependents(changes, now);
    let mut streams: BTreeMap<String, Option<Value>> =
        now.of(Kind::Stream).map(|revision| (revision.name.clone(), revision.body.clone())).collect();
    let changed = changes.iter().filter(|change| change.kind == Kind::Stream);
    streams.extend(changed.map(|change| (change.name.clone(), change.body.clone())));
    let mut problems = Vec::new();
    for change in changes.iter_mut().filter(|change| change.kind == Kind::Stream) {
        let Some(body) = &mut change.body else { continue };
        let Some(from) = body["from"].as_str().map(str::to_owned) else { continue };
        let source = streams.get(&from).and_then(Option::as_ref);
        if let Err((at, message)) = inherit_fields(body, &from, source) {
            let (name, at) = (change.name.clone(), at.to_owned());
            problems.push(Problem { kind: Kind::Stream, name, at, message });
        }
    }
    problems
}

/// Adds the streams that have to change because their source does.
fn add_dependents(changes: &mut Vec<Change>, now: &Snapshot) {
    let mut dependents = Vec::new();
    for derived in now.of(Kind::Stream) {
        let Some(Value::Object(body)) = &derived.body else { continue };
        let Some(from) = body.get("from").and_then(Value::as_str) else { continue };
        let change_of = |name: &str| changes.iter().find(|change| change.kind == Kind::Stream && change.name == name);
        let (None, Some(Change { body: Some(source), .. })) = (change_of(&derived.name), change_of(from)) else {
            continue;
        };
        let before = now.get(Kind::Stream, from).and_then(|source| source.body.as_ref());
        if before.is_some_and(|before| before["schema"] != source["schema"]) {
            let mut body = body.clone();
            INHERITED_FIELDS.iter().for_each(|field| drop(body.remove(*field)));
            let change = Change { kind: Kind::Stream, name: derived.name.clone(), body: Some(Value::Object(body)) };
            dependents.push(change);
        }
    }
    changes.extend(dependents);
}

/// Fills in what one definition takes from its source.
fn inherit_fields(body: &mut Value, from: &str, source: Option<&Value>) -> Result<(), (&'static str, String)> {
    let source = source.ok_or_else(|| ("from", format!("there is no stream '{from}'")))?;
    if let Some(first) = source["from"].as_str() {
        let advice = format!("derive it from '{first}' as well");
        return Err(("from", format!("'{from}' is derived itself, from '{first}': {advice}")));
    }
    let key = body["key"].as_str().unwrap_or_default();
    if key.split('.').next() == Some(ORIGIN) {
        let message = format!("'{key}' is where an event is in the source, and no field of the source's events");
        return Err(("key", message));
    }
    for field in INHERITED_FIELDS {
        let taken = match field {
            "schema" => with_origin(&source["schema"]).map_err(|message| ("schema", message))?,
            _ => source[field].clone(),
        };
        let own = body.get(field).filter(|own| !own.is_null() && **own != json!(""));
        if own.is_some_and(|own| *own != taken) {
            return Err((field, format!("a derived stream takes it from its source, '{from}': leave it out")));
        }
        if !taken.is_null() {
            body[field] = taken;
        }
    }
    Ok(())
}

/// A schema with a field more, behind all others, for the place that an event came from.
fn with_origin(schema: &Value) -> Result<Value, String> {
    let mut schema = schema.clone();
    // What is no record is refused with the source.
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

/// Turns events of a source into those of a derived stream.
pub(crate) struct Rekeyer {
    pub(crate) to: Arc<StreamPlan>,
    /// Takes the key in the derived stream and the time.
    fields: Extractor,
}

/// Whose an event is in a derived stream.
pub(crate) struct RekeyedEvent {
    /// Its entity there.
    pub(crate) key: String,
    /// Its time, ms since 1970.
    pub(crate) time: i64,
}

impl Rekeyer {
    pub(crate) fn new(source: &StreamPlan, to: Arc<StreamPlan>) -> Result<Self, FieldError> {
        let fields = Extractor::new(&source.schema, &[to.def.key.as_str(), source.def.time.as_str()])?;
        Ok(Self { to, fields })
    }

    /// Appends the event as the derived stream has it, and returns whose it is. None, and nothing appended: it has no
    /// such entity, or is malformed, which is told where it came from.
    pub(crate) fn event(&self, event: &[u8], at: Place, out: &mut Vec<u8>) -> Option<RekeyedEvent> {
        let (key, time) = self.identify(event)?;
        let key = key?;
        copy_event(event, at, out);
        Some(RekeyedEvent { key, time })
    }

    /// The entity of an event in the derived stream, if it has one there, and its time, ms since 1970. None: it is
    /// malformed.
    pub(crate) fn identify(&self, event: &[u8]) -> Option<(Option<String>, i64)> {
        let mut found = [Scalar::Null; 2];
        self.fields.extract(event, &mut found).ok()?;
        let key = found[0].key().filter(|key| !key.is_empty()).map(|key| key.into_owned());
        Some((key, found[1].millis()?))
    }
}

/// Appends an event of the source as derived streams have it: with the place that it came from.
pub(crate) fn copy_event(event: &[u8], at: Place, out: &mut Vec<u8>) {
    out.extend_from_slice(event);
    put_signed(out, i64::from(at.partition.0));
    // Offsets are far below what an i64 holds.
    put_signed(out, at.offset.0 as i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Value {
        let schema = json!({ "type": "record", "name": "P", "fields": [{ "name": "card", "type": "string" }] });
        json!({ "stream": "payments", "key": "card", "time": "at", "schema": schema })
    }

    fn change(name: &str, body: Value) -> Change {
        Change { kind: Kind::Stream, name: name.to_owned(), body: Some(body) }
    }

    fn completed(derived: Value) -> Result<Value, Problem> {
        let mut changes = vec![change("by_device", derived), change("payments", source())];
        match complete_derived_streams(&mut changes, &Snapshot::default()).pop() {
            Some(problem) => Err(problem),
            None => Ok(changes.remove(0).body.unwrap()),
        }
    }

    #[test]
    fn what_is_taken_may_stand_there_again() {
        let whole = completed(json!({ "stream": "by_device", "from": "payments", "key": "device" })).unwrap();
        assert_eq!((&whole["time"], &whole["id"]), (&json!("at"), &Value::Null));
        assert_eq!(whole["schema"]["fields"][1]["name"], ORIGIN);
        assert_eq!(completed(whole.clone()).unwrap(), whole);
    }

    #[test]
    fn derived_streams_change_with_the_schema_of_their_source() {
        let derived = completed(json!({ "stream": "by_device", "from": "payments", "key": "device" })).unwrap();
        let revision = |body: Value| crate::ports::catalog::Revision {
            kind: Kind::Stream,
            name: body["stream"].as_str().unwrap().to_owned(),
            revision: 1,
            version: 1,
            created_at_version: 1,
            author: String::new(),
            at: 0,
            body: Some(body),
        };
        let now = Snapshot { version: 1, revisions: vec![revision(source()), revision(derived.clone())] };
        let mut wider = source();
        let mut changes = vec![change("payments", wider.clone())];
        assert!(complete_derived_streams(&mut changes, &now).is_empty());
        assert_eq!(changes.len(), 1, "nothing is new");
        wider["schema"]["fields"].as_array_mut().unwrap().push(json!({ "name": "n", "type": "int", "default": 0 }));
        let mut changes = vec![change("payments", wider)];
        assert!(complete_derived_streams(&mut changes, &now).is_empty());
        let fields = &changes[1].body.as_ref().unwrap()["schema"]["fields"];
        let names: Vec<&str> = fields.as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
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
