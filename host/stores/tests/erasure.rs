//! The deletion of one entity's data: nothing of it is left, in answers or in the files; nothing else has changed; and a
//! crash at any step only makes it come later.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod cards;
#[allow(dead_code, reason = "only a part is used here")]
mod contract;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use assay_core::names::Offset;
use assay_core::time_range::TimeRange;
use assay_core::verdict::{BlockHead, EdgeRow, EventColumns, Outcome, RuleRows, write_block};
use assay_engine::ports::archive::{ArchivedEvent, EventEntry, HistoryQuery};
use assay_engine::ports::erasure::{EraseStep, Erased};
use assay_engine::ports::graph::GraphEdge;
use assay_engine::ports::log::{Durability, Topic};
use assay_engine::ports::profiles::{HighestQuery, Profile};
use assay_engine::ports::{Ports, StreamPartition};
use assay_stores::embedded::{Config, Embedded};
use cards::{Running, partitions, payment, until};
use contract::{append, events, payments, records};
use serde_json::json;

/// The entity that is to go. No compression writes its random part otherwise than as it is.
const CARD: &str = "card-Qx7Zk3Vt9Lm2Wp8R";
const NEEDLE: &[u8] = b"Qx7Zk3Vt9Lm2Wp8R";

/// How many files of a folder contain the entity's name.
fn files_with_it(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with_it(&path));
        } else if fs::read(&path).unwrap_or_default().windows(NEEDLE.len()).any(|window| window == NEEDLE) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// All that is answered of an entity of the payments.
#[derive(Debug, PartialEq)]
struct Answers {
    events: Vec<ArchivedEvent>,
    outcomes: Vec<Option<Outcome>>,
    profile: Option<Profile>,
    letters: usize,
    spent: String,
}

fn answers(running: &Running, card: &str) -> Answers {
    let (ports, of) = (running.ports(), running.engine.partition_of("payments", card).unwrap());
    let query = HistoryQuery { key: card.to_owned(), times: TimeRange::ALL, limit: 10_000, cursor: None };
    let events = ports.archive.history(&of, &query).unwrap().items;
    let outcome = |event: &ArchivedEvent| ports.archive.outcome(&of, event.place.offset).unwrap();
    let outcomes = events.iter().map(outcome).collect();
    let letters = events.iter().map(|event| ports.dead_letters.of_event(&of, event.place.offset).unwrap().len()).sum();
    let profile = ports.profiles.get(&of, card).unwrap();
    let spent = format!("{:?}", running.engine.view("spend", card, None).unwrap());
    Answers { events, outcomes, profile, letters, spent }
}

fn others() -> impl Iterator<Item = String> {
    (0..40).map(|number| format!("other-{number}"))
}

fn answers_of_others(running: &Running) -> BTreeMap<String, Answers> {
    others().map(|card| (card.clone(), answers(running, &card))).collect()
}

/// What is said of the devices; they keep what they have counted.
fn devices(running: &Running) -> Vec<String> {
    let seen = |number| format!("{:?}", running.engine.view("seen", &format!("device-{number}"), None).unwrap());
    (0..5).map(seen).collect()
}

/// Payments of all cards, between each other.
fn ingest(running: &Running, rounds: std::ops::Range<u64>) {
    for round in rounds {
        let cards = others().chain(std::iter::once(CARD.to_owned()));
        running.ingest(cards.enumerate().map(|(at, card)| payment(round * 41 + at as u64, &card)));
    }
    running.until_followed();
}

/// How often the derived stream has a copy of one of the entity's events.
fn copies(running: &Running) -> usize {
    let ports = running.ports();
    let copies = |of: &StreamPartition| {
        let blocks = ports.log.read(&of.stream, Topic::Events, of.partition, Offset(0), 100_000, 1 << 30).unwrap();
        let has_it = |bytes: &[u8]| bytes.windows(NEEDLE.len()).any(|window| window == NEEDLE);
        blocks
            .iter()
            .flat_map(|block| block.iter().map(|(_, bytes)| has_it(bytes)).collect::<Vec<_>>())
            .filter(|has| *has)
            .count()
    };
    partitions()[2..].iter().map(copies).sum()
}

