//! What rules may say beside scores and tags: edges, what becomes of failures, what is recorded, limits; how they are
//! doing, and how to go back.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{BIG, CARD_SPEND, PAYMENTS, Server, payment};

/// Infinite, which no score may be, for an amount of zero.
const FRAGILE: &str = "
rule: fragile
stream: payments
score: 1.0 / amount
";

const TIME: i64 = 1_767_225_600_000;

/// Sends payments of one card with these amounts, one a request, and waits for their verdicts.
fn pay(server: &Server, card: &str, amounts: &[f64]) -> Vec<Value> {
    let send = |(index, amount): (usize, &f64)| {
        let event = payment(&format!("{card}-{index}"), card, *amount, TIME + index as i64);
        let answer = server.post("/v1/streams/payments/events?wait=verdicts&timeout=20s", &event).expect(200);
        answer["results"][0].clone()
    };
    amounts.iter().enumerate().map(send).collect()
}

/// The verdict of a rule among the results of an event.
fn verdict<'v>(result: &'v Value, rule: &str) -> Option<&'v Value> {
    result["verdicts"].as_array().unwrap().iter().find(|verdict| verdict["rule"] == rule)
}

#[test]
fn a_rule_draws_edges_with_facets() {
    let server = Server::start();
    server.define_payments();
    let graph = "graph:
  - { edge: paid_with, from: '\"payment:\" + id', to: card, when: score >= 0.1, facets: { amount: amount, at: time, half: amount / 0.0 } }
  - { edge: seen_at, from: card, to: 'hour(time)' }\n";
    server.put_yaml("/v1/rules/big", &format!("{BIG}{graph}")).expect(200);
    let results = pay(&server, "anna", &[50.0, 500.0]);
    let edges = |result: &Value| verdict(result, "big").unwrap()["edges"].clone();
    assert_eq!(edges(&results[0]), json!([{"name": "seen_at", "source": "anna", "target": "0"}]));
    let paid = json!({"name": "paid_with", "source": "payment:anna-1", "target": "anna",
        "facets": {"amount": 500.0, "at": TIME + 1}});
    assert_eq!(edges(&results[1])[0], paid, "what is infinite is left out");
    let node = server.until("/v1/graph/payment%3Aanna-1", |answer| answer.status == 200);
    let edge = &node["items"][0];
    assert_eq!((&edge["facets"]["amount"], &edge["score"], &edge["rule"]), (&json!(500.0), &json!(0.5), &json!("big")));

    let refused = |edge: &str| {
        let problem = server.put_yaml("/v1/rules/big", &format!("{BIG}graph: [{edge}]\n"));
        problem.problem(422, "invalid-definition")["detail"].as_str().unwrap().to_owned()
    };
    assert!(refused("{ edge: a, from: amount, to: card }").contains("a node is of type string or int"));
    assert!(refused("{ edge: a, from: card, to: id, facets: { score: score } }").contains("by itself"));
    assert!(refused("{ edge: a, from: card, to: id, facets: { Big: score } }").contains("the name of a facet is"));
    assert!(refused("{ edge: a, from: card, to: id, wehn: true }").contains("did you mean 'when'?"));
    assert!(refused("{ edge: '', from: card, to: id }").contains("1 to 64 bytes"));
}

#[test]
fn failures_become_dead_letters_or_are_only_counted() {
    let server = Server::start();
    server.define_payments();
    server.put_yaml("/v1/rules/fragile", FRAGILE).expect(201);
    let kept = pay(&server, "anna", &[0.0]);
    assert_eq!(kept[0]["failures"][0]["code"], "score-infinite");
    server.put_yaml("/v1/rules/fragile", &format!("{FRAGILE}on_error: skip\n")).expect(200);
    let results = pay(&server, "bert", &[2.0, 0.0]);
    assert_eq!(verdict(&results[0], "fragile").unwrap()["score"], 0.5);
    assert_eq!((verdict(&results[1], "fragile"), &results[1]["failures"]), (None, &json!([])));
    assert!(verdict(&results[1], "spender").is_some(), "other rules judge it");
    let letters = server.until("/v1/dead-letters?stream=payments", |answer| answer.json()["items"] != json!([]));
    let ids: Vec<&Value> = letters["items"].as_array().unwrap().iter().map(|letter| &letter["id"]).collect();
    assert_eq!(ids, ["anna-0"]);
    let status = server.get("/v1/rules/fragile/status").expect(200);
    assert_eq!((&status["since_start"]["judged"], &status["since_start"]["failed"]), (&json!(3), &json!(2)));
}

