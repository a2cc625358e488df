//! The recursion over schemas and events is bounded: each construct, nested 100,000 deep, on a small stack.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at what it did not expect")]

use assay_core::schema::{Encoder, Schema};

const DEPTH: usize = 100_000;

/// Runs a test in a thread with a quarter of the usual stack.
fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap().join().unwrap();
}

fn nested(open: &str, inside: &str, close: &str, depth: usize) -> String {
    format!("{}{inside}{}", open.repeat(depth), close.repeat(depth))
}

/// A record whose field `f` has a type.
fn record(field: &str) -> String {
    format!(r#"{{"type": "record", "name": "R", "fields": [{{"name": "f", "type": {field}}}]}}"#)
}

#[test]
fn no_schema_overflows_the_stack() {
    let constructs = [
        (r#"{"type": "array", "items": "#, r#""long""#, "}"),
        (r#"{"type": "map", "values": "#, r#""long""#, "}"),
        (r#"{"type": "#, r#""long""#, "}"),
        ("[", r#""long""#, "]"),
        (r#"["null", {"type": "array", "items": "#, r#""long""#, "}]"),
        (r#"{"type": "record", "name": "S", "fields": [{"name": "f", "type": "#, r#""long""#, "}]}"),
    ];
    on_small_stack(move || {
        for (open, inside, close) in constructs {
            for depth in [10, 30, 60, 100, 126, DEPTH] {
                let _ = Schema::parse(&record(&nested(open, inside, close, depth)));
            }
            assert!(Schema::parse(&record(&nested(open, inside, close, DEPTH))).is_err());
        }
        let long_chain = |count: usize| {
            let fields: Vec<String> = (0..count)
                .map(|at| {
                    let next = if at + 1 < count { format!("\"R{}\"", at + 1) } else { "\"long\"".to_owned() };
                    format!(r#"{{"type": "record", "name": "R{at}", "fields": [{{"name": "f", "type": {next}}}]}}"#)
                })
                .rev()
                .collect();
            let fields: Vec<String> = fields
                .iter()
                .enumerate()
                .map(|(at, schema)| format!(r#"{{"name": "g{at}", "type": {schema}}}"#))
                .collect();
            format!(r#"{{"type": "record", "name": "Root", "fields": [{}]}}"#, fields.join(","))
        };
        // A chain of records, each of which names the next: as deep as their number.
        for count in [10, 100, 1000, 5000] {
            let _ = Schema::parse(&long_chain(count));
        }
        let default = nested("[", "", "]", DEPTH);
        let field = r#"{"type": "array", "items": "long"}"#;
        let with_default = format!(
            r#"{{"type": "record", "name": "R", "fields": [{{"name": "f", "type": {field}, "default": {default}}}]}}"#
        );
        assert!(Schema::parse(&with_default).is_err());
    });
}

#[test]
fn no_event_overflows_the_stack() {
    let list = r#"{"type": "record", "name": "R", "fields": [
        {"name": "n", "type": ["null", "R"], "default": null}, {"name": "l", "type": {"type": "array", "items": "R"}, "default": []},
        {"name": "m", "type": {"type": "map", "values": "R"}, "default": {}}]}"#;
    on_small_stack(move || {
        let mut encoder = Encoder::new(&Schema::parse(list).unwrap());
        for (open, inside, close) in [
            (r#"{"n": "#, "null", "}"),
            (r#"{"l": ["#, "", "]}"),
            (r#"{"m": {"k": "#, "{}", "}}"),
            (r#"{"n": {"R": "#, "{}", "}}"),
            ("[", "", "]"),
            (r#"{"x": "#, "1", "}"),
            (r#"{"l": ["#, "[", ""),
        ] {
            for depth in [1, 20, 40, 63, 100, 127, DEPTH] {
                let _ = encoder.encode(nested(open, inside, close, depth).as_bytes(), &mut Vec::new());
            }
            assert!(encoder.encode(nested(open, inside, close, DEPTH).as_bytes(), &mut Vec::new()).is_err(), "{open}");
        }
    });
}

#[test]
fn duplicate_names_in_a_schema_are_refused() {
    let twice = r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "long", "type": "string"}]}"#;
    let error = Schema::parse(twice).unwrap_err().to_string();
    assert!(error.contains("the name 'type' is there twice"), "{error}");
}