fn assert_gone(running: &Running) {
    let gone = answers(running, CARD);
    assert_eq!((gone.events.len(), gone.profile, gone.letters), (0, None, 0));
    assert!(gone.spent.contains("as_of: None"), "{}", gone.spent);
    let query =
        HighestQuery { stream: "payments".into(), rule: "total".into(), limit: 1000, ..HighestQuery::default() };
    let highest = running.ports().profiles.highest(&query).unwrap();
    assert_eq!(highest.items.len(), others().count());
    for (at, id) in (0..30_u64).map(|round| (round, format!("p{}", round * 41 + 40))) {
        assert!(running.engine.explain("payments", &id, None, 1000).unwrap().events.is_empty(), "{at}");
    }
}

#[test]
fn nothing_of_it_is_left_and_nothing_else_has_changed() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path());
    running.define(&json!({}));
    ingest(&running, 0..30);
    let before = answers(&running, CARD);
    let (others_before, devices_before) = (answers_of_others(&running), devices(&running));
    assert_eq!(before.events.len(), 30);
    assert!(before.letters > 0 && before.profile.is_some() && copies(&running) > 20);
    assert!(!files_with_it(dir.path()).is_empty(), "the test can find it");

    let erased = running.engine.erase("payments", CARD, "an-admin").unwrap();
    let copied = (0..30_u64).filter(|round| !(round * 41 + 40).is_multiple_of(7)).count() as u64;
    let said: u64 = before.outcomes.iter().flatten().map(|outcome| outcome.verdicts.len() as u64).sum();
    let expected = Erased {
        events: 30 + copied,
        verdicts: said + copied,
        dead_letters: before.letters as u64,
        edges: 0,
        profiles: 1,
    };
    assert_eq!(erased, expected);
    assert_gone(&running);
    assert_eq!(copies(&running), 0);
    assert_eq!(files_with_it(dir.path()), Vec::<String>::new());
    assert_eq!(answers_of_others(&running), others_before);
    assert_eq!(devices(&running), devices_before);
    assert_eq!(running.engine.erase("payments", CARD, "an-admin").unwrap(), Erased::default(), "again");

    // What comes later begins from nothing, and stays so when everything is read again.
    ingest(&running, 100..102);
    let after = answers(&running, CARD);
    assert_eq!(after.events.len(), 2);
    assert!(after.spent.contains("Int(2)"), "{}", after.spent);
    let others_after = answers_of_others(&running);
    drop(running);
    let running = Running::start(dir.path());
    assert_eq!(answers(&running, CARD), after);
    assert_eq!(answers_of_others(&running), others_after);
    let erased = running.engine.erase("payments", CARD, "an-admin").unwrap();
    assert_eq!((erased.events >= 2, erased.profiles), (true, 1));
    drop(running);
    assert_eq!(files_with_it(dir.path()), Vec::<String>::new());
}

/// How far a deletion got before a crash.
#[derive(Clone, Copy, Debug)]
enum Crash {
    Begun,
    Cut,
    Half,
    Finished,
}

/// Does a part of a deletion by hand, as the engine does it, without an engine that would go on with it.
fn delete_in_part(ports: &Ports, of: &StreamPartition, crash: Crash) {
    let erasure = ports.erasure.clone().unwrap();
    erasure.begin(of, CARD, "an-admin").unwrap();
    let erasing = erasure.pending().unwrap().remove(0);
    assert_eq!(erasing.step, EraseStep::Cut { key: CARD.to_owned() });
    let end = ports.log.end(&of.stream, Topic::Events, of.partition).unwrap();
    if !matches!(crash, Crash::Begun) {
        erasure.cut(&erasing, CARD, end).unwrap();
    }
    if matches!(crash, Crash::Half | Crash::Finished) {
        let limit = if matches!(crash, Crash::Half) { 11 } else { 1000 };
        let query = HistoryQuery { key: CARD.to_owned(), times: TimeRange::ALL, limit, cursor: None };
        let entry = |event: ArchivedEvent| {
            // Zigzag of the length, then the id.
            let length = usize::from(event.bytes[0] / 2);
            let id = String::from_utf8(event.bytes[1..=length].to_vec()).unwrap();
            let number: i64 = id[1..].parse().unwrap();
            EventEntry { offset: event.place.offset, time: 1_700_000_000_000 + number * 400, key: CARD.to_owned(), id }
        };
        let page = ports.archive.history(of, &query).unwrap();
        let entries: Vec<EventEntry> = page.items.into_iter().map(entry).collect();
        assert_eq!(erasure.erase(of, &entries).unwrap().events, entries.len() as u64);
        assert_eq!(erasure.erase(of, &entries).unwrap(), Erased::default(), "again");
    }
    if matches!(crash, Crash::Finished) {
        erasure.finish(&erasing, CARD, end).unwrap();
        assert_eq!(erasure.pending().unwrap()[0].step, EraseStep::Purge);
    }
}

