//! A dry run changes nothing: the whole catalog is compared before and after one of every route that can change it. The
//! routes come from the OpenAPI document, so that a new one without a trial fails.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod support;

use std::path::{Path, PathBuf};

use assay_core::names::Digest;
use serde_json::{Value, json};
use support::{Answer, BIG, CARD_SPEND, PAYMENTS, Server};

/// A rule that needs a plugin that is not there yet.
const VELOCITY: &str = r#"{"rule": "fast", "stream": "payments", "plugin": "velocity@1", "inputs": {"amount": "amount", "spent_1h": "views.card_spend.spent", "count_1h": "views.card_spend.payments"}}"#;

fn plugin(name: &str) -> Vec<u8> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let folder = std::env::var_os("ASSAY_PLUGINS").map_or(built, PathBuf::from);
    let file = folder.join(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; cargo xtask plugins builds it", file.display()))
}

/// A plugin's module that says of itself to be of another version.
fn with_version(wasm: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut changed = wasm.to_vec();
    let says = |at: &usize| wasm[*at..].starts_with(from.as_bytes()) && wasm[at - 1] != b'@';
    let places: Vec<usize> = (1..wasm.len() - from.len()).filter(says).collect();
    assert!(!places.is_empty() && from.len() == to.len());
    for at in places {
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    changed
}

fn form(changes: &str, plugins: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    let parts = std::iter::once(("changes", changes.as_bytes())).chain(plugins.iter().map(|wasm| ("plugin", *wasm)));
    for (name, bytes) in parts {
        body.extend(format!("--limit\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").bytes());
        body.extend(bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--limit--\r\n");
    body
}

fn send_form(server: &Server, path: &str, changes: &str, plugins: &[&[u8]]) -> Answer {
    let body = form(changes, plugins);
    server.send("POST", path, Some(&server.admin), Some(("multipart/form-data; boundary=limit", &body)))
}

/// What each route would change; none: the route takes no `dry_run`, and must say so.
fn body_of(route: &str) -> Option<(&'static str, Vec<u8>)> {
    let yaml = |text: String| Some(("application/yaml", text.into_bytes()));
    match route {
        "PUT /v1/streams/{name}" => yaml(PAYMENTS.replace("key: card", "doc: changed\nkey: card")),
        "PUT /v1/views/{name}" => yaml(CARD_SPEND.replace("1h", "2h")),
        "PUT /v1/rules/{name}" => yaml(BIG.replace("1000.0", "500.0")),
        "POST /v1/changes" => {
            let text = r#"{"changes": [{"kind": "rule", "name": "spender", "definition": null}]}"#;
            Some(("application/json", text.into()))
        }
        "POST /v1/plugins" => Some(("application/wasm", with_version(&plugin("geo_jump.wasm"), "1.0.0", "1.1.0"))),
        "POST /v1/plugins/{name}/{version}/yank" | "POST /v1/plugins/{name}/{version}/unyank" => {
            Some(("application/json", Vec::new()))
        }
        _ => None,
    }
}

/// A server with one of each, on which every change would be one.
fn at_work() -> Server {
    let server = Server::start();
    server.define_payments();
    server.key("other", "read");
    let upload =
        |wasm: &[u8]| server.send("POST", "/v1/plugins", Some(&server.admin), Some(("application/wasm", wasm)));
    upload(&plugin("geo_jump.wasm")).expect(201);
    server
}

#[test]
fn a_dry_run_of_any_route_changes_nothing() {
    let server = at_work();
    let document = server.get("/openapi.json").expect(200);
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["put", "post", "delete"] {
            let operation = &item[method];
            if operation.is_null() {
                continue;
            }
            let route = format!("{} {path}", method.to_uppercase());
            let takes_it =
                operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == "dry_run"));
            let path = filled(path);
            let before = server.store.ports().catalog.snapshot(None).unwrap();
            let body = body_of(&route);
            let sent = body.as_ref().map(|(kind, bytes)| (*kind, bytes.as_slice()));
            let answer = server.send(
                &method.to_uppercase(),
                &format!("{path}?dry_run=true"),
                Some(&server.admin),
                sent.or(Some(("application/json", b"{}"))),
            );
            if takes_it {
                assert!(body.is_some(), "{route} takes dry_run: add what it would change");
                assert_eq!(answer.expect(200)["dry_run"], true, "{route}");
            } else {
                assert!(body.is_none(), "{route} no longer takes dry_run");
                let detail = answer.problem(400, "bad-request")["detail"].to_string();
                assert!(detail.contains("there is no parameter 'dry_run'"), "{route}: {detail}");
            }
            assert_eq!(server.store.ports().catalog.snapshot(None).unwrap(), before, "{route} changed the catalog");
            tried += 1;
        }
    }
    assert!(tried >= 15, "{tried}");
}

