//! The queue before the committer, bounded by bytes and by appends: who appends too fast waits here.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::topics::Append;

/// The queue was closed: nothing is taken any more.
#[derive(Debug)]
pub(super) struct Closed;

/// Appends that wait to be committed, the oldest first.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    most_bytes: usize,
    most_appends: usize,
}

#[derive(Default)]
struct Waiting {
    appends: VecDeque<Append>,
    bytes: usize,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(most_bytes: usize, most_appends: usize) -> Self {
        Self { waiting: Mutex::default(), changed: Condvar::new(), most_bytes, most_appends }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every change below is a single push, pop or flag with its count: nothing is left half-done by a panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an append at the end, and waits while there is too much before it. A single append that is larger than
    /// the whole queue is taken when the queue is empty.
    pub(super) fn push(&self, append: Append) -> Result<(), Closed> {
        let mut waiting = self.lock();
        loop {
            if waiting.is_closed {
                return Err(Closed);
            }
            let fits = waiting.appends.len() < self.most_appends && waiting.bytes + append.bytes <= self.most_bytes;
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

    /// Takes what waits, at least one append and not many more bytes than asked for. None: closed and empty.
    pub(super) fn take(&self, bytes: usize) -> Option<Vec<Append>> {
        let mut waiting = self.lock();
        while waiting.appends.is_empty() {
            if waiting.is_closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let mut taken = Vec::new();
        let mut taken_bytes = 0;
        while taken_bytes < bytes
            && let Some(append) = waiting.appends.pop_front()
        {
            taken_bytes += append.bytes;
            taken.push(append);
        }
        waiting.bytes -= taken_bytes;
        self.changed.notify_all();
        Some(taken)
    }

    /// Whether nothing is taken any more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Takes nothing more; what waits can still be taken out.
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
    fn who_appends_too_fast_waits_until_something_was_taken() {
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
    fn a_closed_queue_refuses_and_gives_out_what_is_left() {
        let queue = Queue::new(10, 100);
        queue.push(append(1)).unwrap();
        queue.close();
        assert!(queue.push(append(1)).is_err());
        assert_eq!(queue.take(100).unwrap().len(), 1);
        assert!(queue.take(100).is_none());
    }
}
