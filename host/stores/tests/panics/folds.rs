//! An event whose folding panics, whenever that begins: it becomes a dead letter, and all others are judged as if it had
//! never come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use assay_core::verdict::{Failure, Verdict};
use assay_engine::ports::log::Topic;
use assay_engine::ports::membership::Membership;
use assay_engine::ports::{Ports, StreamPartition};
use assay_engine::{Probe, Probed};

use crate::cards::{Running, partitions, until};
use crate::moved::Moved;
use crate::results::{by_id, card, define, ingest, letters, start};
use crate::{OFTEN, until_all_is_well};

/// The event that panics.
const HOSTILE: u64 = 77;
/// Longer than a test: no checkpoint but those that are forced.
const NEVER: Duration = Duration::from_secs(3600);

/// Makes an event panic when it is folded.
#[derive(Default)]
struct Hostile {
    is_on: AtomicBool,
    /// How often it was to be folded, and how often alone.
    folds: AtomicU32,
    alone: AtomicU32,
}

impl Hostile {
    fn probe(self: &Arc<Self>) -> Probe {
        let hostile = self.clone();
        Probe::new(move |at| {
            let Probed::Fold(of, records) = at else { return };
            let id = format!("p{HOSTILE}");
            let text = [&[id.len() as u8 * 2], id.as_bytes()].concat();
            let is_it = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text);
            if &*of.stream == "payments" && records.iter().any(|(_, bytes)| is_it(bytes)) {
                hostile.folds.fetch_add(1, Ordering::SeqCst);
                hostile.alone.fetch_add(u32::from(records.len() == 1), Ordering::SeqCst);
                assert!(!hostile.is_on.load(Ordering::SeqCst), "hostile words");
            }
        })
    }

    fn folds(&self) -> u32 {
        self.folds.load(Ordering::SeqCst)
    }
}

/// What is said of payments, by their ids.
type Judged = BTreeMap<String, (Vec<Verdict>, Vec<Failure>)>;

/// What is said of all payments but the hostile one if that never comes.
fn without_hostile(events: u64) -> Judged {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), Probe::default(), OFTEN, |ports| ports);
    define(&running);
    ingest(&running, (0..events).filter(|number| *number != HOSTILE));
    running.until_followed();
    by_id(&running.ports())
}

fn assert_is_dead_letter(ports: &Ports) {
    let panicked: Vec<_> = letters(ports).into_iter().filter(|letter| letter.code == "event-panicked").collect();
    assert_eq!(panicked.len(), 1, "{panicked:?}");
    let message = &panicked[0].message;
    assert!(message.contains("hostile words (at ") && message.contains("folds.rs:"), "{message}");
    assert_eq!(panicked[0].rule, None);
}

#[test]
fn an_event_that_panics_is_set_aside_and_all_others_are_judged() {
    let hostile = Arc::new(Hostile { is_on: true.into(), ..Hostile::default() });
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), hostile.probe(), OFTEN, |ports| ports);
    define(&running);
    ingest(&running, 0..300);
    running.until_followed();
    until_all_is_well(&running);
    assert!(by_id(&running.ports()) == without_hostile(300), "all others are judged as if it had never come");
    assert_is_dead_letter(&running.ports());
    assert_eq!((hostile.folds(), hostile.alone.load(Ordering::SeqCst)), (2, 1), "in its batch, then alone");
    drop(running);
    let running = start(dir.path(), hostile.probe(), OFTEN, |ports| ports);
    ingest(&running, 300..400);
    running.until_followed();
    assert!(by_id(&running.ports()) == without_hostile(400), "also after a restart");
    assert_eq!(hostile.folds(), 2, "what is set aside is not tried again");
}

/// An engine whose partitions can be lost as by a crash: nothing is saved, and they are opened from their checkpoints.
struct Crashing {
    running: Running,
    member: Arc<Moved>,
    _dir: tempfile::TempDir,
}

impl Crashing {
    fn start(probe: Probe) -> Self {
        let (dir, member) = (tempfile::tempdir().unwrap(), Arc::new(Moved::default()));
        let membership: Arc<dyn Membership> = member.clone();
        let running = start(dir.path(), probe, NEVER, |ports| Ports { membership, ..ports });
        define(&running);
        let crashing = Self { running, member, _dir: dir };
        crashing.member.owner().assign(payments());
        crashing
    }

    fn crash(&self) {
        self.member.owner().lose(payments());
        self.member.owner().assign(payments());
    }

