//! Tracks by the local clock whether this process can still be a member of its group.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Records when the group's thread last ran. A pause longer than the session ends the membership without any message:
/// by then the group has assigned the partitions to other members.
pub(super) struct SessionLiveness {
    since: Instant,
    session: Duration,
    /// ms since `since`.
    last_activity: AtomicU64,
    has_expired: AtomicBool,
    has_joined: AtomicBool,
}

impl SessionLiveness {
    pub(super) fn new(session: Duration) -> Self {
        Self {
            since: Instant::now(),
            session,
            last_activity: AtomicU64::new(0),
            has_expired: AtomicBool::new(false),
            has_joined: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_within_session(&self, now: u64) -> bool {
        u128::from(now.saturating_sub(self.last_activity.load(Ordering::Acquire))) < self.session.as_millis()
    }

    /// Notes that the group's thread runs, and that the session expired if it did not run for too long.
    pub(super) fn record_activity(&self) {
        let now = self.now();
        if !self.is_within_session(now) {
            // Set before the new time is visible, so that no reader sees a fresh time without the expiry.
            self.has_expired.store(true, Ordering::SeqCst);
        }
        self.last_activity.store(now, Ordering::SeqCst);
    }

    /// Makes the member rejoin, as after an expired session.
    pub(super) fn force_rejoin(&self) {
        self.has_expired.store(true, Ordering::SeqCst);
    }

    /// Returns whether the thread did not run for longer than the session since it joined.
    pub(super) fn is_expired(&self) -> bool {
        self.has_expired.load(Ordering::SeqCst)
    }

    /// Resets the state before the member joins again.
    pub(super) fn reset(&self) {
        self.note_left();
        self.has_expired.store(false, Ordering::SeqCst);
    }

    /// Notes that the group has assigned partitions to this process.
    pub(super) fn note_joined(&self) {
        self.has_expired.store(false, Ordering::SeqCst);
        self.last_activity.store(self.now(), Ordering::SeqCst);
        self.has_joined.store(true, Ordering::SeqCst);
    }

    /// Notes that this process is not a member any more.
    pub(super) fn note_left(&self) {
        self.has_joined.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_member(&self) -> bool {
        self.has_joined.load(Ordering::SeqCst) && self.is_within_session(self.now()) && !self.is_expired()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_member_is_out_until_the_group_assigns_again() {
        let liveness = SessionLiveness::new(Duration::from_millis(20));
        assert!(!liveness.is_member());
        liveness.note_joined();
        assert!(liveness.is_member());
        let slept = Instant::now();
        while slept.elapsed() < Duration::from_millis(30) {
            std::hint::spin_loop();
        }
        assert!(!liveness.is_member());
        liveness.record_activity();
        assert!(liveness.is_expired() && !liveness.is_member());
        liveness.note_joined();
        assert!(liveness.is_member());
        liveness.note_left();
        assert!(!liveness.is_member());
    }
}
