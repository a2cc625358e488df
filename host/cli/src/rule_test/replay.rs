//! Runs a case: sends its events through the pipeline one after the other, and compares the verdicts.

use assay_engine::Plan;
use assay_engine::offline::Offline;
use serde_json::Value;

use super::case::CaseFile;
use super::compare::{Mismatch, compare};

/// Why a case could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    /// The case names no stream, or an unknown one.
    #[error("{what}; the pack's streams are: {streams}", streams = .streams.join(", "))]
    Stream {
        /// The problem.
        what: String,
        /// The streams of the pack.
        streams: Vec<String>,
    },
    /// An expectation names an unknown event or rule.
    #[error("expect, entry {entry}: {what}")]
    Entry {
        /// The number of the entry, from 1.
        entry: usize,
        /// The problem.
        what: String,
    },
    /// An event was refused.
    #[error("event {place}: {message}")]
    Event {
        /// Its number, from 1.
        place: usize,
        /// The reason.
        message: String,
    },
}

/// Runs a case on rules with empty state. The case passes if there are no mismatches.
pub(super) fn replay_case(case: &CaseFile, offline: &mut Offline) -> Result<Vec<Mismatch>, ReplayError> {
    let stream = find_stream(case, offline.plan())?;
    let events = case.events();
    // All expectations are checked before the first event, so that a mistake in the case is reported in any case.
    let places = find_events(case, offline.plan(), &stream, &events)?;
    let mut outcomes = Vec::with_capacity(events.len());
    for (index, event) in events.iter().enumerate() {
        let outcome = offline.score(&stream, event.to_string().as_bytes());
        let refused =
            |error: &dyn std::fmt::Display| ReplayError::Event { place: index + 1, message: error.to_string() };
        outcomes.push(outcome.map_err(|error| refused(&error))?);
    }
    let checked = case.expect.iter().zip(places);
    Ok(checked.filter_map(|(expectation, place)| compare(expectation, &outcomes[place])).collect())
}

fn find_stream(case: &CaseFile, plan: &Plan) -> Result<String, ReplayError> {
    let takes_events = plan.streams.values().filter(|stream| stream.def.from.is_none());
    let streams: Vec<String> = takes_events.map(|stream| stream.def.stream.clone()).collect();
    match (&case.stream, streams.as_slice()) {
        (Some(stream), streams) if streams.contains(stream) => Ok(stream.clone()),
        (Some(stream), _) => Err(ReplayError::Stream { what: format!("there is no stream '{stream}'"), streams }),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(ReplayError::Stream { what: "name the stream of the events".to_owned(), streams }),
    }
}

/// The index of each expectation's event.
fn find_events(case: &CaseFile, plan: &Plan, stream: &str, events: &[Value]) -> Result<Vec<usize>, ReplayError> {
    let Some(stream) = plan.streams.get(stream) else { return Ok(Vec::new()) };
    let streams = stream.derived.iter().filter_map(|name| plan.streams.get(name)).chain([stream]);
    let rules: Vec<&str> = streams.flat_map(|stream| &stream.rules).map(|rule| rule.stamp.rule.as_str()).collect();
    let mut places = Vec::with_capacity(case.expect.len());
    for (index, expectation) in case.expect.iter().enumerate() {
        let wrong = |what| ReplayError::Entry { entry: index + 1, what };
        if !rules.contains(&expectation.rule.as_str()) {
            let of = format!("the rules of the stream '{}' are: {}", stream.def.stream, rules.join(", "));
            return Err(wrong(format!("there is no rule '{}'; {of}", expectation.rule)));
        }
        let place = find_event(&expectation.event, stream.def.id.as_deref(), events);
        places.push(place.map_err(wrong)?);
    }
    Ok(places)
}

/// The index of the event with an id, or with a number in a stream without ids.
fn find_event(event: &Value, id: Option<&str>, events: &[Value]) -> Result<usize, String> {
    let Some(id) = id else {
        let index = event.as_u64().and_then(|place| usize::try_from(place.checked_sub(1)?).ok());
        let index = index.filter(|index| *index < events.len());
        let why = "the stream has no ids, so an event is named by its place";
        return index.ok_or_else(|| format!("there is no event {event}: {why}, 1 to {}", events.len()));
    };
    let pointer = format!("/{}", id.replace('.', "/"));
    let named: Vec<usize> = (0..events.len()).filter(|index| events[*index].pointer(&pointer) == Some(event)).collect();
    match named.as_slice() {
        [only] => Ok(*only),
        [] => Err(format!("there is no event whose '{id}' is {event}")),
        _ => Err(format!("{} events have {event} for their '{id}'", named.len())),
    }
}

#[cfg(test)]
mod tests {
    use assay_engine::ports::catalog::{Change, Kind};
    use assay_runtime::{Limits, Runtime, RuntimeConfig};
    use serde_json::json;

    use super::*;

