//! An event whose fold panics, at first or only later: it becomes a dead letter, and all other events are judged as if it
//! did not exist.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use assay_core::failure_code::FailureCode;
use assay_engine::ports::dead_letters::DeadLetter;
use assay_engine::ports::log::Topic;
use assay_engine::ports::membership::Membership;
use assay_engine::ports::{PartitionId, Ports};
use assay_engine::{Probe, ProbePoint};

use crate::manual_membership::ManualMembership;
use crate::payments::{TestEngine, partitions, wait_until};
use crate::results::{JudgedById, by_id, card, define, ingest, letters, start};
use crate::{OFTEN, wait_until_ready};

/// The number of the event that panics.
const HOSTILE: u64 = 77;
/// A checkpoint interval longer than the test: only forced checkpoints are saved.
const NEVER: Duration = Duration::from_secs(3600);

/// Makes the fold of an event panic.
#[derive(Default)]
struct PanickingFold {
    is_on: AtomicBool,
    /// The number of folds of a batch with the event.
    folds: AtomicU32,
    /// The number of folds of the event alone.
    alone: AtomicU32,
}

impl PanickingFold {
    fn probe(self: &Arc<Self>) -> Probe {
        let hostile = self.clone();
        Probe::new(move |at| {
            let ProbePoint::Fold(partition, records) = at else { return };
            let id = format!("p{HOSTILE}");
            let text = [&[id.len() as u8 * 2], id.as_bytes()].concat();
            let is_hostile = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text);
            if &*partition.stream == "payments" && records.iter().any(|(_, bytes)| is_hostile(bytes)) {
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

/// The verdicts on all other payments if the hostile one does not exist.
fn expected_outcomes(events: u64) -> JudgedById {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), Probe::default(), OFTEN, |ports| ports);
    define(&running);
    ingest(&running, (0..events).filter(|number| *number != HOSTILE));
    running.wait_until_written();
    by_id(&running.ports())
}

fn assert_is_dead_letter(ports: &Ports) {
    let panicked: Vec<_> =
        letters(ports).into_iter().filter(|letter| letter.code == FailureCode::EventPanicked).collect();
    assert_eq!(panicked.len(), 1, "{panicked:?}");
    let message = &panicked[0].message;
    assert!(message.contains("hostile words (at ") && message.contains("folds.rs:"), "{message}");
    assert_eq!(panicked[0].rule, None);
}

#[test]
fn an_event_that_panics_is_a_dead_letter_and_all_others_are_judged() {
    let hostile = Arc::new(PanickingFold { is_on: true.into(), ..PanickingFold::default() });
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), hostile.probe(), OFTEN, |ports| ports);
    define(&running);
    ingest(&running, 0..300);
    running.wait_until_written();
    wait_until_ready(&running);
    assert!(by_id(&running.ports()) == expected_outcomes(300), "all others are judged as if it had never come");
    assert_is_dead_letter(&running.ports());
    assert_eq!((hostile.folds(), hostile.alone.load(Ordering::SeqCst)), (2, 1), "in its batch, then alone");
    drop(running);
    let running = start(dir.path(), hostile.probe(), OFTEN, |ports| ports);
    ingest(&running, 300..400);
    running.wait_until_written();
    assert!(by_id(&running.ports()) == expected_outcomes(400), "also after a restart");
    assert_eq!(hostile.folds(), 2, "what is set aside is not tried again");
}

/// An engine that saves no checkpoints, and whose partitions the test can lose as in a crash.
struct EngineWithoutCheckpoints {
    running: TestEngine,
    member: Arc<ManualMembership>,
    _dir: tempfile::TempDir,
}

impl EngineWithoutCheckpoints {
    fn start(probe: Probe) -> Self {
        let (dir, member) = (tempfile::tempdir().unwrap(), Arc::new(ManualMembership::default()));
        let membership: Arc<dyn Membership> = member.clone();
        let running = start(dir.path(), probe, NEVER, |ports| Ports { membership, ..ports });
        define(&running);
        let engine = Self { running, member, _dir: dir };
        engine.member.owner().assign(payments());
        engine
    }

    fn crash(&self) {
        self.member.owner().lose(payments());
        self.member.owner().assign(payments());
    }

    fn wait_until_scored(&self) {
        wait_until("everything is scored", || {
            let engine = &self.running.engine;
            let is_scored = |partition: &PartitionId| {
                engine.status().unscored(partition).is_some_and(|unscored| unscored.events == 0)
            };
            engine
                .status()
                .readiness()
                .parts
                .iter()
                .all(|part| part.ok || !part.component.to_string().starts_with("partition payments"))
                && payments().iter().all(is_scored)
        });
    }
}

fn payments() -> Vec<PartitionId> {
    partitions()[..2].to_vec()
}

#[test]
fn recovery_skips_events_that_panicked() {
    let hostile = Arc::new(PanickingFold { is_on: true.into(), ..PanickingFold::default() });
    let engine = EngineWithoutCheckpoints::start(hostile.probe());
    ingest(&engine.running, 0..300);
    // Crashes before the event is isolated, and after that.
    wait_until("it has panicked", || hostile.folds() > 0);
    engine.crash();
    engine.wait_until_scored();
    wait_until("it is a dead letter", || {
        !letters(&engine.running.ports()).iter().all(|one| one.code != FailureCode::EventPanicked)
    });
    let folds = hostile.folds();
    for end in [400, 500] {
        engine.crash();
        ingest(&engine.running, end - 100..end);
        engine.wait_until_scored();
    }
    assert_eq!(hostile.folds(), folds, "recovery knows it by its verdict");
    assert!(by_id(&engine.running.ports()) == expected_outcomes(500), "all others are judged as if it had never come");
    assert_is_dead_letter(&engine.running.ports());
}