    fn until_scored(&self) {
        until("everything is scored", || {
            let engine = &self.running.engine;
            let is_scored = |of: &StreamPartition| engine.unscored(of).is_some_and(|unscored| unscored.events == 0);
            engine.readiness().parts.iter().all(|part| part.ok || !part.name.starts_with("partition payments"))
                && payments().iter().all(is_scored)
        });
    }
}

fn payments() -> Vec<StreamPartition> {
    partitions()[..2].to_vec()
}

#[test]
fn what_was_set_aside_is_passed_over_by_recovery() {
    let hostile = Arc::new(Hostile { is_on: true.into(), ..Hostile::default() });
    let crashing = Crashing::start(hostile.probe());
    ingest(&crashing.running, 0..300);
    // Crashes before the event is found, and after that.
    until("it has panicked", || hostile.folds() > 0);
    crashing.crash();
    crashing.until_scored();
    until("it is a dead letter", || !letters(&crashing.running.ports()).iter().all(|one| one.code != "event-panicked"));
    let folds = hostile.folds();
    for end in [400, 500] {
        crashing.crash();
        ingest(&crashing.running, end - 100..end);
        crashing.until_scored();
    }
    assert_eq!(hostile.folds(), folds, "recovery knows it by its verdict");
    assert!(by_id(&crashing.running.ports()) == without_hostile(500), "all others are judged as if it had never come");
    assert_is_dead_letter(&crashing.running.ports());
}

#[test]
fn a_judged_event_that_panics_in_recovery_is_set_aside_then() {
    let hostile = Arc::new(Hostile::default());
    let crashing = Crashing::start(hostile.probe());
    ingest(&crashing.running, 0..300);
    crashing.until_scored();
    let count = || {
        let values = crashing.running.engine.view("spend", &card(HOSTILE), None).unwrap();
        format!("{:?}", values.measures[0].1)
    };
    let judged = by_id(&crashing.running.ports());
    assert_eq!(count(), "Int(15)");
    // As if a new version of the program began.
    hostile.is_on.store(true, Ordering::SeqCst);
    crashing.crash();
    crashing.until_scored();
    until("the views are there again", || count() == "Int(14)");
    until("it is a dead letter", || !letters(&crashing.running.ports()).iter().all(|one| one.code != "event-panicked"));
    assert_is_dead_letter(&crashing.running.ports());
    assert!(by_id(&crashing.running.ports()) == judged, "verdicts stay as they are");
    let folds = hostile.folds();
    crashing.crash();
    ingest(&crashing.running, 300..320);
    crashing.until_scored();
    until("the events of after that are counted", || count() == "Int(15)");
    assert_eq!(hostile.folds(), folds);
}

#[test]
fn a_partition_all_of_whose_events_panic_costs_the_other_one_nothing() {
    let probe = Probe::new(|at| {
        if let Probed::Fold(of, records) = at {
            assert!(*of != payments()[0] || records.is_empty(), "hostile words");
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), probe, OFTEN, |ports| ports);
    define(&running);
    ingest(&running, 0..40);
    running.until_followed();
    let end = |of: &StreamPartition| running.ports().log.end(&of.stream, Topic::Events, of.partition).unwrap().0;
    let panicked =
        letters(&running.ports()).into_iter().filter(|letter| letter.code == "event-panicked").count() as u64;
    assert!(panicked > 5 && panicked == end(&payments()[0]), "{panicked}");
    assert_eq!(by_id(&running.ports()).len() as u64, end(&payments()[1]), "the other's events are judged");
}

#[test]
fn an_event_that_panics_in_a_follower_is_set_aside_there_alone() {
    let hostile = payments()[0].clone();
    let at = hostile.clone();
    let probe = Probe::new(move |probed| {
        if let Probed::Carry("archive-events", of, first, last) = probed {
            assert!(*of != at || !(first.0..=last.0).contains(&5), "hostile words");
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), probe, OFTEN, |ports| ports);
    define(&running);
    ingest(&running, 0..300);
    running.until_followed();
    until("it is a dead letter", || letters(&running.ports()).iter().any(|letter| letter.code == "event-panicked"));
    let panicked: Vec<_> =
        letters(&running.ports()).into_iter().filter(|letter| letter.code == "event-panicked").collect();
    assert_eq!(panicked.len(), 1);
    assert_eq!((panicked[0].place.partition, panicked[0].place.offset.0), (hostile.partition, 5));
    assert!(panicked[0].message.starts_with("archive-events: panicked: hostile words (at "), "{panicked:?}");
    assert_eq!(by_id(&running.ports()).len(), 300, "it is judged all the same");
}
