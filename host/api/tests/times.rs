//! Times over HTTP: events that are ahead, values at a time before the newest event, tags with their time.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use assay_engine::now_ms;
use serde_json::{Value, json};
use support::{BIG, PAYMENTS, Server, payment};

const TIME: i64 = 1_767_225_600_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn view(over: &str) -> String {
    format!("view: v\nstream: payments\nby: [card]\nmeasures: {{ n: count(), spent: sum(amount) }}\n{over}\n")
}

#[test]
fn an_event_that_is_ahead_is_refused_by_name_and_costs_no_other() {
    let server = Server::start();
    server.define_payments();
    let events = "/v1/streams/payments/events?wait=verdicts&timeout=20s";
    let now = now_ms();
    let sent = json!([
        payment("1", "c", 1.0, now),
        payment("2", "c", 1.0, now + 36_500 * DAY),
        payment("3", "c", 1.0, now * 1_000_000),
        payment("4", "c", 1.0, now + DAY - 60_000),
        {"id": "5"}
    ]);
    let answer = server.post(events, &sent).expect(200);
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(2), &json!(3)), "{answer}");
    let codes: Vec<(u64, &str)> = answer["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["row"].as_u64().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    assert_eq!(codes, [(2, "time-ahead"), (3, "time-out-of-range"), (5, "event-malformed")]);
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("more than 1d (the stream's max_ahead)"));
    let values = server.get("/v1/views/card_spend/values?key=c").expect(200);
    assert_eq!(values["as_of"], now + DAY - 60_000);
    // The rule on the last hour sees what comes now.
    let alone = server.post(events, &payment("6", "c", 1.0, now + 36_500 * DAY)).problem(422, "invalid-events");
    assert_eq!(alone["errors"][0]["code"], "time-ahead");

    let bound = |text: &str| server.put_yaml("/v1/streams/payments", &format!("{PAYMENTS}max_ahead: {text}\n"));
    bound("a while").problem(422, "invalid-definition");
    bound("0s").expect(200);
    server.post(events, &payment("7", "d", 1.0, now + DAY)).problem(422, "invalid-events");
    server.post(events, &payment("8", "d", 1.0, now)).expect(200);
    let stored = bound("none").expect(200);
    assert_eq!(stored["definition"]["max_ahead"], "none");
    server.post(events, &payment("9", "d", 1.0, now + 36_500 * DAY)).expect(200);
    server.post(events, &payment("0", "d", 1.0, i64::MAX)).problem(422, "invalid-events");
    let derived = "stream: by_card\nfrom: payments\nkey: card\n";
    server.put_yaml("/v1/streams/by_card", &format!("{derived}max_ahead: 1h\n")).problem(422, "invalid-definition");
    server.put_yaml("/v1/streams/by_card", derived).expect(201);
}

#[test]
fn the_first_value_and_the_deviation_are_answered() {
    let server = Server::start();
    server.define_payments();
    let measures = "{ first: first(amount), last: last(amount), card: first(card), spread: stddev(amount) }";
    let view = format!("view: v\nstream: payments\nby: [card]\nmeasures: {measures}\n");
    server.put_yaml("/v1/views/v", &view).expect(201);
    server
        .put_yaml("/v1/views/w", &view.replace("view: v", "view: w").replace("stddev(amount)", "stddev(card)"))
        .problem(422, "invalid-definition");
    let values = || server.get("/v1/views/v/values?key=c").expect(200)["measures"].clone();
    let send = |sent: Value| server.post("/v1/streams/payments/events?wait=verdicts&timeout=20s", &sent).expect(200);
    send(json!([payment("1", "c", 4.0, TIME)]));
    assert_eq!(values(), json!({"first": 4.0, "last": 4.0, "card": "c", "spread": null}));
    send(json!([payment("2", "c", 8.0, TIME), payment("3", "c", 6.0, TIME - HOUR)]));
    assert_eq!(values(), json!({"first": 6.0, "last": 8.0, "card": "c", "spread": 2.0}));
}

