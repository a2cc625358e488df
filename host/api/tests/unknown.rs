//! One rule for what is not known, on every route: an unknown stream, view, rule or plugin is 404 `not-found`, an entity
//! or a node of which nothing was seen 404 `entity-not-found`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use support::routes::{Operation, operations};
use support::{Server, payment};

/// A name that is known, for a part of a path or a parameter; none: any text will do.
fn known(operation: &Operation, name: &str) -> Option<&'static str> {
    match name {
        "stream" | "from" if operation.method != "PUT" => Some("payments"),
        "name" if operation.path.starts_with("/v1/streams") => Some("payments"),
        "name" if operation.path.starts_with("/v1/views") => Some("card_hours"),
        "name" if operation.path.starts_with("/v1/rules") => Some("big"),
        "key" => Some("c"),
        "rule" => Some("big"),
        "node" => Some("c"),
        _ => None,
    }
}

/// Parameters that name something: the others narrow a list, or are numbers and times.
const NAMES: [&str; 6] = ["stream", "from", "rule", "key", "node", "name"];

fn names_something(operation: &Operation, name: &str, is_in_path: bool) -> bool {
    // Lists are narrowed by a part of the name, and a history by the times from which and to which.
    let is_filter = name == "name" || (name == "from" && operation.path != "/v1/streams");
    NAMES.contains(&name) && (is_in_path || !is_filter)
}

fn query(operation: &Operation, unknown: Option<&str>) -> String {
    let pairs = operation.query.iter().filter_map(|parameter| {
        let name = parameter.name.as_str();
        let is_needed = parameter.is_required || unknown == Some(name);
        let value = if unknown == Some(name) { "nowhere" } else { known(operation, name).unwrap_or("1") };
        is_needed.then(|| format!("{name}={value}"))
    });
    let pairs: Vec<String> = pairs.collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

#[test]
fn unknown_names_have_the_same_answer_on_all_routes() {
    let server = Server::start();
    server.define_payments();
    let hours = support::CARD_SPEND.replace("card_spend", "card_hours").replace("over: 1h", "every: 1h\nkeep: 3h");
    server.put_yaml("/v1/views/card_hours", &hours).expect(201);
    server.post("/v1/streams/payments/events?wait=verdicts", &payment("p1", "c", 20.0, 1)).expect(200);
    server.until("/v1/entities/payments/c/events", |answer| answer.status == 200);
    let mut asked = 0;
    let routes = operations().into_iter().filter(|operation| {
        let makes = operation.method == "PUT" || operation.path == "/v1/plugins";
        !makes && operation.path.starts_with("/v1/")
    });
    for operation in routes {
        let body = operation.bodies.first().map(|kind| (kind.as_str(), &b"[]"[..]));
        let expect = |path: &str, name: &str| {
            let answer = server.send(&operation.method, path, Some(&server.admin), body);
            let code = if ["key", "node"].contains(&name) && operation.path.contains("/keys/") {
                "not-found"
            } else if ["key", "node"].contains(&name) {
                "entity-not-found"
            } else {
                "not-found"
            };
            let problem = answer.problem(404, code);
            assert!(problem["detail"].as_str().unwrap().contains("nowhere"), "{}: {problem}", operation.name());
        };
        for part in operation.parts.iter().filter(|part| !["partition", "offset"].contains(&part.as_str())) {
            let fill = |name: &str| match name {
                name if name == part => "nowhere".to_owned(),
                "partition" | "offset" => "0".to_owned(),
                name => known(&operation, name).unwrap_or("x").to_owned(),
            };
            expect(&format!("{}{}", operation.filled(fill), query(&operation, None)), part);
            asked += 1;
        }
        let fill = |name: &str| known(&operation, name).unwrap_or("0").to_owned();
        for parameter in operation.query.iter().filter(|one| names_something(&operation, &one.name, false)) {
            let path = format!("{}{}", operation.filled(fill), query(&operation, Some(&parameter.name)));
            expect(&path, &parameter.name);
            asked += 1;
        }
    }
    assert!(asked > 30, "only {asked} names were asked for");
}

#[test]
fn lists_of_a_known_entity_may_be_empty() {
    let server = Server::start();
    server.put_yaml("/v1/streams/payments", support::PAYMENTS).expect(201);
    server.post("/v1/streams/payments/events", &payment("p1", "c", 1.0, 1)).expect(202);
    server.until("/v1/entities/payments/c/events", |answer| answer.status == 200);
    for path in ["events?from=5", "verdicts", "verdicts?to=0"] {
        let page = server.get(&format!("/v1/entities/payments/c/{path}")).expect(200);
        assert_eq!(page["items"], serde_json::json!([]), "{path}");
    }
}
