//! The open connections, and which of them is closed for a new one: peers that say nothing must not keep others out.
//!
//! A connection whose requests had no accepted key yet is *keyless*. It has a short life, and its address a share of the
//! connections; when there are too many, the oldest keyless one that is idle goes first. One that serves a request is
//! never closed.

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

/// How long a connection with an accepted key must have been idle to be closed for a new one.
const MIN_IDLE: Duration = Duration::from_secs(1);

/// How many keyless timeouts a keyless connection may take for a request and its answer.
const MAX_ANSWER_TIMEOUTS: u32 = 6;

/// All open connections.
pub(crate) struct Connections {
    permits: Arc<Semaphore>,
    most: usize,
    most_keyless_per_address: usize,
    begin: Instant,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// By number: the oldest first.
    connections: BTreeMap<u64, Arc<Connection>>,
    next: u64,
}

/// One open connection.
pub(crate) struct Connection {
    address: IpAddr,
    begin: Instant,
    has_key: AtomicBool,
    /// Requests that are being served.
    requests: AtomicUsize,
    /// When it last did something, in ms since the server began.
    active: AtomicU64,
    close: Notify,
}

/// Takes a connection out of the list when it ends.
pub(crate) struct Registered {
    connections: Arc<Connections>,
    number: u64,
    pub(crate) connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(crate) fn new(most: usize, most_keyless_per_address: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(most));
        Arc::new(Self { permits, most, most_keyless_per_address, begin: Instant::now(), open: Mutex::default() })
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.most - self.permits.available_permits()
    }

    /// Lists a connection that was accepted. When there are as many as may be, an idle one is closed for it; when none is
    /// idle, this waits until one ends.
    pub(crate) async fn add(self: &Arc<Self>, address: IpAddr) -> Registered {
        self.close_for(address);
        let permit = loop {
            match self.permits.clone().try_acquire_owned() {
                Ok(permit) => break permit,
                // Its end gives the permit back; others may become idle meanwhile.
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
            active: AtomicU64::new(millis_since(self.begin)),
            close: Notify::new(),
        });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, connection.clone());
        drop(open);
        Registered { connections: self.clone(), number, connection, _permit: permit }
    }

    /// Closes the oldest keyless connection of an address that has its share already.
    fn close_for(&self, address: IpAddr) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let keyless = || open.connections.values().filter(|one| one.address == address && one.is_keyless());
        if keyless().count() >= self.most_keyless_per_address
            && let Some(oldest) = keyless().find(|one| one.is_idle())
        {
            oldest.close();
        }
    }

    /// Closes an idle connection: the oldest keyless one, or else the one that was idle for longest.
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

impl Drop for Registered {
    fn drop(&mut self) {
        self.connections.open.lock().unwrap_or_else(PoisonError::into_inner).connections.remove(&self.number);
    }
}

impl Connection {
    /// Notes that one of its requests had an accepted key.
    pub(crate) fn note_key(&self) {
        self.has_key.store(true, Ordering::Release);
    }

    /// Notes that a request is served, until the result is dropped.
    pub(crate) fn serve(self: &Arc<Self>) -> Serving {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.touch();
        Serving(self.clone())
    }

    fn touch(&self) {
        self.active.store(millis_since(self.begin), Ordering::Release);
    }

    fn is_keyless(&self) -> bool {
        !self.has_key.load(Ordering::Acquire)
    }

    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0
    }

    fn idle_for(&self) -> Duration {
        Duration::from_millis(millis_since(self.begin).saturating_sub(self.active.load(Ordering::Acquire)))
    }

    /// Has the connection closed. It is not idle any more, so that nobody chooses it again.
    fn close(&self) {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.close.notify_one();
    }

    /// Done when it has to be closed: for another one, or because it is keyless and was idle for too long.
    pub(crate) async fn closed(&self, keyless_timeout: Duration) {
        let expired = async {
            loop {
                let left = keyless_timeout.saturating_sub(self.idle_for());
                match (self.is_keyless(), self.is_idle()) {
                    (true, true) if left.is_zero() => return,
                    (true, true) => tokio::time::sleep(left).await,
                    // It does not read its answer.
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

/// A request that is being served.
pub(crate) struct Serving(Arc<Connection>);

/// The body of an answer. The request is served until all of it is written.
pub(crate) struct Answer {
    body: Body,
    _serving: Serving,
}

impl Serving {
    pub(crate) fn until_written(self, body: Body) -> Answer {
        Answer { body, _serving: self }
    }
}

impl HttpBody for Answer {
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

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.touch();
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

fn millis_since(begin: Instant) -> u64 {
    // Five hundred million years fit.
    begin.elapsed().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const LONG: Duration = Duration::from_secs(3600);

    async fn is_closed(registered: &Registered) -> bool {
        tokio::time::timeout(Duration::from_millis(5), registered.connection.closed(LONG)).await.is_ok()
    }

    #[tokio::test]
    async fn the_oldest_keyless_one_of_an_address_goes_when_that_has_its_share() {
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
    async fn one_that_serves_a_request_is_not_closed_and_a_keyless_one_goes_first() {
        let connections = Connections::new(3, 100);
        let serving = connections.add(HERE).await;
        let _request = serving.connection.serve();
        let (with_key, keyless) = (connections.add(HERE).await, connections.add(HERE).await);
        with_key.connection.note_key();
        let waiting = connections.clone();
        let new = tokio::spawn(async move { waiting.add(ELSEWHERE).await });
        keyless.connection.closed(LONG).await;
        assert!(!is_closed(&with_key).await && !is_closed(&serving).await);
        drop(keyless);
        new.await.unwrap();
    }

    #[tokio::test]
    async fn a_keyless_one_has_a_short_life_and_one_with_a_key_has_not() {
        let connections = Connections::new(3, 100);
        let (keyless, with_key) = (connections.add(HERE).await, connections.add(HERE).await);
        with_key.connection.note_key();
        keyless.connection.closed(Duration::from_millis(20)).await;
        let closed = with_key.connection.closed(Duration::from_millis(20));
        assert!(tokio::time::timeout(Duration::from_millis(100), closed).await.is_err());
    }
}
