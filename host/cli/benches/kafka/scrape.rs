//! Reads the metrics of a server, and its partitions.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Server;

/// The interval of polls. A poll costs the server less than a thousandth of it.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The sum of the metrics whose lines prefix with a prefix; none if there is no such line yet.
pub(crate) fn metric(server: &Server, prefix: &str) -> Option<f64> {
    let (status, text) = server.send("GET", "/metrics", None).unwrap();
    assert_eq!(status, 200, "{text}");
    let values = text.lines().filter(|line| line.starts_with(prefix));
    let values: Vec<f64> = values.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    if values.is_empty() { None } else { Some(values.iter().sum()) }
}

/// The number of events that a server has scored.
pub(crate) fn scored(server: &Server) -> u64 {
    metric(server, "assay_events_scored_total{").unwrap_or(0.0) as u64
}

/// The partitions that a server owns.
pub(crate) fn partitions(server: &Server) -> Vec<u32> {
    let (_, answer) = server.get("/readyz");
    let names = answer["parts"].as_array().into_iter().flatten().filter_map(|part| part["name"].as_str());
    names.filter_map(|name| name.strip_prefix("partition ")?.rsplit('/').next()?.parse().ok()).collect()
}

/// Whether neither scoring nor sinks of a server have a lag.
pub(crate) fn is_settled(server: &Server) -> bool {
    let (status, answer) = server.get("/readyz");
    let settled = |part: &Value| part["ok"] == true && part["lag"] == 0;
    status == 200 && answer["parts"].as_array().is_some_and(|parts| parts.iter().all(settled))
}

/// Polls until a condition is true. Returns false after the timeout.
pub(crate) fn wait_until(timeout: Duration, mut is_true: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    while !is_true() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    true
}