#[test]
fn a_halted_partition_continues_without_lost_or_repeated_verdicts() {
    let server = Server::start();
    server.define_payments();
    server.put_yaml("/v1/rules/fragile", &format!("{FRAGILE}on_error: halt\n")).expect(201);
    let good: Vec<Value> = (0..50).map(|at| payment(&format!("a{at}"), "anna", 2.0, TIME + at)).collect();
    let bad = payment("bad", "anna", 0.0, TIME + 50);
    let later: Vec<Value> = (0..50).map(|at| payment(&format!("b{at}"), "anna", 4.0, TIME + 51 + at)).collect();
    let events: Vec<Value> = good.into_iter().chain([bad]).chain(later).collect();
    server.post("/v1/streams/payments/events", &json!(events)).expect(202);

    let halted = |part: &Value| part["name"].as_str().unwrap().starts_with("rules of payments/") && part["ok"] == false;
    let ready = server.until("/readyz", |answer| answer.json()["parts"].as_array().unwrap().iter().any(halted));
    let part = ready["parts"].as_array().unwrap().iter().find(|part| halted(part)).unwrap();
    let message = part["message"].as_str().unwrap();
    assert!(message.contains("rule 'fragile' halts before offset 50 (score-infinite"), "{message}");
    assert_eq!(ready["ready"], true, "events are taken in all the same");
    let judged = |id: &str| server.get(&format!("/v1/events/payments/{id}")).expect(200)["events"][0]["judged"].clone();
    server.until("/v1/events/payments/a49", |answer| answer.json()["events"][0]["judged"] == true);
    assert_eq!((judged("bad"), judged("b0")), (json!(false), json!(false)));

    server.put_yaml("/v1/rules/fragile", &FRAGILE.replace("1.0 / amount", "1.0 / (amount + 2.0)")).expect(200);
    server.until("/v1/events/payments/b49", |answer| answer.json()["events"][0]["judged"] == true);
    let score = |id: &str| {
        let event = server.get(&format!("/v1/events/payments/{id}")).expect(200)["events"][0].clone();
        let verdicts = event["verdicts"].as_array().unwrap().clone();
        let own: Vec<&Value> = verdicts.iter().filter(|verdict| verdict["rule"] == "fragile").collect();
        assert_eq!(own.len(), 1, "{id}");
        (own[0]["revision"].clone(), own[0]["score"].clone())
    };
    assert_eq!(score("a49"), (json!(1), json!(0.5)));
    assert_eq!(score("bad"), (json!(2), json!(0.5)));
    let spent = server.until("/v1/views/card_spend/values?key=anna", |answer| answer.status == 200);
    assert_eq!(spent["measures"]["payments"], 101, "each is counted once");
    assert!(server.get("/readyz").json()["parts"].as_array().unwrap().iter().all(|part| part["ok"] == true));
}

#[test]
fn inputs_are_recorded_as_the_rule_says() {
    let server = Server::start();
    server.define_payments();
    let inputs = |server: &Server, card: &str| {
        let results = pay(server, card, &[50.0, 900.0]);
        results.iter().map(|result| verdict(result, "big").unwrap()["inputs"].clone()).collect::<Vec<Value>>()
    };
    let saw = |amount: f64| json!({"amount": amount});
    assert_eq!(inputs(&server, "a"), [saw(50.0), saw(900.0)]);
    server.put_yaml("/v1/rules/big", &format!("{BIG}record: tagged\n")).expect(200);
    assert_eq!(inputs(&server, "b"), [json!({}), saw(900.0)]);
    server.put_yaml("/v1/rules/big", &format!("{BIG}record: none\n")).expect(200);
    assert_eq!(inputs(&server, "c"), [json!({}), json!({})]);
}

