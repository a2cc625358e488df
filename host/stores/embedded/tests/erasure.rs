//! The erasure of one entity's data: no answer and no file has it afterwards, nothing else changes, and a crash at any step
//! only delays it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod payments;
use assay_contract as contract;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use assay_core::names::Offset;
use assay_core::time_range::TimeRange;
use assay_core::verdict::{BlockHead, EdgeRow, EventColumns, Outcome, RuleRows, write_block};
use assay_embedded::{Config, Embedded};
use assay_engine::ports::archive::{ArchivedEvent, EventEntry, HistoryQuery};
use assay_engine::ports::erasure::{EraseStep, Erased};
use assay_engine::ports::graph::GraphEdge;
use assay_engine::ports::log::{Durability, Topic};
use assay_engine::ports::profiles::{HighestQuery, Profile};
use assay_engine::ports::{PartitionId, Ports};
use contract::{append, events, payments, records};
use payments::{TestEngine, partitions, payment, wait_until};
use serde_json::json;

/// The entity to erase. Its random part is incompressible, so a search in the files finds it.
const CARD: &str = "card-Qx7Zk3Vt9Lm2Wp8R";
const NEEDLE: &[u8] = b"Qx7Zk3Vt9Lm2Wp8R";

/// The files of a folder that contain the entity's name.
fn find_files_with_entity(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(find_files_with_entity(&path));
        } else if fs::read(&path).unwrap_or_default().windows(NEEDLE.len()).any(|window| window == NEEDLE) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// All answers about an entity of the payments.
#[derive(Debug, PartialEq)]
struct Answers {
    events: Vec<ArchivedEvent>,
    outcomes: Vec<Option<Outcome>>,
    profile: Option<Profile>,
    letters: usize,
    spent: String,
}

fn answers(running: &TestEngine, card: &str) -> Answers {
    let (ports, partition) = (running.ports(), running.engine.partition_of("payments", card).unwrap());
    let query = HistoryQuery { key: card.to_owned(), times: TimeRange::ALL, limit: 10_000, cursor: None };
    let events = ports.archive.history(&partition, &query).unwrap().items;
    let outcome = |event: &ArchivedEvent| ports.archive.outcome(&partition, event.place.offset).unwrap();
    let outcomes = events.iter().map(outcome).collect();
    let letters =
        events.iter().map(|event| ports.dead_letters.of_event(&partition, event.place.offset).unwrap().len()).sum();
    let profile = ports.profiles.get(&partition, card).unwrap();
    let spent = format!("{:?}", running.engine.view("spend", card, None).unwrap());
    Answers { events, outcomes, profile, letters, spent }
}

fn others() -> impl Iterator<Item = String> {
    (0..40).map(|number| format!("other-{number}"))
}

fn answers_of_others(running: &TestEngine) -> BTreeMap<String, Answers> {
    others().map(|card| (card.clone(), answers(running, &card))).collect()
}

/// The views of the devices: an erasure does not change them.
fn devices(running: &TestEngine) -> Vec<String> {
    let seen = |number| format!("{:?}", running.engine.view("seen", &format!("device-{number}"), None).unwrap());
    (0..5).map(seen).collect()
}

/// Ingests payments of all cards, interleaved.
fn ingest(running: &TestEngine, rounds: std::ops::Range<u64>) {
    for round in rounds {
        let cards = others().chain(std::iter::once(CARD.to_owned()));
        running.ingest(cards.enumerate().map(|(at, card)| payment(round * 41 + at as u64, &card)));
    }
    running.wait_until_written();
}

/// The number of copies of the entity's events in the derived stream.
fn count_copies(running: &TestEngine) -> usize {
    let ports = running.ports();
    let copies = |partition: &PartitionId| {
        let blocks =
            ports.log.read(&partition.stream, Topic::Events, partition.partition, Offset(0), 100_000, 1 << 30).unwrap();
        let has_it = |bytes: &[u8]| bytes.windows(NEEDLE.len()).any(|window| window == NEEDLE);
        blocks
            .iter()
            .flat_map(|block| block.iter().map(|(_, bytes)| has_it(bytes)).collect::<Vec<_>>())
            .filter(|has| *has)
            .count()
    };
    partitions()[2..].iter().map(copies).sum()
}

