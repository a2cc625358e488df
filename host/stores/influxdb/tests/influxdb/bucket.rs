//! A bucket of its own for each test, made, read and deleted by the client of the crate `influxdb2`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use assay_engine::ports::series::FieldValue;
use assay_influxdb::{Config, InfluxDb};
use influxdb2::api::buckets::ListBucketsRequest;
use influxdb2::api::organization::ListOrganizationRequest;
use influxdb2::api::query::FluxRecord;
use influxdb2::models::retention_rule::{RetentionRule, Type};
use influxdb2::models::{PostBucketRequest, Query};
use influxdb2::{Client, RequestError};
use influxdb2_structmap::value::Value;
use tokio::runtime::{Builder, Runtime};

use crate::contract::series::StoredPoint;

/// A bucket, deleted at the end.
pub(crate) struct Bucket {
    pub(crate) url: String,
    token: String,
    id: String,
    name: String,
    client: Client,
    runtime: Runtime,
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
        let client = Client::new(&url, "assay", &token);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let mut bucket = Self { url, token, id: String::new(), name, client, runtime };
        let asked = ListOrganizationRequest { org: Some("assay".to_owned()), ..ListOrganizationRequest::new() };
        let orgs = bucket.wait(bucket.client.list_organizations(asked)).orgs;
        let rule = RetentionRule::new(Type::Expire, i32::try_from(retention.as_secs()).unwrap());
        let wanted = PostBucketRequest {
            retention_rules: (!retention.is_zero()).then_some(rule).into_iter().collect(),
            ..PostBucketRequest::new(orgs[0].id.clone().unwrap(), bucket.name.clone())
        };
        bucket.wait(bucket.client.create_bucket(Some(wanted)));
        // The client does not tell the id of a bucket that it made.
        let asked = ListBucketsRequest { name: Some(bucket.name.clone()), ..ListBucketsRequest::default() };
        let made = bucket.wait(bucket.client.list_buckets(Some(asked))).buckets;
        bucket.id = made[0].id.clone().unwrap();
        bucket
    }

    fn wait<T>(&self, answer: impl Future<Output = Result<T, RequestError>>) -> T {
        self.runtime.block_on(answer).unwrap()
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
    pub(crate) fn read(&self, measurement: &str) -> Vec<StoredPoint> {
        let query = format!(
            "from(bucket: \"{}\") |> range(start: 1700-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z) \
             |> filter(fn: (r) => r._measurement == \"{measurement}\") \
             |> drop(columns: [\"_start\", \"_stop\", \"_measurement\"]) |> map(fn: (r) => ({{r with _time: int(v: r._time)}}))",
            self.name
        );
        let mut points: BTreeMap<(i64, BTreeMap<String, String>), BTreeMap<String, FieldValue>> = BTreeMap::new();
        for FluxRecord { mut values, .. } in self.query(query) {
            let time_ns = values.remove("_time").unwrap().i64().unwrap();
            let field = values.remove("_field").unwrap().string().unwrap();
            let value = match values.remove("_value").unwrap() {
                Value::Double(value) => FieldValue::Float(value.into_inner()),
                Value::Long(value) => FieldValue::Int(value),
                Value::Bool(value) => FieldValue::Bool(value),
                // The server writes every line's end as CSV does.
                Value::String(value) => FieldValue::Text(value.replace("\r\n", "\n")),
                other => panic!("{other:?}"),
            };
            values.retain(|name, _| !matches!(&**name, "" | "result" | "table"));
            let tags = values.into_iter().map(|(name, value)| (name, value.string().unwrap()));
            let tags = tags.filter(|(_, value)| !value.is_empty()).collect();
            points.entry((time_ns, tags)).or_default().insert(field, value);
        }
        points.into_iter().map(|((time_ns, tags), fields)| StoredPoint { time_ns, tags, fields }).collect()
    }

    /// How many values of the field `score` a measurement has.
    pub(crate) fn count(&self, measurement: &str) -> u64 {
        let query = format!(
            "from(bucket: \"{}\") |> range(start: 0) |> filter(fn: (r) => r._measurement == \"{measurement}\" and \
             r._field == \"score\") |> group() |> count() |> keep(columns: [\"_value\"])",
            self.name
        );
        self.query(query).last().unwrap().values["_value"].i64().unwrap().try_into().unwrap()
    }

    fn query(&self, flux: String) -> Vec<FluxRecord> {
        self.wait(self.client.query_raw(Some(Query::new(flux))))
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.wait(self.client.delete_bucket(&self.id));
        }
    }
}