#[test]
fn a_judged_event_that_panics_in_recovery_becomes_a_dead_letter() {
    let hostile = Arc::new(PanickingFold::default());
    let engine = EngineWithoutCheckpoints::start(hostile.probe());
    ingest(&engine.running, 0..300);
    engine.wait_until_scored();
    let count = || {
        let values = engine.running.engine.queries().view("spend", &card(HOSTILE), None).unwrap();
        format!("{:?}", values.measures[0].1)
    };
    wait_until("all verdicts are in the log", || by_id(&engine.running.ports()).len() == 300);
    let judged = by_id(&engine.running.ports());
    assert_eq!(count(), "Int(15)");
    // Stands for a new version of the program.
    hostile.is_on.store(true, Ordering::SeqCst);
    engine.crash();
    engine.wait_until_scored();
    wait_until("the views are there again", || count() == "Int(14)");
    wait_until("it is a dead letter", || {
        !letters(&engine.running.ports()).iter().all(|one| one.code != FailureCode::EventPanicked)
    });
    assert_is_dead_letter(&engine.running.ports());
    assert!(by_id(&engine.running.ports()) == judged, "verdicts stay as they are");
    let folds = hostile.folds();
    engine.crash();
    ingest(&engine.running, 300..320);
    engine.wait_until_scored();
    wait_until("the events of after that are counted", || count() == "Int(15)");
    assert_eq!(hostile.folds(), folds);
}

#[test]
fn a_partition_whose_events_all_panic_does_not_affect_the_other() {
    let probe = Probe::new(|at| {
        if let ProbePoint::Fold(partition, records) = at {
            assert!(*partition != payments()[0] || records.is_empty(), "hostile words");
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), probe, OFTEN, |ports| ports);
    define(&running);
    ingest(&running, 0..40);
    running.wait_until_written();
    let end = |partition: &PartitionId| {
        running.ports().log.end(&partition.stream, Topic::Events, partition.partition).unwrap().0
    };
    let panicked =
        letters(&running.ports()).into_iter().filter(|letter| letter.code == FailureCode::EventPanicked).count() as u64;
    assert!(panicked > 5 && panicked == end(&payments()[0]), "{panicked}");
    assert_eq!(by_id(&running.ports()).len() as u64, end(&payments()[1]), "the other's events are judged");
}

#[test]
fn an_event_that_panics_in_a_sink_is_a_dead_letter_of_that_sink_only() {
    let hostile = payments()[0].clone();
    let at = hostile.clone();
    let probe = Probe::new(move |probed| {
        if let ProbePoint::Carry("archive-events", partition, first, last) = probed {
            assert!(*partition != at || !(first.0..=last.0).contains(&5), "hostile words");
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), probe, OFTEN, |ports| ports);
    define(&running);
    ingest(&running, 0..300);
    running.wait_until_written();
    wait_until("it is a dead letter", || {
        letters(&running.ports()).iter().any(|letter| letter.code == FailureCode::EventPanicked)
    });
    let panicked: Vec<_> =
        letters(&running.ports()).into_iter().filter(|letter| letter.code == FailureCode::EventPanicked).collect();
    assert_eq!(panicked.len(), 1);
    assert_eq!((panicked[0].place.partition, panicked[0].place.offset.0), (hostile.partition, 5));
    assert!(panicked[0].message.starts_with("archive-events: panicked: hostile words (at "), "{panicked:?}");
    assert_eq!(by_id(&running.ports()).len(), 300, "it is judged all the same");
}

#[test]
fn an_outcome_that_panics_in_a_sink_is_a_dead_letter_of_that_sink_only() {
    let hostile = [("archive-verdicts", 40), ("dead-letters", 5), ("graph", 5), ("profiles", 5), ("profiles", 6)];
    let probe = Probe::new(move |probed| {
        if let ProbePoint::CarryOutcome(name, partition, event) = probed {
            assert!(*partition != payments()[0] || !hostile.contains(&(name, event.0)), "hostile words");
        }
    });
    let [(found, profiles), (undisturbed, expected_profiles)] = [probe, Probe::default()].map(|probe| {
        let dir = tempfile::tempdir().unwrap();
        let running = start(dir.path(), probe, OFTEN, |ports| ports);
        define(&running);
        ingest(&running, 0..300);
        running.wait_until_written();
        wait_until_ready(&running);
        let profile = |number| {
            let partition = running.engine.queries().partition_of("payments", &card(number)).unwrap();
            running.ports().profiles.get(&partition, &card(number)).unwrap()
        };
        (letters(&running.ports()), (0..20).map(profile).collect::<Vec<_>>())
    });
    let (panicked, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|letter| letter.code == FailureCode::EventPanicked);
    let mut rejected: Vec<(&str, u64)> =
        panicked.iter().map(|one| (one.sink.as_deref().unwrap(), one.place.offset.0)).collect();
    rejected.sort_unstable();
    assert_eq!(rejected, hostile);
    assert!(panicked.iter().all(|one| one.place.partition == payments()[0].partition));
    assert!(panicked.iter().all(|one| one.message.contains(": panicked: hostile words (at ")), "{panicked:?}");
    let is_other =
        |letter: &DeadLetter| (letter.place.partition, letter.place.offset.0) != (panicked[0].place.partition, 5);
    let undisturbed: Vec<DeadLetter> = undisturbed.into_iter().filter(is_other).collect();
    assert_eq!(others, undisturbed, "all other failures are told");
    assert_eq!(profiles, expected_profiles, "later verdicts are carried");
}