#[test]
fn a_crash_at_any_step_only_makes_it_come_later() {
    for crash in [Crash::Begun, Crash::Cut, Crash::Half, Crash::Finished] {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::start(dir.path());
        running.define(&json!({}));
        ingest(&running, 0..30);
        let others_before = answers_of_others(&running);
        let of = running.engine.partition_of("payments", CARD).unwrap();
        drop(running);
        let store = Embedded::open(dir.path(), &Config::default()).unwrap();
        delete_in_part(&store.ports(), &of, crash);
        drop(store);

        let running = Running::start(dir.path());
        let erasure = running.ports().erasure.unwrap();
        until("the deletion is done", || erasure.pending().unwrap().is_empty());
        assert_gone(&running);
        // The engine deletes copies before the events that they are of; what was done by hand here left them out.
        if matches!(crash, Crash::Begun | Crash::Cut) {
            assert_eq!(copies(&running), 0, "{crash:?}");
            assert_eq!(files_with_it(dir.path()), Vec::<String>::new(), "{crash:?}");
        }
        assert_eq!(answers_of_others(&running), others_before, "{crash:?}");
        ingest(&running, 100..101);
        assert!(answers(&running, CARD).spent.contains("Int(1)"), "{crash:?}");
    }
}

/// Kills that come before a deletion can be done in one piece: each run does a part, which stays done. The process is this
/// test itself, started again with a variable that names the folder.
#[test]
fn it_ends_under_repeated_kills() {
    const FOLDER: &str = "ASSAY_ERASURE_TEST_FOLDER";
    const MAX_KILLS: usize = 60;
    if let Some(dir) = std::env::var_os(FOLDER) {
        let running = Running::start(Path::new(&dir));
        println!("started");
        until("the deletion is done", || running.ports().erasure.unwrap().pending().unwrap().is_empty());
        println!("deleted");
        drop(running);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path());
    running.define(&json!({}));
    ingest(&running, 0..30);
    let others_before = answers_of_others(&running);
    let of = running.engine.partition_of("payments", CARD).unwrap();
    drop(running);
    let store = Embedded::open(dir.path(), &Config::default()).unwrap();
    store.ports().erasure.unwrap().begin(&of, CARD, "an-admin").unwrap();
    drop(store);
    let mut kills = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "it_ends_under_repeated_kills", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("started")), "it does not start after {kills} kills");
        std::thread::sleep(Duration::from_millis(400));
        child.kill().unwrap();
        child.wait().unwrap();
        if lines.any(|line| line.contains("deleted")) {
            break;
        }
        kills += 1;
        assert!(kills < MAX_KILLS, "the deletion is not done after {kills} kills");
    }
    println!("deleted after {kills} kills");
    let running = Running::start(dir.path());
    assert_gone(&running);
    assert_eq!(answers_of_others(&running), others_before);
    drop(running);
    assert_eq!(files_with_it(dir.path()), Vec::<String>::new());
}

#[test]
fn it_goes_while_events_come_in() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path());
    running.define(&json!({}));
    ingest(&running, 0..10);
    std::thread::scope(|scope| {
        let feeding = scope.spawn(|| {
            for round in 200..300 {
                running.ingest(others().enumerate().map(|(at, card)| payment(round * 41 + at as u64, &card)));
            }
        });
        let erased = running.engine.erase("payments", CARD, "an-admin").unwrap();
        assert_eq!(erased.profiles, 1);
        feeding.join().unwrap();
    });
    running.until_followed();
    assert!(answers(&running, CARD).events.is_empty());
    for (card, answers) in answers_of_others(&running) {
        assert_eq!(answers.events.len(), 110, "{card}");
        assert!(answers.outcomes.iter().all(Option::is_some) && answers.spent.contains("Int(110)"), "{card}");
    }
}

