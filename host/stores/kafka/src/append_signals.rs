//! The signals that are notified when new records can be read.

use std::sync::{Arc, PoisonError, RwLock};

use assay_engine::ports::log::{Topic, WakeSignal};

/// The subscribed signals of each topic.
#[derive(Default)]
pub(super) struct AppendSignals {
    events: RwLock<Vec<Arc<WakeSignal>>>,
    verdicts: RwLock<Vec<Arc<WakeSignal>>>,
}

impl AppendSignals {
    fn signals_of(&self, topic: Topic) -> &RwLock<Vec<Arc<WakeSignal>>> {
        match topic {
            Topic::Events => &self.events,
            Topic::Verdicts => &self.verdicts,
        }
    }

    pub(super) fn subscribe(&self, topic: Topic, wake: Arc<WakeSignal>) {
        self.signals_of(topic).write().unwrap_or_else(PoisonError::into_inner).push(wake);
    }

    pub(super) fn notify(&self, topic: Topic) {
        self.signals_of(topic).read().unwrap_or_else(PoisonError::into_inner).iter().for_each(|wake| wake.notify());
    }
}
