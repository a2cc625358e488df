//! Live verdicts: each once and in order, filtered, and going on where a client was.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead as _, BufReader, Lines, Read};
use std::sync::mpsc;
use std::time::Duration;

use assay_api::ApiConfig;
use assay_core::names::{Offset, PartitionIndex};
use assay_engine::ports::log::{Topic, Trim};
use serde_json::{Value, json};
use support::{Server, WAIT_TIMEOUT, payment};

const EVENTS: &str = "/v1/streams/payments/events";

struct Event {
    id: String,
    name: String,
    data: Value,
}

/// A connection that follows. Its first event, with the place where it begins, has been read.
struct Subscriber {
    lines: Lines<BufReader<Box<dyn Read + Send>>>,
    begin: String,
}

impl Subscriber {
    fn open(server: &Server, query: &str, last: Option<&str>) -> Self {
        Self::try_open(server, query, last).unwrap_or_else(|status| panic!("{query}: {status}"))
    }

    fn try_open(server: &Server, query: &str, last: Option<&str>) -> Result<Self, u16> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = agent.get(format!("{}/v1/verdicts/stream{query}", server.url));
        request = request.header("authorization", format!("Bearer {}", server.admin));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.config().timeout_recv_body(Some(WAIT_TIMEOUT)).build().call().unwrap();
        if response.status() != 200 {
            return Err(response.status().as_u16());
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let body: Box<dyn Read + Send> = Box::new(response.into_body().into_reader());
        let mut subscriber = Self { lines: BufReader::new(body).lines(), begin: String::new() };
        subscriber.begin = subscriber.next().expect("a first event").id;
        Ok(subscriber)
    }

    /// The next event; none: the end.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event { id: String::new(), name: String::new(), data: Value::Null };
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            match line.split_once(": ") {
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                _ if line.is_empty() => return Some(event),
                _ => {}
            }
        }
        None
    }

    fn verdicts(&mut self, count: usize) -> Vec<Event> {
        let mut verdicts = Vec::new();
        while verdicts.len() < count {
            let event = self.next().expect("more verdicts");
            if event.name == "verdict" {
                verdicts.push(event);
            }
        }
        verdicts
    }
}

/// Events of 7 cards, numbered from `from` on.
fn send(server: &Server, from: usize, count: usize) {
    let events: Vec<_> = (from..from + count)
        .map(|i| payment(&format!("p{i}"), &format!("card-{}", i % 7), 100.0 + i as f64, 1000 + i as i64))
        .collect();
    server.post(&format!("{EVENTS}?wait=verdicts"), &json!(events)).expect(200);
}

/// Which rule judged which event.
fn said(events: &[Event]) -> Vec<(String, String)> {
    let text = |event: &Event, name: &str| event.data[name].as_str().unwrap().to_owned();
    events.iter().map(|event| (text(event, "rule"), text(event, "id"))).collect()
}

#[test]
fn every_verdict_comes_once_and_those_of_an_entity_in_order() {
    let server = Server::start();
    server.define_payments();
    send(&server, 0, 10);
    let mut subscriber = Subscriber::open(&server, "", None);
    for round in 0..5 {
        send(&server, 100 * round + 100, 100);
    }
    let events = subscriber.verdicts(1000);
    let mut pairs = said(&events);
    let mut of_one: Vec<i64> = Vec::new();
    for event in events.iter().filter(|event| event.data["key"] == "card-3" && event.data["rule"] == "big") {
        of_one.push(event.data["time"].as_i64().unwrap());
    }
    assert!(of_one.len() > 60 && of_one.is_sorted(), "{of_one:?}");
    pairs.sort();
    pairs.dedup();
    assert_eq!(pairs.len(), 1000, "each once");
    assert!(!pairs.contains(&("big".to_owned(), "p5".to_owned())), "what was said before is not live");
    let first = &events[0].data;
    assert!(first["place"]["partition"].is_u64() && first["inputs"].is_object(), "{first}");
}

#[test]
fn a_client_goes_on_exactly_where_it_was_wherever_that_is() {
    let server = Server::start();
    server.define_payments();
    let begin = Subscriber::open(&server, "", None).begin;
    send(&server, 0, 60);
    let all = Subscriber::open(&server, "", Some(&begin)).verdicts(120);
    let mut expected = said(&all);
    expected.sort();
    for at in [0, 1, 2, 59, 60, 118] {
        let mut rest = said(&Subscriber::open(&server, "", Some(&all[at].id)).verdicts(119 - at));
        rest.extend(said(&all[..=at]));
        rest.sort();
        assert_eq!(rest, expected, "behind event {at}");
    }
    // At the end there is nothing, until something is said.
    let mut subscriber = Subscriber::open(&server, "", Some(&all[119].id));
    send(&server, 60, 1);
    assert!(said(&subscriber.verdicts(2)).iter().all(|(_, id)| id == "p60"));
}

