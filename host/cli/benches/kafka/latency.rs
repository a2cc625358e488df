//! The latency from a producer's send to the verdict, at a steady rate. Sends follow a schedule (an open loop), and
//! latency counts from the scheduled time, so that a stall shows in all events that it delayed.
//!
//! Consumers watch two ends: the engine's verdict log, and the topic of published verdicts, where the last verdict of
//! an event counts. With all sinks enabled, profiles are queried too.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use assay::generate::Payment;
use assay_core::names::PartitionIndex;
use assay_core::verdict::read_block;
use assay_core::wire::{Corrupt, Reader};
use assay_engine::SINK_NAMES;
use assay_engine::ports::PartitionId;
use assay_engine::ports::profiles::Profiles as _;
use assay_mongodb::{self as mongodb, MongoDb};
use rdkafka::Offset;
use rdkafka::message::Message as _;
use rdkafka::producer::BaseProducer;
use serde_json::{Map, Value, json};

use crate::bare;
use crate::events::{self, number};
use crate::quantiles::{Latencies, summary};
use crate::scrape::{is_settled, metric, partitions, wait_until};
use crate::stage::{Pack, Sinks, Stage};
use crate::support::Server;
use crate::watch::cpu;

/// Events per second.
const RATE: usize = 5_000;
const WARM_UP_EVENTS: usize = 10 * RATE;
const MEASURED_EVENTS: usize = 30 * RATE;
const CARDS: u32 = 100_000;
/// How long the first events may take to reach all stores.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait for verdicts after the last event.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// Events with smaller numbers were sent before the load.
const FIRST_LOAD_NUMBER: u64 = 10_000_000;
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// The interval of queries for one profile.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The pause between two profiles.
const PROFILE_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) fn measure(folder: &Path) -> Value {
    let payments = events::payments(WARM_UP_EVENTS + MEASURED_EVENTS, CARDS);
    let outbox = measure_latency("latency_outbox", folder, Sinks::Only("outbox"), &payments);
    let all = measure_latency("latency_all", folder, Sinks::All, &payments);
    json!({ "rate_per_s": RATE, "warm_up_s": WARM_UP_EVENTS / RATE, "measured_s": MEASURED_EVENTS / RATE, "cards": CARDS,
            "goals": { "outbox_alone_p99_ms": 20, "all_sinks_p99_ms": 100 },
            "what": "the payments pack and a rule with edges, five rules; the producer lingers 1 ms; from the scheduled send to the engine's verdict \
                     log, to the last verdict of the event in the published topic, and to the profile in MongoDB",
            "outbox_alone": outbox, "all_sinks": all })
}

/// The shared state of a run's threads.
struct Load<'a> {
    stage: &'a Stage,
    payments: &'a [Payment],
    started: Instant,
    sent: AtomicUsize,
    /// The latencies of appended and of published verdicts.
    said: AtomicUsize,
    published: AtomicUsize,
    judged: AtomicUsize,
    is_over: AtomicBool,
}

impl Load<'_> {
    /// The scheduled time of an event.
    fn due(&self, event: usize) -> Instant {
        self.started + Duration::from_secs(1) * event as u32 / RATE as u32
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

fn measure_latency(name: &str, folder: &Path, sinks: Sinks, payments: &[Payment]) -> Value {
    let stage = Stage::new(name, folder, Pack::Whole);
    let server = stage.start("process", sinks, &[]);
    let schema = stage.apply(&server);
    // Every part has processed an event before the load begins.
    events::fill(stage.topic(), schema, &payments[..1_000]);
    assert!(wait_until(READY_TIMEOUT, || !partitions(&server).is_empty()), "{}", server.log_tail());
    let is_ready = wait_until(READY_TIMEOUT, || is_settled(&server));
    if !is_ready {
        println!("{name}: the first 1,000 events are not everywhere yet: {}", server.get("/readyz").1);
    }
    // Events of the load have other numbers than earlier ones.
    let mut payments = payments.to_vec();
    (1..).zip(&mut payments).for_each(|(number, payment)| payment.number = FIRST_LOAD_NUMBER + number);
    let load = Load {
        stage: &stage,
        payments: &payments,
        started: Instant::now() + Duration::from_secs(1),
        sent: AtomicUsize::new(0),
        said: AtomicUsize::new(0),
        published: AtomicUsize::new(0),
        judged: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    };
    let report = std::thread::scope(|scope| {
        let judged = scope.spawn(|| watch_verdict_log(&load));
        let published = scope.spawn(|| watch_published(&load));
        let profiles = matches!(sinks, Sinks::All).then(|| scope.spawn(|| watch_profiles(&load)));
        let used = send(&load, schema, &server);
        let lag = lags(&server);
        let is_all = || {
            load.judged.load(Ordering::SeqCst) == load.payments.len()
                && load.published.load(Ordering::SeqCst) >= load.said.load(Ordering::SeqCst)
        };
        let is_complete = wait_until(DRAIN_TIMEOUT, is_all);
        load.is_over.store(true, Ordering::SeqCst);
        json!({
            "sent": MEASURED_EVENTS,
            "verdict_log": judged.join().unwrap().to_json(WARM_UP_EVENTS),
            "published": published.join().unwrap().to_json(WARM_UP_EVENTS),
            "profile": profiles.map(|profiles| profiles.join().unwrap()),
            "stores_had_the_first_1000": is_ready,
            "all_seen": is_complete,
            "cpu_cores_of_assay": used,
            "sink_lag_at_the_end": lag,
        })
    });
    println!("{name}: {report:#}");
    stop_and_clear(server, &stage);
    report
}

fn stop_and_clear(server: Server, stage: &Stage) {
    // A process whose sinks lag takes longer to stop.
    drop(server);
    stage.clear();
}

/// Sends all events on schedule. Returns the number of cores that the server used meanwhile.
fn send(load: &Load<'_>, schema: i32, server: &Server) -> f64 {
    // Without a linger librdkafka uses a whole core as soon as the broker is five requests behind.
    let producer: BaseProducer = bare::producer_settings().set("linger.ms", "1").create().unwrap();
    let mut before = 0.0;
    for (index, payment) in load.payments.iter().enumerate() {
        let wait = load.due(index).saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            producer.poll(Duration::ZERO);
            std::thread::sleep(wait);
        }
        if index == WARM_UP_EVENTS {
            before = cpu(server.pid());
        }
        events::send(&producer, (load.stage.topic(), schema), payment, ());
        load.sent.store(index + 1, Ordering::SeqCst);
    }
    let used = cpu(server.pid()) - before;
    bare::wait_for_acks(&producer);
    used / (MEASURED_EVENTS / RATE) as f64
}

