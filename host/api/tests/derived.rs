//! Derived streams over HTTP: defined by their source and key, fed by it, read under their own entities.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::{PAYMENTS, Server, payment};

const BY_COUNTRY: &str = "{ stream: by_country, from: payments, key: country, partitions: 2 }";
const SEEN: &str =
    "{ view: seen, stream: by_country, by: [country], measures: { payments: count(), most: max(amount) } }";
const MANY: &str = "{ rule: many, stream: by_country, score: double(views.seen.payments) }";

/// Payments with a country, which may be missing.
fn payments() -> String {
    let country = "    - { name: country, type: ['null', string], default: null }\n";
    PAYMENTS.replace("    - { name: time", &format!("{country}    - {{ name: time"))
}

#[test]
fn entities_of_another_key_have_views_verdicts_and_events() {
    let server = Server::start();
    server.put_yaml("/v1/streams/payments", &payments()).expect(201);
    // What was there before the stream was derived is counted too.
    let send = |from: u64| {
        let event = |number: u64| {
            let country = ["DE", "FR", ""][(number % 3) as usize];
            let mut event =
                payment(&format!("p{number}"), &format!("c{}", number % 7), number as f64, 1_700_000_000_000);
            event["country"] = if country.is_empty() { json!(null) } else { json!(country) };
            format!("{event}\n")
        };
        server.ndjson("/v1/streams/payments/events", &(from..from + 30).map(event).collect::<String>()).expect(202);
    };
    send(0);
    let made = server.put_yaml("/v1/streams/by_country", BY_COUNTRY).expect(201);
    assert_eq!((&made["definition"]["time"], &made["definition"]["partitions"]), (&json!("time"), &json!(2)));
    server.put_yaml("/v1/views/seen", SEEN).expect(201);
    server.put_yaml("/v1/rules/many", MANY).expect(201);
    assert_eq!(server.put_yaml("/v1/streams/by_country", BY_COUNTRY).expect(200)["changed"], false, "the same again");
    send(30);
    let events = "/v1/entities/by_country/FR/events";
    let events = server.until(events, |answer| answer.json()["items"].as_array().is_some_and(|all| all.len() == 20));
    let first = events["items"].as_array().unwrap().iter().find(|item| item["event"]["id"] == "p1").unwrap();
    assert!(first["event"]["origin"]["offset"].is_u64(), "{first}");
    let values = server.until("/v1/views/seen/values?key=FR", |answer| answer.json()["measures"]["most"] == 58.0);
    // The view counts from when it was made.
    let counted = values["measures"]["payments"].as_u64().unwrap();
    assert!((10..=20).contains(&counted), "{values}");
    let profile = server
        .until("/v1/entities/by_country/FR", |answer| answer.json()["rules"]["many"]["score"] == json!(counted as f64));
    assert_eq!(profile["key"], "FR");
    server.get("/v1/entities/by_country/ES").problem(404, "entity-not-found");
}

#[test]
fn invalid_derived_streams_are_refused_with_advice() {
    let server = Server::start();
    let refused = |body: &str, at: &str, says: &str| {
        let problem = server.put_yaml("/v1/streams/by_country", body).problem(422, "invalid-definition");
        assert_eq!(problem["problems"][0]["at"], at, "{problem}");
        let message = problem["problems"][0]["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
    };
    refused(BY_COUNTRY, "from", "there is no stream 'payments'");
    refused("{ stream: by_country, key: country }", "time", "missing");
    server.put_yaml("/v1/streams/payments", &payments()).expect(201);
    refused("{ stream: by_country, from: payments, key: land }", "key", "land");
    refused("{ stream: by_country, from: payments, key: amount }", "key", "expected string or int");
    refused("{ stream: by_country, from: payments, key: country, time: id }", "time", "leave it out");
    server.put_yaml("/v1/streams/by_country", BY_COUNTRY).expect(201);
    refused("{ stream: by_country, from: payments, key: card }", "key", "cannot change");
    let again = "{ stream: again, from: by_country, key: card }";
    let problem = server.put_yaml("/v1/streams/again", again).problem(422, "invalid-definition");
    assert!(problem["detail"].as_str().unwrap().contains("derive it from 'payments'"), "{problem}");
    server.delete("/v1/streams/payments").problem(409, "in-use");
    let event = payment("p", "c", 1.0, 1_700_000_000_000).to_string();
    let problem = server.ndjson("/v1/streams/by_country/events", &event).problem(409, "conflict");
    assert!(problem["detail"].as_str().unwrap().contains("send them there"), "{problem}");
    assert_eq!(server.delete("/v1/streams/by_country").status, 204);
    assert_eq!(server.delete("/v1/streams/payments").status, 204);
}
