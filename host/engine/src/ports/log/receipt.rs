//! Waiting for receipts on a plain thread: the log wakes the thread when one comes, so that nobody polls.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::{Appended, Receipt, WakeSignal};
use crate::clock::Clock;
use crate::ports::StoreError;

/// The longest sleep of a thread that waits for a receipt, after which it checks whether it has to stop.
const MAX_RECEIPT_WAIT: Duration = Duration::from_millis(100);

impl Wake for WakeSignal {
    fn wake(self: Arc<Self>) {
        self.notify();
    }
}

/// The result of an append; none: it is not known yet, and the signal is notified when it is.
pub(crate) fn poll_receipt(receipt: &mut Receipt, wake: &Arc<WakeSignal>) -> Option<Result<Vec<Appended>, StoreError>> {
    let waker = Waker::from(wake.clone());
    match Pin::new(receipt).poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(answer) => Some(answer.unwrap_or_else(|_| Err(stopped()))),
        Poll::Pending => None,
    }
}

/// Waits until it is known what became of an append, or the caller has to stop.
pub(crate) fn wait_for_receipt(
    mut receipt: Receipt,
    clock: &Clock,
    is_stopping: impl Fn() -> bool,
) -> Result<Vec<Appended>, StoreError> {
    let wake = Arc::new(WakeSignal::default());
    loop {
        if let Some(answer) = poll_receipt(&mut receipt, &wake) {
            return answer;
        }
        if is_stopping() {
            return Err(stopped());
        }
        clock.wait(&wake, MAX_RECEIPT_WAIT);
    }
}

/// The log does not answer any more: the engine or the log is stopping.
fn stopped() -> StoreError {
    StoreError::Unavailable { store: "log", message: "it was stopped".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_wakes_whoever_waits_for_it() {
        let (sender, receipt) = tokio::sync::oneshot::channel();
        let waits = std::thread::spawn(move || wait_for_receipt(receipt, &Clock::real(), || false));
        sender.send(Ok(Vec::new())).unwrap();
        assert_eq!(waits.join().unwrap(), Ok(Vec::new()));
        let (sender, mut receipt) = tokio::sync::oneshot::channel();
        let wake = Arc::new(WakeSignal::default());
        assert_eq!(poll_receipt(&mut receipt, &wake), None);
        assert!(!wake.wait(Duration::ZERO));
        drop(sender);
        assert!(wake.wait(Duration::from_secs(10)), "a log that gives up wakes it, too");
        assert!(matches!(poll_receipt(&mut receipt, &wake), Some(Err(StoreError::Unavailable { .. }))));
    }
}
