//! What a server says of itself: its metrics, and the partitions that it has.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Server;

/// Between two looks: a look costs the server less than a thousandth of that.
const LOOK: Duration = Duration::from_millis(10);

/// The sum of the metrics whose lines begin so; none: there is no such line yet.
pub(crate) fn metric(server: &Server, begin: &str) -> Option<f64> {
    let (status, text) = server.send("GET", "/metrics", None).unwrap();
    assert_eq!(status, 200, "{text}");
    let values = text.lines().filter(|line| line.starts_with(begin));
    let values: Vec<f64> = values.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    if values.is_empty() { None } else { Some(values.iter().sum()) }
}

/// How many events a server has judged.
pub(crate) fn scored(server: &Server) -> u64 {
    metric(server, "assay_events_scored_total{").unwrap_or(0.0) as u64
}

/// The partitions that a server has.
pub(crate) fn partitions(server: &Server) -> Vec<u32> {
    let (_, answer) = server.get("/readyz");
    let names = answer["parts"].as_array().into_iter().flatten().filter_map(|part| part["name"].as_str());
    names.filter_map(|name| name.strip_prefix("partition ")?.rsplit('/').next()?.parse().ok()).collect()
}

/// Whether nothing waits any more on a server: neither events nor what stores have yet to get.
pub(crate) fn is_settled(server: &Server) -> bool {
    let (status, answer) = server.get("/readyz");
    let settled = |part: &Value| part["ok"] == true && part["lag"] == 0;
    status == 200 && answer["parts"].as_array().is_some_and(|parts| parts.iter().all(settled))
}

/// Looks again and again until something is so. Whether it was in time.
pub(crate) fn wait_until(at_most: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + at_most;
    while !is_so() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}
