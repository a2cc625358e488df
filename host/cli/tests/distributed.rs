//! The distributed stack as its users meet it, without faults: two members of one group on real servers share the work,
//! both know everything, rules change on both, one takes over when the other stops, and a data folder moves in.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[path = "support/ask.rs"]
mod ask;
#[path = "support/stack.rs"]
mod stack;
mod support;
#[path = "support/ties/mod.rs"]
mod ties;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Lines, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ask::{escaped, for_each, listing};
use assay::generate::{Payments, PaymentsConfig, write_json};
use serde_json::{Value, json};
use stack::{KEY, Names};
use support::{Server, WAIT_TIMEOUT, assay, plugins};

const EVENTS: usize = 2_000;
const CARDS: u32 = 150;
const RULES: [&str; 5] = ["card_geo", "card_thresholds", "card_velocity", "payment_risk", "ties"];
/// What the pack lacks: a tumbling view.
const HOURS: &str = "by: [card]\nmeasures: { payments: count(), spent: sum(amount) }\nevery: 1h\nkeep: 2d\n";
/// How soon a change through one member must be seen by the other, on a machine that is busy with other tests.
const SEEN: Duration = Duration::from_secs(5);

/// A view of the payments by merchant, which is not their key.
const SALES: &str = "by: [merchant]\nmeasures: { payments: count() }\n";

/// The payments pack on a stream of a test, with a tumbling view, and a stream derived by merchant with a view of its own.
fn pack(names: &Names, folder: &Path) -> PathBuf {
    let dir = names.pack(folder);
    let stream = &names.stream;
    let write = |file: &str, text: String| std::fs::write(dir.join(file), text).unwrap();
    write("views/card_hours.yaml", format!("view: card_hours\nstream: {stream}\n{HOURS}"));
    write("streams/merchants.yaml", format!("{{ stream: {stream}_m, from: {stream}, key: merchant, partitions: 3 }}"));
    write("views/merchant_sales.yaml", format!("view: merchant_sales\nstream: {stream}_m\n{SALES}"));
    dir
}

/// Payments, with what is asked about them later.
struct Sent {
    lines: Vec<Vec<u8>>,
    ids: Vec<String>,
    cards: Vec<String>,
}

fn payments() -> Sent {
    let config = PaymentsConfig { cards: CARDS, fraud_share: 0.02, ..PaymentsConfig::default() };
    let mut sent = Sent { lines: Vec::new(), ids: Vec::new(), cards: Vec::new() };
    let mut cards = BTreeSet::new();
    for payment in Payments::new(&config).unwrap().take(EVENTS) {
        let mut line = Vec::new();
        write_json(&payment, &mut line);
        line.push(b'\n');
        sent.lines.push(line);
        sent.ids.push(payment.id());
        cards.insert(payment.card_id());
    }
    sent.cards = cards.into_iter().collect();
    sent
}

/// Sends events and waits for their verdicts.
fn judge(server: &Server, stream: &str, lines: &[Vec<u8>]) -> Vec<Value> {
    let path = format!("/v1/streams/{stream}/events?wait=verdicts&timeout=60s");
    let body = lines.concat();
    let (status, text) = server.send("POST", &path, Some(("application/x-ndjson", &body))).unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &answer["accepted"]), (200, &lines.len().into()), "{text}\n{}", server.log_tail());
    answer["results"].as_array().unwrap().clone()
}

/// Waits until nothing is under way any more on any member: neither in partitions nor to stores.
fn wait_settled(members: &[&Server]) {
    let settled = |answer: &Value| {
        let parts = answer["parts"].as_array().into_iter().flatten();
        parts.clone().any(|part| part["name"].as_str().is_some_and(|name| name.starts_with("partition ")))
            && parts.clone().all(|part| part["ok"] == true && part["lag"] == 0)
    };
    // Twice: what one has just said another may still have to carry.
    for _ in 0..2 {
        std::thread::sleep(Duration::from_secs(1));
        for server in members {
            server.until("/readyz", |status, answer| status == 200 && settled(answer));
        }
    }
}

/// All that a server knows, by what was asked. Profiles have the stream's name in them, which is left out.
fn all_known(server: &Server, stream: &str, sent: &Sent) -> BTreeMap<String, Value> {
    let mut known = BTreeMap::new();
    for (card, about) in sent.cards.iter().zip(for_each(&sent.cards, |_, card| about_card(server, stream, card))) {
        known.insert(format!("card {card}"), about);
    }
    for rule in RULES {
        let ranking = listing(server, &format!("/v1/scores?rule={rule}&limit=1000"));
        known.insert(format!("ranking by {rule}"), ranking.into());
    }
    for node in ["channel:chip", "channel:contactless", "channel:online"] {
        known.insert(node.to_owned(), listing(server, &format!("/v1/graph/{}?limit=1000", escaped(node))).into());
    }
    let explained = server.read(&format!("/v1/events/{stream}/{}", sent.ids[EVENTS - 1]))["events"].clone();
    assert_eq!(explained[0]["judged"], true, "{explained}");
    known.insert("an event".to_owned(), explained[0]["verdicts"].clone());
    known
}

