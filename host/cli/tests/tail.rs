//! `assay tail` on a real server: every verdict once, through a restart of the server, until nobody reads any more.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod support;

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use support::{Server, assay};

const STREAM: &str = "stream: s
key: k
time: t
id: id
schema:
  type: record
  name: S
  fields:
    - { name: id, type: string }
    - { name: k, type: string }
    - { name: n, type: double }
    - { name: t, type: { type: long, logicalType: timestamp-millis } }
";

fn define(server: &Server, folder: &Path) {
    for (file, text) in
        [("streams/s.yaml", STREAM), ("rules/r.yaml", "rule: r\nstream: s\nscore: n\ntags: { big: n > 5.0 }\n")]
    {
        let file = folder.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    server.command(&[&"apply", &folder]);
}

fn send(server: &Server, ids: std::ops::Range<u32>) {
    let events: Vec<Value> =
        ids.map(|i| json!({"id": format!("e{i}"), "k": format!("k{}", i % 5), "n": i, "t": i})).collect();
    let body = json!(events).to_string();
    let path = "/v1/streams/s/events?wait=verdicts";
    let (status, answer) = server.send("POST", path, Some(("application/json", body.as_bytes()))).unwrap();
    assert_eq!(status, 200, "{answer}");
}

/// A running `assay tail`. Killed when it is dropped.
struct Tail {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Tail {
    fn start(url: &str, key: &str, arguments: &[&str]) -> Self {
        let mut command = assay();
        command.arg("tail").args(arguments).env("ASSAY_URL", url).env("ASSAY_KEY", key);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn ids(&mut self, count: usize) -> Vec<String> {
        let line = |line: std::io::Result<String>| serde_json::from_str::<Value>(&line.unwrap()).unwrap();
        self.lines.by_ref().take(count).map(line).map(|said| said["id"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends one event after the other until the tail shows one: it is connected then.
fn connect(server: &Server, tail: &mut Tail) {
    std::thread::scope(|scope| {
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            let mut next = 1_000_000;
            while is_done.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                send(server, next..next + 1);
                next += 1;
            }
            send(server, 2_000_000..2_000_001);
        });
        tail.ids(1);
        drop(done);
    });
    while tail.ids(1) != ["e2000000"] {}
}

#[test]
fn verdicts_are_shown_once_each_through_a_restart_of_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    // A fixed port, so that the tail finds the server again.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let server = Server::start_at(&data, None, &listen);
    define(&server, &dir.path().join("pack"));
    let mut tail = Tail::start(&server.url, &server.key, &["--rule", "r", "--output", "json"]);
    connect(&server, &mut tail);
    send(&server, 0..50);
    let mut seen = tail.ids(50);
    let key = server.key.clone();
    assert!(server.stop().success());
    let server = Server::start_at(&data, Some(&key), &listen);
    send(&server, 50..100);
    seen.extend(tail.ids(50));
    seen.sort();
    let mut expected: Vec<String> = (0..100).map(|i| format!("e{i}")).collect();
    expected.sort();
    assert_eq!(seen, expected);

    let mut readable = Tail::start(&server.url, &server.key, &["--tag", "big", "--min", "3000000"]);
    let line = std::thread::scope(|scope| {
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            while is_done.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                send(&server, 3_000_000..3_000_001);
            }
        });
        let line = readable.lines.next().unwrap().unwrap();
        drop(done);
        line
    });
    assert_eq!(
        line,
        "1970-01-01T00:50:00.000Z  k0               r                    3000000.0000  [big]  by s/e3000000"
    );
    let interrupted = Command::new("kill").args(["-INT", &readable.child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(readable.child.wait().unwrap().code(), Some(0), "Ctrl-C is a good end");
}

#[test]
fn a_tail_ends_with_its_reader_and_reports_invalid_filters() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), None, &[]);
    define(&server, &dir.path().join("pack"));
    let mut tail = Tail::start(&server.url, &server.key, &["--output", "json"]);
    connect(&server, &mut tail);
    let Tail { child, lines } = &mut tail;
    // The pipe is closed by whoever reads no more.
    let closed = std::mem::replace(lines, BufReader::new(unread()).lines());
    drop(closed);
    send(&server, 0..10);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let output =
        assay().args(["tail", "--rule", "none"]).env("ASSAY_URL", &server.url).env("ASSAY_KEY", &server.key).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no rule 'none'"));
}

/// Some output that is there already.
fn unread() -> ChildStdout {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    child.wait().unwrap();
    out
}
