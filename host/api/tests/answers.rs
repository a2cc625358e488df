//! Answers with verdicts: in the order of the request, whatever their size; and what is refused while scoring is behind.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use assay_api::ApiConfig;
use serde_json::{Value, json};
use support::{PAYMENTS, Server, WAIT_TIMEOUT, payment};

const EVENTS: &str = "/v1/streams/payments/events";

#[test]
fn a_large_answer_comes_in_chunks_and_in_order() {
    let server = Server::start();
    server.define_payments();
    let events: Vec<Value> =
        (0..20_000).map(|at| payment(&format!("p{at}"), &format!("c{}", at % 97), at as f64 / 10.0, 1000)).collect();
    let answer = server.post(&format!("{EVENTS}?wait=verdicts&timeout=60s"), &json!(events));
    assert!(answer.headers.get("content-length").is_none(), "it is not made in memory");
    let answer = answer.expect(200);
    assert_eq!((&answer["accepted"], answer.get("note")), (&json!(20_000), None));
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 20_000);
    let mut counts = vec![0.0; 97];
    for (at, result) in results.iter().enumerate() {
        assert_eq!((&result["row"], &result["id"]), (&json!(at + 1), &json!(format!("p{at}"))));
        let amount = at as f64 / 10.0;
        let verdicts = result["verdicts"].as_array().unwrap();
        // `big` judges from 10 on, `spender` always.
        assert_eq!(verdicts.len(), if amount >= 10.0 { 2 } else { 1 }, "{result}");
        counts[at % 97] += amount;
        let spent = verdicts.iter().find(|verdict| verdict["rule"] == "spender").unwrap()["score"].as_f64().unwrap();
        assert!((spent - counts[at % 97] / 1000.0).abs() < 1e-6, "{result}");
    }
    let packed = gzipped(&server, &json!(events).to_string());
    let packed: Value = serde_json::from_slice(&packed).unwrap();
    assert_eq!(packed["results"].as_array().unwrap().len(), 20_000, "compressed, it is as whole");
    let small = server.post(&format!("{EVENTS}?wait=verdicts"), &payment("q", "c", 1.0, 1));
    assert!(small.headers.contains_key("content-length"));
}

/// The answer to events, sent as gzip.
fn gzipped(server: &Server, body: &str) -> Vec<u8> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.post(format!("{}{EVENTS}?wait=verdicts&timeout=60s", server.url));
    let request = request.header("authorization", format!("Bearer {}", server.admin)).header("accept-encoding", "gzip");
    let mut response = request.content_type("application/json").send(body).unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let packed = response.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
    let mut whole = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut whole).unwrap();
    whole
}

#[test]
fn events_that_no_rule_judges_have_results_too() {
    let server = Server::start();
    server.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
    let rule = "{ rule: some, stream: payments, when: amount > 5.0, score: amount }";
    server.put_yaml("/v1/rules/some", rule).expect(201);
    let events: Vec<Value> = (0..2000).map(|at| payment(&format!("p{at}"), "c", f64::from(at % 10), 1)).collect();
    let answer = server.post(&format!("{EVENTS}?wait=verdicts&timeout=60s"), &json!(events)).expect(200);
    let counts: Vec<usize> =
        answer["results"].as_array().unwrap().iter().map(|one| one["verdicts"].as_array().unwrap().len()).collect();
    assert_eq!(counts, (0..2000).map(|at| usize::from(at % 10 > 5)).collect::<Vec<_>>());
}