fn about_card(server: &Server, stream: &str, card: &str) -> Value {
    let path = format!("/v1/entities/{stream}/{card}");
    let mut profile = server.read(&path);
    profile["stream"] = Value::Null;
    let edges = listing(server, &format!("/v1/graph/{}?limit=1000", escaped(&format!("card:{card}"))));
    // A card may be unknown yet to a member that does not hold it.
    let (_, view) = server.get(&format!("/v1/views/card_spend/values?key={card}"));
    let (_, buckets) = server.get(&format!("/v1/views/card_hours/buckets?key={card}"));
    json!({ "profile": profile, "verdicts": listing(server, &format!("{path}/verdicts?limit=1000")), "edges": edges,
            "view": view, "buckets": buckets })
}

/// How many payments the merchants have together, by the view of the derived stream.
fn counted_by_merchant(server: &Server, sent: &Sent) -> u64 {
    let merchant =
        |line: &Vec<u8>| serde_json::from_slice::<Value>(line).unwrap()["merchant"].as_str().unwrap().to_owned();
    let merchants: BTreeSet<String> = sent.lines.iter().map(merchant).collect();
    let merchants: Vec<String> = merchants.into_iter().collect();
    let counts = for_each(&merchants, |_, merchant| {
        // What the other member holds and has not saved yet is not there.
        let (_, values) = server.get(&format!("/v1/views/merchant_sales/values?key={}", escaped(merchant)));
        values["measures"]["payments"].as_u64().unwrap_or(0)
    });
    counts.into_iter().sum()
}

