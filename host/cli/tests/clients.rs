//! Real clients in Python (confluent-kafka, pymongo, scylla-driver, influxdb-client, pydgraph) do with a distributed
//! server what its users do with them, and must see what HTTP says. What they do is in `clients/`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[path = "support/python.rs"]
mod python;
mod support;

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use python::Python;
use support::{Server, pack, plugins};

/// What the pack lacks for this test: points of events, a tumbling view, and edges.
const SERIES: &str = "series:\n  tags: [channel]\n  fields: [id, card, amount]\n";
const MINUTES: &str = "view: card_minutes
stream: payments
by: [card]
measures: { payments: count(), spent: sum(amount), shop: last(merchant), newest: max(time), online: last(channel == 'online') }
every: 10m
keep: 1d
";
const LINKS: &str = "rule: payment_links
stream: payments
plugin: payment-links@1
inputs: { card: card, merchant: merchant, amount: amount, device: device }
";

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn clients_in_python_see_what_http_says() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let name = format!("clients_{now}_{}", std::process::id());
    let folder = tempfile::tempdir().unwrap();
    let python = Python::of("clients");
    python.run("prepare.py", &[("CLIENTS_NAME", &name)]);

    let server = start(folder.path(), &name);
    let pack = folder.path().join("pack");
    write_pack(&pack, &name);
    server.command(&[&"apply", &pack, &"--plugins", &plugins()]);
    let variables = [("CLIENTS_NAME", &*name), ("ASSAY_URL", &server.url), ("ASSAY_KEY", &server.key)];
    python.run("main.py", &variables);
    assert!(server.stop().success());
    python.run("clean.py", &[("CLIENTS_NAME", &name)]);
}

/// Starts a server on the test servers, under a name that nothing there has yet.
fn start(folder: &Path, name: &str) -> Server {
    let address = |variable: &str| {
        std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run cargo xtask test --servers"))
    };
    let token = folder.join("token");
    fs::write(&token, address("ASSAY_TEST_INFLUXDB_TOKEN")).unwrap();
    let settings = [
        ("ASSAY_STORES__MODE", "distributed"),
        ("ASSAY_KAFKA__BROKERS", &address("ASSAY_TEST_KAFKA")),
        ("ASSAY_KAFKA__GROUP", name),
        ("ASSAY_MONGODB__URI", &address("ASSAY_TEST_MONGODB")),
        ("ASSAY_MONGODB__DATABASE", name),
        ("ASSAY_SCYLLADB__NODES", &address("ASSAY_TEST_CASSANDRA")),
        ("ASSAY_SCYLLADB__KEYSPACE", name),
        ("ASSAY_INFLUXDB__URL", &address("ASSAY_TEST_INFLUXDB")),
        ("ASSAY_INFLUXDB__BUCKET", name),
        ("ASSAY_INFLUXDB__TOKEN_FILE", &token.display().to_string()),
        ("ASSAY_INFLUXDB__METRICS_EVERY", "1s"),
        ("ASSAY_DGRAPH__URL", &address("ASSAY_TEST_DGRAPH")),
        ("ASSAY_DGRAPH__NAMESPACE", name),
    ];
    Server::start(&folder.join("data"), None, &settings)
}

/// The pack rules/payments on a stream of this name, with points of events, a tumbling view and a rule that draws edges.
fn write_pack(to: &Path, name: &str) {
    for part in ["streams", "views", "rules"] {
        fs::create_dir_all(to.join(part)).unwrap();
        for file in fs::read_dir(pack("payments").join(part)).unwrap() {
            let file = file.unwrap();
            let text = fs::read_to_string(file.path()).unwrap();
            let more = if part == "streams" { SERIES } else { "" };
            fs::write(to.join(part).join(file.file_name()), renamed(&(text + more), name)).unwrap();
        }
    }
    fs::write(to.join("views/card_minutes.yaml"), renamed(MINUTES, name)).unwrap();
    fs::write(to.join("rules/payment_links.yaml"), renamed(LINKS, name)).unwrap();
}

fn renamed(text: &str, name: &str) -> String {
    assert!(text.contains("stream: payments\n"), "not of the stream payments:\n{text}");
    text.replace("stream: payments\n", &format!("stream: {name}\n"))
}
