//! The memory of a server under attack stays below the sum that docs/limits.md states, and every setting that the page
//! names is there. On Linux, which tells the peak of a process.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[path = "support/module.rs"]
mod module;
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use module::plugin_with_schema;
use serde_json::{Value, json};
use support::{Server, WAIT_TIMEOUT, assay};

const EVENTS: &str = "/v1/streams/payments/events";
/// Small ones, so that what escapes them shows at once.
const SETTINGS: [(&str, &str); 8] = [
    ("ASSAY_SERVER__MAX_BODY_MIB", "8"),
    ("ASSAY_SERVER__MAX_IN_FLIGHT_MIB", "24"),
    ("ASSAY_SERVER__MAX_ANSWERS_MIB", "8"),
    ("ASSAY_SERVER__MAX_CONNECTIONS", "300"),
    ("ASSAY_SERVER__BODY_TIMEOUT", "20s"),
    ("ASSAY_DATA__CACHE_MIB", "16"),
    ("ASSAY_ENGINE__WORKERS", "2"),
    ("ASSAY_ENGINE__MAX_UNSCORED_EVENTS", "20000"),
];
const MIB: u64 = 1 << 20;

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/limits.md")).unwrap()
}

/// The config that the settings make.
fn config() -> toml::Table {
    let output = assay().args(["serve", "--print-config"]).envs(SETTINGS).output().unwrap();
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

fn number(config: &toml::Table, setting: &str) -> u64 {
    let (section, key) = setting.split_once('.').unwrap();
    let value = config.get(section).and_then(|section| section.get(key));
    value.and_then(toml::Value::as_integer).unwrap_or_else(|| panic!("{setting} is no number")).try_into().unwrap()
}

/// The sum of the page's table of memory, in bytes.
fn stated(config: &toml::Table) -> u64 {
    let page = page();
    let table = page.split("## Memory").nth(1).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.contains("at most |"));
    let sum: u64 = rows
        .map(|row| {
            let bound = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
            let words: Vec<&str> = bound.split_whitespace().collect();
            match words.as_slice() {
                [mib, "MiB"] if row.contains("per thousand") => {
                    mib.parse::<u64>().unwrap() * number(config, "server.max_connections") / 1000
                }
                [mib, "MiB"] => mib.parse().unwrap(),
                [factor, "x", setting] => factor.parse::<u64>().unwrap() * number(config, setting.trim_matches('`')),
                [mib, "MiB", "x", setting] => mib.parse::<u64>().unwrap() * number(config, setting.trim_matches('`')),
                _ => panic!("'{bound}' is no bound"),
            }
        })
        .sum();
    assert!(sum > 100, "the page's table was not found");
    sum * MIB
}

/// The most memory that the process ever had, in bytes.
fn peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn every_setting_that_the_page_names_is_there() {
    let (page, config) = (page(), config());
    let mut named = 0;
    for quoted in page.split('`').skip(1).step_by(2) {
        let Some((section, key)) = quoted.split_once('.') else { continue };
        if config.contains_key(section) {
            assert!(config[section].get(key).is_some(), "docs/limits.md names {quoted}");
            named += 1;
        }
    }
    assert!(named > 20, "only {named}");
}

#[test]
fn attacks_do_not_exceed_the_memory_that_the_page_states() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), None, &SETTINGS);
    let most = stated(&config());
    let mut before = peak(&server);
    let mut check = |attack: &str| {
        let now = peak(&server);
        println!("{attack}: peak {} MiB, from {} MiB; stated {} MiB", now / MIB, before / MIB, most / MIB);
        assert!(now < most, "{attack}: {} MiB, the page states {} MiB", now / MIB, most / MIB);
        assert_eq!(server.ended(), None);
        before = now;
    };
    define(&server, 150);
    announce_bodies(&server);
    check("bodies that are announced and do not come");
    send_long_names(&server);
    check("field names of 7 MiB");
    wait_for_verdicts(&server);
    check("verdicts of many rules on many events");
    upload_config_schemas(&server);
    check("config schemas of two kilobytes that mean a billion checks");
    fall_behind(&server);
    check("events that are not scored");
    let (status, _) = server.get("/v1/streams/payments");
    assert_eq!(status, 200, "the server answers");
}

fn put(server: &Server, path: &str, definition: &Value) {
    let body = definition.to_string();
    let (status, text) = server.send("PUT", path, Some(("application/json", body.as_bytes()))).unwrap();
    assert!(status < 300, "{path}: {text}");
}

/// A stream, and so many rules on it.
fn define(server: &Server, rules: usize) {
    let field = |name: &str, kind: Value| json!({"name": name, "type": kind});
    let time = json!({"type": "long", "logicalType": "timestamp-millis"});
    let fields = [
        field("id", "string".into()),
        field("card", "string".into()),
        field("amount", "double".into()),
        field("time", time),
    ];
    let schema = json!({"type": "record", "name": "Payment", "fields": fields});
    for stream in ["payments", "stuck"] {
        put(
            server,
            &format!("/v1/streams/{stream}"),
            &json!({"stream": stream, "key": "card", "time": "time", "id": "id", "schema": schema}),
        );
    }
    let rule = |at: usize| {
        let definition = json!({"rule": format!("r{at}"), "stream": "payments", "score": format!("amount / {at}.5")});
        json!({"kind": "rule", "name": format!("r{at}"), "definition": definition})
    };
    let changes = json!({"changes": (1..=rules).map(rule).collect::<Vec<_>>()}).to_string();
    let (status, text) = server.send("POST", "/v1/changes", Some(("application/json", changes.as_bytes()))).unwrap();
    assert_eq!(status, 200, "{text}");
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
    stream
}

