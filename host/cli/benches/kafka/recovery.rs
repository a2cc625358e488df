//! Recovery after the death of a member: two processes share the partitions of a stream with many entities, and one is
//! killed under a light load. The figure is the time until the other one has scored events that were sent after the
//! kill, for each partition of the dead process.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use assay::generate::Payment;
use assay_core::verdict::read_block_summary;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::events::{self, PARTITIONS};
use crate::scrape::{partitions, scored, wait_until};
use crate::stage::{Pack, Sinks, Stage};
use crate::support::Server;
use crate::{bare, topics};

const SESSION_TIMEOUT: Duration = Duration::from_secs(3);
/// Events per second while a member dies.
const RATE: u32 = 1_000;
/// The time under load before the kill, so that checkpoints are as usual.
const LOAD_TIME: Duration = Duration::from_secs(4);
const WAIT_TIMEOUT: Duration = Duration::from_secs(300);
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn measure(folder: &Path, entities: u32) -> Value {
    let stage = Stage::new("recovery", folder, Pack::Smallest);
    let session = format!("{}s", SESSION_TIMEOUT.as_secs());
    let more = [("ASSAY_KAFKA__SESSION_TIMEOUT", session.as_str())];
    let [one, two] = ["one", "two"].map(|member| stage.start(member, Sinks::None, &more));
    let schema = stage.apply(&one);
    let shared = || !partitions(&one).is_empty() && partitions(&one).len() + partitions(&two).len() == 8;
    assert!(wait_until(WAIT_TIMEOUT, shared), "{}\n{}", one.log_tail(), two.log_tail());
    let payments = each_card_once(entities);
    events::fill(stage.topic(), schema, &payments);
    let all = u64::from(entities);
    assert!(wait_until(WAIT_TIMEOUT, || scored(&one) + scored(&two) == all), "{}\n{}", one.log_tail(), two.log_tail());
    assert!(wait_until(WAIT_TIMEOUT, || saved(&stage) == all), "{}\n{}", one.log_tail(), two.log_tail());
    println!("{entities} entities are judged and their states saved");
    kill_one(&stage, schema, &payments, (&one, &two), entities)
}

/// A payment of each card, so that each has state.
fn each_card_once(cards: u32) -> Vec<Payment> {
    let mut payments = events::payments(cards as usize, cards);
    (1..).zip(&mut payments).for_each(|(card, payment)| payment.card = card);
    payments
}

/// The sum of the offsets up to which state is saved. Members commit them for the consumer group.
fn saved(stage: &Stage) -> u64 {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", topics::brokers()).set("group.id", &stage.names.name);
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(stage.topic(), 0, PARTITIONS as i32 - 1);
    let committed = consumer.committed_offsets(list, Duration::from_secs(10)).unwrap();
    committed.elements().iter().filter_map(|one| one.offset().to_raw()).filter(|offset| *offset > 0).sum::<i64>() as u64
}

/// The places of events in the log, and the times at which they were sent.
type Sent = Mutex<Vec<(i32, u64, Instant)>>;

/// Records the places of delivered events.
struct Places(Arc<Sent>);

impl ClientContext for Places {}

impl ProducerContext for Places {
    type DeliveryOpaque = Box<Instant>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Instant>) {
        let message = result.as_ref().map_err(|(error, _)| error).unwrap();
        self.0.lock().unwrap().push((message.partition(), message.offset() as u64, *sent));
    }
}

/// The offsets up to which events of a partition are judged, with the times at which this was seen.
type Judged = Mutex<Vec<(i32, u64, Instant)>>;

fn kill_one(
    stage: &Stage,
    schema: i32,
    payments: &[Payment],
    (dead, other): (&Server, &Server),
    entities: u32,
) -> Value {
    let is_over = AtomicBool::new(false);
    let (sent, judged): (Arc<Sent>, Judged) = Default::default();
    let seconds = std::thread::scope(|scope| {
        scope.spawn(|| watch(stage, &judged, &is_over));
        scope.spawn(|| load(stage, schema, payments, &sent, &is_over));
        std::thread::sleep(LOAD_TIME);
        let lost = partitions(dead);
        let killed_at = Instant::now();
        dead.kill();
        let mut seconds = Vec::new();
        let is_taken_over = wait_until(TAKEOVER_TIMEOUT, || {
            let found = lost.iter().map(|partition| seconds_until_judged(*partition, killed_at, &sent, &judged));
            seconds = found.flatten().collect();
            seconds.len() == lost.len()
        });
        is_over.store(true, Ordering::SeqCst);
        assert!(is_taken_over, "{lost:?} went on after {seconds:?} s: {}", other.log_tail());
        seconds
    });
    report(stage, &seconds, entities)
}

/// The time from the kill until the first event of a partition that was sent after it was judged, in seconds.
fn seconds_until_judged(partition: u32, killed_at: Instant, sent: &Sent, judged: &Judged) -> Option<f64> {
    let (sent, judged) = (sent.lock().unwrap(), judged.lock().unwrap());
    let (_, offset, _) = sent.iter().find(|(of, _, at)| *of as u32 == partition && *at > killed_at)?;
    let (_, _, at) = judged.iter().find(|(of, next, _)| *of as u32 == partition && next > offset)?;
    Some((*at - killed_at).as_secs_f64())
}

fn report(stage: &Stage, seconds: &[f64], entities: u32) -> Value {
    stage.clear();
    let last = seconds.iter().copied().fold(0.0, f64::max);
    let first = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let beyond = last - SESSION_TIMEOUT.as_secs_f64();
    println!(
        "partitions of the dead go on after {first:.2} to {last:.2} s, session timeout 3 s: {beyond:.2} s beyond it"
    );
    let round = |seconds: f64| (seconds * 1e3).round() / 1e3;
    json!({
        "entities": entities,
        "members": 2,
        "partitions_of_the_dead": seconds.len(),
        "load_per_s": RATE,
        "first_partition_s": round(first),
        "last_partition_s": round(last),
        "session_timeout_s": SESSION_TIMEOUT.as_secs_f64(),
        "beyond_session_timeout_s": round(beyond),
        "goal_beyond_s": 3,
        "what": "from SIGKILL until the first event sent after it is judged, in each partition of the dead; no sinks",
    })
}

/// Sends events at a steady rate.
fn load(stage: &Stage, schema: i32, payments: &[Payment], sent: &Arc<Sent>, is_over: &AtomicBool) {
    let settings = bare::producer_settings().set("linger.ms", "1").clone();
    let producer: BaseProducer<Places> = settings.create_with_context(Places(sent.clone())).unwrap();
    let started = Instant::now();
    // Cards of all partitions in turn.
    for (index, payment) in (0..).zip(payments.iter().cycle().step_by(7)) {
        if is_over.load(Ordering::SeqCst) {
            break;
        }
        let due = started + Duration::from_secs(1) * index / RATE;
        producer.poll(due.saturating_duration_since(Instant::now()));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        events::send(&producer, (stage.topic(), schema), payment, Box::new(Instant::now()));
    }
    producer.flush(Duration::from_secs(10)).unwrap();
}

/// Reads the verdict log.
fn watch(stage: &Stage, judged: &Judged, is_over: &AtomicBool) {
    let consumer = bare::consumer(&stage.verdict_log(), Offset::End);
    while !is_over.load(Ordering::SeqCst) {
        let Some(message) = bare::next(&consumer, Duration::from_millis(100)) else { continue };
        let next = read_block_summary(message.payload().unwrap_or_default()).unwrap().next;
        judged.lock().unwrap().push((message.partition(), next.0, Instant::now()));
    }
}
