//! Processes that share the partitions of a topic, and the tails of those that they have.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use assay_core::names::{Offset, Partition};
use assay_core::stream::Format;
use assay_engine::ports::StreamPartition;
use assay_engine::ports::log::{Bell, Durability, Log, Offsets, Records, Topic};
use assay_engine::ports::membership::Owner;
use assay_stores::kafka::{Config, Kafka, Schemas as _};

use super::contract::{card, event, events};
use super::formats::payments;
use super::peer::{Peer, committed, framed};
use super::support::{Registry, config, unique, until};

const PARTITIONS: u32 = 4;
/// For the process that is stopped: its topic, which is its group too.
const CHILD: &str = "ASSAY_KAFKA_TEST_CHILD";

/// An owner that notes what it is told.
#[derive(Default)]
pub(crate) struct Notes {
    owned: Mutex<BTreeSet<u32>>,
    told: Mutex<Vec<String>>,
}

impl Notes {
    fn note(&self, what: &str, partitions: &[StreamPartition]) {
        self.told.lock().unwrap().push(format!("{what} {}", partitions.len()));
        let mut owned = self.owned.lock().unwrap();
        for of in partitions {
            assert_eq!(&*of.stream, "payments");
            assert_eq!(what == "assign", owned.insert(of.partition.0), "{what} {of}");
            if what != "assign" {
                owned.remove(&of.partition.0);
            }
        }
    }

    pub(crate) fn owned(&self) -> BTreeSet<u32> {
        self.owned.lock().unwrap().clone()
    }

    fn was_told(&self, what: &str) -> bool {
        self.told.lock().unwrap().iter().any(|told| told.starts_with(what))
    }
}

impl Owner for Notes {
    fn assign(&self, partitions: Vec<StreamPartition>) {
        self.note("assign", &partitions);
    }

    fn revoke(&self, partitions: Vec<StreamPartition>, _: Duration) {
        self.note("revoke", &partitions);
    }

    fn lose(&self, partitions: Vec<StreamPartition>) {
        self.note("lose", &partitions);
    }
}

/// A process that has joined the group named as the topic is.
pub(crate) struct Member {
    kafka: Kafka,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) notes: Arc<Notes>,
    pub(crate) registry: Arc<Registry>,
}

fn of(partition: u32) -> StreamPartition {
    StreamPartition { stream: Arc::from("payments"), partition: Partition(partition) }
}

impl Member {
    pub(crate) fn join(topic: &str, partitions: u32, config: Config) -> Self {
        let registry = Arc::<Registry>::default();
        let kafka = Kafka::open(config, registry.clone()).unwrap();
        let def = payments(&*kafka.log(), topic, Format::Confluent, partitions);
        registry.register("x", &def.schema.to_string()).unwrap();
        let notes = Arc::new(Notes::default());
        kafka.membership().join(notes.clone());
        kafka.membership().share((0..partitions).map(of).collect());
        Self { log: kafka.log(), kafka, notes, registry }
    }

    fn read(&self, topic: Topic, from: u64) -> Vec<Records> {
        self.log.read("payments", topic, Partition(0), Offset(from), 500, 1 << 20).unwrap()
    }