/// Every value that is answered is that of all events of the card; every time that is refused says which are not.
fn check_values(server: &Server, times: &[i64], covered: impl Fn(i64, i64) -> bool) -> (usize, usize) {
    let (mut answered, mut refused) = (0, 0);
    let mut known = None;
    for at in (TIME - 2 * HOUR..TIME + 6 * HOUR).step_by(7 * 60_000 + 13) {
        let answer = server.get(&format!("/v1/views/v/values?key=c&at={at}"));
        if answer.status == 409 {
            let problem = answer.problem(409, "not-kept");
            let from = problem["from"].as_i64().unwrap();
            assert!(at < from && problem["to"] == Value::Null, "{problem}");
            assert_eq!(*known.get_or_insert(from), from);
            refused += 1;
            continue;
        }
        let expected = times.iter().filter(|time| covered(**time, at)).count();
        assert_eq!(answer.expect(200)["measures"]["n"], expected, "at {at}");
        answered += 1;
    }
    if let Some(from) = known {
        server.get(&format!("/v1/views/v/values?key=c&at={from}")).expect(200);
        server.get(&format!("/v1/views/v/values?key=c&at={}", from - 1)).problem(409, "not-kept");
    }
    (answered, refused)
}

#[test]
fn a_value_at_a_time_is_correct_or_refused_with_the_possible_times() {
    let minute = |time: i64| time.div_euclid(60_000);
    let slides = move |time: i64, at: i64| (minute(at) - 59..=minute(at)).contains(&minute(time));
    let tumbles = |time: i64, at: i64| time.div_euclid(HOUR) == at.div_euclid(HOUR);
    let ever = |_: i64, _: i64| true;
    type Covers = Box<dyn Fn(i64, i64) -> bool>;
    let kinds: [(&str, &str, Covers); 4] = [
        ("over: 1h", "lateness: 0s", Box::new(slides)),
        ("over: 1h", "lateness: 90m", Box::new(slides)),
        ("every: 1h\nkeep: 2h", "lateness: 0s", Box::new(tumbles)),
        ("doc: ever", "lateness: 0s", Box::new(ever)),
    ];
    let times: Vec<i64> = (0..50).map(|at| TIME + at * (5 * 60_000 + 777)).collect();
    for (window, lateness, covers) in kinds {
        let server = Server::start();
        server.put_yaml("/v1/streams/payments", &format!("{PAYMENTS}{lateness}\n")).expect(201);
        server.put_yaml("/v1/views/v", &view(window)).expect(201);
        let events: Vec<Value> =
            times.iter().enumerate().map(|(at, time)| payment(&at.to_string(), "c", 1.0, *time)).collect();
        server.post("/v1/streams/payments/events?wait=verdicts&timeout=20s", &json!(events)).expect(200);
        let (answered, refused) = check_values(&server, &times, covers);
        assert!(answered > 5 && refused > 5, "{window} {lateness}: {answered} {refused}");
        server.get("/v1/views/v/values?key=nobody&at=5").problem(404, "entity-not-found");
        server.get("/v1/views/v/values?key=c&at=9223372036854775807").problem(400, "bad-request");
    }
}

#[test]
fn an_entity_has_the_tags_of_the_rules_of_now_with_their_times() {
    let server = Server::start();
    server.define_payments();
    server.put_yaml("/v1/rules/big", &format!("{BIG}expire: 30d\n")).expect(200);
    server.post("/v1/streams/payments/events?wait=verdicts&timeout=20s", &payment("1", "c", 5000.0, TIME)).expect(200);
    let path = format!("/v1/entities/payments/c?at={}", TIME + DAY);
    let seen = server.until(&path, |answer| answer.status == 200 && answer.json()["tags"] != json!([]));
    assert_eq!(seen["tags"], json!(["huge", "spender"]));
    let huge = json!({"tag": "huge", "rule": "big", "at": TIME, "expires_at": TIME + 30 * DAY});
    assert_eq!(seen["tagged"], json!([huge, {"tag": "spender", "rule": "spender", "at": TIME}]));
    let later = server.get("/v1/entities/payments/c").expect(200);
    assert_eq!((&later["tags"], &later["rules"]["big"]["tags"]), (&json!(["spender"]), &json!([])));
    assert_eq!(later["rules"]["big"]["score"], 5.0);
    assert_eq!(server.get("/v1/scores?rule=big").expect(200)["items"][0]["tags"], json!([]));

    server.delete("/v1/rules/big").expect(204);
    let gone = server.get(&path).expect(200);
    assert_eq!((&gone["tags"], &gone["rules"]["big"]), (&json!(["spender"]), &Value::Null));
    server.get("/v1/scores?rule=big").problem(404, "not-found");
    server.get("/v1/scores?rule=spender&stream=other").problem(404, "not-found");
    server.put_yaml("/v1/rules/big", BIG).expect(201);
    assert_eq!(server.get(&path).expect(200)["tags"], json!(["spender"]));
    assert_eq!(server.get("/v1/scores?rule=big").expect(200)["items"], json!([]));
    assert_eq!(server.get("/v1/scores?rule=spender&stream=payments").expect(200)["items"][0]["key"], "c");
}
