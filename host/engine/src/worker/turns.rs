//! The turns of a worker's partitions: one for each stream in a round.

use std::time::{Duration, Instant};

use super::{Worker, schedule};
use crate::ports::StoreError;
use crate::shared::FIRST_DELAY;

/// A stream whose last turn is no longer ago has events.
const ACTIVE: Duration = Duration::from_secs(1);

impl Worker {
    /// Gives each stream a turn: to the partition that has waited the longest of those that have events. Requests need
    /// not wait for all of them; who has had no turn is the first next time. Returns how many events were scored.
    pub(super) fn give_turns(&mut self) -> usize {
        let is_shared = self.has_several_active_streams();
        let turns = self.owned.iter().map(|owned| (&*owned.partition.of().stream, owned.last_turn));
        let mut scored = 0;
        for stream in schedule::order_turns(turns) {
            for index in stream {
                if self.shared.is_stopping() || (scored > 0 && !self.inbox.is_empty()) {
                    return scored;
                }
                self.owned[index].batch_size.set_shared(is_shared);
                let now = self.turn(index);
                if now > 0 {
                    scored += now;
                    break;
                }
            }
        }
        scored
    }

    fn has_several_active_streams(&self) -> bool {
        let now = Instant::now();
        let is_active = |at: Instant| now.saturating_duration_since(at) < ACTIVE;
        let active = self.owned.iter().filter(|owned| owned.turned_at.is_some_and(is_active));
        let mut streams = active.map(|owned| &*owned.partition.of().stream);
        streams.next().is_some_and(|first| streams.any(|other| other != first))
    }

    /// One partition's turn: a failing store stalls it, no other one. Nothing in it waits.
    fn turn(&mut self, index: usize) -> usize {
        let owned = &mut self.owned[index];
        let (shared, bell) = (&self.shared, &self.bell);
        if !shared.ports.membership.is_member() {
            // Others may have this process's partitions by now.
            return 0;
        }
        if owned.has_failed() {
            return 0;
        }
        if owned.retry_at.is_some_and(|due| Instant::now() < due) {
            return 0;
        }
        owned.retry_at = None;
        let before = self.halts.before(owned.partition.of());
        let instances = &mut self.instances;
        let turned = owned.guarded("scoring", shared, |owned| -> Result<usize, StoreError> {
            // Other partitions need not wait for one that does.
            let turned = match owned.lag(shared)? {
                0 => 0,
                _ if owned.is_full(shared, bell) => 0,
                _ => owned.turn(before, instances, shared, bell)?,
            };
            owned.measure(shared);
            Ok(turned)
        });
        let Some(turned) = turned else {
            // Nobody knows in which of them it was.
            self.equip();
            return 0;
        };
        let of = owned.partition.of();
        let name = format!("partition {of}");
        match turned {
            Ok(scored) => {
                if scored > 0 {
                    self.turns += 1;
                    owned.last_turn = self.turns;
                    owned.turned_at = Some(Instant::now());
                }
                shared.health.note(&name, None);
                scored
            }
            Err(error) => {
                tracing::error!(partition = %of, %error, "a batch cannot be scored; trying again");
                shared.health.note(&name, Some(&error.to_string()));
                owned.retry_at = Some(Instant::now() + FIRST_DELAY);
                0
            }
        }
    }
}