/// A verdict block of one rule that makes an edge for each of these events.
fn block_of_edges(from: u64, edges: &[(&str, &str)], time: i64) -> Vec<u8> {
    let stamp = json!([{ "rule": "links", "revision": 1, "mode": "active", "plugin": null, "tags": [], "reasons": [],
        "edges": ["paid"], "attributes": [], "inputs": [] }]);
    let offsets: Vec<u64> = (from..).take(edges.len()).collect();
    let keys: arrow_array::StringArray = edges.iter().map(|(card, _)| Some(*card)).collect();
    let columns =
        EventColumns { offsets: &offsets, times: &vec![time; edges.len()], keys: &keys, ids: None, unreadable: &[] };
    let edge = |(row, (card, merchant)): (usize, &(&str, &str))| EdgeRow {
        row: row as u32,
        source: (*card).to_owned(),
        target: (*merchant).to_owned(),
        facets: format!(r#"{{"of":"{card}"}}"#),
        ..EdgeRow::default()
    };
    let rows = RuleRows { edges: edges.iter().enumerate().map(edge).collect(), ..RuleRows::default() };
    let (mut out, rules, next) = (Vec::new(), stamp.to_string(), Offset(from + edges.len() as u64));
    write_block(&mut out, &BlockHead { catalog: 1, next, rules: &rules }, &columns, &[rows]);
    out
}

#[test]
fn edges_go_unless_a_later_event_made_them_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), &Config::default()).unwrap();
    let (ports, of) = (store.ports(), payments(0));
    contract::log::create(&*ports.log);
    append(&*ports.log, Topic::Events, vec![(0, events(&["a", "a", "b", "b"]))], Durability::Ordered).unwrap();
    let blocks = [
        block_of_edges(0, &[("a", "shop"), ("shared", "bank"), ("b", "shop")], 5),
        block_of_edges(3, &[("shared", "bank")], 6),
    ];
    append(&*ports.log, Topic::Verdicts, vec![(0, records(&blocks))], Durability::Ordered).unwrap();
    let entry =
        |offset: u64, key: &str| EventEntry { offset: Offset(offset), time: 5, key: key.to_owned(), id: String::new() };
    let entries = [entry(0, "a"), entry(1, "a"), entry(2, "b"), entry(3, "b")];
    ports.archive.write_events(&of, &entries, &[], Offset(4)).unwrap();
    let read = ports.log.read("payments", Topic::Verdicts, of.partition, Offset(0), 10, 1 << 20).unwrap();
    ports.archive.write_verdicts(&of, &read, Offset(2)).unwrap();
    let edge = |source: &str, target: &str, time| GraphEdge {
        time,
        rule: "links".to_owned(),
        facets: [("of".to_owned(), source.into())].into(),
        ..GraphEdge::between(source, "paid", target)
    };
    let all = vec![edge("a", "shop", 5), edge("shared", "bank", 6), edge("b", "shop", 5)];
    ports.graph.write(&of, all.clone(), Offset(2)).unwrap();
    let erased = ports.erasure.clone().unwrap().erase(&of, &entries[..2]).unwrap();
    assert_eq!(erased, Erased { events: 2, verdicts: 2, edges: 1, ..Erased::default() });
    let neighbours = |node: &str| ports.graph.neighbours(node, 10, None).unwrap().items;
    assert_eq!((neighbours("a"), neighbours("shop")), (vec![], vec![all[2].clone()]));
    assert_eq!(neighbours("bank"), [all[1].clone()], "the later event's");
    let outcome = |offset| ports.archive.outcome(&of, Offset(offset)).unwrap().is_some();
    assert_eq!([0, 1, 2, 3].map(outcome), [false, false, true, true]);
    let left: BTreeSet<u64> = (0..4).filter(|at| ports.archive.event(&of, Offset(*at)).unwrap().is_some()).collect();
    assert_eq!(left, BTreeSet::from([2, 3]));
}
