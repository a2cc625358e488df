//! The layers around all routes: the request log, panics, bodies that nobody reads, and errors that are not ours.

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

/// The longest text of the framework that is taken into a problem's detail.
const MAX_FOREIGN_TEXT: usize = 16 << 10;

/// Counts every request, and logs it at debug: by its route, so that keys and ids stay out of logs and metrics.
pub(crate) async fn log_requests(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let label = RouteLabel { method: known(&method).to_owned(), route: route.clone(), status };
    app.engine.metrics().requests.get_or_create(&label).inc();
    tracing::debug!(%method, route, status, micros = started.elapsed().as_micros() as u64, "request");
    response
}

/// A method as metrics name it. A client may make up methods, each of which would be a series of its own.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE | Method::OPTIONS | Method::PATCH => {
            method.as_str()
        }
        _ => "other",
    }
}

/// Turns a panic of a handler into an answer; the connection and all other requests live on.
pub(crate) async fn catch_panics(request: Request, next: Next) -> Response {
    let mut answer = pin!(next.run(request));
    let caught = std::future::poll_fn(|context| {
        // What the panicking handler left half-done is dropped with it: nothing of it is used again.
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

/// Closes the connection after a request whose body was not read to its end. hyper would close without a word, and a
/// client that keeps connections would send its next request into the void.
pub(crate) async fn close_if_unread(request: Request, next: Next) -> Response {
    if HttpBody::is_end_stream(request.body()) {
        return next.run(request).await;
    }
    let is_read = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| Body::new(Watched { body, is_read: is_read.clone() }));
    let mut response = next.run(request).await;
    if !is_read.load(Ordering::Acquire) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body, and whether it was read to its end.
struct Watched {
    body: Body,
    is_read: Arc<AtomicBool>,
}

impl HttpBody for Watched {
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

/// Makes problem details of errors that the framework answers in plain text: unknown routes, wrong methods, parameters
/// that cannot be read.
pub(crate) async fn render_errors(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    let is_rendered = kind.starts_with(b"application/problem+json") || kind == registry::MEDIA_TYPE.as_bytes();
    // What says that it is not ready says why in a document of its own.
    if is_rendered || path == "/readyz" || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let text = foreign_text(response.into_body()).await;
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

async fn foreign_text(body: Body) -> String {
    let bytes = to_bytes(body, MAX_FOREIGN_TEXT).await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
