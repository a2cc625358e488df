//! Events in, scores out: the main job over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use assay_core::names::PartitionIndex;
use assay_engine::ports::log::{Durability, Records, Topic};
use serde_json::{Value, json};
use support::{CARD_SPEND, Server, payment};

const EVENTS: &str = "/v1/streams/payments/events";

fn verdicts(result: &Value) -> Vec<(&str, f64)> {
    let verdicts = result["verdicts"].as_array().unwrap();
    let mut all: Vec<_> = verdicts
        .iter()
        .map(|verdict| (verdict["rule"].as_str().unwrap(), verdict["score"].as_f64().unwrap()))
        .collect();
    all.sort_by_key(|(rule, _)| *rule);
    all
}

#[test]
fn verdicts_that_are_waited_for_come_in_the_order_of_the_events() {
    let server = Server::start();
    server.define_payments();
    let events: Vec<_> =
        (0..40).map(|i| payment(&format!("p{i}"), &format!("card-{}", i % 7), 100.0, 1000 + i)).collect();
    let answer = server.post(&format!("{EVENTS}?wait=verdicts"), &json!(events)).expect(200);
    assert_eq!((&answer["accepted"], &answer["rejected"], &answer["errors"]), (&json!(40), &json!(0), &json!([])));
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 40);
    for (i, result) in results.iter().enumerate() {
        assert_eq!(result["row"], i + 1);
        assert_eq!(result["id"], format!("p{i}"));
        assert_eq!(result["key"], format!("card-{}", i % 7));
        assert_eq!(result["time"], 1000 + i);
        // The event itself is counted: the first of a card is at 100, the second at 200, ...
        let spent = 100.0 * (i / 7 + 1) as f64;
        assert_eq!(verdicts(result), [("big", 0.1), ("spender", spent / 1000.0)]);
    }
}

#[test]
fn one_event_is_an_object_and_many_are_lines() {
    let server = Server::start();
    server.define_payments();
    let one = server.post(&format!("{EVENTS}?wait=verdicts"), &payment("p1", "c", 700.0, 5)).expect(200);
    let by_big = one["results"][0]["verdicts"].as_array().unwrap().iter().find(|v| v["rule"] == "big").unwrap();
    assert_eq!((&by_big["score"], &by_big["tags"]), (&json!(0.7), &json!(["huge"])));
    assert_eq!((&by_big["mode"], &by_big["revision"]), (&json!("active"), &json!(1)));

    let lines = format!("{}\n\n{}\r\n", payment("p2", "c", 1.0, 6), payment("p3", "c", 2.0, 7));
    assert_eq!(server.ndjson(EVENTS, &lines).expect(202), json!({"accepted": 2, "rejected": 0, "errors": []}));
    assert_eq!(server.post(EVENTS, &json!([])).expect(202)["accepted"], 0);
    server.until("/v1/entities/payments/c", |answer| {
        answer.status == 200 && answer.json()["views"]["card_spend"]["measures"]["payments"] == 3
    });
}

#[test]
fn a_bad_event_is_named_and_costs_none_of_its_neighbours() {
    let server = Server::start();
    server.define_payments();
    let body = format!(
        "{}\nnonsense\n\n{}\n{}\n",
        payment("p1", "c", 20.0, 1),
        json!({"id": "p2", "card": "c", "amount": "many", "time": 2}),
        payment("p3", "c", 30.0, 3)
    );
    let answer = server.ndjson(&format!("{EVENTS}?wait=verdicts"), &body).expect(200);
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(2), &json!(2)));
    let rows: Vec<_> = answer["errors"].as_array().unwrap().iter().map(|error| error["row"].clone()).collect();
    assert_eq!(rows, [json!(2), json!(4)], "lines as an editor counts them");
    assert!(answer["errors"][1]["message"].as_str().unwrap().contains("amount"), "{answer}");
    let rows: Vec<_> = answer["results"].as_array().unwrap().iter().map(|result| result["row"].clone()).collect();
    assert_eq!(rows, [json!(1), json!(5)]);

    let problem = server.post(EVENTS, &json!([{"id": "p9"}, 12])).problem(422, "invalid-events");
    assert_eq!((&problem["accepted"], &problem["rejected"]), (&json!(0), &json!(2)));
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2);
    let problem = server.post("/v1/streams/orders/events", &json!([])).problem(404, "not-found");
    assert!(problem["detail"].as_str().unwrap().contains("payments"), "{problem}");
}

