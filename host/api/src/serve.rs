//! Accepts connections and serves them until the shutdown, then lets requests in flight finish.
//!
//! axum's own `serve` has neither a limit on connections nor timeouts for slow clients. This loop has both.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use crate::app::App;
use crate::connections::{Connection, Connections, RegisteredConnection};
use crate::router::{health_router, router};

/// The pause of accepting when the operating system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The number of connections the listener for health alone may have.
const MAX_HEALTH_CONNECTIONS: usize = 64;

/// The reason why a shutdown was not clean.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Requests in flight did not finish in time.
    #[error("{0} connections did not finish within {1:?} after the shutdown had begun; they were cut off")]
    Cut(usize, Duration),
}

/// Serves the API on a listener until `shutdown` completes. Then it accepts no more connections, lets the requests in
/// flight finish, and returns. The engine keeps running; stop it afterwards.
///
/// # Errors
/// Requests in flight took longer than `drain_timeout`; they are cut off.
pub async fn run(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    let config = app.config.clone();
    let stopping = app.stopping.clone();
    let connections = Connections::new(config.max_connections, config.max_keyless_per_address);
    let server = Server {
        router: router(app),
        connections,
        keyless_timeout: config.keyless_timeout,
        head_timeout: config.head_timeout,
    };
    let stop = async {
        shutdown.await;
        stopping.send_replace(true);
    };
    server.serve(listener, stop, config.drain_timeout).await
}

/// Serves `/healthz`, `/readyz` and `/metrics`, without keys, on a listener of their own, so that probes get answers
/// even if the API has no free connections. Ends like [`run`].
///
/// # Errors
/// As [`run`].
pub async fn run_health(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    let config = app.config.clone();
    let connections = Connections::new(MAX_HEALTH_CONNECTIONS, MAX_HEALTH_CONNECTIONS);
    let router = health_router(app);
    let server =
        Server { router, connections, keyless_timeout: config.keyless_timeout, head_timeout: config.keyless_timeout };
    server.serve(listener, shutdown, config.keyless_timeout).await
}

/// The router, connections and timeouts of one listener.
struct Server {
    router: Router,
    connections: Arc<Connections>,
    /// The time a connection without an accepted key may be idle.
    keyless_timeout: Duration,
    /// The time a request's head may take. A connection may be idle for the same time.
    head_timeout: Duration,
}

impl Server {
    async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
        drain: Duration,
    ) -> Result<(), ServeError> {
        let graceful = GracefulShutdown::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = async {
                let accepted = listener.accept().await;
                match accepted {
                    Ok((stream, address)) => Ok((stream, self.connections.add(address.ip()).await)),
                    Err(error) => Err(error),
                }
            };
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, registered)) => self.spawn_connection(stream, registered, &graceful),
                Err(error) => pause_after_failed_accept(&error).await,
            }
        }
        drop(listener);
        let open = graceful.count();
        tracing::info!(connections = open, "no more connections are accepted; requests in flight finish");
        match tokio::time::timeout(drain, graceful.shutdown()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(ServeError::Cut(self.connections.count(), drain)),
        }
    }

    fn spawn_connection(&self, stream: TcpStream, registered: RegisteredConnection, graceful: &GracefulShutdown) {
        // Answers are small and complete: waiting to fill a packet would only add latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY cannot be set");
        }
        let service = connection_service(self.router.clone(), registered.connection.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .serve_connection(TokioIo::new(stream), service);
        let (connection, keyless_timeout) = (graceful.watch(connection), self.keyless_timeout);
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended with an error");
                    }
                }
                () = registered.connection.wait_for_close(keyless_timeout) => tracing::debug!("a silent connection is closed"),
            }
        });
    }
}

/// The router as a service of one connection: it puts the connection into each request.
fn connection_service(
    router: Router,
    connection: Arc<Connection>,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response,
    Error = Infallible,
    Future = impl Future<Output = Result<Response, Infallible>> + Send,
> {
    let router = TowerToHyperService::new(router);
    hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let in_progress = connection.begin_request();
        request.extensions_mut().insert(connection.clone());
        let answered = router.call(request);
        async move { answered.await.map(|answer| answer.map(|body| Body::new(in_progress.answer_with(body)))) }
    })
}

/// Waits a little after a failed accept, because the system may lack file descriptors. A connection that broke while it
/// was accepted needs no wait.
async fn pause_after_failed_accept(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "a connection cannot be accepted");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
