//! Members of a group that share the partitions of a topic, and the tails of their partitions.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use assay_core::names::{Offset, PartitionIndex};
use assay_core::stream::Format;
use assay_engine::ports::PartitionId;
use assay_engine::ports::log::{Durability, Log, Offsets, Records, Topic, WakeSignal};
use assay_engine::ports::membership::PartitionOwner;
use assay_kafka::{Config, Kafka, Schemas as _};

use super::contract::{card, event, events};
use super::formats::payments;
use super::peer::{PlainProducer, committed, framed};
use super::support::{MemoryRegistry, config, unique, wait_until};

const PARTITIONS: u32 = 4;
/// The environment variable of the suspended process: its topic, which is also its group.
const CHILD: &str = "ASSAY_KAFKA_TEST_CHILD";

/// An owner that records the calls of the membership.
#[derive(Default)]
pub(crate) struct RecordingOwner {
    owned: Mutex<BTreeSet<u32>>,
    events: Mutex<Vec<String>>,
}

impl RecordingOwner {
    fn record(&self, what: &str, partitions: &[PartitionId]) {
        self.events.lock().unwrap().push(format!("{what} {}", partitions.len()));
        let mut owned = self.owned.lock().unwrap();
        for partition in partitions {
            assert_eq!(&*partition.stream, "payments");
            assert_eq!(what == "assign", owned.insert(partition.partition.0), "{what} {partition}");
            if what != "assign" {
                owned.remove(&partition.partition.0);
            }
        }
    }

    pub(crate) fn owned(&self) -> BTreeSet<u32> {
        self.owned.lock().unwrap().clone()
    }

    fn has_event(&self, what: &str) -> bool {
        self.events.lock().unwrap().iter().any(|event| event.starts_with(what))
    }
}

impl PartitionOwner for RecordingOwner {
    fn assign(&self, partitions: Vec<PartitionId>) {
        self.record("assign", &partitions);
    }

    fn revoke(&self, partitions: Vec<PartitionId>, _: Duration) {
        self.record("revoke", &partitions);
    }

    fn lose(&self, partitions: Vec<PartitionId>) {
        self.record("lose", &partitions);
    }
}

/// A member of the group with the name of the topic.
pub(crate) struct Member {
    kafka: Kafka,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) owner: Arc<RecordingOwner>,
    pub(crate) registry: Arc<MemoryRegistry>,
}

fn partition(partition: u32) -> PartitionId {
    PartitionId { stream: Arc::from("payments"), partition: PartitionIndex(partition) }
}

impl Member {
    pub(crate) fn join(topic: &str, partitions: u32, config: Config) -> Self {
        let registry = Arc::<MemoryRegistry>::default();
        let kafka = Kafka::open(config, registry.clone()).unwrap();
        let def = payments(&*kafka.log(), topic, Format::Confluent, partitions);
        registry.register("x", &def.schema.to_string()).unwrap();
        let owner = Arc::new(RecordingOwner::default());
        kafka.membership().join(owner.clone());
        kafka.membership().set_partitions((0..partitions).map(partition).collect());
        Self { log: kafka.log(), kafka, owner, registry }
    }

    fn read(&self, topic: Topic, from: u64) -> Vec<Records> {
        self.log.read("payments", topic, PartitionIndex(0), Offset(from), 500, 1 << 20).unwrap()
    }

