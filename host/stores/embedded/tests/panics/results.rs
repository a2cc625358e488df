//! The results of an engine on the payments: verdicts, dead letters, profiles, views, and counts by device.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use assay_core::failure_code::FailureCode;
use assay_core::names::Offset;
use assay_core::verdict::{Failure, Outcome, Verdict, read_block};
use assay_embedded::{Config, Embedded};
use assay_engine::ports::dead_letters::{DeadLetter, DeadLetterQuery};
use assay_engine::ports::log::{Records, Topic};
use assay_engine::ports::profiles::Profile;
use assay_engine::ports::{PartitionId, Ports};
use assay_engine::{Engine, EngineConfig, Metrics, Probe};
use assay_runtime::{Runtime, RuntimeConfig};
use serde_json::json;

use crate::payments::{TestEngine, partitions, payment};

/// The number of cards.
const CARDS: u64 = 20;

pub(crate) fn card(number: u64) -> String {
    format!("card-{}", number % CARDS)
}

/// Starts an engine over a folder with the ports that `wrap` returns.
pub(crate) fn start(dir: &Path, probe: Probe, every: Duration, wrap: impl FnOnce(Ports) -> Ports) -> TestEngine {
    let store = Embedded::open(dir, &Config::default()).unwrap();
    let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
    let config = EngineConfig { workers: 2, batch_rows: 64, checkpoint_every: every, probe, ..EngineConfig::default() };
    let engine = Engine::start(wrap(store.ports()), runtime, config, Arc::new(Metrics::new())).unwrap();
    TestEngine { engine, store }
}

/// Ingests payments in requests of 100.
pub(crate) fn ingest(running: &TestEngine, numbers: impl Iterator<Item = u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for some in numbers.chunks(100) {
        running.ingest(some.iter().map(|number| payment(*number, &card(*number))));
    }
}

pub(crate) fn define(running: &TestEngine) {
    running.define(&json!({}));
}

/// The results that panics must not change.
#[derive(Debug, PartialEq)]
pub(crate) struct Results {
    outcomes: BTreeMap<(u32, u64), Outcome>,
    letters: Vec<DeadLetter>,
    profiles: Vec<Option<Profile>>,
    views: Vec<String>,
    counts: BTreeMap<String, Vec<u64>>,
}

impl Results {
    /// Removes what is of some entities, and the dead letters of events that panicked.
    pub(crate) fn remove_entities(&mut self, entities: &[&str]) {
        let is_of = |key: &str| entities.contains(&key);
        self.outcomes.retain(|_, outcome| !is_of(&outcome.key));
        self.letters.retain(|letter| !is_of(&letter.key) && letter.code != FailureCode::EventPanicked);
        self.counts.retain(|key, _| !is_of(key));
    }

    /// Removes all that has offsets, and the dead letters of events that panicked. Returns the profiles.
    pub(crate) fn remove_places(&mut self) -> Vec<Option<Profile>> {
        self.outcomes.clear();
        self.letters.retain(|letter| letter.code != FailureCode::EventPanicked);
        self.letters.iter_mut().for_each(|letter| letter.place.offset = Offset(0));
        self.letters.sort_by(|a, b| (&a.id, &a.rule).cmp(&(&b.id, &b.rule)));
        std::mem::take(&mut self.profiles)
    }

    /// Reads the results. All sinks must have written.
    pub(crate) fn read(running: &TestEngine) -> Self {
        let ports = running.ports();
        let cards: Vec<String> = (0..CARDS).map(card).collect();
        let partition_of = |card: &String| running.engine.queries().partition_of("payments", card).unwrap();
        let view = |card: &String| format!("{:?}", running.engine.queries().view("spend", card, None).unwrap());
        let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for outcome in outcomes(&ports, &partitions()[2..]).into_values() {
            counts.entry(outcome.key).or_default().push(outcome.verdicts[0].score.unwrap() as u64);
        }
        counts.values_mut().for_each(|counts| counts.sort_unstable());
        Self {
            outcomes: outcomes(&ports, &partitions()[..2]),
            letters: letters(&ports),
            profiles: cards.iter().map(|card| ports.profiles.get(&partition_of(card), card).unwrap()).collect(),
            views: cards.iter().map(view).collect(),
            counts,
        }
    }
}

/// Reads the outcomes of the events of partitions, by partition and offset. Repeated outcomes must be equal.
pub(crate) fn outcomes(ports: &Ports, partitions: &[PartitionId]) -> BTreeMap<(u32, u64), Outcome> {
    let mut all = BTreeMap::new();
    for partition in partitions {
        let mut at = Offset(0);
        loop {
            let blocks =
                ports.log.read(&partition.stream, Topic::Verdicts, partition.partition, at, 1000, 1 << 24).unwrap();
            let Some(last) = blocks.last() else { break };
            at = last.next();
            for (_, block) in blocks.iter().flat_map(Records::iter) {
                for outcome in read_block(block).unwrap().outcomes {
                    let place = (partition.partition.0, outcome.offset.0);
                    let panicked = outcome.failures.iter().any(|failure| failure.code == FailureCode::EventPanicked);
                    if panicked && all.contains_key(&place) {
                        // It was judged before.
                        continue;
                    }
                    if let Some(before) = all.insert(place, outcome.clone()) {
                        assert_eq!(before, outcome, "a repeated verdict is the same again");
                    }
                }
            }
        }
    }
    all
}

/// The verdicts and failures of payments by id.
pub(crate) type JudgedById = BTreeMap<String, (Vec<Verdict>, Vec<Failure>)>;

/// The verdicts and failures of the payments by id.
pub(crate) fn by_id(ports: &Ports) -> JudgedById {
    let all = outcomes(ports, &partitions()[..2]).into_values();
    all.filter(|outcome| !outcome.id.is_empty())
        .map(|outcome| (outcome.id, (outcome.verdicts, outcome.failures)))
        .collect()
}

/// The dead letters of the payments.
pub(crate) fn letters(ports: &Ports) -> Vec<DeadLetter> {
    let query = DeadLetterQuery { stream: Some("payments".to_owned()), limit: 10_000, ..DeadLetterQuery::default() };
    let mut letters = ports.dead_letters.list(&query).unwrap().items;
    letters.sort_by_key(|letter| (letter.place, letter.rule.clone(), letter.sink.clone()));
    letters
}