    fn offline(id: Option<&str>) -> Offline {
        let mut stream = json!({"stream": "s", "key": "k", "time": "t", "schema": {"type": "record", "name": "S", "fields": [
            {"name": "id", "type": "string"},
            {"name": "k", "type": "string"},
            {"name": "amount", "type": "double"},
            {"name": "t", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        ]}});
        if let Some(id) = id {
            stream["id"] = json!(id);
        }
        let view = json!({"view": "sums", "stream": "s", "by": ["k"], "measures": {"sum": "sum(amount)"}});
        let rule = json!({
            "rule": "total", "stream": "s", "when": "amount > 0.0", "score": "views.sums.sum",
            "tags": {"big": "score >= 10.0"}
        });
        let change = |kind, name: &str, body| Change::from_json(kind, name, body);
        let changes = vec![
            change(Kind::Stream, "s", stream),
            change(Kind::View, "sums", view),
            change(Kind::Rule, "total", rule),
        ];
        let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
        Offline::new(&runtime, &[], changes, &Limits::default()).unwrap()
    }

    fn played(id: Option<&str>, expect: &str) -> Result<Vec<Mismatch>, String> {
        let case = format!(
            "name: n\ndefaults: {{ k: a, t: 2026-01-05T08:00:00Z }}\nevents:\n  - {{ id: one, amount: 4.0 }}\n  - {{ id: two, amount: 6.0 }}\n  - {{ id: back, amount: -1.0 }}\nexpect:\n{expect}"
        );
        let case: CaseFile = serde_saphyr::from_str(&case).unwrap();
        replay_case(&case, &mut offline(id)).map_err(|error| error.to_string())
    }

    #[test]
    fn events_are_folded_in_their_order_and_compared() {
        let met = "  - { event: one, rule: total, score: 4.0, tags: [] }\n  - { event: two, rule: total, score: 10.0, tags: [big] }\n  - { event: back, rule: total, skipped: true }\n";
        assert_eq!(played(Some("id"), met).unwrap(), []);
        let missed = played(Some("id"), &met.replace("10.0", "6.0").replace("4.0, tags", "4.0, with")).unwrap();
        assert_eq!(missed.len(), 1);
        assert_eq!(missed[0].expected, ["score: 6", "tag: big"]);
        assert_eq!(missed[0].actual, ["score: 10", "tag: big"]);
    }

    #[test]
    fn rules_of_derived_streams_are_expected_of_the_same_events() {
        let derived = json!({"stream": "by_size", "from": "s", "key": "size"});
        let mut source = json!({"stream": "s", "key": "k", "time": "t", "id": "id", "schema": {"type": "record", "name": "S", "fields": [
            {"name": "id", "type": "string"},
            {"name": "k", "type": "string"},
            {"name": "size", "type": ["null", "int"], "default": null},
            {"name": "t", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        ]}});
        source["partitions"] = json!(1);
        let view = json!({"view": "seen", "stream": "by_size", "by": ["size"], "measures": {"n": "count()"}});
        let rule = json!({"rule": "count", "stream": "by_size", "score": "double(views.seen.n)"});
        let change = |kind, name: &str, body| Change::from_json(kind, name, body);
        let changes = vec![
            change(Kind::Stream, "by_size", derived),
            change(Kind::Stream, "s", source),
            change(Kind::View, "seen", view),
            change(Kind::Rule, "count", rule),
        ];
        let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
        let mut offline = Offline::new(&runtime, &[], changes, &Limits::default()).unwrap();
        let case = "name: n\ndefaults: { t: 0 }\nevents: [{ id: one, k: a, size: 3 }, { id: two, k: b, size: 3 }, { id: none, k: a }]\nexpect: [{ event: two, rule: count, score: 2.0 }, { event: none, rule: count, skipped: true }]\n";
        let case: CaseFile = serde_saphyr::from_str(case).unwrap();
        assert_eq!(replay_case(&case, &mut offline).unwrap(), []);
    }

    #[test]
    fn an_event_without_id_is_named_by_its_place() {
        assert_eq!(played(None, "  - { event: 2, rule: total, score: 10.0 }\n").unwrap(), []);
        for event in ["0", "4", "two"] {
            let error = played(None, &format!("  - {{ event: {event}, rule: total, score: 10.0 }}\n")).unwrap_err();
            assert!(error.contains("named by its place, 1 to 3"), "{error}");
        }
    }

    #[test]
    fn what_is_not_there_is_a_mistake_and_no_pass() {
        let error = played(Some("id"), "  - { event: three, rule: total, skipped: true }\n").unwrap_err();
        assert_eq!(error, "expect, entry 1: there is no event whose 'id' is \"three\"");
        let error = played(Some("id"), "  - { event: one, rule: totl, skipped: true }\n").unwrap_err();
        assert!(error.contains("there is no rule 'totl'") && error.contains("total"), "{error}");
    }

    #[test]
    fn an_event_that_does_not_fit_fails_the_case() {
        let case = "name: n\nevents: [{ id: one, k: a, amount: much, t: 0 }]\nexpect: [{ event: one, rule: total, tags: [] }]\n";
        let case: CaseFile = serde_saphyr::from_str(case).unwrap();
        let error = replay_case(&case, &mut offline(Some("id"))).unwrap_err().to_string();
        assert!(error.starts_with("event 1: ") && error.contains("amount"), "{error}");
    }

    #[test]
    fn an_unknown_stream_is_an_error_with_the_known_ones() {
        let case = "name: n\nstream: x\nevents: [{}]\nexpect: [{ event: one, rule: total, tags: [] }]\n";
        let case: CaseFile = serde_saphyr::from_str(case).unwrap();
        let error = replay_case(&case, &mut offline(Some("id"))).unwrap_err().to_string();
        assert_eq!(error, "there is no stream 'x'; the pack's streams are: s");
    }
}