#[test]
fn verdicts_that_do_not_come_in_time_leave_the_events_stored() {
    let server = Server::start();
    server.define_payments();
    // The workers stop: nothing is scored any more, but the log still takes events.
    server.engine.shutdown();
    let answer = server.post(&format!("{EVENTS}?wait=verdicts&timeout=20ms"), &payment("p1", "c", 1.0, 1)).expect(202);
    assert_eq!((&answer["accepted"], &answer["results"]), (&json!(1), &Value::Null));
    assert!(answer["note"].as_str().unwrap().contains("stored"), "{answer}");
    let problem = server.post(&format!("{EVENTS}?timeout=soon"), &json!([])).problem(400, "bad-request");
    assert!(problem["detail"].as_str().unwrap().contains("timeout: "), "{problem}");
    let problem = server.post(&format!("{EVENTS}?wait=verdicts&timeout=90s"), &json!([])).problem(400, "bad-request");
    let told = "timeout: expected at most 60s (server.max_wait), got 90s";
    assert_eq!(problem["detail"], told);
    server.post(&format!("{EVENTS}?wait=forever"), &json!([])).problem(400, "bad-request");
}

#[test]
fn an_entity_has_a_profile_a_history_and_values() {
    let server = Server::start();
    server.define_payments();
    server.get("/v1/entities/payments/c").problem(404, "entity-not-found");
    server.get("/v1/entities/orders/c").problem(404, "not-found");
    let day = 86_400_000_i64;
    let events: Vec<_> = (0..5).map(|i| payment(&format!("p{i}"), "c", 600.0, i * day)).collect();
    server.post(&format!("{EVENTS}?wait=verdicts"), &json!(events)).expect(200);

    let newest = |answer: &support::Answer| answer.status == 200 && answer.json()["rules"]["big"]["event"] == "p4";
    let entity = server.until("/v1/entities/payments/c", newest);
    assert_eq!(entity["tags"], json!(["huge"]));
    assert_eq!(entity["rules"]["big"]["score"], 0.6);
    assert_eq!(entity["rules"]["spender"]["score"], 0.6);
    assert_eq!(entity["views"]["card_spend"]["measures"], json!({"payments": 1, "spent": 600.0}));
    assert_eq!(entity["views"]["card_spend"]["as_of"], 4 * day);

    let full = |answer: &support::Answer| answer.status == 200 && answer.json()["items"].as_array().unwrap().len() == 5;
    let history = server.until("/v1/entities/payments/c/events", full);
    let ids: Vec<_> = history["items"].as_array().unwrap().iter().map(|item| item["event"]["id"].clone()).collect();
    assert_eq!(ids, ["p4", "p3", "p2", "p1", "p0"]);
    let path = "/v1/entities/payments/c/verdicts?from=1970-01-02T00:00:00Z&to=345600000&limit=2";
    let first = server.get(path).expect(200);
    let ids: Vec<_> = first["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids, ["p3", "p2"]);
    let cursor = first["cursor"].as_str().unwrap();
    let second = server.get(&format!("{path}&cursor={cursor}")).expect(200);
    assert_eq!(second["items"][0]["id"], "p1");
    assert_eq!((second["items"].as_array().unwrap().len(), &second["cursor"]), (1, &Value::Null));

    let values = server.get("/v1/views/card_spend/values?key=c").expect(200);
    assert_eq!(values["measures"], json!({"payments": 1, "spent": 600.0}));
    let later = server.get(&format!("/v1/views/card_spend/values?key=c&at={}", 5 * day)).expect(200);
    assert_eq!(later["measures"]["payments"], 0);
    server.get("/v1/views/other/values?key=c").problem(404, "not-found");

    // A paused rule's last word stays, but its tags no longer count.
    server.post("/v1/rules/big/pause", &Value::Null).expect(200);
    let entity = server.get("/v1/entities/payments/c").expect(200);
    assert_eq!((&entity["tags"], &entity["rules"]["big"]["tags"]), (&json!([]), &json!(["huge"])));
}

#[test]
fn the_buckets_of_a_tumbling_view_are_read_one_by_one_and_in_order() {
    let server = Server::start();
    server.define_payments();
    let hours = CARD_SPEND.replace("card_spend", "card_hours").replace("over: 1h", "every: 1h\nkeep: 3h");
    let problem = server.put_yaml("/v1/views/card_hours", &hours.replace("keep: 3h", "keep: 5000h"));
    let problem = problem.problem(422, "invalid-definition");
    assert!(problem["detail"].as_str().unwrap().contains("1 to 1440 buckets of 1h"), "{problem}");
    server.put_yaml("/v1/views/card_hours", &hours).expect(201);
    let hour = 3_600_000_i64;
    server.get("/v1/views/card_hours/buckets?key=c").problem(404, "entity-not-found");
    server.get("/v1/views/card_hours/values?key=c").problem(404, "entity-not-found");

    let times = [0, hour, 2 * hour + 5, 4 * hour, 2 * hour, hour];
    let events: Vec<_> =
        times.iter().enumerate().map(|(i, time)| payment(&format!("p{i}"), "c", 600.0, *time)).collect();
    server.post(&format!("{EVENTS}?wait=verdicts"), &json!(events)).expect(200);
    let bucket = |begin: i64, payments: i64| {
        let measures = json!({"payments": payments, "spent": 600.0 * payments as f64});
        json!({"from": begin * hour, "to": (begin + 1) * hour, "measures": measures})
    };
    let kept = server.get("/v1/views/card_hours/buckets?key=c").expect(200);
    assert_eq!(
        kept["buckets"],
        json!([bucket(2, 2), bucket(4, 1)]),
        "that of 01:00 was kept no more when it came late"
    );
    assert_eq!(kept["as_of"], 4 * hour);
    let asked =
        |times: &str| server.get(&format!("/v1/views/card_hours/buckets?key=c{times}")).expect(200)["buckets"].clone();
    assert_eq!(asked("&to=1970-01-01T04:00:00Z"), json!([bucket(2, 2)]));
    assert_eq!(asked(&format!("&from={}", 3 * hour - 1)), json!([bucket(2, 2), bucket(4, 1)]));
    assert_eq!(asked(&format!("&from={}", 3 * hour)), json!([bucket(4, 1)]));

    let of = |at: String| server.get(&format!("/v1/views/card_hours/values?key=c{at}"));
    let newest = of(String::new()).expect(200);
    assert_eq!(newest["bucket"], json!({"from": 4 * hour, "to": 5 * hour}));
    assert_eq!(newest["measures"], json!({"payments": 1, "spent": 600.0}));
    let earlier = of(format!("&at={}", 2 * hour)).expect(200);
    assert_eq!((&earlier["bucket"]["from"], &earlier["measures"]["payments"]), (&json!(2 * hour), &json!(2)));
    assert_eq!(of(format!("&at={}", 9 * hour)).expect(200)["measures"]["payments"], 0);
    let problem = of(format!("&at={}", 2 * hour - 1)).problem(409, "not-kept");
    assert_eq!(problem["from"], 2 * hour, "{problem}");
    let entity = server.get("/v1/entities/payments/c").expect(200);
    assert_eq!(entity["views"]["card_hours"]["bucket"], json!({"from": 4 * hour, "to": 5 * hour}));
    assert_eq!(entity["views"]["card_spend"].get("bucket"), None);

    let problem = server.get("/v1/views/card_spend/buckets?key=c").problem(400, "bad-request");
    assert!(problem["detail"].as_str().unwrap().contains("only views with 'every'"), "{problem}");
    server.get("/v1/views/other/buckets?key=c").problem(404, "not-found");
    server.get("/v1/views/card_hours/buckets?key=c&from=soon").problem(400, "bad-request");
    server.get("/v1/views/card_hours/buckets").problem(400, "bad-request");
}

#[test]
fn an_event_is_explained_by_its_id_and_by_its_place() {
    let server = Server::start();
    server.define_payments();
    let event = payment("p/1", "card 1", 600.0, 1000);
    let place = server.post(&format!("{EVENTS}?wait=verdicts"), &event).expect(200)["results"][0]["place"].clone();
    let found = |answer: &support::Answer| answer.status == 200 && answer.json()["events"][0]["judged"] == true;
    let by_id = server.until("/v1/events/payments/p%2F1", found);
    let explained = &by_id["events"][0];
    assert_eq!(explained["event"]["amount"], 600.0);
    assert_eq!((&explained["place"], &explained["key"], &explained["time"]), (&place, &json!("card 1"), &json!(1000)));
    assert_eq!(verdicts(explained), [("big", 0.6), ("spender", 0.6)]);
    let spender =
        explained["verdicts"].as_array().unwrap().iter().find(|verdict| verdict["rule"] == "spender").unwrap();
    assert_eq!(spender["inputs"], json!({"views.card_spend.spent": 600.0}));
    let by_place = server.get(&format!("/v1/events/payments/{}-{}", place["partition"], place["offset"])).expect(200);
    assert_eq!(by_place["events"], by_id["events"]);
    server.get("/v1/events/payments/other").problem(404, "not-found");
    server.get("/v1/events/orders/p1").problem(404, "not-found");
}

#[test]
fn the_highest_scores_come_page_by_page() {
    let server = Server::start();
    server.define_payments();
    let events: Vec<_> =
        (0..30).map(|i| payment(&format!("p{i}"), &format!("card-{i}"), 10.0 + f64::from(i), 1)).collect();
    server.post(&format!("{EVENTS}?wait=verdicts"), &json!(events)).expect(200);
    server.until("/v1/scores?rule=big", |answer| answer.json()["items"].as_array().unwrap().len() == 30);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/v1/scores?rule=big&min=0.02&limit=8{cursor}")).expect(200);
        assert_eq!(page["stream"], "payments");
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["key"].as_str().unwrap().to_owned()));
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<_> = (10..30).rev().map(|i| format!("card-{i}")).collect();
    assert_eq!(seen, expected);
    server.get("/v1/scores?rule=other").problem(404, "not-found");
}