#[test]
fn a_rule_goes_back_to_any_revision() {
    let server = Server::start();
    server.define_payments();
    server.put_yaml("/v1/rules/big", &BIG.replace("1000.0", "500.0")).expect(200);
    server.put_yaml("/v1/rules/big", &BIG.replace("1000.0", "100.0")).expect(200);
    let score = |answer: &Value| (answer["revision"].clone(), answer["definition"]["score"].clone());
    let back = server.post("/v1/rules/big/rollback", &Value::Null).expect(200);
    assert_eq!(score(&back), (json!(4), json!("amount / 500.0")));
    let first = server.post("/v1/rules/big/rollback?revision=1", &Value::Null).expect(200);
    assert_eq!(score(&first), (json!(5), json!("amount / 1000.0")));
    server.post("/v1/rules/big/rollback?revision=77", &Value::Null).problem(404, "not-found");
    server.post("/v1/rules/other/rollback", &Value::Null).problem(404, "not-found");
    assert_eq!(server.delete("/v1/rules/big").status, 204);
    let restored = server.post("/v1/rules/big/rollback", &Value::Null).expect(201);
    assert_eq!(score(&restored), (json!(7), json!("amount / 1000.0")));
}

#[test]
fn a_rule_that_goes_back_while_it_is_paused_is_resumed_in_the_mode_of_that_revision() {
    let server = Server::start();
    server.define_payments();
    server.put_yaml("/v1/rules/big", &format!("{BIG}mode: shadow\n")).expect(200);
    server.put_yaml("/v1/rules/big", &BIG.replace("1000.0", "500.0")).expect(200);
    let said = |answer: Value| {
        let definition = &answer["definition"];
        ["score", "mode", "resume_mode"].map(|field| definition[field].as_str().unwrap_or_default().to_owned())
    };
    let post = |act: &str| said(server.post(&format!("/v1/rules/big/{act}"), &Value::Null).expect(200));
    assert_eq!(post("pause"), ["amount / 500.0", "paused", ""]);
    assert_eq!(post("rollback"), ["amount / 1000.0", "paused", "shadow"]);
    assert_eq!(post("resume"), ["amount / 1000.0", "shadow", ""]);
    // A pause after that begins from what runs now.
    assert_eq!(post("pause"), ["amount / 1000.0", "paused", ""]);
    assert_eq!(post("resume"), ["amount / 1000.0", "shadow", ""]);
}

fn plugin(name: &str) -> Vec<u8> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let folder = std::env::var_os("ASSAY_PLUGINS").map_or(built, PathBuf::from);
    let file = folder.join(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; cargo xtask plugins builds it", file.display()))
}

/// A stream of its own, and a rule whose plugin remembers the last place of each card.
fn define_places(server: &Server, more: &str) {
    let fields = "    - { name: lat, type: double }\n    - { name: lon, type: double }\n";
    server.put_yaml("/v1/streams/payments", &format!("{}{fields}", PAYMENTS.trim_start())).expect(201);
    let jump = format!(
        "rule: jump\nstream: payments\nplugin: geo-jump@1\ninputs: {{ lat: lat, lon: lon, time: time }}\n{more}"
    );
    server.put_yaml("/v1/rules/jump", &jump).expect(201);
}

fn place(at: i64) -> Value {
    json!({"id": format!("p{at}"), "card": format!("card-{at}"), "amount": 1.0, "time": TIME + at, "lat": 52.5, "lon": 13.4})
}

#[test]
fn an_upload_is_tried_before_it_is_made() {
    let server = Server::start();
    let wasm = plugin("geo_jump.wasm");
    let upload = |path: &str| server.send("POST", path, Some(&server.admin), Some(("application/wasm", &wasm)));
    let tried = upload("/v1/plugins?dry_run=true").expect(200);
    assert_eq!((&tried["name"], &tried["dry_run"]), (&json!("geo-jump"), &json!(true)));
    server.get("/v1/plugins/geo-jump").problem(404, "not-found");
    upload("/v1/plugins").expect(201);
    define_places(&server, "");
    let view = CARD_SPEND.replace("1h", "2h");
    let tried = server.put_yaml("/v1/views/card_spend?dry_run=true", &view).expect(200);
    assert_eq!(tried["effects"][0]["effect"], "it counts events from now on; what the log holds is not counted");
    server.put_yaml("/v1/views/card_spend", &view).expect(201);
    let changed = server.put_yaml("/v1/views/card_spend?dry_run=true", CARD_SPEND).expect(200);
    assert_eq!(changed["effects"][0]["effect"], "it begins anew, with empty windows");
    let other = json!({"rule": "jump", "stream": "payments", "score": "1.0"});
    let changed = server.put("/v1/rules/jump?dry_run=true", &other).expect(200);
    let effects: Vec<&Value> = changed["effects"].as_array().unwrap().iter().map(|one| &one["effect"]).collect();
    let version = server.get("/v1/plugins/geo-jump").expect(200)["items"][0]["version"].as_str().unwrap().to_owned();
    let replaced = format!("it is scored by an expression instead of geo-jump {version}");
    assert_eq!(effects, [replaced.as_str(), "what its plugin remembers is dropped"]);
    assert_eq!(server.get("/v1/rules/jump").expect(200)["revision"], 1, "only tried");
}

