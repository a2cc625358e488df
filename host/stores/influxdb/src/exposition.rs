//! The process's own metrics as points: what `/metrics` says in OpenMetrics' text format
//! (<https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>), read back. Pure. It reads what
//! our own metrics are written as; a line that it cannot read is left out.

use std::collections::HashSet;

use assay_core::names::Offset;
use assay_engine::ports::series::{FieldValue, Point};

/// The points of an exposition at a time, ns since 1970, each with some more tags.
///
/// One point for each combination of labels of a metric. Its measurement is the metric's name, its tags are the labels.
/// Counters and gauges have the field `value`; histograms have `count`, `sum` and, for each bucket, `le_` and its upper
/// bound, with how many observations were not above it. All fields are floats, so that none ever changes its type.
pub(super) fn points(text: &str, tags: &[(String, String)], time_ns: i64) -> Vec<Point> {
    let mut histograms = HashSet::new();
    let mut points: Vec<Point> = Vec::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            histograms.extend(declared.strip_suffix(" histogram"));
            continue;
        }
        let Some(mut sample) = Sample::read(line) else { continue };
        let (measurement, field) = match sample.name.rsplit_once('_') {
            Some((family, part)) if histograms.contains(family) => (family, sample.field_of(part)),
            _ => (sample.name, Some("value".to_owned())),
        };
        let Some(field) = field else { continue };
        let field = (field, FieldValue::Float(sample.value));
        let tags = [tags, &sample.labels].concat();
        // The samples of a histogram stand one behind the other.
        match points.last_mut().filter(|last| last.measurement == measurement && last.tags == tags) {
            Some(last) => last.fields.push(field),
            None => points.push(Point {
                measurement: measurement.to_owned(),
                tags,
                fields: vec![field],
                offset: Offset(0),
                time_ns,
            }),
        }
    }
    points
}

/// One line: a name, labels, a value.
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(String, String)>,
    value: f64,
}

impl<'a> Sample<'a> {
    /// Reads a line; none: it is a comment, or no sample.
    fn read(line: &'a str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(end);
        if name.is_empty() || name.starts_with('#') {
            return None;
        }
        let mut labels = Vec::new();
        if let Some(after) = rest.strip_prefix('{') {
            rest = after;
            while !rest.starts_with('}') {
                let (key, after) = rest.split_once("=\"")?;
                let (value, after) = quoted(after)?;
                labels.push((key.to_owned(), value));
                rest = after.strip_prefix(',').unwrap_or(after);
            }
            rest = rest.strip_prefix('}')?;
        }
        // Behind the value there may be a time and an exemplar.
        let value = rest.split_whitespace().next()?.parse().ok()?;
        Some(Self { name, labels, value })
    }

    /// The field of a histogram's sample, by the last part of its name. A bucket's bound is no tag.
    fn field_of(&mut self, part: &str) -> Option<String> {
        match part {
            "count" | "sum" => Some(part.to_owned()),
            "bucket" => {
                let bound = self.labels.iter().position(|(key, _)| key == "le")?;
                Some(format!("le_{}", self.labels.remove(bound).1))
            }
            _ => None,
        }
    }
}