/// What both members know, when they know the same and all payments: what the other one holds a member reads from its last
/// checkpoint, which may be older than its verdicts.
fn agreed(members: [&Server; 2], stream: &str, sent: &Sent, payments: usize) -> BTreeMap<String, Value> {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    loop {
        let [one, two] = members.map(|server| all_known(server, stream, sent));
        let counted = members.map(|server| counted_by_merchant(server, sent));
        if one == two && counted == [payments as u64; 2] {
            assert_has_buckets(&one);
            return one;
        }
        if Instant::now() > deadline {
            assert_same(&two, &one);
            panic!("the members count {counted:?} payments of {payments} by merchant");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Somebody who follows the verdicts of a rule.
struct Live(Lines<BufReader<Box<dyn Read + Send>>>);

impl Live {
    /// Begins to follow; returns when the place where that begins is known.
    fn begin(server: &Server, rule: &str) -> Self {
        let agent: ureq::Agent = ureq::Agent::config_builder().timeout_recv_body(Some(WAIT_TIMEOUT)).build().into();
        let request = agent.get(format!("{}/v1/verdicts/stream?rule={rule}", server.url));
        let answer = request.header("authorization", format!("Bearer {KEY}")).call().unwrap();
        let mut live = Self(BufReader::new(Box::new(answer.into_body().into_reader()) as Box<dyn Read + Send>).lines());
        let begin = live.0.by_ref().find(|line| line.as_ref().unwrap().starts_with("id: "));
        assert!(begin.is_some(), "it ends at once");
        live
    }

    /// The ids of the next events that were judged.
    fn ids(&mut self, count: usize) -> Vec<String> {
        let said = self.0.by_ref().map(Result::unwrap);
        let said = said.filter_map(|line| Some(serde_json::from_str::<Value>(line.strip_prefix("data: ")?).unwrap()));
        said.take(count).map(|said| said["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// Every card has buckets of the tumbling view.
#[track_caller]
fn assert_has_buckets(known: &BTreeMap<String, Value>) {
    for (what, about) in known.iter().filter(|(what, _)| what.starts_with("card ")) {
        assert!(!about["buckets"]["buckets"].as_array().unwrap().is_empty(), "{what}: {about}");
    }
}

#[track_caller]
fn assert_same(found: &BTreeMap<String, Value>, expected: &BTreeMap<String, Value>) {
    for (what, expected) in expected {
        assert_eq!(&found[what], expected, "{what}");
    }
    assert_eq!(found.len(), expected.len());
}

/// Two members with the pack, which both know.
fn two_members(name: &str, folder: &Path) -> (Names, Server, Server) {
    let names = Names::new(name, folder);
    let (one, two) = (names.start(folder.join("one")), names.start(folder.join("two")));
    one.command(&[&"apply", &pack(&names, folder), &"--plugins", &plugins()]);
    two.until("/v1/rules/payment_risk", |status, _| status == 200);
    (names, one, two)
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn two_members_share_the_work_and_know_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (names, one, two) = two_members("two", folder.path());

    let sent = payments();
    let mut live = Live::begin(&two, "payment_risk");
    for (index, lines) in sent.lines.chunks(250).enumerate() {
        let results = judge(if index % 2 == 0 { &one } else { &two }, &names.stream, lines);
        assert!(results.iter().all(|result| result["verdicts"].as_array().unwrap().len() >= 3), "{results:?}");
    }
    // Whoever follows hears the verdicts of both members, each once.
    let (mut heard, mut all) = (live.ids(EVENTS), sent.ids.clone());
    heard.sort();
    all.sort();
    assert_eq!(heard, all);
    drop(live);
    wait_settled(&[&one, &two]);
    let known = agreed([&one, &two], &names.stream, &sent, EVENTS);
    changes_are_seen_by_both(&one, &two);
    // What servers hold cannot be deleted yet, and nothing is deleted halfway.
    let card = format!("/v1/entities/{}/{}", names.stream, sent.cards[0]);
    let (status, text) = one.send("DELETE", &card, None).unwrap();
    assert!(status == 501 && text.contains("docs/operations.md"), "{status} {text}");
    assert_eq!(about_card(&one, &names.stream, &sent.cards[0])["profile"]["key"], sent.cards[0].as_str());

    let status = two.stop();
    assert!(status.success(), "asked to stop, a member ended with {status}");
    let asked = Instant::now();
    judge(&one, &names.stream, &sent.lines[..100]);
    println!("after a member stopped, the other judged events of all partitions within {:?}", asked.elapsed());
    let again = names.start(folder.path().join("two"));
    wait_settled(&[&one, &again]);
    let more = agreed([&again, &one], &names.stream, &sent, EVENTS + 100);
    assert_ne!(more, known, "what was sent again changes nothing");
}

/// A change through one member is seen by the other; of two changes of the same revision at once one is refused.
fn changes_are_seen_by_both(one: &Server, two: &Server) {
    let path = "/v1/rules/payment_risk";
    let rule = one.read(path)["definition"].clone();
    let with_doc = |doc: &str| {
        let mut rule = rule.clone();
        rule["doc"] = doc.into();
        rule.to_string().into_bytes()
    };
    let (status, text) = one.send("PUT", path, Some(("application/json", &with_doc("changed")))).unwrap();
    assert_eq!(status, 200, "{text}");
    let changed = Instant::now();
    two.until(path, |_, answer| answer["revision"] == 2);
    let seen = changed.elapsed();
    println!("a change was seen by the other member after {seen:?}");
    assert!(seen < SEEN, "{seen:?}");

    let put = |server: &Server, doc: &str| {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(WAIT_TIMEOUT)).build().into();
        let request = agent.put(format!("{}{path}", server.url)).header("authorization", format!("Bearer {KEY}"));
        let request = request.header("content-type", "application/json").header("if-match", "\"2\"");
        request.send(with_doc(doc)).unwrap().status().as_u16()
    };
    let mut answers = std::thread::scope(|scope| {
        let other = scope.spawn(|| put(two, "by two"));
        [put(one, "by one"), other.join().unwrap()]
    });
    answers.sort_unstable();
    assert!(answers[0] == 200 && [409, 412].contains(&answers[1]), "{answers:?}");
    for server in [one, two] {
        server.until(path, |_, answer| answer["revision"] == 3);
    }
    assert_eq!(one.read(path)["definition"], two.read(path)["definition"]);
}

/// Payments with a field more.
fn with_notes(lines: &[Vec<u8>], note: &str) -> Vec<Vec<u8>> {
    let with_note = |line: &Vec<u8>| {
        let mut payment: Value = serde_json::from_slice(line).unwrap();
        payment["note"] = note.into();
        payment["id"] = format!("{}-{note}", payment["id"].as_str().unwrap()).into();
        format!("{payment}\n").into_bytes()
    };
    lines.iter().map(with_note).collect()
}

/// A stream gets another schema while both members work; the log, the archive and what is derived know all events.
#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_schema_changes_on_servers() {
    let folder = tempfile::tempdir().unwrap();
    let (names, one, two) = two_members("schema", folder.path());
    let (stream, sent) = (&names.stream, payments());
    let lines = &sent.lines[..400];
    judge(&one, stream, &lines[..200]);

    let path = format!("/v1/streams/{stream}");
    let definition = one.read(&path)["definition"].clone();
    let put = |field: Value| {
        let mut changed = definition.clone();
        changed["schema"]["fields"].as_array_mut().unwrap().push(field);
        one.send("PUT", &path, Some(("application/json", changed.to_string().as_bytes()))).unwrap()
    };
    let (status, text) = put(json!({ "name": "note", "type": "string" }));
    assert!(
        status == 422 && text.contains("it cannot read the events that were written with its schema so far"),
        "{text}"
    );
    let (status, text) = put(json!({ "name": "note", "type": "string", "default": "none" }));
    assert_eq!(status, 200, "{text}");
    // At once, through the one that knows it; the other has to hear of it before it reads them.
    judge(&one, stream, &with_notes(&lines[..200], "one"));
    two.until(&path, |_, answer| answer["revision"] == 2);
    judge(&two, stream, &with_notes(&lines[200..], "two"));
    let rule = json!({ "rule": "noted", "stream": stream, "score": "note == 'two' ? 1.0 : 0.0" });
    let (status, text) =
        two.send("PUT", "/v1/rules/noted", Some(("application/json", rule.to_string().as_bytes()))).unwrap();
    assert!(status < 300, "{text}");
    let results = judge(&two, stream, &with_notes(&lines[..1], "two"));
    let verdicts = results[0]["verdicts"].as_array().unwrap();
    assert!(verdicts.iter().any(|said| said["rule"] == "noted" && said["score"] == 1.0), "{results:?}");

    wait_settled(&[&one, &two]);
    let mut notes = BTreeMap::new();
    for card in &sent.cards {
        for event in listing(&two, &format!("/v1/entities/{stream}/{card}/events?limit=1000")) {
            *notes.entry(event["event"]["note"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
    }
    let expected = [("none".to_owned(), 200), ("one".to_owned(), 200), ("two".to_owned(), 201)];
    assert_eq!(notes, BTreeMap::from(expected));
    let letters = listing(&one, &format!("/v1/dead-letters?stream={stream}&limit=10"));
    assert!(letters.is_empty(), "{letters:?}");
    // The derived stream has the field, too; and events of all schemas were counted once in it.
    let derived = one.read(&format!("/v1/streams/{stream}_m"))["definition"]["schema"].to_string();
    assert!(derived.contains("\"note\""), "{derived}");
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while [&one, &two].iter().any(|server| counted_by_merchant(server, &sent) != 601) {
        assert!(Instant::now() < deadline, "{:?}", [&one, &two].map(|server| counted_by_merchant(server, &sent)));
        std::thread::sleep(Duration::from_millis(500));
    }
    // A new member reads everything anew from the servers.
    assert!(one.stop().success());
    judge(&two, stream, &with_notes(&lines[200..210], "more"));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_data_folder_moves_to_servers_and_knows_what_it_knew() {
    let folder = tempfile::tempdir().unwrap();
    let names = Names::new("move", folder.path());
    let data = folder.path().join("embedded");
    let sent = payments();
    let settings = [("ASSAY_ADMIN_KEY", KEY), ("ASSAY_PLUGINS__TIME_PER_EVENT", "1s")];
    let embedded = Server::start(&data, Some(KEY), &settings);
    embedded.command(&[&"apply", &pack(&names, folder.path()), &"--plugins", &plugins()]);
    sent.lines.chunks(250).for_each(|lines| drop(judge(&embedded, &names.stream, lines)));
    wait_settled(&[&embedded]);
    let known = all_known(&embedded, &names.stream, &sent);
    assert_has_buckets(&known);
    assert!(embedded.stop().success());

    let config = folder.path().join("distributed.toml");
    std::fs::write(&config, "").unwrap();
    for _ in 0..2 {
        // Once more changes nothing.
        let mut migrate = assay();
        migrate.envs(names.settings.iter().map(|(a, b)| (a, b)));
        migrate.args(["migrate", "--data"]).arg(&data).arg("--config").arg(&config);
        let output = migrate.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let server = names.start(folder.path().join(&names.name));
    wait_settled(&[&server]);
    assert_same(&all_known(&server, &names.stream, &sent), &known);
    assert_eq!(counted_by_merchant(&server, &sent), EVENTS as u64);
    // And it goes on: an event more counts on top of what moved in.
    let (before, more) =
        (about_card(&server, &names.stream, &sent.cards[0]), judge(&server, &names.stream, &sent.lines));
    assert_eq!(more.len(), EVENTS);
    wait_settled(&[&server]);
    let count = |about: &Value| about["profile"]["views"]["card_history"]["measures"]["payments"].as_u64().unwrap();
    let after = about_card(&server, &names.stream, &sent.cards[0]);
    assert_eq!(count(&after), 2 * count(&before), "as many payments again");
    assert_eq!(counted_by_merchant(&server, &sent), 2 * EVENTS as u64, "also by merchant");
}
