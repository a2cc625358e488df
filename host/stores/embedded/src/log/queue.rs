//! The queue of the committer, bounded by bytes and by appends. A full queue blocks appends.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::topics::Append;

/// The queue is closed and accepts no appends.
#[derive(Debug)]
pub(super) struct QueueClosed;

/// The appends that wait for the committer, the oldest first.
pub(super) struct Queue {
    waiting: Mutex<QueuedAppends>,
    changed: Condvar,
    max_bytes: usize,
    max_appends: usize,
}

#[derive(Default)]
struct QueuedAppends {
    appends: VecDeque<Append>,
    bytes: usize,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(max_bytes: usize, max_appends: usize) -> Self {
        Self { waiting: Mutex::default(), changed: Condvar::new(), max_bytes, max_appends }
    }

    fn lock(&self) -> MutexGuard<'_, QueuedAppends> {
        // A poisoned lock is safe: the code that holds it cannot panic between a push or pop and its count.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an append; blocks while the queue is full. An append that is larger than the whole queue is added once the
    /// queue is empty.
    pub(super) fn push(&self, append: Append) -> Result<(), QueueClosed> {
        let mut waiting = self.lock();
        loop {
            if waiting.is_closed {
                return Err(QueueClosed);
            }
            let fits = waiting.appends.len() < self.max_appends && waiting.bytes + append.bytes <= self.max_bytes;
            if fits || waiting.appends.is_empty() {
                break;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.bytes += append.bytes;
        waiting.appends.push_back(append);
        self.changed.notify_all();
        Ok(())
    }

    /// Takes appends until they have `max_bytes`, at least one; blocks while the queue is empty. None if it is closed and
    /// empty.
    pub(super) fn take(&self, max_bytes: usize) -> Option<Vec<Append>> {
        let mut waiting = self.lock();
        while waiting.appends.is_empty() {
            if waiting.is_closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let mut taken = Vec::new();
        let mut taken_bytes = 0;
        while taken_bytes < max_bytes
            && let Some(append) = waiting.appends.pop_front()
        {
            taken_bytes += append.bytes;
            taken.push(append);
        }
        waiting.bytes -= taken_bytes;
        self.changed.notify_all();
        Some(taken)
    }

    /// Returns whether the queue refuses appends.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Refuses further appends. Queued ones can still be taken.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn append(bytes: usize) -> Append {
        Append { bytes, ..Append::for_tests() }
    }

    #[test]
    fn a_full_queue_blocks_appends() {
        let queue = Arc::new(Queue::new(10, 100));
        queue.push(append(25)).unwrap();
        let pusher = thread::spawn({
            let queue = queue.clone();
            move || (0..4).try_for_each(|_| queue.push(append(6)))
        });
        let mut sizes = Vec::new();
        while sizes.len() < 5 {
            let taken = queue.take(1).unwrap();
            assert!(queue.lock().bytes <= 10);
            sizes.extend(taken.iter().map(|append| append.bytes));
        }
        pusher.join().unwrap().unwrap();
        assert_eq!(sizes, [25, 6, 6, 6, 6]);
    }

    #[test]
    fn a_closed_queue_refuses_appends_and_can_be_drained() {
        let queue = Queue::new(10, 100);
        queue.push(append(1)).unwrap();
        queue.close();
        assert!(queue.push(append(1)).is_err());
        assert_eq!(queue.take(100).unwrap().len(), 1);
        assert!(queue.take(100).is_none());
    }
}