#[test]
fn filters_leave_out_the_rest() {
    let server = Server::start();
    server.define_payments();
    let begin = Subscriber::open(&server, "", None).begin;
    send(&server, 0, 20);
    send(&server, 600, 20);
    let follow = |query: &str, count: usize| said(&Subscriber::open(&server, query, Some(&begin)).verdicts(count));
    assert!(follow("?rule=big", 40).iter().all(|(rule, _)| rule == "big"));
    let huge = follow("?rule=big&stream=payments&tag=huge", 20);
    assert!(huge.iter().all(|(_, id)| id.len() == 4 && id.starts_with("p6")), "{huge:?}");
    let high = follow("?rule=big&min=0.719", 1);
    assert_eq!(high, [("big".to_owned(), "p619".to_owned())]);
    for (query, status) in [("?rule=none", 404), ("?stream=none", 404), ("?min=high", 400), ("?rul=big", 400)] {
        assert_eq!(Subscriber::try_open(&server, query, None).err(), Some(status), "{query}");
    }
    for bad in ["nonsense", "payments=1,x"] {
        assert_eq!(Subscriber::try_open(&server, "", Some(bad)).err(), Some(400), "{bad}");
    }
}

#[test]
fn new_streams_are_part_of_a_live_stream() {
    let server = Server::start();
    let mut subscriber = Subscriber::open(&server, "", None);
    server.define_payments();
    send(&server, 0, 7);
    assert_eq!(subscriber.verdicts(14).len(), 14);
}

#[test]
fn a_client_that_nothing_is_said_to_hears_where_it_is() {
    let server = Server::with(ApiConfig { live_heartbeat: Duration::from_millis(100), ..ApiConfig::default() });
    server.define_payments();
    let mut subscriber = Subscriber::open(&server, "?rule=big&min=1e9", None);
    send(&server, 0, 20);
    // Verdicts that are not wanted move the place on, too.
    let deadline = std::time::Instant::now() + WAIT_TIMEOUT;
    let place = loop {
        let event = subscriber.next().expect("the connection holds");
        assert!(event.name.is_empty() && event.data.is_null() && !event.id.is_empty(), "{} {}", event.name, event.data);
        if event.id != subscriber.begin {
            break event.id;
        }
        assert!(std::time::Instant::now() < deadline, "the place never moves");
    };
    let rest = Subscriber::open(&server, "?rule=big", Some(&place)).next().expect("a heartbeat");
    assert!(rest.name.is_empty(), "all was passed over already: {}", rest.data);
}

#[test]
fn what_was_deleted_before_it_was_read_is_told() {
    let server = Server::start();
    server.define_payments();
    let log = server.store.ports().log;
    // Each partition begins with a block without events.
    let has_block = |partition| log.end("payments", Topic::Verdicts, PartitionIndex(partition)).unwrap() > Offset(0);
    let deadline = std::time::Instant::now() + WAIT_TIMEOUT;
    while !(0..4).all(has_block) {
        assert!(std::time::Instant::now() < deadline, "a partition does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    let begin = Subscriber::open(&server, "", None).begin;
    for round in 0..20 {
        send(&server, 10 * round, 10);
    }
    let (mut deleted, mut parts) = (0, 0);
    for partition in (0..4).map(PartitionIndex) {
        let wish = Trim { older_than: Some(i64::MAX), below: Offset(u64::MAX), ..Trim::default() };
        let trimmed = log.trim("payments", Topic::Verdicts, partition, &wish).unwrap();
        deleted += trimmed.records;
        parts += u64::from(trimmed.records > 0);
    }
    assert!(deleted > 0);
    let mut subscriber = Subscriber::open(&server, "", Some(&begin));
    let (mut missed, mut told, mut last) = (0, 0, begin);
    while told < parts {
        let event = subscriber.next().expect("the connection holds");
        if event.name == "missed" {
            assert_eq!(event.data["stream"], "payments");
            missed += event.data["batches"].as_u64().unwrap();
            told += 1;
        }
        last = event.id;
    }
    assert_eq!(missed, deleted - parts, "the first block of each partition was before the subscriber");
    // It is told once.
    let mut again = Subscriber::open(&server, "", Some(&last));
    send(&server, 1000, 7);
    while let Some(event) = again.next() {
        assert_ne!(event.name, "missed");
        if event.data["id"].as_str().is_some_and(|id| id.starts_with("p100")) {
            break;
        }
    }
}

#[test]
fn clients_are_bounded_and_let_go_of_by_a_deleted_key_and_by_a_stop() {
    let mut server = Server::with(ApiConfig { max_live_clients: 2, ..ApiConfig::default() });
    server.define_payments();
    let first = Subscriber::open(&server, "", None);
    let mut second = Subscriber::open(&server, "", None);
    assert_eq!(Subscriber::try_open(&server, "", None).err(), Some(503));
    drop(first);
    // The server notices a closed connection when it says something.
    send(&server, 0, 50);
    second.verdicts(100);
    let deadline = std::time::Instant::now() + WAIT_TIMEOUT;
    let third = loop {
        match Subscriber::try_open(&server, "", None) {
            Ok(subscriber) => break subscriber,
            Err(status) => assert_eq!(status, 503),
        }
        assert!(std::time::Instant::now() < deadline, "the place of a client that left is never free");
        send(&server, 50, 1);
        std::thread::sleep(Duration::from_millis(20));
    };
    drop(third);
    // A second admin, because the last one cannot be deleted; then the key of those who follow goes.
    let other = server.key("other", "admin");
    server.send("DELETE", "/v1/keys/admin", Some(&other), None).expect(204);
    while second.next().is_some() {}
    server.admin = other;
    let mut last = Subscriber::open(&server, "", None);
    let (ended, has_ended) = mpsc::channel();
    std::thread::spawn(move || {
        while last.next().is_some() {}
        ended.send(()).unwrap();
    });
    let asked = std::time::Instant::now();
    server.stop();
    has_ended.recv_timeout(WAIT_TIMEOUT).unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10), "a stop does not wait for those who follow");
}
