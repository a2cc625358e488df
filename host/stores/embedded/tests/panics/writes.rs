//! The adapter of a store panics in a write: if one event is to blame, it becomes a dead letter of that sink, and all others
//! are written; if all are, it is the adapter's fault and none is set aside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use assay_core::failure_code::FailureCode;
use assay_core::verdict::Outcome;
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::ports::dead_letters::DeadLetter;
use assay_engine::ports::graph::GraphEdge;
use assay_engine::ports::log::Topic;
use assay_engine::ports::series::Point;
use assay_engine::ports::{PartitionId, Ports};
use assay_engine::{Probe, SINK_NAMES};
use serde_json::json;

use crate::OFTEN;
use crate::faulty::{Faults, faulty};
use crate::payments::{TestEngine, partitions, payment, wait_until};
use crate::recorded::{RecordedOutbox, RecordedSeries};
use crate::results::{Results, card, define, ingest, letters, start};

/// The entity of the only hostile event, whose device is its own, too.
const CARD: &str = "card-hostile";
const DEVICE: &str = "device-hostile";
/// The number of the hostile event. It has the amount 0, so that a rule fails on it.
const HOSTILE: u64 = 9_000;

/// The writes of all sinks. A call panics if its arguments have the hostile entity.
const WRITES: [&str; SINK_NAMES.len()] = [
    "archive.write_events",
    "archive.write_verdicts",
    "profiles.write",
    "graph.write",
    "dead-letters.write",
    "log.append",
    "series.write_events",
    "series.write_verdicts",
    "outbox.publish",
];

/// What the calls of ports do.
#[derive(Default)]
struct HostileCard {
    is_on: AtomicBool,
    are_letters_down: AtomicBool,
    panics: AtomicU32,
    /// The sinks that have tried to write a dead letter.
    tried: Mutex<BTreeSet<&'static str>>,
}

impl HostileCard {
    fn faults(self: &Arc<Self>) -> Arc<Faults> {
        let hostile = self.clone();
        Faults::hostile(move |call, args| hostile.panics_in(call, args))
    }

    fn panics_in(&self, call: &'static str, args: &str) -> bool {
        if !self.is_on.load(Ordering::SeqCst) || !WRITES.contains(&call) {
            return false;
        }
        if call == "dead-letters.write" && args.contains("sink: Some(") {
            let is_of = |sink: &&&str| args.contains(&format!("sink: Some(\"{sink}\")"));
            self.tried.lock().unwrap().extend(SINK_NAMES.iter().filter(is_of));
            return self.are_letters_down.load(Ordering::SeqCst);
        }
        if call == "log.append" && !args.starts_with("(\"by_device\", Events") {
            return false;
        }
        // Texts, and the bytes of records.
        let bytes = format!("{:?}", CARD.as_bytes());
        let has_card = args.contains(CARD) || args.contains(bytes.trim_matches(['[', ']']));
        self.panics.fetch_add(u32::from(has_card), Ordering::SeqCst);
        has_card
    }
}

/// The stores that are no part of the data folder.
#[derive(Default)]
struct OtherStores {
    series: Arc<RecordedSeries>,
    outbox: Arc<RecordedOutbox>,
}

impl OtherStores {
    fn start(&self, dir: &Path, faults: &Arc<Faults>) -> TestEngine {
        start(dir, Probe::default(), OFTEN, |ports| {
            let (series, outbox) = (self.series.clone(), self.outbox.clone());
            faulty(Ports { series: Some(series), outbox: Some(outbox), ..ports }, faults)
        })
    }

