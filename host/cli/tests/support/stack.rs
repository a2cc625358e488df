//! A stack of one test alone on the servers that tests share: names of its own for everything in them.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Server, pack};
use crate::ties;

/// The secret of the key `admin` on all servers.
pub(crate) const KEY: &str = "assay_the-key-of-the-test-of-the-distributed-stack";

/// Names of one test alone on servers that tests share.
pub(crate) struct Names {
    pub(crate) name: String,
    pub(crate) stream: String,
    /// Variables of the environment of all its servers.
    pub(crate) settings: Vec<(String, String)>,
}

impl Names {
    /// Names that no other test has, from the first part of them on.
    pub(crate) fn new(test: &str, folder: &Path) -> Self {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let name = format!("{test}_{millis}");
        let [kafka, mongodb, cassandra, dgraph, influxdb, token] =
            ["KAFKA", "MONGODB", "CASSANDRA", "DGRAPH", "INFLUXDB", "INFLUXDB_TOKEN"]
                .map(|server| std::env::var(format!("ASSAY_TEST_{server}")).expect("run: cargo xtask test --servers"));
        make_bucket(&influxdb, &token, &name);
        let file = folder.join("influxdb.token");
        std::fs::write(&file, &token).unwrap();
        let settings = [
            ("ADMIN_KEY", KEY),
            ("STORES__MODE", "distributed"),
            ("KAFKA__BROKERS", &kafka),
            ("KAFKA__GROUP", &name),
            ("KAFKA__PARTITIONER", "xxh3"),
            ("KAFKA__SESSION_TIMEOUT", "6s"),
            ("MONGODB__URI", &mongodb),
            ("MONGODB__DATABASE", &name),
            ("SCYLLADB__NODES", &cassandra),
            ("SCYLLADB__KEYSPACE", &name),
            ("INFLUXDB__URL", &influxdb),
            ("INFLUXDB__BUCKET", &name),
            ("INFLUXDB__TOKEN_FILE", file.to_str().unwrap()),
            ("DGRAPH__URL", &dgraph),
            ("DGRAPH__NAMESPACE", &name),
            // Deadlines are CPU time: on a busy machine an event could miss one here, and not there.
            ("PLUGINS__TIME_PER_EVENT", "1s"),
        ];
        let settings = settings.map(|(name, value)| (format!("ASSAY_{name}"), value.to_owned())).into();
        Self { stream: format!("payments_{name}"), name, settings }
    }

    /// Starts a server, with a data folder of its own.
    pub(crate) fn start(&self, data: PathBuf) -> Server {
        let settings: Vec<(&str, &str)> = self.settings.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        Server::start(&data, Some(KEY), &settings)
    }

    /// The payments pack on a stream of this test.
    pub(crate) fn pack(&self, folder: &Path) -> PathBuf {
        let dir = folder.join("pack");
        ties::add_to(&pack("payments"), &dir, &self.stream);
        let stream = dir.join("streams/payments.yaml");
        let text = std::fs::read_to_string(&stream).unwrap();
        std::fs::write(stream, format!("{text}\npartitions: 8\n")).unwrap();
        dir
    }
}

/// InfluxDB has no buckets by itself.
fn make_bucket(url: &str, token: &str, name: &str) {
    let authorization = format!("Token {token}");
    let found = ureq::get(format!("{url}/api/v2/orgs?org=assay")).header("authorization", &authorization).call();
    let organisations: Value = serde_json::from_str(&found.unwrap().body_mut().read_to_string().unwrap()).unwrap();
    let bucket = json!({ "orgID": organisations["orgs"][0]["id"], "name": name, "retentionRules": [] });
    let request = ureq::post(format!("{url}/api/v2/buckets")).header("authorization", &authorization);
    request.header("content-type", "application/json").send(bucket.to_string()).unwrap();
}
