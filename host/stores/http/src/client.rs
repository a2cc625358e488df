//! The client: timeouts, retries with backoff, errors that name the address. The adapters interpret the answers.

use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use ureq::Agent;
use ureq::http::{Response, Uri};

use crate::backoff::jitter;
use crate::text::shorten;

/// The number of attempts to send a request, including the first.
const MAX_ATTEMPTS: u32 = 6;
/// The upper bound of the random delay before the second attempt. It doubles with each further attempt.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(100);
/// An answer with a longer body is an error: it bounds memory. Pages of listings are far shorter.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

/// A client of one server. Its calls block.
pub struct Client {
    store: &'static str,
    url: String,
    agent: Agent,
    headers: Vec<(&'static str, String)>,
    timeout: Duration,
}

/// A POST request.
#[derive(Clone, Copy)]
pub struct Post<'a> {
    /// The purpose, for error texts, such as `writing points`.
    pub doing: &'a str,
    /// Path and query, beginning with `/`.
    pub path: &'a str,
    /// The content type of the body.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// An answer that is neither an overload nor a failure of the server.
pub struct Answer {
    /// The status, below 500 and not 429.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text, shortened for an error message.
    pub fn text(&self) -> String {
        shorten(&String::from_utf8_lossy(&self.body))
    }
}

impl Client {
    /// Makes a client without connecting. `timeout` bounds each attempt, and the time after which no further attempt
    /// begins. `store` names the server in errors.
    ///
    /// # Errors
    /// The URL is not `http(s)://host...`, or a header value is empty or has characters other than printable ASCII.
    pub fn new(
        store: &'static str,
        url: &str,
        headers: Vec<(&'static str, String)>,
        timeout: Duration,
    ) -> Result<Self, StoreError> {
        let broken = |message: String| StoreError::Broken { store, message };
        let uri = url.parse::<Uri>().ok();
        let is_http = uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
        if !is_http {
            return Err(broken(format!("'{url}' is no address of a server; expected one such as http://host:8080")));
        }
        for (name, value) in &headers {
            if value.is_empty() || !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
                return Err(broken(format!(
                    "the value of the header {name} is empty or has characters beside ASCII's"
                )));
            }
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .max_redirects(0)
            .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { store, url: url.trim_end_matches('/').to_owned(), agent, headers, timeout })
    }

    /// Sends a request. After no answer, an overload (429) or a failure of the server (5xx) it tries again, after the
    /// pause that the server asks for or a random one. The request must be idempotent: a lost answer repeats it.
    ///
    /// # Errors
    /// No usable answer came within the attempts and the time.
    pub fn post(&self, post: Post<'_>) -> Result<Answer, StoreError> {
        let started = Instant::now();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (reason, retry_after_pause) = match self.try_once(post) {
                Ok(Attempt::Answer(answer)) => return Ok(answer),
                Ok(Attempt::Later { reason, pause }) => (reason, pause),
                Err(error) => (self.describe_no_answer(&error), None),
            };
            let pause = retry_after_pause.unwrap_or_else(|| jitter(MIN_RETRY_DELAY * 2_u32.pow(attempts - 1)));
            if attempts == MAX_ATTEMPTS || started.elapsed().saturating_add(pause) > self.timeout {
                return Err(self.unavailable(post.doing, &format!("{reason} (tried {attempts} times)")));
            }
            tracing::debug!(store = self.store, doing = post.doing, %reason, ?pause, "trying again");
            std::thread::sleep(pause);
        }
    }

    /// Sends the request once. An error of the transport is an `Err`; the caller may try again.
    fn try_once(&self, post: Post<'_>) -> Result<Attempt, ureq::Error> {
        let mut request =
            self.agent.post(format!("{}{}", self.url, post.path)).header("content-type", post.content_type);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut response = request.send(post.body)?;
        let status = response.status().as_u16();
        let pause = retry_after(&response);
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        let answer = Answer { status, body };
        if status == 429 || status >= 500 {
            return Ok(Attempt::Later { reason: format!("HTTP {status}: {}", answer.text()), pause });
        }
        Ok(Attempt::Answer(answer))
    }

    fn describe_no_answer(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(_) => format!("no answer within {:?}", self.timeout),
            ureq::Error::Io(error) => format!("{error}; is {} running there?", self.store),
            ureq::Error::HostNotFound => "there is no such host".to_owned(),
            error => error.to_string(),
        }
    }

    /// An error of a request that may succeed later.
    pub fn unavailable(&self, doing: &str, reason: &str) -> StoreError {
        StoreError::Unavailable { store: self.store, message: format!("{doing} at {}: {reason}", self.url) }
    }

    /// An error of a request that fails until somebody changes something.
    pub fn broken(&self, doing: &str, reason: &str) -> StoreError {
        StoreError::Broken { store: self.store, message: format!("{doing} at {}: {reason}", self.url) }
    }
}

/// The result of one attempt.
enum Attempt {
    Answer(Answer),
    /// The server is overloaded or failed; `pause` is its `retry-after`, if it sent one.
    Later {
        reason: String,
        pause: Option<Duration>,
    },
}

/// The `retry-after` of an answer if it is given in seconds (RFC 9110, 10.2.3).
fn retry_after<T>(response: &Response<T>) -> Option<Duration> {
    let value = response.headers().get("retry-after")?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Result<Client, StoreError> {
        Client::new("a store", url, Vec::new(), Duration::from_secs(1))
    }

    #[test]
    fn only_http_urls_are_accepted() {
        assert_eq!(client("http://localhost:8086/").unwrap().url, "http://localhost:8086");
        assert!(client("https://example.com/below").is_ok());
        for url in ["", "localhost:8086", "ftp://host", "http://", "a b"] {
            assert!(client(url).is_err(), "{url}");
        }
    }
    #[test]
    fn header_values_cannot_inject_headers() {
        let with = |value: &str| {
            Client::new("s", "http://h", vec![("authorization", value.to_owned())], Duration::from_secs(1))
        };
        assert!(with("Token abc").is_ok());
        for value in ["", "a\r\nb: c", "ä"] {
            assert!(with(value).is_err(), "{value:?}");
        }
    }
}
