//! The contract of the time series port. The port only writes, so each adapter's tests bring a function that reads the
//! stored points.

use std::collections::BTreeMap;

use assay_core::names::Offset;
use assay_engine::ports::series::{FieldValue, Point, TimeSeries};

use super::payments;

/// Returns all stored points of a measurement, ordered by time.
pub type ReadPoints<'a> = &'a dyn Fn(&str) -> Vec<StoredPoint>;

/// A point as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPoint {
    /// The time, ns since 1970.
    pub time_ns: i64,
    /// Tag values by name.
    pub tags: BTreeMap<String, String>,
    /// Field values by name.
    pub fields: BTreeMap<String, FieldValue>,
}

/// 2026-01-01, in ms since 1970: a time that the retention of no store has reached yet.
pub const NEW_YEAR: i64 = 1_767_225_600_000;

/// A point with one tag.
pub fn point(measurement: &str, tag: &str, fields: &[(&str, FieldValue)], time_ns: i64) -> Point {
    Point {
        measurement: measurement.to_owned(),
        tags: vec![("tag".to_owned(), tag.to_owned())],
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        offset: Offset(0),
        time_ns,
    }
}

/// A point as it should be stored.
pub fn stored(point: &Point) -> StoredPoint {
    StoredPoint {
        time_ns: point.time_ns,
        tags: point.tags.iter().cloned().collect(),
        fields: point.fields.iter().cloned().collect(),
    }
}

/// Every kind of value is read as it was written, whatever characters texts, tags and names contain.
pub fn points_round_trip(series: &dyn TimeSeries, read: ReadPoints<'_>) {
    let texts =
        ["plain", "a b,c=d", "say \"no\"", "back\\slash\\", "two\nlines\ttab\n", "é日本🦀", "# $ {x} 'y' \\\" ", ""];
    let mut points = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let fields = [
            ("float", FieldValue::Float(0.1 + at as f64)),
            ("int", FieldValue::Int(i64::MIN + at as i64)),
            ("yes", FieldValue::Bool(at % 2 == 0)),
            ("text", FieldValue::Text((*text).to_owned())),
            ("a field, = \"é\"", FieldValue::Int(i64::MAX)),
        ];
        points.push(point("a measurement, = é", &format!("tag {at}"), &fields, NEW_YEAR * 1_000_000 + at as i64));
    }
    for (at, tag) in ["a b,c=d", "say \"no\"", "back\\slash", "é日本🦀", "# $ {x} 'y' \\\"."].into_iter().enumerate()
    {
        let fields = [("float", FieldValue::Float([5e-324, f64::MAX, -0.0, 1e21, 1.0][at]))];
        points.push(point("a measurement, = é", tag, &fields, NEW_YEAR * 1_000_000 + 100 + at as i64));
    }
    assert!(series.write_events(&payments(0), points.clone(), Offset(1)).unwrap().is_empty());
    assert_eq!(read("a measurement, = é"), points.iter().map(stored).collect::<Vec<_>>());
}

/// Values that no store can hold are left out: numbers that are not finite, tags without a value, points without a
/// field.
pub fn unstorable_values_are_left_out(series: &dyn TimeSeries, read: ReadPoints<'_>) {
    let one = FieldValue::Int(1);
    let partly =
        [("nan", FieldValue::Float(f64::NAN)), ("one", one.clone()), ("inf", FieldValue::Float(f64::INFINITY))];
    let points = vec![
        point("m", "", &partly, 10),
        point("m", "t", &[("nan", FieldValue::Float(f64::NAN))], 20),
        point("m", "t", &[], 30),
        point("m", "t", &[("one", one.clone())], 40),
    ];
    assert!(series.write_verdicts(&payments(0), points, Offset(1)).unwrap().is_empty());
    let mut expected =
        [stored(&point("m", "t", &[("one", one.clone())], 10)), stored(&point("m", "t", &[("one", one)], 40))];
    expected[0].tags.clear();
    assert_eq!(read("m"), expected);
}

/// A repeated point is stored once. The same point with other values overwrites the earlier one.
pub fn repeated_writes_change_nothing(series: &dyn TimeSeries, read: ReadPoints<'_>) {
    let score = |value: f64| vec![point("m", "t", &[("score", FieldValue::Float(value))], 10)];
    for _ in 0..2 {
        series.write_verdicts(&payments(0), score(0.5), Offset(1)).unwrap();
    }
    assert_eq!(read("m"), [stored(&score(0.5)[0])]);
    series.write_verdicts(&payments(0), score(0.75), Offset(2)).unwrap();
    assert_eq!(read("m"), [stored(&score(0.75)[0])]);
}

/// Events of the same entity and millisecond are stored as different points, told apart by their offsets.
pub fn events_of_the_same_millisecond_stay_apart(series: &dyn TimeSeries, read: ReadPoints<'_>) {
    let at = |offset: u64| Point::time_ns(NEW_YEAR, Offset(offset)).unwrap();
    let points: Vec<Point> = (999_990..1_000_005)
        .map(|offset| point("m", "t", &[("offset", FieldValue::Int(offset))], at(offset as u64)))
        .collect();
    series.write_events(&payments(0), points.clone(), Offset(1_000_005)).unwrap();
    let mut expected: Vec<StoredPoint> = points.iter().map(stored).collect();
    expected.sort_by_key(|point| point.time_ns);
    assert_eq!(expected.len(), 15);
    assert_eq!(read("m"), expected);
    assert!(expected.iter().all(|point| point.time_ns / 1_000_000 == NEW_YEAR));
}

/// Each sink has a position of its own in each partition. Empty writes advance it, too.
pub fn positions_are_kept_apart(series: &dyn TimeSeries) {
    assert_eq!(series.events_position(&payments(0)).unwrap(), Offset(0));
    series.write_events(&payments(0), vec![], Offset(7)).unwrap();
    series.write_verdicts(&payments(0), vec![], Offset(8)).unwrap();
    series.write_events(&payments(1), vec![], Offset(9)).unwrap();
    series.write_events(&payments(0), vec![], Offset(1 << 40)).unwrap();
    assert_eq!(series.events_position(&payments(0)).unwrap(), Offset(1 << 40));
    assert_eq!(series.verdicts_position(&payments(0)).unwrap(), Offset(8));
    assert_eq!(series.events_position(&payments(1)).unwrap(), Offset(9));
    assert_eq!(series.verdicts_position(&payments(1)).unwrap(), Offset(0));
}

/// Writes points that [`points_survive_reopen`] expects.
pub fn write_points_before_reopen(series: &dyn TimeSeries) {
    let point = point("m", "t", &[("one", FieldValue::Int(1))], 10);
    series.write_verdicts(&payments(3), vec![point.clone()], Offset(4)).unwrap();
    series.write(vec![Point { measurement: "process".to_owned(), ..point }]).unwrap();
}

/// After a reopen the points and the position are there.
pub fn points_survive_reopen(series: &dyn TimeSeries, read: ReadPoints<'_>) {
    assert_eq!(series.verdicts_position(&payments(3)).unwrap(), Offset(4));
    let expected = [stored(&point("m", "t", &[("one", FieldValue::Int(1))], 10))];
    assert_eq!(read("m"), expected);
    assert_eq!(read("process"), expected);
}
