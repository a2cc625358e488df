//! Another schema for a stream over HTTP: what is there is read by it, and what does not fit is refused with advice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::{PAYMENTS, Server, payment};

fn with_field(field: &str) -> String {
    PAYMENTS.replace("    - { name: time", &format!("    - {field}\n    - {{ name: time"))
}

#[test]
fn events_of_both_schemas_are_shown_by_the_last() {
    let server = Server::start();
    server.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
    let send = |event: serde_json::Value| server.ndjson("/v1/streams/payments/events", &event.to_string());
    send(payment("p1", "c1", 1.0, 1_700_000_000_000)).expect(202);
    let wider = with_field("{ name: tags, type: { type: array, items: string }, default: [none] }");
    let answer = server.put_yaml("/v1/streams/payments", &wider).expect(200);
    assert_eq!((&answer["changed"], &answer["definition"]["earlier"].as_array().unwrap().len()), (&json!(true), &1));
    assert_eq!(server.put_yaml("/v1/streams/payments", &wider).expect(200)["changed"], false, "the same again");
    let mut event = payment("p2", "c1", 2.0, 1_700_000_001_000);
    event["tags"] = json!(["a", "b"]);
    send(event).expect(202);
    let path = "/v1/entities/payments/c1/events";
    let events = server.until(path, |answer| answer.json()["items"].as_array().is_some_and(|all| all.len() == 2));
    let tags: Vec<_> = events["items"].as_array().unwrap().iter().map(|item| item["event"]["tags"].clone()).collect();
    assert_eq!(tags, [json!(["a", "b"]), json!(["none"])]);
    let explained = server.get("/v1/events/payments/p1").expect(200);
    assert!(explained.to_string().contains("none"), "{explained}");
}

#[test]
fn incompatible_schema_changes_are_refused_with_advice() {
    let server = Server::start();
    server.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
    let refused = |body: &str| {
        let problem = server.put_yaml("/v1/streams/payments", body).problem(422, "invalid-definition");
        assert_eq!(problem["problems"][0]["at"], "schema", "{problem}");
        problem["problems"][0]["message"].as_str().unwrap().to_owned()
    };
    let message = refused(&with_field("{ name: shop, type: string }"));
    assert!(
        message.contains("field `shop`: the writer does not have it") && message.contains("a default"),
        "{message}"
    );
    let message = refused(&PAYMENTS.replace("name: amount, type: double", "name: amount, type: int"));
    assert!(message.contains("field `amount`: the writer's double cannot be read as the reader's int"), "{message}");
    assert_eq!(server.get("/v1/streams/payments").expect(200)["revision"], 1, "nothing has changed");
}