fn assert_erased(running: &TestEngine) {
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
fn all_data_of_the_entity_is_erased_and_nothing_else_changes() {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path());
    running.define(&json!({}));
    ingest(&running, 0..30);
    let before = answers(&running, CARD);
    let (others_before, devices_before) = (answers_of_others(&running), devices(&running));
    assert_eq!(before.events.len(), 30);
    assert!(before.letters > 0 && before.profile.is_some() && count_copies(&running) > 20);
    assert!(!find_files_with_entity(dir.path()).is_empty(), "the test can find it");

    let erased = running.engine.erase("payments", CARD, "an-admin").unwrap();
    let copied = (0..30_u64).filter(|round| !(round * 41 + 40).is_multiple_of(7)).count() as u64;
    let verdicts: u64 = before.outcomes.iter().flatten().map(|outcome| outcome.verdicts.len() as u64).sum();
    let expected = Erased {
        events: 30 + copied,
        verdicts: verdicts + copied,
        dead_letters: before.letters as u64,
        edges: 0,
        profiles: 1,
    };
    assert_eq!(erased, expected);
    assert_erased(&running);
    assert_eq!(count_copies(&running), 0);
    assert_eq!(find_files_with_entity(dir.path()), Vec::<String>::new());
    assert_eq!(answers_of_others(&running), others_before);
    assert_eq!(devices(&running), devices_before);
    assert_eq!(running.engine.erase("payments", CARD, "an-admin").unwrap(), Erased::default(), "again");

    // Later events start without history, also after a restart.
    ingest(&running, 100..102);
    let after = answers(&running, CARD);
    assert_eq!(after.events.len(), 2);
    assert!(after.spent.contains("Int(2)"), "{}", after.spent);
    let others_after = answers_of_others(&running);
    drop(running);
    let running = TestEngine::start(dir.path());
    assert_eq!(answers(&running, CARD), after);
    assert_eq!(answers_of_others(&running), others_after);
    let erased = running.engine.erase("payments", CARD, "an-admin").unwrap();
    assert_eq!((erased.events >= 2, erased.profiles), (true, 1));
    drop(running);
    assert_eq!(find_files_with_entity(dir.path()), Vec::<String>::new());
}

/// The progress of an erasure before a crash.
#[derive(Clone, Copy, Debug)]
enum Crash {
    Begun,
    LifetimeEnded,
    HalfErased,
    Finished,
}

/// Performs a part of an erasure without an engine, which would continue it.
fn erase_partially(ports: &Ports, partition: &PartitionId, crash: Crash) {
    let erasure = ports.erasure.clone().unwrap();
    erasure.begin(partition, CARD, "an-admin").unwrap();
    let erasing = erasure.pending().unwrap().remove(0);
    assert_eq!(erasing.step, EraseStep::EndLifetime { key: CARD.to_owned() });
    let end = ports.log.end(&partition.stream, Topic::Events, partition.partition).unwrap();
    if !matches!(crash, Crash::Begun) {
        erasure.end_lifetime(&erasing, CARD, end).unwrap();
    }
    if matches!(crash, Crash::HalfErased | Crash::Finished) {
        let limit = if matches!(crash, Crash::HalfErased) { 11 } else { 1000 };
        let query = HistoryQuery { key: CARD.to_owned(), times: TimeRange::ALL, limit, cursor: None };
        let entry = |event: ArchivedEvent| {
            // The zigzag-encoded length, then the id.
            let length = usize::from(event.bytes[0] / 2);
            let id = String::from_utf8(event.bytes[1..=length].to_vec()).unwrap();
            let number: i64 = id[1..].parse().unwrap();
            EventEntry { offset: event.place.offset, time: 1_700_000_000_000 + number * 400, key: CARD.to_owned(), id }
        };
        let page = ports.archive.history(partition, &query).unwrap();
        let entries: Vec<EventEntry> = page.items.into_iter().map(entry).collect();
        assert_eq!(erasure.erase(partition, &entries).unwrap().events, entries.len() as u64);
        assert_eq!(erasure.erase(partition, &entries).unwrap(), Erased::default(), "again");
    }
    if matches!(crash, Crash::Finished) {
        erasure.finish(&erasing, CARD, end).unwrap();
        assert_eq!(erasure.pending().unwrap()[0].step, EraseStep::Purge);
    }
}