#[test]
fn a_rule_whose_plugin_keeps_failing_is_paused_and_says_so() {
    let server = Server::start();
    let upload =
        |wasm: &[u8]| server.send("POST", "/v1/plugins", Some(&server.admin), Some(("application/wasm", wasm)));
    upload(&plugin("geo_jump.wasm")).expect(201);
    // No state is that small: it fails on every event.
    define_places(&server, "limits: { state: 1B }\n");
    let events: Vec<Value> = (0..1500).map(place).collect();
    server.post("/v1/streams/payments/events", &json!(events)).expect(202);
    let status = server.until("/v1/rules/jump/status", |answer| answer.json()["mode"] == "paused");
    assert_eq!(status["breaker"]["state"], "open");
    let reason = status["breaker"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("failed on ") || reason.starts_with("took "), "{reason}");
    let failure = &status["last_failure"];
    assert_eq!(failure["code"], "plugin-malformed");
    assert!(failure["message"].as_str().unwrap().contains("state"), "{failure}");
    let revisions = server.get("/v1/rules/jump/revisions").expect(200);
    assert_eq!(revisions["items"][0]["author"], format!("circuit-breaker: {reason}"));

    let mended = "rule: jump\nstream: payments\nplugin: geo-jump@1\ninputs: { lat: lat, lon: lon, time: time }\n";
    server.put_yaml("/v1/rules/jump", mended).expect(200);
    let event = place(2000);
    let answer = server.post("/v1/streams/payments/events?wait=verdicts&timeout=20s", &event).expect(200);
    assert!(verdict(&answer["results"][0], "jump").is_some(), "{answer}");
    let status = server.get("/v1/rules/jump/status").expect(200);
    assert_eq!((&status["breaker"]["state"], &status["last_minute"]["failed"]), (&json!("closed"), &json!(0)));
    assert!(status["last_minute"]["ns_per_event"].as_u64().unwrap() > 0);
}

#[test]
fn limits_of_a_rule_are_checked() {
    let server = Server::start();
    server
        .send("POST", "/v1/plugins", Some(&server.admin), Some(("application/wasm", &plugin("geo_jump.wasm"))))
        .expect(201);
    define_places(&server, "limits: { time_per_event: 1ms, memory: 8MiB, state: 2KiB }\n");
    let read = server.get("/v1/rules/jump").expect(200);
    assert_eq!(read["definition"]["limits"]["time_per_event"], "1ms");
    let jump = "rule: jump\nstream: payments\nplugin: geo-jump@1\ninputs: { lat: lat, lon: lon, time: time }\n";
    for (limits, said) in [
        ("{ memory: 10KiB }", "expected at least 64KiB, got 10KiB"),
        ("{ time_per_event: 0s }", "expected at least 1ms"),
        ("{ memory: much }", "'much' is not a size"),
        ("{ memmory: 1MiB }", "did you mean 'memory'?"),
    ] {
        let refused = server.put_yaml("/v1/rules/jump", &format!("{jump}limits: {limits}\n"));
        let problems = refused.problem(422, "invalid-definition")["problems"].to_string();
        assert!(problems.contains(said), "{problems}");
    }
    let refused =
        server.put_yaml("/v1/rules/jump", "rule: jump\nstream: payments\nscore: '1.0'\nlimits: { state: 1KiB }\n");
    assert!(refused.problem(422, "invalid-definition")["detail"].as_str().unwrap().contains("are for plugins"));
}
