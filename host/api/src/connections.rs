//! The open connections, and the choice of the one that is closed for a new one, so that silent peers cannot use up all
//! connections.
//!
//! A connection is *keyless* until one of its requests had an accepted key. Keyless connections have a short idle
//! timeout and a limit per address. When there are too many connections, the oldest idle keyless one is closed first. A
//! connection with a request in progress is never closed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The time a connection with an accepted key must have been idle to be closed for a new one.
const MIN_IDLE: Duration = Duration::from_secs(1);

/// The time limit for a request of a keyless connection and its answer, in keyless timeouts.
const MAX_ANSWER_TIMEOUTS: u32 = 6;

/// All open connections.
pub(crate) struct Connections {
    permits: Arc<Semaphore>,
    max_open: usize,
    max_keyless_per_address: usize,
    begin: Instant,
    open: Mutex<OpenConnections>,
}

#[derive(Default)]
struct OpenConnections {
    /// By number, which is their age: the oldest first.
    connections: BTreeMap<u64, Arc<Connection>>,
    next: u64,
}

/// One open connection.
pub(crate) struct Connection {
    address: IpAddr,
    begin: Instant,
    has_key: AtomicBool,
    /// The number of requests in progress.
    requests: AtomicUsize,
    /// The time of the last activity, in ms since the server began.
    last_active_ms: AtomicU64,
    close: Notify,
}

/// Takes a connection out of the list when it ends.
pub(crate) struct RegisteredConnection {
    connections: Arc<Connections>,
    number: u64,
    pub(crate) connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(crate) fn new(max_open: usize, max_keyless_per_address: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(max_open));
        Arc::new(Self { permits, max_open, max_keyless_per_address, begin: Instant::now(), open: Mutex::default() })
    }

    /// The number of open connections.
    pub(crate) fn count(&self) -> usize {
        self.max_open - self.permits.available_permits()
    }

    /// Registers an accepted connection. When the limit is reached, an idle connection is closed for it. If none is
    /// idle, this waits until one ends.
    pub(crate) async fn add(self: &Arc<Self>, address: IpAddr) -> RegisteredConnection {
        self.close_oldest_keyless(address);
        let permit = loop {
            match self.permits.clone().try_acquire_owned() {
                Ok(permit) => break permit,
                // The closed connection returns its permit. Check again after a while, because others may become idle.
                Err(_) => {
                    self.close_idle();
                    let permit = self.permits.clone().acquire_owned();
                    if let Ok(Ok(permit)) = tokio::time::timeout(MIN_IDLE, permit).await {
                        break permit;
                    }
                }
            }
        };
        let connection = Arc::new(Connection {
            address,
            begin: self.begin,
            has_key: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            last_active_ms: AtomicU64::new(millis_since(self.begin)),
            close: Notify::new(),
        });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, connection.clone());
        drop(open);
        RegisteredConnection { connections: self.clone(), number, connection, _permit: permit }
    }

    /// Closes the oldest idle keyless connection of an address that has reached its limit.
    fn close_oldest_keyless(&self, address: IpAddr) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let keyless = || open.connections.values().filter(|one| one.address == address && one.is_keyless());
        if keyless().count() >= self.max_keyless_per_address
            && let Some(oldest) = keyless().find(|one| one.is_idle())
        {
            oldest.close();
        }
    }

    /// Closes an idle connection: the oldest keyless one, else the one that was idle for longest.
    fn close_idle(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = || open.connections.values().filter(|one| one.is_idle());
        let keyless = idle().find(|one| one.is_keyless());
        let longest = || idle().filter(|one| one.idle_for() >= MIN_IDLE).max_by_key(|one| one.idle_for());
        if let Some(one) = keyless.or_else(longest) {
            one.close();
        }
    }
}

impl Drop for RegisteredConnection {
    fn drop(&mut self) {
        self.connections.open.lock().unwrap_or_else(PoisonError::into_inner).connections.remove(&self.number);
    }
}

impl Connection {
    /// Marks the connection as one with an accepted key.
    pub(crate) fn note_key(&self) {
        self.has_key.store(true, Ordering::Release);
    }

