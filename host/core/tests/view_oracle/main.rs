//! Views against a naive oracle: random events in random batches, saved and loaded at random times.
#![allow(clippy::unwrap_used)] // In a test, a panic is the failure that is wanted.

mod generate;
mod oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use assay_core::event_time::MAX_EVENT_TIME_MS;
use assay_core::span::Span;
use assay_core::time_range::TimeRange;
use assay_core::types::Type;
use assay_core::value::Value;
use assay_core::view::{Layout, NotKept, Rows, ViewDef, Windows};
use generate::{ENTITIES, Event, Shape, events, shapes, tumbling};
use oracle::Oracle;
use proptest::prelude::*;

const MEASURES: &str = "{rows: count(), doubles: count(d), sum_d: sum(d), sum_i: sum(i), avg_d: avg(d), avg_i: avg(i), \
    min_d: min(d), max_d: max(d), min_i: min(i), max_i: max(i), max_t: max(t), last_x: last(x), last_b: last(b), \
    last_d: last(d), texts: count(x), first_x: first(x), first_b: first(b), first_d: first(d), first_t: first(t), \
    stddev_d: stddev(d), stddev_i: stddev(i)}";

fn view(shape: Option<Shape>) -> ViewDef {
    let window = shape.map_or(String::new(), |shape| match shape.keep {
        Some(keep) => format!("every: {}ms\nkeep: {keep}ms\n", shape.width),
        None => format!("over: {}ms\ntiles: {}\n", shape.width * shape.tiles, shape.tiles),
    });
    serde_saphyr::from_str(&format!("view: v\nstream: s\nby: [k]\nmeasures: {MEASURES}\n{window}")).unwrap()
}

/// The type of a measure's argument, whose name is one letter.
fn type_of(argument: Option<&str>) -> Option<Type> {
    Some(match argument? {
        "d" => Type::Double,
        "i" => Type::Int,
        "t" => Type::Timestamp,
        "x" => Type::Text,
        _ => Type::Bool,
    })
}

fn windows(shape: Option<Shape>) -> Windows {
    let view = view(shape);
    let types: Vec<_> = view.measures.0.iter().map(|(_, measure)| type_of(measure.argument.as_deref())).collect();
    let lateness = shape.map_or(0, |shape| shape.lateness);
    Windows::new(Layout::compile(&view, &types, Span(lateness as u64)).unwrap())
}

/// Values as texts that are equal exactly for equal bits, with all NaNs alike.
fn bits(values: &[Value]) -> Vec<String> {
    values
        .iter()
        .map(|value| match value {
            Value::Double(value) if value.is_nan() => "NaN".to_owned(),
            Value::Double(value) => format!("{value} {:x}", value.to_bits()),
            other => format!("{other:?}"),
        })
        .collect()
}

/// Folds events in one batch.
fn fold(windows: &mut Windows, events: &[Event], times: &[i64]) -> (Vec<ArrayRef>, u64) {
    let slots: Vec<u32> = events.iter().map(|event| event.slot).collect();
    let counted: BooleanArray = events.iter().map(|event| event.when).collect();
    let measures = view(None).measures.0;
    let arguments: Vec<Option<ArrayRef>> = measures
        .iter()
        .map(|(_, measure)| {
            let column: ArrayRef = match measure.argument.as_deref()? {
                "d" => Arc::new(events.iter().map(|event| event.double).collect::<Float64Array>()),
                "i" => Arc::new(events.iter().map(|event| event.int).collect::<Int64Array>()),
                "t" => Arc::new(events.iter().map(|event| event.int).collect::<TimestampMillisecondArray>()),
                "x" => Arc::new(events.iter().map(|event| event.text.as_deref()).collect::<StringArray>()),
                _ => Arc::new(events.iter().map(|event| event.flag).collect::<BooleanArray>()),
            };
            Some(column)
        })
        .collect();
    let rows = Rows { slots: &slots, times, counted: Some(&counted), arguments: &arguments };
    let folded = windows.fold(&rows).unwrap();
    (folded.columns, folded.late)
}

