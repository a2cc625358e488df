//! Accepts connections and serves them until the order to stop, then lets requests in flight finish.
//!
//! axum's own `serve` has neither a limit on connections nor timeouts for slow clients, hence this loop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::app::App;
use crate::router::router;

/// How long accepting pauses when the operating system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the server stopped other than by order.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Requests in flight did not finish in time.
    #[error("{0} connections did not finish within {1:?} after the order to stop; they were cut off")]
    Cut(usize, Duration),
}

/// Serves the API on a listener until `shutdown` is done: then it accepts no more, lets the requests in flight finish,
/// and returns. The engine goes on; stop it afterwards.
///
/// # Errors
/// Requests in flight took longer than `drain_timeout`; they are cut off.
pub async fn run(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    let config = app.config.clone();
    let stopping = app.stopping.clone();
    let router = router(app);
    let connections = Arc::new(Semaphore::new(config.max_connections));
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let permit = connections.clone().acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let connection = graceful.watch(connect(stream, router.clone(), config.head_timeout));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended badly");
            }
            drop(permit);
        });
    }
    drop(listener);
    stopping.send_replace(true);
    let open = graceful.count();
    tracing::info!(connections = open, "no more connections are taken; those in flight finish");
    match tokio::time::timeout(config.drain_timeout, graceful.shutdown()).await {
        Ok(()) => Ok(()),
        Err(_) => Err(ServeError::Cut(config.max_connections - connections.available_permits(), config.drain_timeout)),
    }
}

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

fn connect(stream: TcpStream, router: Router, head_timeout: Duration) -> Connection {
    // Answers are small and complete: waiting to fill a packet only costs time.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}

/// Waits a little when the system is out of something; a connection that broke while it was accepted needs no wait.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "a connection cannot be accepted");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
