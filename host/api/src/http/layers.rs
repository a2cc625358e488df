//! The layers around all routes: the request log, panics, unread bodies, and the framework's own errors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use assay_engine::RouteLabel;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};

use super::{ApiError, Code};
use crate::app::App;
use crate::registry;

/// The number of bytes of the framework's text that go into a problem's detail.
const MAX_FRAMEWORK_TEXT_BYTES: usize = 16 << 10;

/// Counts every request and logs it at debug level by its route, so that keys and ids are not in logs and metrics.
pub(crate) async fn log_requests(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let label = RouteLabel { method: method_label(&method).to_owned(), route: route.clone(), status };
    app.engine.status().metrics().requests.get_or_create(&label).inc();
    tracing::debug!(%method, route, status, micros = started.elapsed().as_micros() as u64, "request");
    response
}

/// A method as a label of metrics. Unknown methods share one label, because each label is a time series.
fn method_label(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE | Method::OPTIONS | Method::PATCH => {
            method.as_str()
        }
        _ => "other",
    }
}

/// Answers a panic of a handler with 500. The connection and all other requests continue.
pub(crate) async fn catch_panics(request: Request, next: Next) -> Response {
    let mut answer = pin!(next.run(request));
    let caught = std::future::poll_fn(|context| {
        // The state of the panicking handler is dropped with it, so no half-changed value is used again.
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => Poll::Ready(Ok(response)),
            Err(_) => Poll::Ready(Err(ApiError::internal())),
        }
    });
    caught.await.unwrap_or_else(|error| {
        tracing::error!("a handler panicked");
        error.into_response()
    })
}

/// Announces the end of the connection after a request whose body was not read to its end. hyper closes such a
/// connection without a header, and a client with a connection pool would lose its next request.
pub(crate) async fn close_if_unread(request: Request, next: Next) -> Response {
    if HttpBody::is_end_stream(request.body()) {
        return next.run(request).await;
    }
    let is_read = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| Body::new(WatchedBody { body, is_read: is_read.clone() }));
    let mut response = next.run(request).await;
    if !is_read.load(Ordering::Acquire) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that records whether it was read to its end.
struct WatchedBody {
    body: Body,
    is_read: Arc<AtomicBool>,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || HttpBody::is_end_stream(&self.body) {
            self.is_read.store(true, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        HttpBody::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}

/// Converts the framework's plain-text errors to problem details: unknown routes, wrong methods, unreadable parameters.
pub(crate) async fn render_errors(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    let is_rendered = kind.starts_with(b"application/problem+json") || kind == registry::MEDIA_TYPE.as_bytes();
    // /readyz answers 503 with a document of its own.
    if is_rendered || path == "/readyz" || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let text = framework_text(response.into_body()).await;
    let error = match status {
        StatusCode::NOT_FOUND if text.is_empty() => {
            ApiError::not_found(format!("there is no {path} here; /openapi.json lists what there is"))
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            let allowed = allow.as_ref().and_then(|allow| allow.to_str().ok()).unwrap_or("others").replace(',', ", ");
            ApiError::new(Code::MethodNotAllowed, format!("{path} takes {allowed}, not {method}"))
        }
        StatusCode::NOT_FOUND => ApiError::not_found(text),
        StatusCode::BAD_REQUEST => ApiError::bad_request(text),
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(Code::TooLarge, text),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::new(Code::UnsupportedMediaType, text),
        StatusCode::INTERNAL_SERVER_ERROR => ApiError::internal(),
        status => ApiError::new(Code::Other(status), text),
    };
    let mut response = error.into_response();
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

async fn framework_text(body: Body) -> String {
    let bytes = to_bytes(body, MAX_FRAMEWORK_TEXT_BYTES).await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