/// The index of the event with an id, unless it was sent before the load.
fn index(id: &str) -> Option<usize> {
    number(id).checked_sub(FIRST_LOAD_NUMBER + 1).map(|index| index as usize)
}

fn watch_verdict_log(load: &Load<'_>) -> Latencies {
    let consumer = bare::consumer(&load.stage.verdict_log(), Offset::End);
    let mut latencies = Latencies::of(load.payments.len());
    while !load.is_over() {
        let Some(message) = bare::next(&consumer, POLL_TIMEOUT) else { continue };
        let now = Instant::now();
        for outcome in read_block(message.payload().unwrap_or_default()).unwrap().outcomes {
            let Some(event) = index(&outcome.id) else { continue };
            latencies.note(event, now.saturating_duration_since(load.due(event)));
            load.said.fetch_add(outcome.verdicts.len(), Ordering::SeqCst);
            load.judged.fetch_add(1, Ordering::SeqCst);
        }
    }
    latencies
}

fn watch_published(load: &Load<'_>) -> Latencies {
    let consumer = bare::consumer(&load.stage.published(), Offset::End);
    let mut latencies = Latencies::of(load.payments.len());
    while !load.is_over() {
        let Some(message) = bare::next(&consumer, POLL_TIMEOUT) else { continue };
        let now = Instant::now();
        let id = published_id(message.payload().unwrap_or_default()).unwrap();
        let Some(event) = index(id) else { continue };
        latencies.note(event, now.saturating_duration_since(load.due(event)));
        load.published.fetch_add(1, Ordering::SeqCst);
    }
    latencies
}

/// The event's id in a published verdict: the sixth field of Avro in Confluent's frame.
fn published_id(message: &[u8]) -> Result<&str, Corrupt> {
    fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Corrupt> {
        let length = reader.signed()? as usize;
        reader.take(length)
    }
    let mut reader = Reader::new(message.get(5..).unwrap_or_default());
    text(&mut reader)?;
    // Partition, offset, time.
    for _ in 0..3 {
        reader.signed()?;
    }
    text(&mut reader)?;
    // The branch of the union of null and text.
    reader.signed()?;
    let id = text(&mut reader)?;
    std::str::from_utf8(id).map_err(|_| reader.corrupt("an id"))
}

/// Repeatedly queries the profile of the newest event until it is there.
fn watch_profiles(load: &Load<'_>) -> Value {
    let uri = std::env::var("ASSAY_TEST_MONGODB").expect("run: cargo xtask bench kafka");
    let database = load.stage.names.name.clone();
    let mongodb = MongoDb::open(&mongodb::Config { uri, database, ..mongodb::Config::default() }).unwrap();
    let profiles = mongodb.profiles();
    let (mut late, mut missed) = (Vec::new(), 0);
    'probes: while !load.is_over() {
        std::thread::sleep(PROFILE_INTERVAL);
        let sent = load.sent.load(Ordering::SeqCst);
        if sent <= WARM_UP_EVENTS || sent == load.payments.len() {
            continue;
        }
        let event = sent - 1;
        let payment = &load.payments[event];
        let of = PartitionId {
            stream: Arc::from(load.stage.topic()),
            partition: PartitionIndex(events::partition(payment)),
        };
        let key = payment.card_id();
        let is_in = || {
            let Ok(profile) = profiles.get(&of, &key) else { return false };
            // The rule `ties` judges every payment. The verdict on a later payment of the card counts too.
            profile.and_then(|profile| index(&profile.rules.get("ties")?.event)).is_some_and(|newest| newest >= event)
        };
        while !is_in() {
            if load.is_over() {
                missed += 1;
                break 'probes;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        late.push(load.due(event).elapsed());
    }
    let mut report = summary(late);
    report["missed"] = missed.into();
    report
}

/// The lag of each sink.
fn lags(server: &Server) -> Value {
    let lag = |name: &&str| {
        let lag = metric(server, &format!("assay_sink_lag{{sink=\"{name}\"}}"))?;
        Some(((*name).to_owned(), json!(lag)))
    };
    SINK_NAMES.iter().filter_map(lag).collect::<Map<String, Value>>().into()
}