#[test]
fn an_event_that_cannot_be_read_is_a_dead_letter_with_its_bytes() {
    let server = Server::start();
    server.define_payments();
    let mut records = Records::default();
    records.push(b"\xff\xff\xff");
    let log = &server.store.ports().log;
    let receipt =
        log.append("payments", Topic::Events, vec![(PartitionIndex(2), records)], Durability::Synced).unwrap();
    let place = receipt.blocking_recv().unwrap().unwrap()[0].place(0).unwrap();
    let list = server.until("/v1/dead-letters?stream=payments", |answer| answer.json()["items"] != json!([]));
    let letter = &list["items"][0];
    assert_eq!(letter["place"], json!({"partition": 2, "offset": place.offset.0}));
    assert_eq!((&letter["rule"], &letter["stream"]), (&Value::Null, &json!("payments")));
    assert!(!letter["message"].as_str().unwrap().is_empty());
    assert_eq!(server.get("/v1/dead-letters?rule=big").expect(200)["items"], json!([]));
    let path = format!("/v1/dead-letters/payments/2/{}", place.offset);
    let shown = server.until(&path, |answer| answer.status == 200 && answer.json()["event_hex"] != Value::Null);
    assert_eq!((&shown["event_hex"], &shown["event"]), (&json!("ffffff"), &Value::Null));
    assert_eq!(shown["letters"][0], *letter);
    server.get("/v1/dead-letters/payments/2/99").problem(404, "not-found");
}

