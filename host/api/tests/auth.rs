//! Who gets in: every route without a key, with the wrong role, and the life of keys.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::Server;

/// Every operation of the OpenAPI document: method, a path that fits, the role it says it needs.
fn operations(server: &Server) -> Vec<(String, String, Option<String>)> {
    let document = server.send("GET", "/openapi.json", None, None).expect(200);
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{partition}", "0").replace("{offset}", "0").replace(['{', '}'], "");
        for (method, operation) in item.as_object().unwrap() {
            let role = operation["security"][0]["key"][0].as_str().map(str::to_owned);
            all.push((method.to_uppercase(), path.clone(), role));
        }
    }
    all
}

#[test]
fn all_routes_except_the_open_ones_need_their_role() {
    let server = Server::start();
    let keys = ["ingest", "read", "author", "admin"].map(|role| (role, server.key(&format!("{role}-key"), role)));
    let implied = |have: &str, needed: &str| have == needed || have == "admin" || (have, needed) == ("author", "read");
    let operations = operations(&server);
    assert!(operations.len() > 30, "{operations:?}");
    let mut open = Vec::new();
    for (method, path, role) in operations {
        let body = matches!(method.as_str(), "POST" | "PUT").then_some(("application/json", &b"nonsense"[..]));
        let Some(role) = role else {
            open.push(path.clone());
            assert_eq!(server.send(&method, &path, None, body).status, 200);
            continue;
        };
        let refused = server.send(&method, &path, None, body);
        refused.problem(401, "unauthorized");
        assert!(refused.headers.contains_key("www-authenticate"));
        server.send(&method, &path, Some("assay_0000"), body).problem(401, "unauthorized");
        // It has no end: here it is enough that it begins with a 404.
        let path = if path == "/v1/verdicts/stream" { format!("{path}?stream=none") } else { path };
        for (have, key) in &keys {
            let answer = server.send(&method, &path, Some(key), body);
            if implied(have, &role) {
                assert!(![401, 403].contains(&answer.status), "{have}: {method} {path}: {}", answer.text);
            } else {
                answer.problem(403, "forbidden");
            }
        }
    }
    assert_eq!(open, ["/healthz", "/readyz"]);
}

#[test]
fn a_key_works_until_it_is_deleted_and_its_secret_is_shown_once() {
    let server = Server::start();
    let secret = server.key("reader", "read");
    let list = server.get("/v1/keys").expect(200);
    assert_eq!(list["items"][1]["name"], "reader");
    assert_eq!(list["items"][1]["roles"], json!(["read"]));
    assert_eq!(list["items"][1]["author"], "admin");
    let all = server.get("/v1/keys").text;
    assert!(!all.contains(&secret[6..]) && !all.contains("hash"), "{all}");
    server.send("GET", "/v1/streams", Some(&secret), None).expect(200);
    server.post("/v1/keys", &json!({"name": "reader", "roles": ["read"]})).problem(409, "conflict");
    server.delete("/v1/keys/reader").expect(204);
    server.send("GET", "/v1/streams", Some(&secret), None).problem(401, "unauthorized");
    server.delete("/v1/keys/reader").problem(404, "not-found");
}

#[test]
fn the_last_admin_key_cannot_be_deleted() {
    let server = Server::start();
    server.key("reader", "read");
    server.delete("/v1/keys/admin").problem(409, "conflict");
    server.key("boss", "admin");
    server.delete("/v1/keys/admin").expect(204);
    server.get("/v1/keys").problem(401, "unauthorized");
}

#[test]
fn invalid_keys_are_refused() {
    let server = Server::start();
    for body in [
        json!({"name": "x", "roles": []}),
        json!({"name": "X y", "roles": ["read"]}),
        json!({"name": "x", "roles": ["root"]}),
        json!({"name": "x", "roles": ["read"], "secret": "mine"}),
        json!([]),
    ] {
        server.post("/v1/keys", &body).problem(400, "bad-request");
    }
    assert_eq!(server.get("/v1/keys").expect(200)["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_given_admin_secret_replaces_the_first_one() {
    let server = Server::start();
    let given = "a-secret-from-the-environment";
    assay_api::ensure_admin_key(&server.engine, given).unwrap();
    assert!(assay_api::ensure_admin_key(&server.engine, "short").is_err());
    server.get("/v1/keys").problem(401, "unauthorized");
    let version = server.engine.catalog().snapshot().version;
    server.send("GET", "/v1/keys", Some(given), None).expect(200);
    assay_api::ensure_admin_key(&server.engine, given).unwrap();
    assert_eq!(server.engine.catalog().snapshot().version, version, "the same secret again changes nothing");
    assert!(assay_api::first_key(&server.engine).unwrap().is_none());
}
