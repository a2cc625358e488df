//! The formats that outlive a program: fingerprints of layouts, and saved windows. Another value here means that
//! views lose what they have counted when the program is replaced.
#![allow(clippy::unwrap_used)] // In a test, a panic is the failure that is wanted.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use assay_core::span::Span;
use assay_core::types::Type;
use assay_core::view::{Layout, Rows, ViewDef, Windows};

const MEASURES: &str = "{rows: count(), texts: count(x), sum_d: sum(d), sum_i: sum(i), avg_d: avg(d), avg_i: avg(i), \
    min_d: min(d), max_d: max(d), min_i: min(i), max_i: max(i), min_t: min(t), max_t: max(t), last_x: last(x), \
    last_b: last(b), last_d: last(d), last_i: last(i), last_t: last(t)}";

fn compile(window: &str) -> Layout {
    let text = format!("{{view: v, stream: s, by: [k], measures: {MEASURES}{window}}}");
    let view: ViewDef = serde_saphyr::from_str(&text).unwrap();
    let type_of = |argument: &str| match argument {
        "d" => Type::Double,
        "i" => Type::Int,
        "t" => Type::Timestamp,
        "x" => Type::Text,
        _ => Type::Bool,
    };
    let types: Vec<_> = view.measures.0.iter().map(|(_, measure)| measure.argument.as_deref().map(type_of)).collect();
    Layout::compile(&view, &types, Span(90_000)).unwrap()
}

#[test]
fn fingerprints_stay_as_they_are() {
    let windows =
        ["", ", over: 1h", ", over: 1h, tiles: 7", ", every: 1h, keep: 30d", ", every: 7m, keep: 1h, when: a > 1"];
    let fingerprints = windows.map(|window| format!("{:016x}", compile(window).fingerprint()));
    assert_eq!(
        fingerprints,
        ["e2aa42e6997c85c7", "4fdba88340ddc2fb", "cc7494cd09d7c215", "8c244a2da4956ae1", "6bc8f978fcf248ff"]
    );
}

#[test]
fn saved_windows_stay_as_they_are() {
    let mut windows = Windows::new(compile(", every: 1m, keep: 2m"));
    let doubles: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None, Some(-0.25), Some(f64::INFINITY)]));
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(-3), Some(1 << 40), None, Some(7)]));
    let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![Some(5), None, Some(-5), Some(1)]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a longer text"), Some("é"), None, Some("short")]));
    let bools: ArrayRef = Arc::new(BooleanArray::from(vec![None, Some(true), Some(false), None]));
    let view: ViewDef =
        serde_saphyr::from_str(&format!("{{view: v, stream: s, by: [k], measures: {MEASURES}}}")).unwrap();
    let arguments: Vec<Option<ArrayRef>> = view
        .measures
        .0
        .iter()
        .map(|(_, measure)| {
            Some(match measure.argument.as_deref()? {
                "d" => doubles.clone(),
                "i" => ints.clone(),
                "t" => times.clone(),
                "x" => texts.clone(),
                _ => bools.clone(),
            })
        })
        .collect();
    let event_times = [1_000, 2_000, 62_000, 61_500];
    windows.fold(&Rows { slots: &[0; 4], times: &event_times, counted: None, arguments: &arguments }).unwrap();
    let mut bytes = Vec::new();
    windows.save(0, &mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = concat!(
        "0202e0c807010202000000000000f83ffaffffffff3f000000000000f83f0100a0ffffffff6f4202000000000000f83f0000",
        "00000000f83f010501808080808040010a010a01a01f02c3a901a01f0201d00f000000000000f83f01a01f80808080804001",
        "d00f0a010201000000000000f07f0e000000000000f07f020000000000001c4001000000000000d0bf000000000000f07f01",
        "0e010e0109010201b8170573686f727401a01f0001a01f000000000000d0bf01b8170e01a01f09",
    );
    assert_eq!(hex, expected);
}
