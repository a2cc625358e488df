//! The bells that ring when there is something new to read.

use std::sync::{Arc, PoisonError, RwLock};

use assay_engine::ports::log::{Bell, Topic};

/// All bells.
#[derive(Default)]
pub(super) struct Bells {
    events: RwLock<Vec<Arc<Bell>>>,
    verdicts: RwLock<Vec<Arc<Bell>>>,
}

impl Bells {
    fn of(&self, topic: Topic) -> &RwLock<Vec<Arc<Bell>>> {
        match topic {
            Topic::Events => &self.events,
            Topic::Verdicts => &self.verdicts,
        }
    }

    pub(super) fn add(&self, topic: Topic, bell: Arc<Bell>) {
        self.of(topic).write().unwrap_or_else(PoisonError::into_inner).push(bell);
    }

    pub(super) fn ring(&self, topic: Topic) {
        self.of(topic).read().unwrap_or_else(PoisonError::into_inner).iter().for_each(|bell| bell.ring());
    }
}