/// A label's value up to its closing quote, and what stands behind that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            char => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use assay_engine::{Metrics, PartitionLabel, ReaderLabel, RouteLabel, SinkLabel, TopicLabel};

    use super::*;

    type Written = BTreeMap<String, f64>;

    /// The fields of the only point of a measurement with these labels.
    fn fields(points: &[Point], measurement: &str, labels: &[(&str, &str)]) -> Written {
        let labels: BTreeSet<_> = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let is_it = |point: &&Point| {
            point.measurement == measurement && point.tags.iter().cloned().collect::<BTreeSet<_>>() == labels
        };
        let found: Vec<&Point> = points.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{measurement} {labels:?} in {points:?}");
        let field = |(name, value): &(String, FieldValue)| match value {
            FieldValue::Float(value) => (name.clone(), *value),
            other => panic!("{other:?}"),
        };
        found[0].fields.iter().map(field).collect()
    }

    /// Metrics of which each has been used.
    fn used() -> Metrics {
        let metrics = Metrics::new();
        let stream = Metrics::stream("payments");
        for counter in
            [&metrics.ingested, &metrics.refused, &metrics.scored, &metrics.verdicts, &metrics.failures, &metrics.late]
        {
            counter.get_or_create(&stream).inc_by(7);
        }
        let partition = PartitionLabel { stream: "payments".to_owned(), partition: 3 };
        metrics.lag.get_or_create(&partition).set(-1);
        metrics.entities.get_or_create(&partition).set(12);
        let sink = SinkLabel { sink: "graph".to_owned() };
        metrics.sink_lag.get_or_create(&sink).set(40);
        metrics.sink_errors.get_or_create(&sink).inc();
        let reader = ReaderLabel { reader: "graph".to_owned(), stream: "payments".to_owned() };
        metrics.retention_left.get_or_create(&reader).set(60);
        metrics.near_retention.get_or_create(&reader).set(1);
        metrics.lost_records.get_or_create(&TopicLabel { stream: "payments".to_owned(), topic: "events" }).inc();
        metrics.latency.get_or_create(&stream).observe(0.003);
        metrics.batch_time.get_or_create(&stream).observe(0.0001);
        metrics.checkpoint_time.observe(100.0);
        let route = RouteLabel { method: "GET".to_owned(), route: "/v1/{a}/\"b\"".to_owned(), status: 200 };
        metrics.requests.get_or_create(&route).inc_by(2);
        metrics
    }

    #[test]
    fn our_metrics_become_points() {
        let tags = [("host".to_owned(), "h1".to_owned())];
        let points = points(&used().encode(), &tags, 5);
        assert!(points.iter().all(|point| point.time_ns == 5));
        let value = |name, labels: &[(&str, &str)]| fields(&points, name, labels)["value"];
        assert_eq!(value("assay_events_ingested_total", &[("host", "h1"), ("stream", "payments")]), 7.0);
        assert_eq!(value("assay_events_lag", &[("host", "h1"), ("stream", "payments"), ("partition", "3")]), -1.0);
        assert_eq!(value("assay_catalog_version", &[("host", "h1")]), 0.0);
        let lost = [("host", "h1"), ("stream", "payments"), ("topic", "events")];
        assert_eq!(value("assay_log_lost_records_total", &lost), 1.0);
        let latency = fields(&points, "assay_verdict_latency_seconds", &[("host", "h1"), ("stream", "payments")]);
        assert_eq!((latency["count"], latency["sum"]), (1.0, 0.003));
        assert_eq!((latency["le_0.0016"], latency["le_0.0032"], latency["le_+Inf"]), (0.0, 1.0, 1.0));
        // Twenty buckets, the last one without a bound, and count and sum.
        assert_eq!(latency.len(), 20 + 1 + 2, "{latency:?}");
        let checkpoints = fields(&points, "assay_checkpoint_time_seconds", &[("host", "h1")]);
        assert_eq!((checkpoints["le_52.4288"], checkpoints["le_+Inf"], checkpoints["sum"]), (0.0, 1.0, 100.0));
    }

    /// Tags are indexed: a metric with a key or an id in its labels would fill the index.
    #[test]
    fn every_metric_is_ours_and_has_few_series() {
        let text = used().encode();
        let points = points(&text, &[], 0);
        let families = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
        let measurements: BTreeSet<&str> = points.iter().map(|point| &*point.measurement).collect();
        assert_eq!(measurements.len(), families, "every metric was used, and each is one measurement");
        assert!(measurements.iter().all(|name| name.starts_with("assay_")), "{measurements:?}");
        assert!(!measurements.contains("assay_position"), "the name is taken");
        let keys: BTreeSet<&str> = points.iter().flat_map(|point| &point.tags).map(|(key, _)| &**key).collect();
        let few = ["method", "partition", "reader", "route", "sink", "status", "stream", "topic"];
        assert_eq!(keys.into_iter().collect::<Vec<_>>(), few);
    }

    #[test]
    fn labels_may_hold_anything() {
        let text = "m{a=\"x,y=\\\"}\\\\\\n\",le=\"1\"} 1.5 1700000000 # {t=\"u\"} 9\nm 2\n# HELP m what\n\nm{a=\"open 3\nm x\n";
        let points = points(text, &[], 0);
        let read: Vec<_> = points.iter().map(|point| (point.tags.clone(), point.fields.clone())).collect();
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let value = |value| vec![("value".to_owned(), FieldValue::Float(value))];
        assert_eq!(read, [(vec![label("a", "x,y=\"}\\\n"), label("le", "1")], value(1.5)), (Vec::new(), value(2.0)),]);
    }
}
