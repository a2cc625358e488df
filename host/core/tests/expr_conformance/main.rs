//! Cases of the CEL specification's conformance suite for the supported part of CEL, by its areas. `differences` has
//! the cases with another result on purpose.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at what it did not expect")]

mod basic;
mod comparisons;
mod conversions;
mod differences;
#[path = "../expr_events/mod.rs"]
mod expr_events;
mod fields;
mod fp_math;
mod integer_math;
mod lists;
mod logic;
mod macros;
mod parse;
mod string;
mod string_ext;
mod timestamps;

use expr_events::Events;
use serde_json::json;

/// An expression and its result: a value, `-` for a missing one, or `refused:` with the beginning of the compile error.
type Case = (&'static str, &'static str);

/// One event for the cases that need values without a literal.
fn event() -> Events {
    let fields = json!([
        { "name": "x", "type": "long" },
        { "name": "absent", "type": ["null", "long"], "default": null },
        { "name": "none", "type": { "type": "array", "items": "long" } },
        { "name": "no_texts", "type": { "type": "array", "items": "string" } },
        { "name": "m", "type": { "type": "map", "values": "long" } },
        { "name": "empty", "type": { "type": "map", "values": "long" } },
        { "name": "msg", "type": { "type": "record", "name": "Msg", "fields": [
            { "name": "a", "type": "long" },
            { "name": "b", "type": ["null", "string"], "default": null }] } },
        { "name": "span", "type": "long" }]);
    let event = json!({ "x": 123, "none": [], "no_texts": [], "m": { "key1": 1, "key2": 2 }, "empty": {},
                        "msg": { "a": 17 }, "span": 123321 });
    Events::new(&fields, &[event])
}

fn check(cases: &[Case]) {
    let event = event();
    for (source, expected) in cases {
        let found = event.values(source);
        match (&found, expected.strip_prefix("refused: ")) {
            (Ok(values), None) => assert_eq!(values[0], *expected, "{source}"),
            (Err(message), Some(begin)) => assert!(message.starts_with(begin), "{source}: {message}"),
            _ => panic!("{source}: expected {expected}, found {found:?}"),
        }
    }
}

macro_rules! areas {
    ($($area:ident)*) => {
        $(#[test]
        fn $area() {
            check($area::CASES);
        })*

        #[test]
        fn there_are_300_cases_without_duplicates() {
            let mut sources: Vec<&str> = [$($area::CASES),*].concat().into_iter().map(|case| case.0).collect();
            let count = sources.len();
            assert!(count >= 300, "{count}");
            sources.sort_unstable();
            let twice: Vec<_> = sources.windows(2).filter(|pair| pair[0] == pair[1]).collect();
            assert!(twice.is_empty(), "{twice:?}");
        }
    };
}
areas!(basic comparisons conversions differences fields fp_math integer_math lists logic macros parse string string_ext timestamps);
