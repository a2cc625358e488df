//! A bucket of its own for each test, and reading what is in it by Flux.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use assay_engine::ports::series::FieldValue;
use assay_stores::influxdb::{Config, InfluxDb};
use serde_json::{Value, json};

use crate::contract::series::Stored;

/// A bucket, deleted at the end.
pub(crate) struct Bucket {
    pub(crate) url: String,
    token: String,
    id: String,
    name: String,
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test --servers`"))
}

impl Bucket {
    /// A bucket that keeps everything.
    pub(crate) fn create() -> Self {
        Self::keeping(Duration::ZERO)
    }

    /// A bucket that keeps points for some time.
    pub(crate) fn keeping(retention: Duration) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let name = format!("test-{}-{now}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let (url, token) = (env("ASSAY_TEST_INFLUXDB"), env("ASSAY_TEST_INFLUXDB_TOKEN"));
        let mut bucket = Self { url, token, id: String::new(), name };
        let orgs: Value = serde_json::from_str(&bucket.request("GET", "/api/v2/orgs?org=assay", "")).unwrap();
        let rule = json!({ "type": "expire", "everySeconds": retention.as_secs() });
        let rules: Vec<Value> = (!retention.is_zero()).then_some(rule).into_iter().collect();
        let wanted = json!({ "orgID": orgs["orgs"][0]["id"], "name": bucket.name, "retentionRules": rules });
        let made: Value =
            serde_json::from_str(&bucket.request("POST", "/api/v2/buckets", &wanted.to_string())).unwrap();
        bucket.id = made["id"].as_str().unwrap().to_owned();
        bucket
    }

    /// The adapter's configuration for this bucket.
    pub(crate) fn config(&self) -> Config {
        Config::new(&self.url, "assay", &self.name, &self.token)
    }

    /// The adapter on this bucket.
    pub(crate) fn open(&self) -> InfluxDb {
        self.open_at(&self.url)
    }

    /// The adapter on this bucket, through a proxy.
    pub(crate) fn open_at(&self, url: &str) -> InfluxDb {
        InfluxDb::open(&Config { url: url.to_owned(), ..self.config() }).unwrap()
    }

    /// All points of a measurement, by time.
    pub(crate) fn read(&self, measurement: &str) -> Vec<Stored> {
        let query = format!(
            "from(bucket: \"{}\") |> range(start: 1700-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z) \
             |> filter(fn: (r) => r._measurement == \"{measurement}\") \
             |> drop(columns: [\"_start\", \"_stop\", \"_measurement\"]) |> map(fn: (r) => ({{r with _time: int(v: r._time)}}))",
            self.name
        );
        let mut points: BTreeMap<(i64, BTreeMap<String, String>), BTreeMap<String, FieldValue>> = BTreeMap::new();
        let (mut types, mut names) = (Vec::new(), Vec::new());
        for row in csv(&self.flux(&query)) {
            if row[0] == "#datatype" {
                (types, names) = (row, Vec::new());
                continue;
            }
            if names.is_empty() {
                names = row;
                continue;
            }
            let column = |name: &str| names.iter().position(|have| have == name).unwrap();
            let text = row[column("_value")].clone();
            let value = match types[column("_value")].as_str() {
                "double" => FieldValue::Float(text.parse().unwrap()),
                "long" => FieldValue::Int(text.parse().unwrap()),
                "boolean" => FieldValue::Bool(text == "true"),
                // The server writes every line's end as CSV does.
                "string" => FieldValue::Text(text.replace("\r\n", "\n")),
                other => panic!("{other}"),
            };
            let tags = names.iter().zip(&row).filter(|(name, value)| {
                !matches!(&***name, "" | "result" | "table" | "_time" | "_value" | "_field") && !value.is_empty()
            });
            let tags = tags.map(|(name, value)| (name.clone(), value.clone())).collect();
            let point = points.entry((row[column("_time")].parse().unwrap(), tags)).or_default();
            point.insert(row[column("_field")].clone(), value);
        }
        points.into_iter().map(|((time_ns, tags), fields)| Stored { time_ns, tags, fields }).collect()
    }

    /// How many values of the field `score` a measurement has.
    pub(crate) fn count(&self, measurement: &str) -> u64 {
        let query = format!(
            "from(bucket: \"{}\") |> range(start: 0) |> filter(fn: (r) => r._measurement == \"{measurement}\" and \
             r._field == \"score\") |> group() |> count() |> keep(columns: [\"_value\"])",
            self.name
        );
        csv(&self.flux(&query)).last().unwrap().last().unwrap().parse().unwrap()
    }

    fn flux(&self, query: &str) -> String {
        let body = json!({ "query": query, "dialect": { "annotations": ["datatype"] } });
        self.request("POST", "/api/v2/query?org=assay", &body.to_string())
    }

    fn request(&self, method: &str, path: &str, body: &str) -> String {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Token {}", self.token))
            .header("content-type", "application/json")
            .body(body.to_owned())
            .unwrap();
        let request = agent.configure_request(request).allow_non_standard_methods(true).build();
        let mut answer = agent.run(request).unwrap();
        let text = answer.body_mut().with_config().limit(1 << 30).read_to_string().unwrap();
        assert!(answer.status().is_success(), "{path}: {text}");
        text
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.request("DELETE", &format!("/api/v2/buckets/{}", self.id), "");
        }
    }
}

/// Rows of CSV (RFC 4180), without empty ones.
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell).trim_end_matches('\r').to_owned());
                rows.push(std::mem::take(&mut row));
            }
            char => cell.push(char),
        }
    }
    rows.retain(|row: &Vec<String>| row.len() > 1);
    rows
}