    /// Counts a request as in progress until the result is dropped.
    pub(crate) fn begin_request(self: &Arc<Self>) -> RequestInProgress {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.note_activity();
        RequestInProgress(self.clone())
    }

    fn note_activity(&self) {
        self.last_active_ms.store(millis_since(self.begin), Ordering::Release);
    }

    fn is_keyless(&self) -> bool {
        !self.has_key.load(Ordering::Acquire)
    }

    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0
    }

    fn idle_for(&self) -> Duration {
        Duration::from_millis(millis_since(self.begin).saturating_sub(self.last_active_ms.load(Ordering::Acquire)))
    }

    /// Requests the end of the connection. It counts as busy from now on, so that it is not chosen again.
    fn close(&self) {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.close.notify_one();
    }

    /// Completes when the connection must be closed: for another one, or because it is keyless and was idle for too
    /// long.
    pub(crate) async fn wait_for_close(&self, keyless_timeout: Duration) {
        let expired = async {
            loop {
                let left = keyless_timeout.saturating_sub(self.idle_for());
                match (self.is_keyless(), self.is_idle()) {
                    (true, true) if left.is_zero() => return,
                    (true, true) => tokio::time::sleep(left).await,
                    // The client does not read its answer.
                    (true, false) if self.idle_for() >= keyless_timeout * MAX_ANSWER_TIMEOUTS => return,
                    (true, false) => tokio::time::sleep(keyless_timeout).await,
                    (false, _) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            () = expired => {}
            () = self.close.notified() => {}
        }
    }
}

/// A request in progress.
pub(crate) struct RequestInProgress(Arc<Connection>);

/// The body of an answer. Its request is in progress until the whole body is written.
pub(crate) struct AnswerBody {
    body: Body,
    _request: RequestInProgress,
}

impl RequestInProgress {
    pub(crate) fn answer_with(self, body: Body) -> AnswerBody {
        AnswerBody { body, _request: self }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        HttpBody::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        self.0.note_activity();
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

fn millis_since(begin: Instant) -> u64 {
    // A u64 of milliseconds holds five hundred million years.
    begin.elapsed().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const LONG: Duration = Duration::from_secs(3600);

    async fn is_closed(registered: &RegisteredConnection) -> bool {
        tokio::time::timeout(Duration::from_millis(5), registered.connection.wait_for_close(LONG)).await.is_ok()
    }

    #[tokio::test]
    async fn the_oldest_keyless_connection_of_an_address_is_closed_at_its_limit() {
        let connections = Connections::new(100, 2);
        let first = connections.add(HERE).await;
        first.connection.note_key();
        let (second, third) = (connections.add(HERE).await, connections.add(HERE).await);
        let _fourth = connections.add(ELSEWHERE).await;
        for one in [&first, &second, &third] {
            assert!(!is_closed(one).await);
        }
        let _fifth = connections.add(HERE).await;
        assert!(is_closed(&second).await && !is_closed(&third).await && !is_closed(&first).await);
        assert_eq!(connections.count(), 5);
    }

    #[tokio::test]
    async fn busy_connections_stay_and_keyless_ones_are_closed_first() {
        let connections = Connections::new(3, 100);
        let serving = connections.add(HERE).await;
        let _request = serving.connection.begin_request();
        let (with_key, keyless) = (connections.add(HERE).await, connections.add(HERE).await);
        with_key.connection.note_key();
        let waiting = connections.clone();
        let new = tokio::spawn(async move { waiting.add(ELSEWHERE).await });
        keyless.connection.wait_for_close(LONG).await;
        assert!(!is_closed(&with_key).await && !is_closed(&serving).await);
        drop(keyless);
        new.await.unwrap();
    }

    #[tokio::test]
    async fn only_keyless_connections_have_the_short_idle_timeout() {
        let connections = Connections::new(3, 100);
        let (keyless, with_key) = (connections.add(HERE).await, connections.add(HERE).await);
        with_key.connection.note_key();
        keyless.connection.wait_for_close(Duration::from_millis(20)).await;
        let closed = with_key.connection.wait_for_close(Duration::from_millis(20));
        assert!(tokio::time::timeout(Duration::from_millis(100), closed).await.is_err());
    }
}