#[test]
fn a_crash_at_any_step_only_delays_the_erasure() {
    for crash in [Crash::Begun, Crash::LifetimeEnded, Crash::HalfErased, Crash::Finished] {
        let dir = tempfile::tempdir().unwrap();
        let running = TestEngine::start(dir.path());
        running.define(&json!({}));
        ingest(&running, 0..30);
        let others_before = answers_of_others(&running);
        let partition = running.engine.partition_of("payments", CARD).unwrap();
        drop(running);
        let store = Embedded::open(dir.path(), &Config::default()).unwrap();
        erase_partially(&store.ports(), &partition, crash);
        drop(store);

        let running = TestEngine::start(dir.path());
        let erasure = running.ports().erasure.unwrap();
        wait_until("the deletion is done", || erasure.pending().unwrap().is_empty());
        assert_erased(&running);
        // The engine erases copies before their events. A part without the engine leaves the copies of its events.
        if matches!(crash, Crash::Begun | Crash::LifetimeEnded) {
            assert_eq!(count_copies(&running), 0, "{crash:?}");
            assert_eq!(find_files_with_entity(dir.path()), Vec::<String>::new(), "{crash:?}");
        }
        assert_eq!(answers_of_others(&running), others_before, "{crash:?}");
        ingest(&running, 100..101);
        assert!(answers(&running, CARD).spent.contains("Int(1)"), "{crash:?}");
    }
}

/// Each kill comes before the erasure can be completed, and its progress remains. The process is this test binary again,
/// with an environment variable that names the folder.
#[test]
fn the_erasure_ends_despite_repeated_kills() {
    const FOLDER: &str = "ASSAY_ERASURE_TEST_FOLDER";
    const MAX_KILLS: usize = 60;
    if let Some(dir) = std::env::var_os(FOLDER) {
        let running = TestEngine::start(Path::new(&dir));
        println!("started");
        wait_until("the deletion is done", || running.ports().erasure.unwrap().pending().unwrap().is_empty());
        println!("deleted");
        drop(running);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path());
    running.define(&json!({}));
    ingest(&running, 0..30);
    let others_before = answers_of_others(&running);
    let partition = running.engine.partition_of("payments", CARD).unwrap();
    drop(running);
    let store = Embedded::open(dir.path(), &Config::default()).unwrap();
    store.ports().erasure.unwrap().begin(&partition, CARD, "an-admin").unwrap();
    drop(store);
    let mut kills = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_erasure_ends_despite_repeated_kills", "--nocapture"])
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
    let running = TestEngine::start(dir.path());
    assert_erased(&running);
    assert_eq!(answers_of_others(&running), others_before);
    drop(running);
    assert_eq!(find_files_with_entity(dir.path()), Vec::<String>::new());
}

#[test]
fn the_erasure_completes_while_events_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path());
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
    running.wait_until_written();
    assert!(answers(&running, CARD).events.is_empty());
    for (card, answers) in answers_of_others(&running) {
        assert_eq!(answers.events.len(), 110, "{card}");
        assert!(answers.outcomes.iter().all(Option::is_some) && answers.spent.contains("Int(110)"), "{card}");
    }
}

/// A verdict block of one rule with an edge for each event.
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
    write_block(&mut out, &BlockHead { catalog: 1, from: Offset(0), next, rules: &rules }, &columns, &[rows]);
    out
}

#[test]
fn edges_are_erased_unless_a_later_event_wrote_them_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), &Config::default()).unwrap();
    let (ports, partition) = (store.ports(), payments(0));
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
    ports.archive.write_events(&partition, &entries, &[], Offset(4)).unwrap();
    let read = ports.log.read("payments", Topic::Verdicts, partition.partition, Offset(0), 10, 1 << 20).unwrap();
    ports.archive.write_verdicts(&partition, &read, Offset(2)).unwrap();
    let edge = |source: &str, target: &str, time| GraphEdge {
        time,
        rule: "links".to_owned(),
        facets: [("of".to_owned(), source.into())].into(),
        ..GraphEdge::between(source, "paid", target)
    };
    let all = vec![edge("a", "shop", 5), edge("shared", "bank", 6), edge("b", "shop", 5)];
    ports.graph.write(&partition, all.clone(), Offset(2)).unwrap();
    let erased = ports.erasure.clone().unwrap().erase(&partition, &entries[..2]).unwrap();
    assert_eq!(erased, Erased { events: 2, verdicts: 2, edges: 1, ..Erased::default() });
    let neighbours = |node: &str| ports.graph.neighbours(node, 10, None).unwrap().items;
    assert_eq!((neighbours("a"), neighbours("shop")), (vec![], vec![all[2].clone()]));
    assert_eq!(neighbours("bank"), [all[1].clone()], "the later event's");
    let outcome = |offset| ports.archive.outcome(&partition, Offset(offset)).unwrap().is_some();
    assert_eq!([0, 1, 2, 3].map(outcome), [false, false, true, true]);
    let left: BTreeSet<u64> =
        (0..4).filter(|at| ports.archive.event(&partition, Offset(*at)).unwrap().is_some()).collect();
    assert_eq!(left, BTreeSet::from([2, 3]));
}