/// Saves all windows and loads them into new ones, at other slots and back, so that all derived data is rebuilt.
fn save_and_load(windows: &Windows, shape: Option<Shape>) -> Windows {
    let mut new = self::windows(shape);
    for slot in 0..ENTITIES {
        let mut bytes = Vec::new();
        windows.save(slot, &mut bytes);
        new.load(slot, b"garbage").unwrap_err();
        new.load(slot, &bytes).unwrap();
        let mut again = Vec::new();
        new.save(slot, &mut again);
        assert_eq!(bytes, again);
    }
    new
}

/// The begin of the bucket of a time.
fn begin_of(width: i64, time: i64) -> i64 {
    time.div_euclid(width) * width
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn values_agree_with_the_oracle(
        events in events(),
        shape in shapes(),
        cuts in prop::collection::vec((1..40usize, any::<bool>()), 1..20),
        asked in prop::collection::vec(-500..200i64, 1..20),
        origin in prop::sample::select(vec![0i64, -150, 1_700_000_000_000]),
    ) {
        let mut time = origin;
        let times: Vec<i64> = events.iter().map(|event| { time += event.step; time }).collect();
        let mut oracles: Vec<Oracle> = (0..ENTITIES).map(|_| Oracle::default()).collect();
        let mut windows = windows(shape);
        let mut from = 0;
        for (size, is_moved) in cuts.into_iter().cycle() {
            let to = events.len().min(from + size);
            let (columns, late) = fold(&mut windows, &events[from..to], &times[from..to]);
            let mut expected_late = 0;
            for row in from..to {
                let (expected, is_late) = oracles[events[row].slot as usize].fold(&events[row], times[row], shape);
                expected_late += u64::from(is_late);
                let found: Vec<Value> = columns.iter().map(|column| Value::from_array(column, row - from)).collect();
                prop_assert_eq!(bits(&found), bits(&expected), "row {}", row);
            }
            prop_assert_eq!(late, expected_late);
            if is_moved {
                windows = save_and_load(&windows, shape);
            }
            from = to;
            if from == events.len() { break }
        }
        for slot in 0..ENTITIES {
            let oracle = &oracles[slot as usize];
            let as_of = oracle.counted.iter().map(|event| event.time).max();
            let snapshot = windows.newest_value(slot);
            prop_assert_eq!(snapshot.as_of, as_of);
            let relative = asked.iter().flat_map(|by| [time + by, as_of.unwrap_or(time) + by]);
            for at in relative.chain([as_of.unwrap_or(0), time, -MAX_EVENT_TIME_MS, MAX_EVENT_TIME_MS]) {
                let tile = shape.map_or(0, |shape| at.div_euclid(shape.width));
                match windows.value_at(slot, at) {
                    Ok(found) => {
                        prop_assert_eq!(bits(&found.values), bits(&oracle.true_values(tile, shape)), "at {}", at);
                        prop_assert_eq!(found.as_of, as_of);
                    }
                    Err(NotKept { from }) => {
                        prop_assert!(at < from && windows.value_at(slot, from).is_ok());
                        prop_assert!(windows.value_at(slot, from - 1).is_err());
                        prop_assert!(shape.is_none() || oracle.has_lost(), "{} is refused though all tiles are kept", at);
                        let newest = as_of.unwrap();
                        let is_known = shape.map_or(at >= newest, |shape| {
                            tile.saturating_sub(shape.tiles) >= newest.div_euclid(shape.width) - shape.kept()
                        });
                        prop_assert!(!is_known, "{} is refused though all that it covers is kept", at);
                    }
                }
                if Some(at) == as_of {
                    prop_assert_eq!(bits(&snapshot.values), bits(&oracle.true_values(tile, shape)));
                }
            }
        }
    }

    #[test]
    fn buckets_and_changed_buckets_agree_with_the_oracle(
        events in events(),
        shape in tumbling(),
        cuts in prop::collection::vec((1..40usize, any::<bool>(), any::<bool>()), 1..20),
        asked in prop::collection::vec((-400..400i64, 0..300i64), 1..4),
    ) {
        let (shape, width) = (Some(shape), shape.width);
        let mut time = 0;
        let times: Vec<i64> = events.iter().map(|event| { time += event.step; time }).collect();
        let mut oracles: Vec<Oracle> = (0..ENTITIES).map(|_| Oracle::default()).collect();
        let mut windows = windows(shape);
        windows.note_changes();
        let mut expected_changes: BTreeMap<(u32, i64), Vec<Value>> = BTreeMap::new();
        let mut from = 0;
        for (size, is_asked, is_moved) in cuts.into_iter().cycle() {
            let to = events.len().min(from + size);
            fold(&mut windows, &events[from..to], &times[from..to]);
            for row in from..to {
                let slot = events[row].slot;
                let (values, is_late) = oracles[slot as usize].fold(&events[row], times[row], shape);
                if events[row].when == Some(true) && !is_late {
                    expected_changes.insert((slot, begin_of(width, times[row])), values);
                }
            }
            if is_asked || is_moved || to == events.len() {
                let changed = windows.take_changed();
                let found: BTreeMap<_, _> =
                    changed.iter().map(|(slot, bucket)| ((*slot, bucket.from), bits(&bucket.values))).collect();
                let expected = std::mem::take(&mut expected_changes);
                prop_assert_eq!(changed.len(), found.len(), "a bucket is told once");
                prop_assert_eq!(found, expected.iter().map(|(place, values)| (*place, bits(values))).collect());
                prop_assert!(windows.take_changed().is_empty());
            }
            if is_moved {
                windows = save_and_load(&windows, shape);
                windows.note_changes();
            }
            from = to;
            if from == events.len() { break }
        }
        for (slot, oracle) in oracles.iter().enumerate() {
            for (from, length) in asked.iter().copied().chain([(i64::MIN, i64::MAX)]) {
                let all = (from, length) == (i64::MIN, i64::MAX);
                let is_some = |begin: &i64| length > 0 && begin + width > from && *begin < from + length;
                let is_wanted = |begin: &i64| all || is_some(begin);
                let begins: BTreeSet<i64> = oracle.counted.iter().map(|event| begin_of(width, event.time)).collect();
                let expected: Vec<_> = begins.into_iter().filter(is_wanted).map(|begin| {
                    (begin, begin + width, bits(&oracle.values(begin.div_euclid(width), shape)))
                }).collect();
                let asked = TimeRange { from: Some(from), to: Some(from.saturating_add(length)) };
                let found = windows.buckets(slot as u32, if all { TimeRange::ALL } else { asked });
                let found: Vec<_> = found.iter().map(|it| (it.from, it.to, bits(&it.values))).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn corrupt_bytes_are_refused_or_are_another_window(
        events in events(),
        shape in shapes(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut windows = windows(shape);
        let mut time = 0;
        let times: Vec<i64> = events.iter().map(|event| { time += event.step; time }).collect();
        fold(&mut windows, &events, &times);
        let mut bytes = Vec::new();
        windows.save(0, &mut bytes);
        damage.iter().for_each(|(place, byte)| { let place = place.index(bytes.len()); bytes[place] = *byte });
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        match windows.load(0, &bytes) {
            // Accepted bytes are a valid window: it is saved to the same bytes, and can be folded.
            Ok(()) => {
                let mut again = Vec::new();
                windows.save(0, &mut again);
                prop_assert_eq!(again, bytes);
            }
            Err(error) => {
                prop_assert!(error.at <= bytes.len());
                prop_assert_eq!(windows.newest_value(0).as_of, None);
            }
        }
        fold(&mut windows, &events, &times);
        windows.reset(0);
        prop_assert_eq!(windows.newest_value(0), self::windows(shape).newest_value(0));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), shape in shapes()) {
        let mut windows = windows(shape);
        let _ = windows.load(0, &[&[1], bytes.as_slice()].concat());
        let event = Event { slot: 0, step: 0, when: Some(true), double: Some(1.0), int: Some(1), text: None, flag: None };
        fold(&mut windows, &[event], &[i64::MAX]);
    }
}