#[test]
fn a_client_that_does_not_read_its_answer_is_disconnected() {
    let server = Server::with(ApiConfig { max_wait: Duration::from_secs(2), ..ApiConfig::default() });
    server.define_payments();
    let events: Vec<Value> =
        (0..60_000).map(|at| payment(&format!("p{at}"), &format!("c{}", at % 97), 20.0, 1000)).collect();
    let body = json!(events).to_string();
    // The events are scored once, so that the second time they are in time.
    server.post(EVENTS, &json!(events)).expect(202);
    let mut client = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    client.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
    let head = format!(
        "POST {EVENTS}?wait=verdicts&timeout=2s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        server.admin,
        body.len()
    );
    client.write_all(head.as_bytes()).unwrap();
    client.write_all(body.as_bytes()).unwrap();
    let mut start = [0; 15];
    client.read_exact(&mut start).unwrap();
    if &start != b"HTTP/1.1 200 OK" {
        // The machine is too busy to score so many in two seconds.
        assert!(start.starts_with(b"HTTP/1.1 202"), "{}", String::from_utf8_lossy(&start));
        return;
    }
    std::thread::sleep(Duration::from_secs(3));
    let mut rest = Vec::new();
    let ended = client.read_to_end(&mut rest);
    assert!(ended.is_err() || !rest.ends_with(b"0\r\n\r\n"), "an answer that was cut looks whole");
}

#[test]
fn events_are_refused_while_scoring_is_behind() {
    let limits = assay_engine::BacklogLimits { events: 1000, bytes: 0, age: Duration::ZERO };
    let server = Server::with_engine(ApiConfig::default(), |engine| engine.backlog = limits);
    server
        .put_yaml("/v1/streams/payments", PAYMENTS.replace("key: card", "partitions: 1\nkey: card").as_str())
        .expect(201);
    let halting = "{ rule: halting, stream: payments, score: 1.0 / (amount - 1.0), on_error: halt }";
    server.put_yaml("/v1/rules/halting", halting).expect(201);
    let send = |count: usize| {
        let events: Vec<Value> = (0..count).map(|at| payment(&format!("p{at}"), "c", 1.0, 1)).collect();
        server.post(EVENTS, &json!(events))
    };
    send(990).expect(202);
    send(10).expect(202);
    let deadline = Instant::now() + WAIT_TIMEOUT;
    let refused = loop {
        let answer = send(5);
        if answer.status == 503 {
            break answer;
        }
        assert!(Instant::now() < deadline, "it is never refused");
    };
    assert!(refused.headers.contains_key("retry-after"));
    let problem = refused.problem(503, "scoring-behind");
    assert!(problem["detail"].as_str().unwrap().contains("engine.max_unscored_events"), "{problem}");
    // Reads answer, and when the rule is mended all goes on.
    server.get("/v1/rules").expect(200);
    server.put_yaml("/v1/rules/halting", "{ rule: halting, stream: payments, score: amount }").expect(200);
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while send(5).status != 202 {
        assert!(Instant::now() < deadline, "it is still refused");
    }
}

#[test]
fn answers_forbid_caching() {
    let server = Server::start();
    server.define_payments();
    let made = server.post("/v1/keys", &json!({"name": "k", "roles": ["read"]}));
    assert_eq!((made.status, &made.headers["cache-control"]), (201, &"no-store".parse().unwrap()));
    for path in ["/v1/keys", "/v1/scores?rule=big", "/metrics", "/v1/nonsense/", "/v1/rules/none"] {
        let answer = server.get(path);
        if path.starts_with("/v1/nonsense") {
            continue;
        }
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
    }
    let tagged = server.get("/v1/rules/big");
    assert_eq!(tagged.headers["cache-control"], "private, no-cache");
    let tag = tagged.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(server.admin_with("GET", "/v1/rules/big", None, &[("if-none-match", &tag)]).status, 304);
    let weak = server.admin_with(
        "PUT",
        "/v1/rules/big",
        Some(("application/yaml", support::BIG.as_bytes())),
        &[("if-match", &format!("W/{tag}"))],
    );
    weak.problem(412, "revision-mismatch");
    let strong = server.admin_with(
        "PUT",
        "/v1/rules/big",
        Some(("application/yaml", support::BIG.as_bytes())),
        &[("if-match", &format!("\"9\", {tag}"))],
    );
    strong.expect(200);
}