#[test]
fn a_rule_changes_while_events_flow_and_none_is_lost_or_scored_twice() {
    let server = Server::start();
    server.define_payments();
    let sender = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut revisions = Vec::new();
            for i in 0..60 {
                let event = payment(&format!("p{i}"), "c", 10.0, i);
                let answer = server.post(&format!("{EVENTS}?wait=verdicts&timeout=30s"), &event).expect(200);
                let verdicts = answer["results"][0]["verdicts"].as_array().unwrap().clone();
                assert_eq!(verdicts.len(), 2);
                let big = verdicts.iter().find(|verdict| verdict["rule"] == "big").unwrap();
                revisions.push((big["revision"].as_u64().unwrap(), big["score"].as_f64().unwrap()));
            }
            revisions
        });
        for divisor in ["500.0", "250.0", "125.0"] {
            server.put_yaml("/v1/rules/big", &support::BIG.replace("1000.0", divisor)).expect(200);
        }
        sending.join().unwrap()
    });
    assert!(sender.is_sorted_by_key(|(revision, _)| *revision), "{sender:?}");
    let expected = [0.0, 0.01, 0.02, 0.04, 0.08];
    assert!(sender.iter().all(|(revision, score)| *score == expected[*revision as usize]), "{sender:?}");
    let spent = server.get("/v1/views/card_spend/values?key=c").expect(200);
    assert_eq!(spent["measures"], json!({"payments": 60, "spent": 600.0}));
}

#[test]
fn requests_in_flight_are_answered_after_the_order_to_stop() {
    let mut server = Server::start();
    server.define_payments();
    server.engine.shutdown();
    let (url, admin) = (server.url.clone(), server.admin.clone());
    let (started, has_started) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        started.send(()).unwrap();
        let request = agent.post(format!("{url}{EVENTS}?wait=verdicts&timeout=700ms"));
        let request = request.header("authorization", format!("Bearer {admin}"));
        request.content_type("application/json").send(payment("p1", "c", 1.0, 1).to_string()).unwrap().status().as_u16()
    });
    has_started.recv().unwrap();
    // The event is in the log once the request waits for its verdict.
    let log = server.store.ports().log.clone();
    let deadline = std::time::Instant::now() + support::WAIT_TIMEOUT;
    while (0..4).all(|partition| log.end("payments", Topic::Events, PartitionIndex(partition)).unwrap().0 == 0) {
        assert!(std::time::Instant::now() < deadline, "the event was never stored");
        std::thread::sleep(Duration::from_millis(1));
    }
    server.stop();
    assert_eq!(waiting.join().unwrap(), 202);
}
