//! Which partition is polled when: one of each stream in a step.

use std::time::Duration;

use super::{Worker, health_part, schedule};
use crate::ports::StoreError;
use crate::shared::MIN_RETRY_DELAY;

/// A stream whose last poll that scored something is no longer ago has events.
const ACTIVE_STREAM_WINDOW: Duration = Duration::from_secs(1);

impl Worker {
    /// Polls each stream: the partition that has waited the longest of those that have events. Requests need not wait
    /// for all of them; the streams that were left out are the first next time. Returns how many events were scored.
    pub(super) fn poll_partitions(&mut self) -> usize {
        let is_shared = self.has_several_active_streams();
        let polled = self.owned.iter().map(|owned| (&*owned.id().stream, owned.last_poll));
        let mut scored = 0;
        for stream in schedule::order_by_last_poll(polled) {
            for index in stream {
                // Calls that begin while the interrupt is raised would be stopped at once.
                let is_asked = !self.inbox.is_empty() && (scored > 0 || self.interrupt.is_raised());
                if is_asked || self.shared.is_stopping() {
                    return scored;
                }
                self.owned[index].batch_size.set_shared(is_shared);
                let now = self.poll_partition(index);
                if now > 0 {
                    scored += now;
                    break;
                }
            }
        }
        scored
    }

    fn has_several_active_streams(&self) -> bool {
        let now = self.now();
        let is_active = |owned: &&super::OwnedPartition| {
            owned.last_scored_at.is_some_and(|at| now.saturating_duration_since(at) < ACTIVE_STREAM_WINDOW)
        };
        let mut streams = self.owned.iter().filter(is_active).map(|owned| &*owned.id().stream);
        streams.next().is_some_and(|first| streams.any(|other| other != first))
    }

    /// Scores a batch of one partition. A failing store stalls it, no other one. Nothing in it waits.
    fn poll_partition(&mut self, index: usize) -> usize {
        let now = self.now();
        let owned = &mut self.owned[index];
        if owned.retry_at.is_some_and(|due| now < due) {
            return 0;
        }
        owned.retry_at = None;
        // Others may have this process's partitions by now.
        if owned.is_ending() || !self.shared.ports.membership.is_member() {
            return 0;
        }
        let scored = self.with_partition(index, |owned, environment| {
            // Blocks that have come into the log meanwhile make room.
            owned.drain_acks(environment)?;
            owned.score_batch(environment)
        });
        match scored {
            Ok(scored) => {
                if scored > 0 {
                    self.polls += 1;
                    self.owned[index].last_poll = self.polls;
                    self.owned[index].last_scored_at = Some(self.now());
                }
                if !self.owned[index].is_ending() {
                    self.shared.health.note(&health_part(self.owned[index].id()), None);
                }
                scored
            }
            Err(error) => {
                self.note_failure(index, &error);
                0
            }
        }
    }

    /// A store failed: the partition is left alone for a while.
    pub(super) fn note_failure(&mut self, index: usize, error: &StoreError) {
        let now = self.now();
        let owned = &mut self.owned[index];
        tracing::error!(partition = %owned.id(), %error, "a batch cannot be scored; trying again");
        self.shared.health.note(&health_part(owned.id()), Some(&error.to_string()));
        owned.retry_at = Some(now + MIN_RETRY_DELAY);
    }
}
