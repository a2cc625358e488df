//! Processes that append to a log while things go wrong, and what must be true of the log then.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use assay_core::names::PartitionIndex;
use assay_engine::memory::{Process, World};
use assay_engine::ports::log::{Durability, Receipt, Records, Topic};
use assay_engine::ports::{PartitionId, Ports, StoreError};
use serde_json::json;

const PARTITIONS: u32 = 3;
const PROCESSES: usize = 2;

pub(crate) fn partition(partition: u32) -> PartitionId {
    PartitionId { stream: "payments".into(), partition: PartitionIndex(partition) }
}

/// Makes the stream of the tests.
pub(crate) fn create_stream(ports: &Ports) {
    let fields = json!([{ "name": "card", "type": "string" }, { "name": "at", "type": "long" }]);
    let def = json!({ "stream": "payments", "key": "card", "time": "at", "partitions": PARTITIONS,
        "schema": { "type": "record", "name": "Payment", "fields": fields } });
    ports.log.create(&serde_json::from_value(def).unwrap()).unwrap();
}

/// Appends one record.
pub(crate) fn append(
    ports: &Ports,
    topic: Topic,
    partition: u32,
    record: &str,
    durability: Durability,
) -> Result<Receipt, StoreError> {
    let mut records = Records::default();
    records.push(record.as_bytes());
    ports.log.append("payments", topic, vec![(PartitionIndex(partition), records)], durability)
}

/// All records of a partition.
pub(crate) fn records_of(ports: &Ports, topic: Topic, partition: u32) -> Vec<String> {
    let read = ports.log.read("payments", topic, PartitionIndex(partition), Default::default(), usize::MAX, usize::MAX);
    let read = read.unwrap();
    let records = read.iter().flat_map(Records::iter).map(|(_, record)| String::from_utf8(record.to_vec()).unwrap());
    records.collect()
}

/// A record that was appended, and its receipt.
struct Appended {
    partition: u32,
    record: String,
    receipt: Receipt,
}

pub(crate) struct Appenders {
    world: World,
    processes: Vec<Process>,
    waiting: Vec<Appended>,
    /// The record at each place that was acknowledged.
    acknowledged: BTreeMap<(u32, u64), String>,
    appended: u64,
    dice: u64,
    history: String,
}

impl Appenders {
    pub(crate) fn new(world: World, seed: u64) -> Self {
        create_stream(&world.observer());
        let processes = (0..PROCESSES).map(|_| world.start_process()).collect();
        Self {
            world,
            processes,
            waiting: Vec::new(),
            acknowledged: BTreeMap::new(),
            appended: 0,
            dice: seed,
            history: String::new(),
        }
    }

    fn draw_below(&mut self, bound: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % bound
    }

    /// Appends, lets things arrive, crashes processes, and at last lets everything arrive.
    pub(crate) fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            match self.draw_below(100) {
                0 => self.crash(),
                1..50 => self.append(),
                _ => drop(self.world.deliver_next()),
            }
            self.take_receipts();
        }
        self.world.deliver_all();
        self.take_receipts();
        for partition in 0..PARTITIONS {
            let records = records_of(&self.world.observer(), Topic::Events, partition);
            writeln!(self.history, "{partition} {records:?}").unwrap();
        }
    }

    fn append(&mut self) {
        let process = self.draw_below(PROCESSES as u64) as usize;
        let partition = self.draw_below(u64::from(PARTITIONS)) as u32;
        let durability = if self.draw_below(2) == 0 { Durability::Synced } else { Durability::Ordered };
        // One order for all records, and the process that each is of.
        let record = format!("{:06} {}", self.appended, self.processes[process].id().0);
        self.appended += 1;
        match append(&self.processes[process].ports(), Topic::Events, partition, &record, durability) {
            Ok(receipt) => self.waiting.push(Appended { partition, record, receipt }),
            Err(error) => writeln!(self.history, "{record} {error}").unwrap(),
        }
    }

    fn crash(&mut self) {
        let crashed = self.draw_below(PROCESSES as u64) as usize;
        self.world.crash(self.processes[crashed].id());
        self.processes[crashed] = self.world.start_process();
    }

    fn take_receipts(&mut self) {
        for mut waiting in std::mem::take(&mut self.waiting) {
            match waiting.receipt.try_recv() {
                Ok(Ok(appended)) => {
                    let at = appended[0].place(0).unwrap().offset.0;
                    writeln!(self.history, "{} at {at}", waiting.record).unwrap();
                    let before = self.acknowledged.insert((waiting.partition, at), waiting.record);
                    assert_eq!(before, None, "one place is given once");
                }
                Ok(Err(error)) => writeln!(self.history, "{} {error}", waiting.record).unwrap(),
                Err(tokio::sync::oneshot::error::TryRecvError::Closed) => {
                    writeln!(self.history, "{} is not answered", waiting.record).unwrap();
                }
                Err(tokio::sync::oneshot::error::TryRecvError::Empty) => self.waiting.push(waiting),
            }
        }
    }

    /// All that has happened.
    pub(crate) fn into_history(self) -> String {
        self.history
    }

    /// Checks the log. Returns how many records were acknowledged.
    pub(crate) fn check(&self) -> usize {
        assert!(self.waiting.is_empty(), "each append is answered");
        for partition in 0..PARTITIONS {
            let records = records_of(&self.world.observer(), Topic::Events, partition);
            for ((_, at), record) in self.acknowledged.range((partition, 0)..(partition + 1, 0)) {
                assert_eq!(records.get(*at as usize), Some(record), "{partition} {at}");
            }
            let mut last: BTreeMap<&str, &str> = BTreeMap::new();
            for record in &records {
                let (number, process) = record.split_once(' ').unwrap();
                let before = last.insert(process, number);
                assert!(before.is_none_or(|before| before < number), "{records:?}");
            }
        }
        self.acknowledged.len()
    }
}