    fn append(&self, cards: &[String]) {
        let batches = vec![(PartitionIndex(0), events(cards))];
        let receipt = self.log.append("payments", Topic::Events, batches, Durability::Synced).unwrap();
        receipt.blocking_recv().unwrap().unwrap();
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn partitions_are_shared_and_reassigned() {
    let topic = unique();
    let one = Member::join(&topic, PARTITIONS, config(&topic));
    wait_until("the first has all", || one.owner.owned().len() == 4);
    assert!(one.kafka.membership().is_member());
    let two = Member::join(&topic, PARTITIONS, config(&topic));
    wait_until("they share", || one.owner.owned().len() == 2 && two.owner.owned().len() == 2);
    assert!(one.owner.owned().is_disjoint(&two.owner.owned()));
    assert!(one.owner.has_event("revoke 2") && !one.owner.has_event("revoke 4"), "only what moves is stopped");
    two.kafka.membership().leave();
    assert!(two.owner.owned().is_empty() && two.owner.has_event("revoke"), "{:?}", two.owner.events);
    assert!(!two.kafka.membership().is_member());
    wait_until("the first has all again", || one.owner.owned().len() == 4);
    assert!(!one.owner.has_event("lose") && !two.owner.has_event("lose"));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_new_stream_is_shared_too() {
    let topic = unique();
    let one = Member::join(&topic, 1, config(&topic));
    wait_until("the stream is there", || one.owner.owned().len() == 1);
    one.kafka.membership().set_partitions(Vec::new());
    wait_until("the stream is gone", || one.owner.owned().is_empty());
    one.kafka.membership().set_partitions(vec![partition(0)]);
    wait_until("the stream is back", || one.owner.owned().len() == 1);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn saved_positions_are_seen_by_others() {
    let topic = unique();
    let one = Member::join(&topic, PARTITIONS, config(&topic));
    wait_until("the member has all", || one.owner.owned().len() == 4);
    one.kafka.membership().commit(&partition(1), Offset(3));
    one.kafka.membership().commit(&partition(1), Offset(5));
    wait_until("the position is committed", || committed(&topic, &topic, 1) == Some(5));
    one.kafka.membership().commit(&partition(2), Offset(7));
    one.kafka.membership().leave();
    assert_eq!(committed(&topic, &topic, 2), Some(7), "the last position is committed when leaving");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn owned_events_notify_and_are_read_from_the_tail() {
    let topic = unique();
    let one = Member::join(&topic, 1, config(&topic));
    one.append(&["before".to_owned()]);
    wait_until("the member has it", || one.owner.owned().len() == 1);
    let wake = Arc::new(WakeSignal::default());
    one.log.on_append(Topic::Events, wake.clone());
    for i in 1..20 {
        one.append(&[format!("card-{i}")]);
        assert_eq!(one.log.end("payments", Topic::Events, PartitionIndex(0)).unwrap(), Offset(i + 1));
        let mut blocks = Vec::new();
        wait_until("the event has come back", || {
            blocks = one.read(Topic::Events, i);
            if blocks.is_empty() {
                wake.wait(Duration::from_secs(10));
            }
            !blocks.is_empty()
        });
        assert_eq!(blocks.iter().flat_map(Records::iter).next().unwrap().1, event(&format!("card-{i}")));
        // Verdicts that this process appended.
        let mut records = Records { appended_at: 5, ..Records::default() };
        records.push(&[i as u8; 100]);
        let batches = vec![(PartitionIndex(0), records)];
        let receipt = one.log.append("payments", Topic::Verdicts, batches, Durability::Ordered).unwrap();
        receipt.blocking_recv().unwrap().unwrap();
        assert_eq!(one.read(Topic::Verdicts, i - 1)[0].get(0), Some(&[i as u8; 100][..]));
    }
    // Older than the tail.
    assert_eq!(one.read(Topic::Events, 0)[0].get(0), Some(&*event("before")));
}

/// Reads all events from an offset on up to the offset `count`, in order.
fn read_in_order(member: &Member, from: u64, count: u64) {
    let mut next = from;
    wait_until("everything is read", || {
        for (offset, record) in member.read(Topic::Events, next).iter().flat_map(Records::iter) {
            assert_eq!((offset.0, card(record).split('-').next()), (next, Some(&*next.to_string())));
            next += 1;
        }
        next == count
    });
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_full_tail_blocks_without_losing_records() {
    let topic = unique();
    let config = Config { tail_bytes_per_partition: 100_000, ..config(&topic) };
    let one = Member::join(&topic, 1, config);
    wait_until("the member has it", || one.owner.owned().len() == 1);
    let mut count = 0;
    for _ in 0..40 {
        let cards: Vec<String> = (count..count + 500).map(|i| format!("{i}-{}", "x".repeat(100))).collect();
        one.append(&cards);
        count += 500;
    }
    // Twenty times as much as the tail holds; one reader after the other, from the beginning and from the middle.
    read_in_order(&one, 0, count);
    read_in_order(&one, 7, count);
    read_in_order(&one, count / 2, count);
    assert!(one.log.lost().iter().all(|lost| lost.records == 0));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn transaction_markers_are_no_records() {
    let topic = unique();
    let one = Member::join(&topic, 1, config(&topic));
    wait_until("the member has it", || one.owner.owned().len() == 1);
    let peer = PlainProducer::new(Some(&topic));
    let message = |name: &str| framed(0, &event(name));
    peer.transact(&topic, &[message("a"), message("b")], true);
    peer.transact(&topic, &[message("no")], false);
    peer.transact(&topic, &[message("c")], true);
    let cards = |blocks: &[Records]| -> Vec<(u64, String)> {
        let records = blocks.iter().flat_map(Records::iter);
        records.map(|(offset, record)| (offset.0, card(record).to_owned())).collect()
    };
    // a, b, marker; no, marker; c, marker.
    let expected = [(0, "a".to_owned()), (1, "b".to_owned()), (5, "c".to_owned())];
    wait_until("the tail has all", || cards(&one.read(Topic::Events, 0)) == expected);
    assert_eq!(cards(&one.read(Topic::Events, 2)), expected[2..], "a read in the gap continues after it");
    let other = Member::join(&topic, 1, config(&unique()));
    other.kafka.membership().leave();
    assert_eq!(cards(&other.read(Topic::Events, 0)), expected, "from the broker");
    assert_eq!(cards(&other.read(Topic::Events, 2)), expected[2..]);
    assert!(other.read(Topic::Events, 6).is_empty());
    // A member that joins later and has read everything has no lag, although the partition ends with a marker.
    let late = Member::join(&topic, 1, config(&unique()));
    let end = || late.log.end("payments", Topic::Events, PartitionIndex(0)).unwrap();
    wait_until("the late one has it", || late.owner.owned().len() == 1);
    wait_until("markers do not count", || {
        assert!(late.read(Topic::Events, 6).is_empty());
        end() == Offset(6)
    });
    peer.transact(&topic, &[message("d")], true);
    wait_until("the tail goes on", || cards(&late.read(Topic::Events, 6)) == [(7, "d".to_owned())]);
    assert_eq!(end(), Offset(8));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn receipts_have_each_offset_of_interleaved_writes() {
    let topic = unique();
    let (one, two) = (Member::join(&topic, 1, config(&topic)), Member::join(&topic, 1, config(&unique())));
    let mut was_interleaved = false;
    wait_until("others write between", || {
        let cards: Vec<String> = (0..3000).map(|i| format!("{i}-{}", "y".repeat(1000))).collect();
        let send = |member: &Member| {
            let batches = vec![(PartitionIndex(0), events(&cards))];
            member.log.append("payments", Topic::Events, batches, Durability::Synced).unwrap()
        };
        let (first, second) = (send(&one), send(&two));
        for receipt in [first, second] {
            let appended = receipt.blocking_recv().unwrap().unwrap();
            was_interleaved |= matches!(appended[0].offsets, Offsets::Each(_));
            for index in [0, 1500, 2999] {
                let place = appended[0].place(index).unwrap();
                let mut blocks = Vec::new();
                wait_until("the event has come back", || {
                    blocks = one.log.read("payments", Topic::Events, PartitionIndex(0), place.offset, 1, 1).unwrap();
                    !blocks.is_empty()
                });
                assert_eq!(blocks[0].get(0), Some(&*event(&cards[index])));
            }
        }
        was_interleaved
    });
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn an_unavailable_registry_stops_only_its_partition() {
    let topic = unique();
    let one = Member::join(&topic, 1, config(&topic));
    wait_until("the member has it", || one.owner.owned().len() == 1);
    one.registry.is_down.store(true, std::sync::atomic::Ordering::SeqCst);
    let peer = PlainProducer::new(None);
    peer.send(&topic, 0, &[framed(0, &event("a")), framed(0, &event("b"))]);
    peer.flush();
    let read = || one.log.read("payments", Topic::Events, PartitionIndex(0), Offset(0), 10, 1 << 20);
    wait_until("readers hear of it", || {
        let has_records = one.log.end("payments", Topic::Events, PartitionIndex(0)).unwrap() > Offset(0);
        has_records && read().is_err_and(|error| error.to_string().contains("switched off"))
    });
    one.registry.is_down.store(false, std::sync::atomic::Ordering::SeqCst);
    wait_until("it goes on", || read().is_ok_and(|blocks| blocks.iter().map(Records::len).sum::<usize>() == 2));
}

/// Stays in the group until it is killed, and prints its events.
fn stay_in_group(topic: &str) {
    let member = Member::join(topic, PARTITIONS, config(topic));
    let (mut printed, mut was_member) = (0, false);
    loop {
        let is_member = member.kafka.membership().is_member();
        if is_member != was_member {
            println!("member {is_member}");
            was_member = is_member;
        }
        let all = member.owner.events.lock().unwrap().clone();
        all[printed..].iter().for_each(|one| println!("told {one}"));
        printed = all.len();
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_suspended_process_notices_its_expired_session() {
    if let Ok(topic) = std::env::var(CHILD) {
        stay_in_group(&topic);
    }
    let topic = unique();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "members::a_suspended_process_notices_its_expired_session", "--nocapture", "--ignored"])
        .env(CHILD, &topic)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(status.success());
    };
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = move || loop {
        let line = lines.next().expect("the child lives").unwrap();
        if let Some(at) = line.find("member ").or_else(|| line.find("told ")) {
            return line[at..].to_owned();
        }
    };
    let mut first = [next(), next()];
    first.sort();
    assert_eq!(first, ["member true", "told assign 4"]);
    signal("-STOP");
    let successor = Member::join(&topic, PARTITIONS, config(&topic));
    wait_until("the successor has all", || successor.owner.owned().len() == 4);
    signal("-CONT");
    // The first events after the suspension, before any message of the group.
    assert_eq!([next(), next()], ["member false", "told lose 4"]);
    wait_until("they share", || successor.owner.owned().len() == 2);
    let mut last = [next(), next()];
    last.sort();
    assert_eq!(last, ["member true", "told assign 2"]);
    child.kill().unwrap();
    child.wait().unwrap();
}
