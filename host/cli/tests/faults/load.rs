//! Load: payments over HTTP at a steady rate, to any member that is up; what is not acked is sent again to another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use assay::generate::{Payments, PaymentsConfig, write_json};
use assay_core::names::partition_of;
use serde_json::Value;

use crate::members::{ANSWER, Members, POLL_INTERVAL};
use crate::rng::SeededRng;

pub(crate) const PARTITIONS: u32 = 8;
const CARDS: u32 = 1_200;
/// Payments a second, of all senders: what a small machine that also runs all servers can follow.
const RATE: f64 = 120.0;
/// Payments of a phase; those who wait for its faults to end send at a tenth of the rate from then on.
const PHASE: usize = 5_000;
const SENDERS: usize = 3;
/// How long a batch is sent again and again, while members and the broker come and go.
const DELIVERY: Duration = Duration::from_secs(180);
/// How long until what is acked is judged and archived, while members and stores come and go.
const JUDGED: Duration = Duration::from_secs(240);

/// A payment that is in the log: a member said so.
#[derive(Clone)]
pub(crate) struct Acked {
    pub(crate) id: String,
    pub(crate) partition: u32,
    /// When it was sent, the time that it was acked.
    pub(crate) sent: Instant,
}

struct Event {
    id: String,
    partition: u32,
    json: Vec<u8>,
}

pub(crate) struct Load {
    payments: Mutex<Payments>,
    cards: Mutex<BTreeSet<String>>,
    acked: Mutex<Vec<Acked>>,
    /// What was answered other than 202, and how often.
    refusals: Mutex<BTreeMap<String, usize>>,
}

impl Load {
    pub(crate) fn new(seed: u64) -> Self {
        let config = PaymentsConfig { seed, cards: CARDS, fraud_share: 0.02, ..PaymentsConfig::default() };
        Self {
            payments: Mutex::new(Payments::new(&config).unwrap()),
            cards: Mutex::default(),
            acked: Mutex::default(),
            refusals: Mutex::default(),
        }
    }

    /// Sends at a steady rate until it is enough.
    pub(crate) fn spawn<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        members: &'scope Members,
        enough: &'scope AtomicBool,
        seed: u64,
    ) -> Vec<ScopedJoinHandle<'scope, ()>> {
        let senders = (0..SENDERS as u64).map(|sender| {
            scope.spawn(move || {
                let mut rng = SeededRng::new(seed.wrapping_add(sender));
                let (mut due, mut sent) = (Instant::now(), 0);
                while !enough.load(Ordering::SeqCst) {
                    let size = rng.between(10, 60);
                    let batch = self.take(size);
                    self.deliver(&batch, members, &mut rng);
                    sent += size;
                    let rate = if sent * SENDERS < PHASE { RATE } else { RATE / 10.0 };
                    // Who was kept waiting does not hurry afterwards.
                    due = Instant::now().max(due + Duration::from_secs_f64(size as f64 * SENDERS as f64 / rate));
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
            })
        });
        senders.collect()
    }

    /// Sends a batch that has events of all partitions, and returns the last one of each.
    pub(crate) fn send_to_all_partitions(&self, members: &Members, rng: &mut SeededRng) -> Vec<String> {
        let (mut batch, mut last) = (Vec::new(), BTreeMap::new());
        while last.len() < PARTITIONS as usize || batch.len() < 100 {
            batch.extend(self.take(1));
            let event: &Event = batch.last().unwrap();
            last.insert(event.partition, event.id.clone());
        }
        self.deliver(&batch, members, rng);
        last.into_values().collect()
    }

    /// Waits until events are judged, and the archive has what was said of them.
    pub(crate) fn wait_judged(&self, members: &Members, ids: &[String]) {
        let deadline = Instant::now() + JUDGED;
        for id in ids {
            while !is_judged(members, id) {
                assert!(Instant::now() < deadline, "{id} was acked, and is still not judged");
                std::thread::sleep(POLL_INTERVAL);
            }
        }
    }

    /// All cards that payments were sent of.
    pub(crate) fn cards(&self) -> Vec<String> {
        self.cards.lock().unwrap().iter().cloned().collect()
    }

    /// The ids of all events that were acked.
    pub(crate) fn acked(&self) -> Vec<String> {
        self.acked.lock().unwrap().iter().map(|acked| acked.id.clone()).collect()
    }

    /// The first event that was sent to one of these partitions after a moment, and acked.
    pub(crate) fn first_after(&self, moment: Instant, partitions: &[u32]) -> Option<Acked> {
        let acked = self.acked.lock().unwrap();
        acked.iter().find(|acked| acked.sent > moment && partitions.contains(&acked.partition)).cloned()
    }

    /// What was answered other than 202, and how often.
    pub(crate) fn refusals(&self) -> String {
        let refusals = self.refusals.lock().unwrap();
        refusals.iter().map(|(what, count)| format!("{what}: {count}")).collect::<Vec<_>>().join(", ")
    }

    fn take(&self, count: usize) -> Vec<Event> {
        let mut payments = self.payments.lock().unwrap();
        let payments = payments.by_ref().take(count);
        let mut cards = self.cards.lock().unwrap();
        let events = payments.map(|payment| {
            let mut json = Vec::with_capacity(256);
            write_json(&payment, &mut json);
            json.push(b'\n');
            cards.insert(payment.card_id());
            Event { id: payment.id(), partition: partition_of(&payment.card_id(), PARTITIONS).0, json }
        });
        events.collect()
    }

    /// Sends a batch until a member says that it has it.
    fn deliver(&self, batch: &[Event], members: &Members, rng: &mut SeededRng) {
        let body: Vec<u8> = batch.iter().flat_map(|event| &event.json).copied().collect();
        let body = Some(("application/x-ndjson", body.as_slice()));
        let deadline = Instant::now() + DELIVERY;
        loop {
            let sent = Instant::now();
            let refusal = match members.any(rng) {
                None => "nobody is up".to_owned(),
                Some(server) => match server.send_within(ANSWER, "POST", "/v1/streams/payments/events", body) {
                    Ok((202, text)) => {
                        let answer: Value = serde_json::from_str(&text).unwrap();
                        assert_eq!(answer["accepted"], batch.len(), "{text}");
                        let acked =
                            batch.iter().map(|event| Acked { id: event.id.clone(), partition: event.partition, sent });
                        self.acked.lock().unwrap().extend(acked);
                        return;
                    }
                    Ok((status, _)) => status.to_string(),
                    Err(ureq::Error::Timeout(_)) => "no answer in time".to_owned(),
                    Err(_) => "connection lost".to_owned(),
                },
            };
            assert!(Instant::now() < deadline, "nobody takes a batch: {refusal}; {}", self.refusals());
            *self.refusals.lock().unwrap().entry(refusal).or_default() += 1;
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

/// Whether all events with an id are judged, as far as any member that is up knows.
pub(crate) fn is_judged(members: &Members, id: &str) -> bool {
    members.up().iter().any(|server| {
        let Ok((200, text)) = server.send_within(ANSWER, "GET", &format!("/v1/events/payments/{id}"), None) else {
            return false;
        };
        let answer: Value = serde_json::from_str(&text).unwrap();
        let events = answer["events"].as_array().unwrap();
        !events.is_empty() && events.iter().all(|event| event["judged"] == true)
    })
}