    fn append(&self, cards: &[String]) {
        let batches = vec![(Partition(0), events(cards))];
        let receipt = self.log.append("payments", Topic::Events, batches, Durability::Synced).unwrap();
        receipt.blocking_recv().unwrap().unwrap();
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn partitions_are_shared_and_inherited() {
    let topic = unique();
    let one = Member::join(&topic, PARTITIONS, config(&topic));
    until("the first has all", || one.notes.owned().len() == 4);
    assert!(one.kafka.membership().is_member());
    let two = Member::join(&topic, PARTITIONS, config(&topic));
    until("they share", || one.notes.owned().len() == 2 && two.notes.owned().len() == 2);
    assert!(one.notes.owned().is_disjoint(&two.notes.owned()));
    assert!(one.notes.was_told("revoke 2") && !one.notes.was_told("revoke 4"), "only what moves is stopped");
    two.kafka.membership().leave();
    assert!(two.notes.owned().is_empty() && two.notes.was_told("revoke"), "{:?}", two.notes.told);
    assert!(!two.kafka.membership().is_member());
    until("the first has all again", || one.notes.owned().len() == 4);
    assert!(!one.notes.was_told("lose") && !two.notes.was_told("lose"));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_new_stream_is_shared_too() {
    let topic = unique();
    let one = Member::join(&topic, 1, config(&topic));
    until("the stream is there", || one.notes.owned().len() == 1);
    one.kafka.membership().share(Vec::new());
    until("the stream is gone", || one.notes.owned().is_empty());
    one.kafka.membership().share(vec![of(0)]);
    until("the stream is back", || one.notes.owned().len() == 1);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn saved_positions_are_seen_by_others() {
    let topic = unique();
    let one = Member::join(&topic, PARTITIONS, config(&topic));
    until("the member has all", || one.notes.owned().len() == 4);
    one.kafka.membership().saved(&of(1), Offset(3));
    one.kafka.membership().saved(&of(1), Offset(5));
    until("the position is committed", || committed(&topic, &topic, 1) == Some(5));
    one.kafka.membership().saved(&of(2), Offset(7));
    one.kafka.membership().leave();
    assert_eq!(committed(&topic, &topic, 2), Some(7), "the last position is committed when leaving");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn owned_events_ring_and_are_read_from_the_tail() {
    let topic = unique();
    let one = Member::join(&topic, 1, config(&topic));
    one.append(&["before".to_owned()]);
    until("the member has it", || one.notes.owned().len() == 1);
    let bell = Arc::new(Bell::default());
    one.log.on_append(Topic::Events, bell.clone());
    for i in 1..20 {
        one.append(&[format!("card-{i}")]);
        assert_eq!(one.log.end("payments", Topic::Events, Partition(0)).unwrap(), Offset(i + 1));
        let mut blocks = Vec::new();
        until("the event has come back", || {
            blocks = one.read(Topic::Events, i);
            if blocks.is_empty() {
                bell.wait(Duration::from_secs(10));
            }
            !blocks.is_empty()
        });
        assert_eq!(blocks.iter().flat_map(Records::iter).next().unwrap().1, event(&format!("card-{i}")));
        // Verdicts that this process appended.
        let mut records = Records { appended_at: 5, ..Records::default() };
        records.push(&[i as u8; 100]);
        let batches = vec![(Partition(0), records)];
        let receipt = one.log.append("payments", Topic::Verdicts, batches, Durability::Ordered).unwrap();
        receipt.blocking_recv().unwrap().unwrap();
        assert_eq!(one.read(Topic::Verdicts, i - 1)[0].get(0), Some(&[i as u8; 100][..]));
    }
    // Older than the tail.
    assert_eq!(one.read(Topic::Events, 0)[0].get(0), Some(&*event("before")));
}

/// Reads everything from an offset on, in order, until there are so many.
fn read_in_order(member: &Member, from: u64, count: u64) {
    let mut next = from;
    until("everything is read", || {
        for (offset, record) in member.read(Topic::Events, next).iter().flat_map(Records::iter) {
            assert_eq!((offset.0, card(record).split('-').next()), (next, Some(&*next.to_string())));
            next += 1;
        }
        next == count
    });
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_full_tail_waits_and_nothing_is_lost() {
    let topic = unique();
    let config = Config { tail_bytes_per_partition: 100_000, ..config(&topic) };
    let one = Member::join(&topic, 1, config);
    until("the member has it", || one.notes.owned().len() == 1);
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
fn gaps_of_transactions_belong_to_no_record() {
    let topic = unique();
    let one = Member::join(&topic, 1, config(&topic));
    until("the member has it", || one.notes.owned().len() == 1);
    let peer = Peer::new(Some(&topic));
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
    until("the tail has all", || cards(&one.read(Topic::Events, 0)) == expected);
    assert_eq!(cards(&one.read(Topic::Events, 2)), expected[2..], "a read in the gap goes on behind it");
    let other = Member::join(&topic, 1, config(&unique()));
    other.kafka.membership().leave();
    assert_eq!(cards(&other.read(Topic::Events, 0)), expected, "from the broker");
    assert_eq!(cards(&other.read(Topic::Events, 2)), expected[2..]);
    assert!(other.read(Topic::Events, 6).is_empty());
    // Who comes later and has read everything is behind nothing, though the partition ends behind a marker.
    let late = Member::join(&topic, 1, config(&unique()));
    let end = || late.log.end("payments", Topic::Events, Partition(0)).unwrap();
    until("the late one has it", || late.notes.owned().len() == 1);
    until("markers do not count", || {
        assert!(late.read(Topic::Events, 6).is_empty());
        end() == Offset(6)
    });
    peer.transact(&topic, &[message("d")], true);
    until("the tail goes on", || cards(&late.read(Topic::Events, 6)) == [(7, "d".to_owned())]);
    assert_eq!(end(), Offset(8));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn receipts_tell_each_offset_when_others_write_between() {
    let topic = unique();
    let (one, two) = (Member::join(&topic, 1, config(&topic)), Member::join(&topic, 1, config(&unique())));
    let mut was_interleaved = false;
    until("others write between", || {
        let cards: Vec<String> = (0..3000).map(|i| format!("{i}-{}", "y".repeat(1000))).collect();
        let send = |member: &Member| {
            let batches = vec![(Partition(0), events(&cards))];
            member.log.append("payments", Topic::Events, batches, Durability::Synced).unwrap()
        };
        let (first, second) = (send(&one), send(&two));
        for receipt in [first, second] {
            let appended = receipt.blocking_recv().unwrap().unwrap();
            was_interleaved |= matches!(appended[0].offsets, Offsets::Each(_));
            for index in [0, 1500, 2999] {
                let place = appended[0].place(index).unwrap();
                let mut blocks = Vec::new();
                until("the event has come back", || {
                    blocks = one.log.read("payments", Topic::Events, Partition(0), place.offset, 1, 1).unwrap();
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
fn a_registry_that_is_down_only_stops_its_partition() {
    let topic = unique();
    let one = Member::join(&topic, 1, config(&topic));
    until("the member has it", || one.notes.owned().len() == 1);
    one.registry.is_down.store(true, std::sync::atomic::Ordering::SeqCst);
    let peer = Peer::new(None);
    peer.send(&topic, 0, &[framed(0, &event("a")), framed(0, &event("b"))]);
    peer.flush();
    let read = || one.log.read("payments", Topic::Events, Partition(0), Offset(0), 10, 1 << 20);
    until("readers hear of it", || {
        let behind = one.log.end("payments", Topic::Events, Partition(0)).unwrap() > Offset(0);
        behind && read().is_err_and(|error| error.to_string().contains("switched off"))
    });
    one.registry.is_down.store(false, std::sync::atomic::Ordering::SeqCst);
    until("it goes on", || read().is_ok_and(|blocks| blocks.iter().map(Records::len).sum::<usize>() == 2));
}

/// Stays in the group until it is killed, and says on stdout what happens.
fn stay(topic: &str) {
    let member = Member::join(topic, PARTITIONS, config(topic));
    let (mut told, mut was_member) = (0, false);
    loop {
        let is_member = member.kafka.membership().is_member();
        if is_member != was_member {
            println!("member {is_member}");
            was_member = is_member;
        }
        let all = member.notes.told.lock().unwrap().clone();
        all[told..].iter().for_each(|one| println!("told {one}"));
        told = all.len();
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_process_that_slept_knows_that_it_is_out() {
    if let Ok(topic) = std::env::var(CHILD) {
        stay(&topic);
    }
    let topic = unique();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "members::a_process_that_slept_knows_that_it_is_out", "--nocapture", "--ignored"])
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
    let heir = Member::join(&topic, PARTITIONS, config(&topic));
    until("the heir has all", || heir.notes.owned().len() == 4);
    signal("-CONT");
    // Before anything else, and before it hears of the group again.
    assert_eq!([next(), next()], ["member false", "told lose 4"]);
    until("they share", || heir.notes.owned().len() == 2);
    let mut last = [next(), next()];
    last.sort();
    assert_eq!(last, ["member true", "told assign 2"]);
    child.kill().unwrap();
    child.wait().unwrap();
}
