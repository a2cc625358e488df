//! Calls the engine for each event of a rebalance, in their order, on a thread of its own: while the group's thread waits
//! for the engine it keeps recording that the session is alive.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use assay_engine::panics::{self, Heartbeat};
use assay_engine::ports::membership::PartitionOwner;
use assay_engine::ports::{PartitionId, StoreError};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::super::error::unavailable;

/// The interval of recording activity during the wait for the engine.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(50);

enum RebalanceEvent {
    Assign(Vec<PartitionId>),
    Revoke(Vec<PartitionId>, Duration, Sender<()>),
    Lose(Vec<PartitionId>),
}

/// Calls the engine for each event of a rebalance, in their order.
pub(super) struct RebalanceNotifier {
    events: Mutex<Option<Sender<RebalanceEvent>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl RebalanceNotifier {
    pub(super) fn start(owner: Arc<dyn PartitionOwner>) -> Result<Self, StoreError> {
        let (events, inbox) = unbounded();
        // After a panic the current event is delivered again; a repeated event changes nothing in the engine.
        let mut current = None;
        let deliver = move |heartbeat: &Heartbeat| deliver_events(&*owner, &inbox, &mut current, heartbeat);
        let thread = panics::spawn("kafka-owner", || false, deliver);
        let thread = thread.map_err(|error| unavailable(format!("starting the group's second thread: {error}")))?;
        Ok(Self { events: Mutex::new(Some(events)), thread: Mutex::new(Some(thread)) })
    }

    fn send(&self, event: RebalanceEvent) {
        if let Some(sender) = &*self.events.lock().unwrap_or_else(PoisonError::into_inner) {
            // The thread ends only after the sender is dropped.
            let _ = sender.send(event);
        }
    }

    pub(super) fn assign(&self, partitions: Vec<PartitionId>) {
        if !partitions.is_empty() {
            self.send(RebalanceEvent::Assign(partitions));
        }
    }

    pub(super) fn lose(&self, partitions: Vec<PartitionId>) {
        if !partitions.is_empty() {
            self.send(RebalanceEvent::Lose(partitions));
        }
    }

    /// Returns once the engine has released the partitions, or after 1.5 times `at_most`. It calls `record_activity` while
    /// it waits.
    pub(super) fn revoke(&self, partitions: Vec<PartitionId>, at_most: Duration, record_activity: impl Fn()) {
        if partitions.is_empty() {
            return;
        }
        let (done, is_done) = bounded(1);
        self.send(RebalanceEvent::Revoke(partitions, at_most, done));
        // The engine itself respects `at_most`, but earlier events may be processed first.
        let deadline = std::time::Instant::now() + at_most + at_most / 2;
        while std::time::Instant::now() < deadline
            && is_done.recv_timeout(HEARTBEAT_INTERVAL) == Err(RecvTimeoutError::Timeout)
        {
            record_activity();
        }
    }

    /// Delivers the remaining events and ends the thread. The owner is not called after this.
    pub(super) fn end(&self) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            tracing::error!("the group's second thread ended by a panic");
        }
    }
}

fn deliver_events(
    owner: &dyn PartitionOwner,
    inbox: &Receiver<RebalanceEvent>,
    current: &mut Option<RebalanceEvent>,
    heartbeat: &Heartbeat,
) {
    loop {
        match current {
            Some(RebalanceEvent::Assign(partitions)) => owner.assign(partitions.clone()),
            Some(RebalanceEvent::Lose(partitions)) => owner.lose(partitions.clone()),
            Some(RebalanceEvent::Revoke(partitions, at_most, done)) => {
                owner.revoke(partitions.clone(), *at_most);
                // The receiver is gone if the wait has timed out.
                let _ = done.send(());
            }
            None => {}
        }
        heartbeat.mark_alive();
        *current = inbox.recv().ok();
        if current.is_none() {
            return;
        }
    }
}
