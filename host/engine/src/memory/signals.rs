//! Who is woken by appends and by changes of the catalog, and which signals are under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::faults::Faults;
use super::world::ProcessId;
use crate::ports::log::{Topic, WakeSignal};

/// The signals of all processes.
#[derive(Default)]
pub(super) struct Signals {
    subscribed: BTreeMap<u64, Subscription>,
    /// Those that were notified and have not arrived. A second notification of one changes nothing, as with the signal
    /// itself.
    delayed: BTreeSet<u64>,
    next: u64,
}

struct Subscription {
    process: Option<ProcessId>,
    /// None: changes of the catalog.
    topic: Option<Topic>,
    signal: Arc<WakeSignal>,
}

impl Signals {
    /// Notifies a signal from now on: of appends to a topic of any stream, or of changes of the catalog.
    pub(super) fn subscribe(&mut self, process: Option<ProcessId>, topic: Option<Topic>, signal: Arc<WakeSignal>) {
        self.subscribed.insert(self.next, Subscription { process, topic, signal });
        self.next += 1;
    }

    /// A process has ended.
    pub(super) fn forget(&mut self, process: ProcessId) {
        self.subscribed.retain(|_, one| one.process != Some(process));
        self.delayed.retain(|id| self.subscribed.contains_key(id));
    }

    pub(super) fn notify_appended(&mut self, topic: Topic, faults: &mut Faults) {
        self.notify(Some(topic), faults);
    }

    pub(super) fn notify_catalog_changed(&mut self, faults: &mut Faults) {
        self.notify(None, faults);
    }

    fn notify(&mut self, topic: Option<Topic>, faults: &mut Faults) {
        for (id, one) in self.subscribed.iter().filter(|(_, one)| one.topic == topic) {
            if one.process.is_some() && faults.happens(faults.rates.delayed_signals) {
                self.delayed.insert(*id);
            } else {
                one.signal.notify();
            }
        }
    }

    /// Notifies those of a process that wait for appends to a topic, with a later delivery.
    pub(super) fn delay(&mut self, process: Option<ProcessId>, topic: Topic) {
        let is_one = |one: &Subscription| one.process == process && one.topic == Some(topic);
        self.delayed.extend(self.subscribed.iter().filter(|(_, one)| is_one(one)).map(|(id, _)| *id));
    }

    /// Those that have not arrived.
    pub(super) fn delayed(&self) -> impl Iterator<Item = u64> {
        self.delayed.iter().copied()
    }

    pub(super) fn deliver(&mut self, id: u64) {
        if self.delayed.remove(&id)
            && let Some(one) = self.subscribed.get(&id)
        {
            one.signal.notify();
        }
    }
}