/// A route's path with names of what is there.
fn filled(path: &str) -> String {
    let name = match path {
        path if path.contains("/plugins/") => "geo-jump",
        path if path.contains("/views/") => "card_spend",
        path if path.contains("/rules/") => "big",
        path if path.contains("/keys/") => "other",
        _ => "payments",
    };
    path.replace("{name}", name).replace("{version}", "1.0.0").replace("{stream}", "payments").replace("{key}", "anna")
}

#[test]
fn a_dry_run_checks_rules_against_the_plugins_that_come_with_them() {
    let server = at_work();
    let catalog = &server.store.ports().catalog;
    let before = catalog.snapshot(None).unwrap();
    let wasm = plugin("velocity.wasm");
    let change = |definition: &str| {
        format!(r#"{{"changes": [{{"kind": "rule", "name": "fast", "definition": {definition}}}]}}"#)
    };
    let good = change(VELOCITY);
    server.post("/v1/changes?dry_run=true", &serde_json::from_str(&good).unwrap()).problem(422, "invalid-definition");
    let tried = send_form(&server, "/v1/changes?dry_run=true", &good, &[&wasm]).expect(200);
    assert_eq!((&tried["plugins"][0]["name"], &tried["plugins"][0]["created"]), (&json!("velocity"), &json!(true)));
    assert_eq!(tried["changed"][0]["definition"]["resolved_plugin"], "velocity@1.0.0");
    let misfit = change(&VELOCITY.replace("amount\"", "amuont\""));
    for path in ["/v1/changes?dry_run=true", "/v1/changes"] {
        let refused = send_form(&server, path, &misfit, &[&wasm]).problem(422, "invalid-definition");
        assert!(refused["problems"][0]["at"].as_str().unwrap().starts_with("inputs."), "{refused}");
    }
    assert_eq!(catalog.snapshot(None).unwrap(), before, "nothing was kept, and nothing of a refused set");
    assert_eq!(catalog.artifact(&Digest::of(&wasm)).unwrap(), None);

    let made = send_form(&server, "/v1/changes", &good, &[&wasm, &wasm]).expect(200);
    assert_eq!(made["version"], before.version + 1, "one step");
    assert_eq!(made["plugins"][1]["created"], false, "the same bytes twice");
    assert_eq!(server.get("/v1/plugins/velocity").expect(200)["items"][0]["yanked"], false);
    let again = send_form(&server, "/v1/changes", &good, &[&wasm]).expect(200);
    assert_eq!((&again["version"], &again["unchanged"]), (&made["version"], &json!(1)));
    let body = server.send(
        "POST",
        "/v1/changes",
        Some(&server.admin),
        Some(("multipart/form-data; boundary=x", b"--x--\r\n")),
    );
    body.problem(400, "bad-request");
}

#[test]
fn a_bad_plugin_is_left_by_a_rollback_or_taken_back() {
    let server = at_work();
    let upload =
        |wasm: &[u8]| server.send("POST", "/v1/plugins", Some(&server.admin), Some(("application/wasm", wasm)));
    let wasm = plugin("velocity.wasm");
    upload(&wasm).expect(201);
    server.put("/v1/rules/fast", &serde_json::from_str(VELOCITY).unwrap()).expect(201);
    let state = |server: &Server| {
        let rule = server.get("/v1/rules/fast").expect(200);
        let part = |name: &str| rule["definition"][name].as_str().unwrap_or_default().to_owned();
        (rule["revision"].as_u64().unwrap(), part("plugin"), part("resolved_plugin"), part("mode"))
    };
    let is = |revision: u64, plugin: &str, resolved: &str, mode: &str| {
        (revision, plugin.to_owned(), resolved.to_owned(), mode.to_owned())
    };
    assert_eq!(state(&server), is(1, "velocity@1", "velocity@1.0.0", "active"));
    // Taking up a version is a revision.
    upload(&with_version(&wasm, "1.0.0", "1.1.0")).expect(201);
    assert_eq!(state(&server), is(2, "velocity@1", "velocity@1.1.0", "active"));
    server.post("/v1/rules/fast/pause", &Value::Null).expect(200);
    server.post("/v1/rules/fast/resume", &Value::Null).expect(200);
    let back = server.post("/v1/rules/fast/rollback", &Value::Null).expect(200);
    assert_eq!(back["effects"][0]["effect"], "it is scored by velocity 1.0.0 instead of velocity 1.1.0");
    assert_eq!(state(&server), is(5, "velocity@1.0.0", "velocity@1.0.0", "active"));
    // What is pinned does not follow.
    upload(&with_version(&wasm, "1.0.0", "1.2.0")).expect(201);
    assert_eq!(state(&server), is(5, "velocity@1.0.0", "velocity@1.0.0", "active"));
    server.put("/v1/rules/fast", &serde_json::from_str(VELOCITY).unwrap()).expect(200);
    assert_eq!(state(&server), is(6, "velocity@1", "velocity@1.2.0", "active"));
    // A yanked version is left by those that follow, to the newest of the others.
    let yanked = server.post("/v1/plugins/velocity/1.2.0/yank", &Value::Null).expect(200);
    assert_eq!((&yanked["yanked"], yanked["effects"].as_array().unwrap().len()), (&json!(true), 1));
    assert_eq!(state(&server), is(7, "velocity@1", "velocity@1.1.0", "active"));
    server.post("/v1/plugins/velocity/1.1.0/yank", &Value::Null).expect(200);
    assert_eq!(state(&server), is(8, "velocity@1", "velocity@1.0.0", "active"));
    let last = server.post("/v1/plugins/velocity/1.0.0/yank", &Value::Null).problem(422, "invalid-definition");
    let message = last["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains("velocity@1.1.0 (yanked)") && message.contains("offer one again"), "{message}");
    server.post("/v1/plugins/velocity/1.1.0/unyank", &Value::Null).expect(200);
    assert_eq!(state(&server), is(9, "velocity@1", "velocity@1.1.0", "active"));
    server.post("/v1/plugins/velocity/9.9.9/yank", &Value::Null).problem(404, "not-found");
}

#[test]
fn an_upload_says_whether_it_was_new_and_a_yank_leaves_its_time() {
    let server = at_work();
    let wasm = plugin("velocity.wasm");
    let upload = |path: &str| server.send("POST", path, Some(&server.admin), Some(("application/wasm", &wasm)));
    assert_eq!(upload("/v1/plugins?dry_run=true").expect(200)["created"], true);
    let uploaded = upload("/v1/plugins").expect(201);
    assert_eq!(uploaded["created"], true);
    assert_eq!(upload("/v1/plugins").expect(200)["created"], false);
    assert_eq!(upload("/v1/plugins?dry_run=true").expect(200)["created"], false);

    let other = server.key("yanker", "author");
    let path = "/v1/plugins/velocity/1.0.0";
    server.send("POST", &format!("{path}/yank"), Some(&other), None).expect(200);
    let yanked = server.get("/v1/plugins?name=velocity").expect(200)["items"][0].clone();
    assert_eq!((&yanked["author"], &yanked["at"]), (&uploaded["author"], &uploaded["at"]), "of the upload");
    assert_eq!((&yanked["yanked"], &yanked["yanked_by"]), (&json!(true), &json!("yanker")));
    assert!(yanked["yanked_at"].as_i64() >= uploaded["at"].as_i64(), "{yanked}");
    server.send("POST", &format!("{path}/unyank"), Some(&other), None).expect(200);
    let back = server.get(path).expect(200);
    assert_eq!((&back["at"], &back["yanked"], &back["yanked_by"]), (&uploaded["at"], &json!(false), &Value::Null));
}
