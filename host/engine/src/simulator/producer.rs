//! Sends events through the ingest of some process, and again when that fails, as a client does that wants each event in
//! the log at least once.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use assay_core::wire::put_signed;

use super::definitions::SOURCE;
use super::driver::Simulation;
use crate::ingest::Submitted;
use crate::ports::{Place, StoreError};

/// When events begin, ms since 1970.
const FIRST_TIME: i64 = 1_700_000_000_000;
/// The time from one event to the next.
const INTERVAL_MS: i64 = 20_000;

type Acknowledgement = Pin<Box<dyn Future<Output = Result<Vec<Place>, StoreError>>>>;

/// What is to be sent, what is on its way, and what is in the log.
#[derive(Default)]
pub(super) struct Producer {
    pub(super) to_send: VecDeque<Vec<u8>>,
    waiting: Vec<(Vec<u8>, Acknowledgement)>,
    /// The event at each place that was acknowledged.
    pub(super) acknowledged: BTreeMap<(u32, u64), Vec<u8>>,
    made: u64,
}

impl Producer {
    /// Whether every event is acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.to_send.is_empty() && self.waiting.is_empty()
    }
}

impl Simulation {
    /// Makes events that are to be sent.
    pub(super) fn make_events(&self, count: u64) {
        for _ in 0..count {
            let number = self.producer.borrow().made;
            let card = format!("card-{}", self.below(self.scenario.cards));
            let device = format!("device-{}", self.below(self.scenario.devices));
            let disorder = self.below(self.scenario.disorder_ms.max(1)) as i64;
            let at = FIRST_TIME + number as i64 * INTERVAL_MS - disorder;
            let amount = self.below(40) as f64 / 8.0;
            let mut event = Vec::new();
            put_text(&mut event, &card);
            put_text(&mut event, &device);
            event.extend_from_slice(&amount.to_le_bytes());
            put_signed(&mut event, at);
            put_text(&mut event, &format!("event-{number}"));
            let mut producer = self.producer.borrow_mut();
            producer.made += 1;
            producer.to_send.push_back(event);
        }
    }

    /// Hands one event to a process.
    pub(super) fn send_event(&self) {
        let alive = self.alive();
        let Some(event) = self.producer.borrow_mut().to_send.pop_front().filter(|_| !alive.is_empty()) else { return };
        let process = &alive[self.index(alive.len())];
        let submitted = process.engine.ingest().begin(SOURCE).ok().and_then(|mut ingest| {
            ingest.push_avro(None, &event).ok()?;
            ingest.submit().ok()
        });
        self.note(3);
        let mut producer = self.producer.borrow_mut();
        match submitted {
            Some(submitted) => producer.waiting.push((event, Box::pin(Submitted::durable(submitted)))),
            None => producer.to_send.push_back(event),
        }
    }

    /// Takes the acknowledgements that have come.
    pub(super) fn poll_receipts(&self) {
        let waiting = std::mem::take(&mut self.producer.borrow_mut().waiting);
        for (event, mut receipt) in waiting {
            let polled = receipt.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            let mut producer = self.producer.borrow_mut();
            match polled {
                Poll::Pending => producer.waiting.push((event, receipt)),
                Poll::Ready(Ok(places)) => {
                    let places = places.iter().map(|place| (place.partition.0, place.offset.0));
                    places.for_each(|place| drop(producer.acknowledged.insert(place, event.clone())));
                }
                Poll::Ready(Err(_)) => producer.to_send.push_back(event),
            }
        }
    }
}

fn put_text(event: &mut Vec<u8>, text: &str) {
    put_signed(event, text.len() as i64);
    event.extend_from_slice(text.as_bytes());
}
