//! The connection to InfluxDB: the client of the crate `influxdb2`, the thread that drives it, time limits and retries.
//!
//! The port is plain calls, the client is asynchronous: callers wait for it on their own threads. Asynchronous code must
//! call from threads made for blocking.
//!
//! The client drops the headers of answers, so the pauses are ours and never those of `Retry-After`; and it reads
//! answers whole, so they are bounded by time, not in bytes. `tests/influxdb/client.rs` shows both.

use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use influxdb2::{Client, ClientBuilder, RequestError};
use reqwest::Url;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use tokio::runtime::{Builder, Handle, Runtime};

use super::Config;
use super::error::{Failure, broken, describe_no_answer, message_of, unavailable};

/// How often a request is sent at most.
const MAX_TRIES: u32 = 6;
/// The bound of the random pause before the second try; each following bound is twice as long.
const FIRST_MAX_PAUSE: Duration = Duration::from_millis(100);

/// A client of one server.
pub(super) struct Connection {
    /// For everything but lines.
    client: Client,
    /// For lines: all its requests say that their bodies are compressed. The client itself compresses only streams of
    /// its own points, at the highest and slowest level.
    line_client: Client,
    handle: Handle,
    /// Present until it is dropped.
    runtime: Option<Runtime>,
    address: String,
    timeout: Duration,
}

impl Connection {
    /// A client; does not connect yet. `config.timeout` is for one try, and no new one begins after it.
    ///
    /// # Errors
    /// The address or the token cannot be one, or the client's thread cannot be started.
    pub(super) fn new(config: &Config) -> Result<Self, StoreError> {
        check_address(&config.url)?;
        check_token(&config.token)?;
        let client = build_client(config, HeaderMap::new())?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let line_client = build_client(config, headers)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("influxdb")
            .enable_all()
            .build()
            .map_err(|error| unavailable(format!("starting the client's thread: {error}")))?;
        Ok(Self {
            client,
            line_client,
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
            address: config.url.trim_end_matches('/').to_owned(),
            timeout: config.timeout,
        })
    }

    /// The client for everything but lines.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The client for lines that are compressed with gzip.
    pub(super) fn line_client(&self) -> &Client {
        &self.line_client
    }

    /// Makes a request until its answer is neither an overload (429) nor a failure of the server (5xx), a few times at
    /// most, and waits for it on this thread. Only for requests that may be repeated.
    ///
    /// # Errors
    /// The server refuses the request, or there is no answer in time.
    pub(super) fn request<T, F>(&self, doing: &str, send: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, RequestError>>,
    {
        self.handle.block_on(self.send_with_retries(doing, send))
    }

    async fn send_with_retries<T, F>(&self, doing: &str, send: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, RequestError>>,
    {
        let started = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            let reason = match send().await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.reason_to_retry(doing, error)?,
            };
            // Full jitter, as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
            let pause = (FIRST_MAX_PAUSE * 2_u32.pow(tries - 1)).mul_f64(fastrand::f64());
            if tries == MAX_TRIES || started.elapsed() + pause > self.timeout {
                return Err(self.unavailable(doing, &format!("{reason} (tried {tries} times)")).into());
            }
            tracing::debug!(doing, %reason, ?pause, "trying again");
            tokio::time::sleep(pause).await;
        }
    }

    /// Why another try may do better, or the failure if none will.
    fn reason_to_retry(&self, doing: &str, error: RequestError) -> Result<String, Failure> {
        match error {
            RequestError::Http { status, text } => {
                let message = message_of(&text);
                match status.as_u16() {
                    status @ (429 | 500..) => Ok(format!("HTTP {status}: {message}")),
                    status => Err(Failure::Refused { status, message }),
                }
            }
            // A request that cannot be built, an answer that is no answer of InfluxDB.
            RequestError::ReqwestProcessing { source } if source.is_builder() || source.is_decode() => {
                Err(self.broken(doing, &source.without_url().to_string()).into())
            }
            RequestError::ReqwestProcessing { source } => Ok(describe_no_answer(&source, self.timeout)),
            error => Err(self.broken(doing, &error.to_string()).into()),
        }
    }

    /// The request and the address, and why it may work later.
    pub(super) fn unavailable(&self, doing: &str, reason: &str) -> StoreError {
        unavailable(format!("{doing} at {}: {reason}", self.address))
    }

    /// The request and the address, and why it will not work by itself.
    pub(super) fn broken(&self, doing: &str, reason: &str) -> StoreError {
        broken(format!("{doing} at {}: {reason}", self.address))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Dropped as it is, the runtime would wait for its thread, which asynchronous callers must not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn build_client(config: &Config, headers: HeaderMap) -> Result<Client, StoreError> {
    // HTTP/1 alone, because the client's old h2 queues empty frames without bound (RUSTSEC-2026-0258). No redirects,
    // because one would take the points to another server.
    let http = reqwest::ClientBuilder::new()
        .http1_only()
        .timeout(config.timeout)
        .redirect(Policy::none())
        .default_headers(headers)
        .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")));
    let built = ClientBuilder::with_builder(http, &config.url, &config.org, &config.token).build();
    built.map_err(|error| broken(format!("the client cannot be built: {error}")))
}

/// The client panics at an address that is none, and drops all but scheme, host and port, without which requests would
/// go somewhere else.
fn check_address(address: &str) -> Result<(), StoreError> {
    let url = Url::parse(address).ok();
    let is_server = url.is_some_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    if is_server {
        return Ok(());
    }
    Err(broken(format!(
        "'{address}' is no address of a server; expected scheme, host and port alone, such as http://host:8086"
    )))
}

fn check_token(token: &str) -> Result<(), StoreError> {
    if token.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Ok(());
    }
    Err(broken("the token has characters beside ASCII's, or control characters".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(url: &str, token: &str) -> Result<Connection, StoreError> {
        Connection::new(&Config::new(url, "org", "bucket", token))
    }

    #[test]
    fn only_addresses_of_servers_are_taken() {
        assert_eq!(connect("http://localhost:8086/", "t").unwrap().address, "http://localhost:8086");
        assert!(connect("https://example.com", "t").is_ok());
        let refused = [
            "",
            "localhost:8086",
            "ftp://host",
            "http://",
            "a b",
            "https://example.com/influxdb",
            "http://host:8086/?org=o",
            "http://user:password@host:8086",
        ];
        for url in refused {
            let error = connect(url, "t").err().unwrap_or_else(|| panic!("{url}"));
            assert!(error.to_string().contains("such as http://host:8086"), "{error}");
        }
    }

    #[test]
    fn tokens_cannot_smuggle_headers() {
        for token in ["a\r\nb: c", "ä"] {
            assert!(connect("http://h", token).is_err(), "{token:?}");
        }
    }
}