fn head(server: &Server, query: &str, length: usize) -> String {
    let key = &server.key;
    format!(
        "POST {EVENTS}{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

/// Two hundred requests announce a largest body each, and send a little of it.
fn announce_bodies(server: &Server) {
    let open: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = connect(server);
            stream.write_all(head(server, "", 8 << 20).as_bytes()).unwrap();
            stream.write_all(&[b'['; 4096]).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.get("/healthz").0, 200);
    drop(open);
}

/// Names of fields that are nearly as long as a body may be, some at once.
fn send_long_names(server: &Server) {
    let body = format!("{{\"{}\": 1}}", "n".repeat(7 << 20));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let (status, text) = server.send("POST", EVENTS, Some(("application/json", body.as_bytes()))).unwrap();
                assert!([422, 503].contains(&status), "{status}");
                assert!(text.len() < 64 << 10, "{} bytes", text.len());
            });
        }
    });
}

/// Many events of which many rules say something: an answer of more than a hundred MiB that is read, and three that are
/// not.
fn wait_for_verdicts(server: &Server) {
    let event =
        |at: usize| json!({"id": format!("p{at}"), "card": format!("c{}", at % 500), "amount": 12.5, "time": 1000});
    let body = json!((0..8000).map(event).collect::<Vec<_>>()).to_string();
    let ask = || {
        let mut stream = connect(server);
        stream.write_all(head(server, "?wait=verdicts&timeout=60s", body.len()).as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200", "{}", String::from_utf8_lossy(&status));
        stream
    };
    let mut stream = ask();
    let (mut bytes, mut total, mut end) = (vec![0; 1 << 16], 0, Vec::new());
    while !end.ends_with(b"0\r\n\r\n") {
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "the answer was cut after {total} bytes");
        total += read;
        end.extend_from_slice(&bytes[read.saturating_sub(5)..read]);
        end.drain(..end.len().saturating_sub(5));
    }
    assert!(total > 100 << 20, "an answer of {total} bytes attacks nothing");
    drop(stream);
    // The first holds what answers may take; the others wait for it, and nobody reads any of them.
    let first = ask();
    let others: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = connect(server);
            stream.write_all(head(server, "?wait=verdicts&timeout=60s", body.len()).as_bytes()).unwrap();
            stream.write_all(body.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.get("/v1/streams/payments").0, 200);
    drop((first, others));
}

/// A schema of so many levels, each of which is one of two of the next: evaluating it is twice the work a level.
fn doubling(levels: usize) -> String {
    let mut parts: Vec<String> = (0..levels)
        .map(|level| {
            format!("\"{level}\":{{\"anyOf\":[{0},{0}]}}", format_args!("{{\"$ref\":\"#/$defs/{}\"}}", level + 1))
        })
        .collect();
    parts.push(format!("\"{levels}\":{{\"type\":\"string\"}}"));
    format!("{{\"properties\":{{\"x\":{{\"$ref\":\"#/$defs/0\"}}}},\"$defs\":{{{}}}}}", parts.join(","))
}

/// A plugin whose config schema is small and means a billion checks is refused; the largest one that is taken is
/// evaluated by each rule and each later change.
fn upload_config_schemas(server: &Server) {
    let upload = |name: &str, levels: usize| {
        let schema = doubling(levels);
        assert!(schema.len() < 2048, "{} bytes", schema.len());
        server.send("POST", "/v1/plugins", Some(("application/wasm", &plugin_with_schema(name, &schema)))).unwrap()
    };
    let (status, text) = upload("hungry", 30);
    assert!(status == 422 && text.contains("urn:assay:invalid-plugin") && text.contains("2000 are allowed"), "{text}");
    let (status, text) = upload("modest", 6);
    assert_eq!(status, 201, "{text}");
    let rule = |config: Value| {
        let definition = json!({"rule": "modest", "stream": "payments", "plugin": "modest@1", "config": config});
        let body = definition.to_string();
        server.send("PUT", "/v1/rules/modest", Some(("application/json", body.as_bytes()))).unwrap()
    };
    let (status, text) = rule(json!({"x": 1}));
    assert_eq!(status, 422, "{text}");
    for at in 0..20 {
        let (status, text) = rule(json!({"x": format!("text {at}")}));
        assert!(status < 300, "{text}");
    }
    assert_eq!(server.send("DELETE", "/v1/rules/modest", None).unwrap().0, 204);
}

/// A rule that halts its partition, and events until no more are taken.
fn fall_behind(server: &Server) {
    put(
        server,
        "/v1/rules/halting",
        &json!({"rule": "halting", "stream": "stuck", "score": "1.0 / (amount - 1.0)", "on_error": "halt"}),
    );
    let event = |at: usize| json!({"id": format!("p{at}"), "card": "c", "amount": 1.0, "time": 1000});
    let body = json!((0..5000).map(event).collect::<Vec<_>>()).to_string();
    let send = || {
        server.send_within(
            Duration::from_secs(30),
            "POST",
            "/v1/streams/stuck/events",
            Some(("application/json", body.as_bytes())),
        )
    };
    let statuses: Vec<u16> = (0..20).map(|_| send().unwrap().0).collect();
    // The first may come before the partition is open, when nobody knows how far it is.
    assert_eq!((statuses[0], statuses[19]), (202, 503), "what waits has a bound: {statuses:?}");
}
