//! Whether this process still is in its group, as far as it can know by its own clock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Beats while the group's thread runs. A pause longer than the session ends the membership, though nobody said so:
/// the group has given the partitions away by then.
pub(super) struct Pulse {
    since: Instant,
    session: Duration,
    /// ms since `since`.
    last: AtomicU64,
    slept: AtomicBool,
    is_in: AtomicBool,
}

impl Pulse {
    pub(super) fn new(session: Duration) -> Self {
        Self {
            since: Instant::now(),
            session,
            last: AtomicU64::new(0),
            slept: AtomicBool::new(false),
            is_in: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_fresh(&self, now: u64) -> bool {
        u128::from(now.saturating_sub(self.last.load(Ordering::Acquire))) < self.session.as_millis()
    }

    /// A sign of life.
    pub(super) fn beat(&self) {
        let now = self.now();
        if !self.is_fresh(now) {
            // Before the new time is there for others to see.
            self.slept.store(true, Ordering::SeqCst);
        }
        self.last.store(now, Ordering::SeqCst);
    }

    /// Something went wrong between the group and this process: it joins anew, as after too long a sleep.
    pub(super) fn doubt(&self) {
        self.slept.store(true, Ordering::SeqCst);
    }

    /// Whether it slept too long since it joined.
    pub(super) fn slept(&self) -> bool {
        self.slept.load(Ordering::SeqCst)
    }

    /// It is out of the group and may join again.
    pub(super) fn awake(&self) {
        self.left();
        self.slept.store(false, Ordering::SeqCst);
    }

    /// The group has told which partitions are this process's.
    pub(super) fn joined(&self) {
        self.slept.store(false, Ordering::SeqCst);
        self.last.store(self.now(), Ordering::SeqCst);
        self.is_in.store(true, Ordering::SeqCst);
    }

    /// The group goes on without this process.
    pub(super) fn left(&self) {
        self.is_in.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_member(&self) -> bool {
        self.is_in.load(Ordering::SeqCst) && self.is_fresh(self.now()) && !self.slept()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_slept_is_out_until_the_group_takes_him_in() {
        let pulse = Pulse::new(Duration::from_millis(20));
        assert!(!pulse.is_member());
        pulse.joined();
        assert!(pulse.is_member());
        let slept = Instant::now();
        while slept.elapsed() < Duration::from_millis(30) {
            std::hint::spin_loop();
        }
        assert!(!pulse.is_member());
        pulse.beat();
        assert!(pulse.slept() && !pulse.is_member());
        pulse.joined();
        assert!(pulse.is_member());
        pulse.left();
        assert!(!pulse.is_member());
    }
}
