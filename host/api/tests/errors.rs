//! Every error is problem details, also those that come from the framework.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use assay_api::ApiConfig;
use serde_json::json;
use support::{Server, payment};

#[test]
fn errors_of_the_framework_are_problems_too() {
    let server = Server::start();
    let problem = server.get("/v1/nonsense").problem(404, "not-found");
    assert!(problem["detail"].as_str().unwrap().contains("/openapi.json"), "{problem}");
    let wrong = server.send("PATCH", "/v1/keys", Some(&server.admin), None);
    let problem = wrong.problem(405, "method-not-allowed");
    assert!(wrong.headers.contains_key("allow"));
    assert!(problem["detail"].as_str().unwrap().contains("/v1/keys takes"), "{problem}");
    for path in [
        "/v1/scores",
        "/v1/scores?rule=big&limit=many",
        "/v1/scores?rule=big&limt=5",
        "/v1/graph/x?limit=0",
        "/v1/graph/x?limit=1001",
        "/v1/dead-letters?cursor=%00garbage",
        "/v1/dead-letters/payments/one/2",
        "/v1/entities/payments/%ff",
    ] {
        server.get(path).problem(400, "bad-request");
    }
    server.define_payments();
    for path in ["events?from=yesterday", "events?cursor=garbage", "verdicts?to=2026-01-01"] {
        server.get(&format!("/v1/entities/payments/c/{path}")).problem(400, "bad-request");
    }
}

#[test]
fn wrong_and_broken_bodies_are_refused() {
    let server = Server::start();
    server.define_payments();
    let admin = Some(server.admin.as_str());
    let events = "/v1/streams/payments/events";
    server.send("POST", events, admin, Some(("text/csv", b"a,b"))).problem(415, "unsupported-media-type");
    server.send("POST", events, admin, Some(("application/json", b"[{}"))).problem(400, "bad-request");
    server.send("POST", events, admin, Some(("application/json", b""))).problem(400, "bad-request");
    server.send("POST", "/v1/plugins", admin, Some(("application/json", b"{}"))).problem(415, "unsupported-media-type");
    let problem = server.send("POST", "/v1/plugins", admin, Some(("application/wasm", b"not wasm")));
    problem.problem(422, "invalid-plugin");
    server.send("POST", "/v1/plugins", admin, Some(("application/wasm", b""))).problem(422, "invalid-plugin");
    server.get("/v1/plugins/velocity").problem(404, "not-found");
    server.get("/v1/plugins/velocity/1.0.0").problem(404, "not-found");
    assert_eq!(server.get("/v1/plugins").expect(200)["items"], json!([]));
}

#[test]
fn bodies_over_the_limits_are_refused_with_advice() {
    let config = ApiConfig {
        max_events_body: 1000,
        max_events: 3,
        max_definition_body: 100,
        max_plugin_body: 100,
        ..ApiConfig::default()
    };
    let server = Server::with(config);
    let large = vec![b' '; 1001];
    let admin = Some(server.admin.as_str());
    for (method, path, kind) in [
        ("POST", "/v1/streams/payments/events", "application/json"),
        ("PUT", "/v1/streams/payments", "application/json"),
        ("POST", "/v1/changes", "application/json"),
        ("POST", "/v1/plugins", "application/wasm"),
    ] {
        let problem = server.send(method, path, admin, Some((kind, &large))).problem(413, "too-large");
        assert!(problem["detail"].as_str().unwrap().contains("; "), "{problem}");
    }
    let four: Vec<_> = (0..4).map(|i| payment(&format!("p{i}"), "c", 1.0, 0)).collect();
    let problem = server.post("/v1/streams/payments/events", &json!(four)).problem(413, "too-large");
    assert!(problem["detail"].as_str().unwrap().contains("has 4 events, at most 3"), "{problem}");
}

#[test]
fn the_document_the_health_and_the_metrics_are_there() {
    let server = Server::start();
    assert_eq!(server.send("GET", "/healthz", None, None).expect(200), json!({"status": "ok"}));
    server.until("/readyz", |answer| answer.status == 200);
    let document = server.send("GET", "/openapi.json", None, None).expect(200);
    assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    // A client may make up methods; metrics do not have one more series for each.
    assert_eq!(server.send("BREW", "/healthz", None, None).status, 405);
    let metrics = server.get("/metrics");
    assert!(metrics.text.contains("assay_http_requests_total{method=\"other\",route=\"/healthz\",status=\"405\"} 1"));
    assert!(metrics.text.contains("assay_http_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 1"));
    assert!(metrics.text.trim_end().ends_with("# EOF"));
}
