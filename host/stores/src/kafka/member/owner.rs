//! Tells the engine of assignments, one after the other, on a thread of its own: the group's thread never waits for the
//! engine without a beat.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use assay_engine::panics::{self, Heartbeat};
use assay_engine::ports::membership::Owner;
use assay_engine::ports::{StoreError, StreamPartition};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::super::error::unavailable;

/// How long to wait between two beats.
const BEAT: Duration = Duration::from_millis(50);

enum Told {
    Assign(Vec<StreamPartition>),
    Revoke(Vec<StreamPartition>, Duration, Sender<()>),
    Lose(Vec<StreamPartition>),
}

/// Tells the engine of assignments.
pub(super) struct Teller {
    told: Mutex<Option<Sender<Told>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Teller {
    pub(super) fn start(owner: Arc<dyn Owner>) -> Result<Self, StoreError> {
        let (told, inbox) = unbounded();
        // The engine may be told the same again after a panic: what it has heard already changes nothing.
        let mut current = None;
        let tell = move |heartbeat: &Heartbeat| tell(&*owner, &inbox, &mut current, heartbeat);
        let thread = panics::spawn("kafka-owner", || false, tell);
        let thread = thread.map_err(|error| unavailable(format!("starting the group's second thread: {error}")))?;
        Ok(Self { told: Mutex::new(Some(told)), thread: Mutex::new(Some(thread)) })
    }

    fn say(&self, told: Told) {
        if let Some(sender) = &*self.told.lock().unwrap_or_else(PoisonError::into_inner) {
            // The thread ends only with this.
            let _ = sender.send(told);
        }
    }

    pub(super) fn assign(&self, partitions: Vec<StreamPartition>) {
        if !partitions.is_empty() {
            self.say(Told::Assign(partitions));
        }
    }

    pub(super) fn lose(&self, partitions: Vec<StreamPartition>) {
        if !partitions.is_empty() {
            self.say(Told::Lose(partitions));
        }
    }

    /// Returns when the engine has let go, or after `at_most`. Calls `beat` while it waits.
    pub(super) fn revoke(&self, partitions: Vec<StreamPartition>, at_most: Duration, beat: impl Fn()) {
        if partitions.is_empty() {
            return;
        }
        let (done, is_done) = bounded(1);
        self.say(Told::Revoke(partitions, at_most, done));
        // The engine keeps to the time itself, but calls before this one may take theirs.
        let deadline = std::time::Instant::now() + at_most + at_most / 2;
        while std::time::Instant::now() < deadline && is_done.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            beat();
        }
    }

    /// No call of the engine comes after this.
    pub(super) fn end(&self) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            tracing::error!("the group's second thread ended by a panic");
        }
    }
}

fn tell(owner: &dyn Owner, inbox: &Receiver<Told>, current: &mut Option<Told>, heartbeat: &Heartbeat) {
    loop {
        match current {
            Some(Told::Assign(partitions)) => owner.assign(partitions.clone()),
            Some(Told::Lose(partitions)) => owner.lose(partitions.clone()),
            Some(Told::Revoke(partitions, at_most, done)) => {
                owner.revoke(partitions.clone(), *at_most);
                // Whoever asked may have given up.
                let _ = done.send(());
            }
            None => {}
        }
        heartbeat.beat();
        *current = inbox.recv().ok();
        if current.is_none() {
            return;
        }
    }
}
