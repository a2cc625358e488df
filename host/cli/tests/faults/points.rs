//! The points in InfluxDB are those that the archive's events and verdicts make: none is missing, changed or doubled.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::changes::RULES;
use crate::servers::Servers;
use crate::truth::{Place, Truth, verdicts};

/// A point's tags and nanosecond.
type Point = (String, i64);
/// Values of a field as InfluxDB prints them, by point.
type Values = BTreeMap<Point, String>;

/// Compares all fields of all points.
pub(crate) fn compare(servers: &Servers, truth: &Truth) {
    let mut scores = 0;
    for rule in RULES {
        for field in ["score", "tags", "key", "event", "revision"] {
            let filter = format!("r._measurement == \"score\" and r.rule == \"{rule}\" and r._field == \"{field}\"");
            let expected = of_verdicts(truth, rule, field);
            same(&read(servers, &filter, &["partition", "mode", "stream"]), &expected, &format!("{field} of {rule}"));
            scores += if field == "score" { expected.len() } else { 0 };
        }
    }
    for field in ["amount", "merchant"] {
        let filter = format!("r._measurement == \"payments\" and r._field == \"{field}\"");
        let found = read(servers, &filter, &["partition", "category", "channel"]);
        same(&found, &of_events(truth, field), &format!("{field} of payments"));
    }
    println!("{} points of payments, {scores} of scores, none doubled", truth.events.len());
}

fn same(found: &Values, expected: &Values, what: &str) {
    assert!(!expected.is_empty(), "{what}: no points are expected, which tests nothing");
    for (point, value) in expected {
        assert_eq!(found.get(point), Some(value), "{what} at {point:?}");
    }
    assert_eq!(found.len(), expected.len(), "{what}: there are points of nothing");
}

/// What the points of a rule's verdicts should say.
fn of_verdicts(truth: &Truth, rule: &str, field: &str) -> Values {
    let mut values = Values::new();
    for (place, outcome) in &truth.outcomes {
        let Some(verdict) = verdicts(outcome).iter().find(|verdict| verdict["rule"] == rule) else { continue };
        let tags: Vec<&str> = verdict["tags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        if verdict["score"].is_null() && tags.is_empty() {
            continue;
        }
        let value = match field {
            "tags" if tags.is_empty() => continue,
            "tags" => tags.join(","),
            "score" => match verdict["score"].as_f64() {
                Some(score) => printed(score),
                None => continue,
            },
            "revision" => verdict["revision"].to_string(),
            "event" => outcome["id"].as_str().unwrap().to_owned(),
            _ => outcome["key"].as_str().unwrap().to_owned(),
        };
        let time = outcome["time"].as_i64().unwrap();
        values.insert((format!("{},active,payments", place.0), nanosecond(time, *place)), value);
    }
    values
}

/// What the points of events should say.
fn of_events(truth: &Truth, field: &str) -> Values {
    let point = |(place, event): (&Place, &Value)| {
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        let value = event[field].as_f64().map_or_else(|| text(field), printed);
        let tags = format!("{},{},{}", place.0, text("category"), text("channel"));
        ((tags, nanosecond(event["time"].as_i64().unwrap(), *place)), value)
    };
    truth.events.iter().map(point).collect()
}

/// The time of an event's point: its offset keeps events of the same millisecond apart.
fn nanosecond(ms: i64, place: Place) -> i64 {
    ms * 1_000_000 + (place.1 % 1_000_000) as i64
}

/// A number so that equal ones look equal, whoever printed them.
fn printed(value: f64) -> String {
    format!("{value:e}")
}

/// The values of one field of all points that pass a filter.
fn read(servers: &Servers, filter: &str, tags: &[&str]) -> Values {
    let query = format!(
        "from(bucket: \"assay\") |> range(start: 2000-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z) \
         |> filter(fn: (r) => {filter}) |> map(fn: (r) => ({{r with ns: int(v: r._time)}})) \
         |> group() |> keep(columns: [\"ns\", \"_value\", {}])",
        tags.iter().map(|tag| format!("\"{tag}\"")).collect::<Vec<_>>().join(", ")
    );
    let token = format!("Token {}", servers.variable("ASSAY_TEST_INFLUXDB_TOKEN"));
    let url = format!("{}/api/v2/query?org=assay", servers.variable("ASSAY_TEST_INFLUXDB"));
    let request = ureq::post(url).header("authorization", token).header("content-type", "application/vnd.flux");
    let text = request.send(query.as_str()).unwrap().body_mut().with_config().limit(1 << 30).read_to_string().unwrap();
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(cells);
    let Some(names) = lines.next() else { return Values::new() };
    let column = |name: &str| names.iter().position(|have| have == name).expect("the query keeps this column");
    let (ns, value) = (column("ns"), column("_value"));
    let tags: Vec<usize> = tags.iter().map(|tag| column(tag)).collect();
    let mut values = Values::new();
    for row in lines {
        let tags: Vec<&str> = tags.iter().map(|tag| row[*tag].as_str()).collect();
        let number = row[value].parse().map(printed);
        let is_number = filter.contains("\"score\"") && filter.ends_with("\"score\"") || filter.ends_with("\"amount\"");
        let said = if is_number { number.unwrap() } else { row[value].clone() };
        let before = values.insert((tags.join(","), row[ns].parse().unwrap()), said);
        assert!(before.is_none(), "two points at {row:?}");
    }
    values
}

/// The cells of a line of CSV.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for char in line.trim_end_matches('\r').chars() {
        match char {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            char => cells.last_mut().unwrap().push(char),
        }
    }
    cells
}
