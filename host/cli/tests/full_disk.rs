//! A server whose disk takes no more: it says so, reads go on, and when there is space again it goes on by itself. What was
//! acked is there, once.
//!
//! The full disk is a limit on the size of files that is set from outside, so that any machine can run this.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod support;

use std::collections::BTreeMap;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use support::Server;

/// Below the place at which the journal is written, above the size of the log.
const FULL: u64 = 1 << 20;
const EVENTS: &str = "/v1/streams/notes/events";

fn limit_files(server: &Server, bytes: Option<u64>) {
    let pid = Pid::from_raw(server.pid().cast_signed()).unwrap();
    // Only the limit that may be raised again.
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

fn define(server: &Server) {
    let stream = json!({
        "stream": "notes", "key": "who", "time": "at", "id": "id", "partitions": 2,
        "schema": { "type": "record", "name": "note", "fields": [
            { "name": "id", "type": "string" },
            { "name": "who", "type": "string" },
            { "name": "text", "type": "string" },
            { "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        ] },
    });
    let (status, text) =
        server.send("PUT", "/v1/streams/notes", Some(("application/json", stream.to_string().as_bytes()))).unwrap();
    assert!(status < 300, "{status} {text}");
}

/// Sends notes of one batch, whose ids begin with its name. Returns the status and the answer.
fn send(server: &Server, batch: &str, count: usize) -> (u16, String) {
    let mut body = String::new();
    for number in 0..count {
        let text = "x".repeat(1000);
        let note = json!({ "id": format!("{batch}-{number}"), "who": format!("w{}", number % 9), "text": text,
            "at": 1_700_000_000_000_i64 + number as i64 });
        body += &format!("{note}\n");
    }
    server.send("POST", EVENTS, Some(("application/x-ndjson", body.as_bytes()))).unwrap()
}

fn has_log_part(answer: &Value) -> bool {
    let parts = answer["parts"].as_array().into_iter().flatten();
    parts.into_iter().any(|part| part["name"] == "log" && part["ok"] == false)
}

/// Waits until the last events of a batch are found by their ids: those of both partitions are among them.
fn until_findable(server: &Server, batch: &str, count: usize) {
    for number in count - 20..count {
        server.until(&format!("/v1/events/notes/{batch}-{number}"), |status, _| status == 200);
    }
}

/// How often each id of some batches is found.
fn found(server: &Server, batches: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (batch, count) in batches {
        for number in [0, count / 2, count - 1] {
            let (status, answer) = server.get(&format!("/v1/events/notes/{batch}-{number}"));
            let count = if status == 404 { 0 } else { answer["events"].as_array().map_or(0, Vec::len) };
            found.insert(format!("{batch}-{number}"), count);
        }
    }
    found
}

#[test]
fn the_server_recovers_by_itself_when_there_is_space_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data, None, &[]);
    let pid = server.pid();
    define(&server);
    let (status, text) = send(&server, "before", 5000);
    assert_eq!(status, 202, "{text}");
    server.until("/readyz", |status, _| status == 200);
    until_findable(&server, "before", 5000);

    let mut acked = vec![("before", 5000)];
    for round in ["first", "second"] {
        limit_files(&server, Some(FULL));
        let (status, text) = send(&server, &format!("{round}-lost"), 50);
        assert_eq!(status, 503, "{text}");
        // Another thread's write may have been the first to fail.
        let is_unknown = text.contains("Outcome unknown");
        let (status, text) = send(&server, &format!("{round}-refused"), 50);
        assert_eq!(status, 503, "{text}");
        assert!(!text.contains("Outcome unknown") && text.contains("nothing is written"), "{text}");
        let answer = server.until("/readyz", |status, answer| status == 503 && has_log_part(answer));
        assert_eq!(answer["ready"], false);
        assert!(server.log_tail().contains("nothing is written from now on"), "{}", server.log_tail());
        assert_eq!(server.get("/v1/events/notes/before-7").0, 200, "reads go on");

        limit_files(&server, None);
        // The server's answer may fail while it opens the folder anew: connections end.
        let deadline = std::time::Instant::now() + support::WAIT_TIMEOUT;
        while !server.send("GET", "/readyz", None).is_ok_and(|(status, _)| status == 200) {
            assert!(std::time::Instant::now() < deadline, "{}", server.log_tail());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let after = if round == "first" { "after-first" } else { "after-second" };
        let (status, text) = send(&server, after, 50);
        assert_eq!(status, 202, "{text}");
        acked.push((after, 50));
        // The archive takes a partition's events in their order: what came before is findable, too.
        until_findable(&server, after, 50);
        assert!(found(&server, &acked).values().all(|count| *count == 1), "{:?}", found(&server, &acked));
        let lost = found(&server, &[(&format!("{round}-lost"), 50)]);
        let stored: Vec<usize> = lost.values().copied().collect();
        assert!(stored == [0, 0, 0] || (is_unknown && stored == [1, 1, 1]), "{lost:?}");
        assert!(found(&server, &[(&format!("{round}-refused"), 50)]).values().all(|count| *count == 0));
    }
    assert_eq!((server.ended(), server.pid()), (None, pid), "the process is the same");
    assert!(server.stop().success());
    let checked = support::assay().arg("check").arg(&data).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
