//! The deletion of one entity's data over HTTP: who may, and what is answered.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::{PAYMENTS, Server, payment};

#[test]
fn an_admin_deletes_an_entity_and_nobody_else() {
    let server = Server::start();
    server.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
    server.put_yaml("/v1/rules/amount", "{ rule: amount, stream: payments, score: amount }").expect(201);
    let event = |number: u64| {
        format!("{}\n", payment(&format!("p{number}"), &format!("c{}", number % 3), number as f64, 1_700_000_000_000))
    };
    server.ndjson("/v1/streams/payments/events", &(0..30).map(event).collect::<String>()).expect(202);
    let path = "/v1/entities/payments/c1";
    server.until(path, |answer| answer.status == 200 && answer.json()["rules"]["amount"]["score"] == 28.0);
    for role in ["ingest", "read", "author"] {
        let key = server.key(role, role);
        server.send("DELETE", path, Some(&key), None).problem(403, "forbidden");
    }
    server.delete("/v1/entities/nothing/c1").problem(404, "not-found");
    // One that was never seen is answered as by every other route.
    let unknown = "/v1/entities/payments/nobody";
    assert_eq!(
        server.delete(unknown).problem(404, "entity-not-found"),
        server.get(unknown).problem(404, "entity-not-found")
    );
    let deleted = server.delete(path).expect(200);
    assert_eq!(deleted, json!({ "events": 10, "verdicts": 10, "dead_letters": 0, "edges": 0, "profile": true }));
    for part in ["", "/events", "/verdicts"] {
        server.get(&format!("{path}{part}")).problem(404, "entity-not-found");
    }
    server.get("/v1/events/payments/p1").problem(404, "not-found");
    assert_eq!(server.get("/v1/entities/payments/c2/events").expect(200)["items"].as_array().unwrap().len(), 10);
    server.delete(path).problem(404, "entity-not-found");
    // What comes later begins from nothing.
    server.ndjson("/v1/streams/payments/events", &event(31)).expect(202);
    server.until(&format!("{path}/events"), |answer| {
        answer.status == 200 && answer.json()["items"].as_array().unwrap().len() == 1
    });
}
