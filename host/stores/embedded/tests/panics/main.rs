//! Panics in every thread of the engine, in every call of a port, and in the fold of an event: the engine continues, and the
//! results equal those of an undisturbed run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod faulty;
mod folds;
mod lag;
#[path = "../manual_membership/mod.rs"]
mod manual_membership;
#[path = "../payments/mod.rs"]
mod payments;
mod refusals;
mod results;
mod stalls;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use assay_engine::{Probe, ProbePoint};

use faulty::{Faults, faulty};
use payments::{TestEngine, wait_until};
use results::{Results, define, ingest, start};

const EVENTS: u64 = 400;
/// A short checkpoint interval.
const OFTEN: Duration = Duration::from_millis(20);

/// Runs an engine with these faults and this probe: half of the events, a restart, and the other half.
fn run(probe: Probe, faults: &Arc<Faults>) -> (Results, String) {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), probe.clone(), OFTEN, |ports| faulty(ports, faults));
    define(&running);
    ingest(&running, 0..EVENTS / 2);
    running.wait_until_written();
    wait_until_ready(&running);
    drop(running);
    let running = start(dir.path(), probe, OFTEN, |ports| faulty(ports, faults));
    ingest(&running, EVENTS / 2..EVENTS);
    running.wait_until_written();
    wait_until_ready(&running);
    (Results::read(&running), running.engine.measure())
}

fn wait_until_ready(running: &TestEngine) {
    wait_until("all parts work again", || {
        let readiness = running.engine.readiness();
        // The readiness also reports threads of other tests in this process.
        readiness.parts.iter().all(|part| (part.ok && part.lag == 0) || part.name.starts_with("thread "))
    });
}

#[test]
fn panics_in_calls_of_ports_change_nothing() {
    let calls = Arc::new(Faults::default());
    let (undisturbed, _) = run(Probe::default(), &calls);
    let calls = calls.calls();
    let expected = [
        "log.append",
        "log.end",
        "log.read",
        "log.read_events",
        "state.checkpoint",
        "state.load",
        "state.save",
        "archive.write_events",
        "archive.write_verdicts",
        "profiles.write",
        "graph.write",
        "dead-letters.write",
        "membership.is_member",
        "membership.commit",
        "catalog.version",
        "erasure.pending",
    ];
    for call in expected {
        assert!(calls.contains(&call), "{call} is not among {calls:?}");
    }
    println!("{} calls: {calls:?}", calls.len());
    for call in calls {
        let faults = Faults::new(call, 2);
        let (results, measured) = run(Probe::default(), &faults);
        assert!(results == undisturbed, "{call}: the results differ");
        assert!(measured.contains("assay_panics_total{thread="), "{call}: its panics are counted");
    }
}

/// The rounds in which threads panic, and the rounds that each thread has done.
#[derive(Default)]
struct Rounds {
    panics: BTreeMap<String, BTreeSet<u32>>,
    done: Mutex<BTreeMap<String, u32>>,
}

impl Rounds {
    fn probe(self: &Arc<Self>) -> Probe {
        let rounds = self.clone();
        Probe::new(move |at| {
            let ProbePoint::Round = at else { return };
            let name = std::thread::current().name().unwrap().to_owned();
            let done = {
                let mut done = rounds.done.lock().unwrap();
                let done = done.entry(name.clone()).or_default();
                *done += 1;
                *done
            };
            let panics = rounds.panics.get(&name).is_some_and(|rounds| rounds.contains(&done));
            assert!(!panics, "{name} in round {done}");
        })
    }
}

#[test]
fn panics_in_threads_change_nothing() {
    let rounds = Arc::new(Rounds::default());
    let faults = Arc::new(Faults::default());
    let (undisturbed, _) = run(rounds.probe(), &faults);
    let threads: Vec<String> = rounds.done.lock().unwrap().keys().cloned().collect();
    let expected = [
        "worker-0",
        "worker-1",
        "catalog",
        "eraser",
        "retention",
        "sink-archive-events",
        "sink-archive-verdicts",
        "sink-profiles",
        "sink-graph",
        "sink-dead-letters",
        "sink-derive",
    ];
    for thread in expected {
        assert!(threads.iter().any(|one| one == thread), "{thread} is not among {threads:?}");
    }
    assert!(threads.iter().any(|thread| thread.starts_with("saver-")), "{threads:?}");
    for thread in threads {
        // Four panics in a row exceed the attempts of a saver.
        let panics = BTreeMap::from([(thread.clone(), BTreeSet::from([1, 3, 5, 6, 7, 8]))]);
        let rounds = Arc::new(Rounds { panics, done: Mutex::default() });
        let (results, measured) = run(rounds.probe(), &faults);
        assert!(results == undisturbed, "{thread}: the results differ");
        assert!(measured.contains(&format!("assay_panics_total{{thread=\"{thread}\"}}")), "{thread}");
    }
}
