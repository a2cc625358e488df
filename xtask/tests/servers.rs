//! `cargo xtask servers` as the tests of faults use it: servers end and come back, on the same address, with their data.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Servers of this test alone: those of the checkout stay as they are.
struct Servers {
    target: PathBuf,
}

impl Servers {
    fn xtask(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let output = command.arg("servers").args(args).env("CARGO_TARGET_DIR", &self.target).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "servers {args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn variables(&self) -> HashMap<String, String> {
        let text = self.xtask(&["env"]);
        let pair =
            |line: &str| line.strip_prefix("export ")?.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
        text.lines().map(|line| pair(line).expect("a line that a shell can evaluate")).collect()
    }

    fn about_influxdb(&self) -> Value {
        let all: Value = serde_json::from_str(&self.xtask(&["status", "--json"])).unwrap();
        all["servers"]["influxdb"].clone()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.xtask(&["down", "--wipe"]);
        std::fs::remove_dir_all(&self.target).unwrap();
    }
}

fn write_point(url: &str, token: &str) {
    let url = format!("{url}/api/v2/write?org=assay&bucket=assay");
    ureq::post(&url).header("authorization", format!("Token {token}")).send("survivor value=42").unwrap();
}

fn points(url: &str, token: &str) -> String {
    let query = "from(bucket: \"assay\") |> range(start: -1h) |> keep(columns: [\"_measurement\", \"_value\"])";
    let request = ureq::post(format!("{url}/api/v2/query?org=assay")).header("authorization", format!("Token {token}"));
    let mut answer = request.header("content-type", "application/vnd.flux").send(query).unwrap();
    answer.body_mut().read_to_string().unwrap()
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_server_that_was_ended_or_killed_comes_back_with_its_address_and_its_data() {
    let target = std::env::temp_dir().join(format!("assay-servers-{}", std::process::id()));
    let servers = Servers { target };
    servers.xtask(&["up", "influxdb"]);
    let variables = servers.variables();
    let (url, token) = (&variables["ASSAY_TEST_INFLUXDB"], &variables["ASSAY_TEST_INFLUXDB_TOKEN"]);
    assert!(Path::new(&variables["ASSAY_TEST_SERVERS"]).starts_with(&servers.target));
    write_point(url, token);
    let before = servers.about_influxdb();
    assert_eq!(before["state"], "running");

    servers.xtask(&["up", "influxdb"]);
    assert_eq!(servers.about_influxdb()["pids"], before["pids"], "a running server was started again");

    servers.xtask(&["stop", "influxdb"]);
    assert_eq!(servers.about_influxdb()["state"], "stopped");
    assert!(ureq::get(format!("{url}/health")).call().is_err(), "a stopped server answers");
    assert!(!servers.variables().contains_key("ASSAY_TEST_INFLUXDB"), "tests would look for a stopped server");

    servers.xtask(&["start", "influxdb"]);
    servers.xtask(&["restart", "--kill", "influxdb"]);
    let after = servers.about_influxdb();
    assert_eq!((&after["state"], &after["address"]), (&before["state"], &before["address"]));
    assert_ne!(after["pids"], before["pids"]);
    let points = points(url, token);
    assert!(points.contains("42,survivor") || points.contains("survivor,42"), "the point is lost: {points}");
}
