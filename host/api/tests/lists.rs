//! Lists are whole, page by page, and a cursor belongs to its listing: on every route that has pages.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::routes::operations;
use support::{PAYMENTS, Server, WAIT_TIMEOUT, payment};

/// Lists that come whole: they have no limit, and no cursor.
const WHOLE: [&str; 8] = [
    "/v1/keys",
    "/v1/plugins",
    "/v1/plugins/{name}",
    "/v1/rules",
    "/v1/rules/{name}/revisions",
    "/v1/streams",
    "/v1/views",
    "/v1/views/{name}/buckets",
];

/// Every listing with pages: the list in its answer, a path to it, and parameters that make it another listing.
fn paged() -> BTreeMap<&'static str, (&'static str, &'static str, &'static str)> {
    BTreeMap::from([
        ("/v1/dead-letters", ("items", "/v1/dead-letters?stream=payments", "/v1/dead-letters?rule=none")),
        (
            "/v1/entities/{stream}/{key}/events",
            ("items", "/v1/entities/payments/c0/events?from=0", "/v1/entities/payments/c0/events?from=1"),
        ),
        (
            "/v1/entities/{stream}/{key}/verdicts",
            (
                "items",
                "/v1/entities/payments/c0/verdicts?to=9000000000000",
                "/v1/entities/payments/c1/verdicts?to=9000000000000",
            ),
        ),
        ("/v1/events/{stream}/{id}", ("events", "/v1/events/payments/same?", "/v1/events/payments/other?")),
        ("/v1/graph/{node}", ("items", "/v1/graph/hub?", "/v1/graph/c0?")),
        ("/v1/scores", ("items", "/v1/scores?rule=amount", "/v1/scores?rule=amount&min=0.5")),
    ])
}

const AMOUNT: &str = "
rule: amount
stream: payments
score: amount
graph: [{ edge: paid, from: card, to: \"'hub'\" }]
";
/// Its scores are infinite, so each event is a dead letter.
const NONE: &str = "{ rule: none, stream: payments, score: 1.0 / (amount - amount) }";

/// Many of everything that lists have.
fn filled() -> Server {
    let server = Server::start();
    server.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
    server.put_yaml("/v1/rules/none", NONE).expect(201);
    server.put_yaml("/v1/rules/amount", AMOUNT).expect(201);
    let event = |at: i64| {
        let id = if at % 3 == 0 { "other".to_owned() } else { "same".to_owned() };
        payment(&id, &format!("c{}", at % 7), 1.0 + at as f64, 1000 + at)
    };
    let all: Vec<Value> = (0..120).map(event).collect();
    server.post("/v1/streams/payments/events?wait=verdicts&timeout=30s", &json!(all)).expect(200);
    server
}

/// All items of a listing, in pages of so many.
fn pages(server: &Server, list: &str, path: &str, limit: usize) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("{path}&limit={limit}{cursor}")).expect(200);
        let items = page[list].as_array().unwrap();
        assert!(items.len() <= limit);
        found.extend(items.iter().cloned());
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[test]
fn every_list_has_pages_that_lack_nothing() {
    let (server, paged) = (filled(), paged());
    for operation in operations().into_iter().filter(|operation| operation.method == "GET") {
        let has_cursor = operation.query.iter().any(|parameter| parameter.name == "cursor");
        assert_eq!(has_cursor, paged.contains_key(operation.path.as_str()), "{}", operation.name());
        let answer = operation.json["responses"]["200"].to_string();
        if answer.contains("List") || answer.contains("Buckets") {
            assert!(WHOLE.contains(&operation.path.as_str()), "{} has a list: is it whole?", operation.name());
        }
    }
    for (route, (list, path, other)) in paged {
        let count = |answer: &support::Answer| answer.json()[list].as_array().map_or(0, Vec::len);
        let wanted = match route {
            "/v1/dead-letters" => 120,
            "/v1/events/{stream}/{id}" => 80,
            "/v1/graph/{node}" | "/v1/scores" => 7,
            _ => 18,
        };
        server.until(&format!("{path}&limit=1000"), |answer| answer.status == 200 && count(answer) == wanted);
        let whole = pages(&server, list, path, 1000);
        for limit in [1, 4, 50] {
            assert_eq!(pages(&server, list, path, limit), whole, "{route} in pages of {limit}");
        }
        let cursor = server.get(&format!("{path}&limit=2")).expect(200)["cursor"].as_str().unwrap().to_owned();
        server.get(&format!("{path}&limit=3&cursor={cursor}")).expect(200);
        let told = server.get(&format!("{other}&cursor={cursor}")).problem(400, "bad-request");
        assert!(told["detail"].as_str().unwrap().contains("with these parameters"), "{route}: {told}");
        for bad in ["", "nonsense", "%00", &cursor[1..], &cursor[..cursor.len() - 1]] {
            server.get(&format!("{path}&cursor={bad}")).problem(400, "bad-request");
        }
    }
}

#[test]
fn an_id_that_thousands_of_events_share_is_explained_in_pages() {
    let server = Server::start();
    server.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
    let events: Vec<Value> = (0..5000).map(|at| payment("undefined", "null", 1.0, at)).collect();
    server.post("/v1/streams/payments/events", &json!(events)).expect(202);
    // An id is unknown (404) until the first of its events is found.
    server.until("/v1/events/payments/undefined", |answer| answer.status == 200);
    let deadline = std::time::Instant::now() + WAIT_TIMEOUT;
    while pages(&server, "events", "/v1/events/payments/undefined?", 1000).len() < 5000 {
        assert!(std::time::Instant::now() < deadline, "not all are there");
    }
    let first = server.get("/v1/events/payments/undefined").expect(200);
    assert_eq!(first["events"].as_array().unwrap().len(), 50);
    assert!(first["cursor"].is_string(), "{first}");
}