    fn wait_until_written(&self, running: &TestEngine) {
        use assay_engine::ports::outbox::Outbox as _;
        use assay_engine::ports::series::TimeSeries as _;
        running.wait_until_written();
        let ports = running.ports();
        let end =
            |partition: &PartitionId, topic| ports.log.end(&partition.stream, topic, partition.partition).unwrap();
        wait_until("the other stores have everything", || {
            partitions().iter().all(|partition| {
                let verdicts = end(partition, Topic::Verdicts);
                let has_events = self.series.events_position(partition).unwrap() == end(partition, Topic::Events);
                ports.graph.position(partition).unwrap() == verdicts
                    && (has_events || &*partition.stream != "payments")
                    && self.series.verdicts_position(partition).unwrap() == verdicts
                    && self.outbox.position(partition).unwrap() == verdicts
            })
        });
    }
}

fn define_with_edges(running: &TestEngine) {
    define(running);
    let edges = json!([{ "edge": "used", "from": "card", "to": "device" }]);
    let rule = json!({ "rule": "links", "stream": "payments", "score": "amount", "graph": edges });
    running.engine.catalog().change(vec![Change::from_json(Kind::Rule, "links", rule)], "test", None, false).unwrap();
}

fn ingest_hostile(running: &TestEngine) {
    let mut event = payment(HOSTILE, CARD);
    event["device"] = DEVICE.into();
    running.ingest(std::iter::once(event));
}

/// All that the stores have of other events than the hostile one.
#[derive(Debug, PartialEq)]
struct Written {
    results: Results,
    archived: BTreeMap<String, usize>,
    edges: Vec<GraphEdge>,
    points: BTreeMap<String, Point>,
    published: BTreeMap<PartitionId, Vec<Outcome>>,
}

impl Written {
    fn read(running: &TestEngine, stores: &OtherStores, events: u64) -> Self {
        let ports = running.ports();
        let archived = |number: u64| {
            let id = format!("p{number}");
            let partition = running.engine.queries().partition_of("payments", &card(number)).unwrap();
            let found = ports.archive.by_id(&partition, &id, None, 10).unwrap();
            let outcomes =
                found.iter().filter_map(|event| ports.archive.outcome(&partition, event.place.offset).unwrap());
            (id, found.len() + outcomes.count())
        };
        let edges = |number: u64| ports.graph.neighbours(&card(number), 100, None).unwrap().items;
        let mut results = Results::read(running);
        results.remove_entities(&[CARD, DEVICE]);
        let mut points = stores.series.points.lock().unwrap().clone();
        // The order of the derived stream may differ from one run to the other, and with it offsets.
        let is_compared = |point: &str| !point.contains("-hostile") && !point.contains("by_device");
        points.retain(|_, point| is_compared(&format!("{point:?}")));
        let mut published = stores.outbox.published.lock().unwrap().clone();
        published.values_mut().for_each(|outcomes| outcomes.retain(|outcome| !outcome.key.contains("-hostile")));
        published.retain(|partition, _| &*partition.stream == "payments");
        Self {
            results,
            archived: (0..events).map(archived).collect(),
            edges: (0..20).flat_map(edges).collect(),
            points,
            published,
        }
    }
}

/// The dead letters of events that panicked: their sinks, and their places.
fn panicked(ports: &Ports) -> Vec<(String, u32, u64)> {
    let panicked = letters(ports).into_iter().filter(|letter| letter.code == FailureCode::EventPanicked);
    let sink = |letter: DeadLetter| (letter.sink.unwrap(), letter.place.partition.0, letter.place.offset.0);
    let mut found: Vec<_> = panicked.map(sink).collect();
    found.sort_unstable();
    found
}

#[test]
fn an_event_that_panics_in_writes_is_a_dead_letter_of_each_sink_and_all_others_are_written() {
    let undisturbed = {
        let (dir, stores) = (tempfile::tempdir().unwrap(), OtherStores::default());
        let running = stores.start(dir.path(), &Arc::default());
        define_with_edges(&running);
        ingest(&running, 0..150);
        ingest_hostile(&running);
        ingest(&running, 150..350);
        stores.wait_until_written(&running);
        Written::read(&running, &stores, 350)
    };
    let (dir, stores, hostile) =
        (tempfile::tempdir().unwrap(), OtherStores::default(), Arc::new(HostileCard::default()));
    let faults = hostile.faults();
    hostile.is_on.store(true, Ordering::SeqCst);
    hostile.are_letters_down.store(true, Ordering::SeqCst);

    let running = stores.start(dir.path(), &faults);
    define_with_edges(&running);
    ingest(&running, 0..150);
    let home = running.engine.queries().partition_of("payments", CARD).unwrap();
    let offset = running.ports().log.end("payments", Topic::Events, home.partition).unwrap();
    ingest_hostile(&running);
    ingest(&running, 150..200);
    wait_until("each sink has found the event", || {
        let tried = hostile.tried.lock().unwrap();
        assert!(tried.iter().all(|sink| SINK_NAMES.contains(sink)));
        tried.len() == SINK_NAMES.len()
    });
    assert_eq!(panicked(&running.ports()), []);
    drop(running);

    // No position has passed the event without its letter.
    hostile.are_letters_down.store(false, Ordering::SeqCst);
    let running = stores.start(dir.path(), &faults);
    ingest(&running, 200..300);
    stores.wait_until_written(&running);
    let mut expected = SINK_NAMES.map(|sink| (sink.to_owned(), home.partition.0, offset.0));
    expected.sort_unstable();
    assert_eq!(panicked(&running.ports()), expected);
    drop(running);

    let panics = hostile.panics.load(Ordering::SeqCst);
    let running = stores.start(dir.path(), &faults);
    ingest(&running, 300..350);
    stores.wait_until_written(&running);
    assert_eq!(hostile.panics.load(Ordering::SeqCst), panics, "it is not tried again");
    assert_eq!(panicked(&running.ports()), expected);
    let written = Written::read(&running, &stores, 350);
    assert!(written == undisturbed, "all others are written once: {written:#?} {undisturbed:#?}");
    assert_eq!(running.ports().profiles.get(&home, CARD).unwrap(), None);
    assert_eq!(running.ports().archive.by_id(&home, &format!("p{HOSTILE}"), None, 10).unwrap(), []);
    assert!(running.ports().graph.neighbours(CARD, 10, None).unwrap().items.is_empty());
}

/// Every write of the profiles panics, or every one that has items.
#[test]
fn an_adapter_that_always_panics_is_waited_for() {
    for spares_empty_writes in [false, true] {
        let is_broken = Arc::new(AtomicBool::new(true));
        let broken = is_broken.clone();
        let faults = Faults::hostile(move |call, args| {
            let is_spared = spares_empty_writes && args.contains(", [], ");
            call == "profiles.write" && broken.load(Ordering::SeqCst) && !is_spared
        });
        let dir = tempfile::tempdir().unwrap();
        let running = start(dir.path(), Probe::default(), OFTEN, |ports| faulty(ports, &faults));
        define(&running);
        ingest(&running, 0..300);
        let part = || {
            running
                .engine
                .status()
                .readiness()
                .parts
                .into_iter()
                .find(|part| part.component.to_string() == "sink profiles")
                .unwrap()
        };
        if spares_empty_writes {
            wait_until("its adapter is to blame", || format!("{:?}", part()).contains("events in a row make it panic"));
        }
        let errors = || {
            let measured = running.engine.status().encode_metrics();
            let line = measured.lines().find(|line| line.starts_with("assay_sink_errors_total{sink=\"profiles\"}"));
            line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or_default()
        };
        let before = errors();
        wait_until("it is tried again", || errors() > before);
        assert!(!part().ok, "{:?}", part());
        let found = panicked(&running.ports());
        assert!(found.len() < if spares_empty_writes { 20 } else { 1 }, "{found:?}");
        is_broken.store(false, Ordering::SeqCst);
        running.wait_until_written();
        wait_until("its part is well", || part().ok);
        let has_profile = |number: u64| {
            let home = running.engine.queries().partition_of("payments", &card(number)).unwrap();
            running.ports().profiles.get(&home, &card(number)).unwrap().is_some()
        };
        assert!((0..20).all(has_profile));
    }
}
