//! One client for the stores that speak HTTP: timeouts, retries with backoff and full jitter, errors that name the
//! address. What an answer means is for the adapters.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::Agent;
use ureq::http::{Response, Uri};

/// How often a request is sent at most.
const TRIES: u32 = 6;
/// How long the first pause before a new try is at most; each following one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest answer that is read. Pages of listings are far shorter.
const LONGEST_ANSWER: u64 = 256 << 20;

/// A client of one server.
pub(crate) struct Client {
    store: &'static str,
    url: String,
    agent: Agent,
    headers: Vec<(&'static str, String)>,
    timeout: Duration,
}

/// What is sent.
#[derive(Clone, Copy)]
pub(crate) struct Post<'a> {
    /// What it is for, as errors say it, such as `writing points`.
    pub(crate) doing: &'a str,
    /// Path and query, beginning with `/`.
    pub(crate) path: &'a str,
    /// The type of the body.
    pub(crate) content_type: &'a str,
    /// The body.
    pub(crate) body: &'a [u8],
    /// Whether the body goes compressed.
    pub(crate) gzip: bool,
}

/// What came back: neither an overload nor a failure of the server.
pub(crate) struct Answer {
    /// The status, below 500 and not 429.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as text, shortened for an error.
    pub(crate) fn text(&self) -> String {
        shorten(&String::from_utf8_lossy(&self.body))
    }
}

impl Client {
    /// A client; does not connect yet. `timeout` is for one try, and no new one begins after it.
    ///
    /// # Errors
    /// The address is none, or a header holds what headers cannot hold.
    pub(crate) fn new(
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

    /// Sends a request until there is an answer that is no overload (429) and no failure of the server (5xx), a few
    /// times at most. Only for requests that may be repeated.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn post(&self, post: Post<'_>) -> Result<Answer, StoreError> {
        let body = if post.gzip { compressed(post.body) } else { post.body.to_vec() };
        let started = Instant::now();
        let mut tried = 0;
        loop {
            tried += 1;
            let (said, asked_pause) = match self.try_once(post, &body) {
                Ok(Tried::Answer(answer)) => return Ok(answer),
                Ok(Tried::Later { said, pause }) => (said, pause),
                Err(error) => (self.no_answer(&error), None),
            };
            let pause = asked_pause.unwrap_or_else(|| jitter(FIRST_PAUSE * 2_u32.pow(tried - 1)));
            if tried == TRIES || started.elapsed().saturating_add(pause) > self.timeout {
                return Err(self.unavailable(post.doing, &format!("{said} (tried {tried} times)")));
            }
            tracing::debug!(store = self.store, doing = post.doing, %said, ?pause, "trying again");
            std::thread::sleep(pause);
        }
    }

    fn try_once(&self, post: Post<'_>, body: &[u8]) -> Result<Tried, ureq::Error> {
        let mut request =
            self.agent.post(format!("{}{}", self.url, post.path)).header("content-type", post.content_type);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if post.gzip {
            request = request.header("content-encoding", "gzip");
        }
        let mut response = request.send(body)?;
        let status = response.status().as_u16();
        let pause = retry_after(&response);
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec()?;
        let answer = Answer { status, body };
        if status == 429 || status >= 500 {
            return Ok(Tried::Later { said: format!("HTTP {status}: {}", answer.text()), pause });
        }
        Ok(Tried::Answer(answer))
    }

    fn no_answer(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(_) => format!("no answer within {:?}", self.timeout),
            ureq::Error::Io(error) => format!("{error}; is {} running there?", self.store),
            ureq::Error::HostNotFound => "there is no such host".to_owned(),
            error => error.to_string(),
        }
    }

    /// What was tried on which address, and why it may work later.
    pub(crate) fn unavailable(&self, doing: &str, said: &str) -> StoreError {
        StoreError::Unavailable { store: self.store, message: format!("{doing} at {}: {said}", self.url) }
    }

    /// What was tried on which address, and why it will not work by itself.
    pub(crate) fn broken(&self, doing: &str, said: &str) -> StoreError {
        StoreError::Broken { store: self.store, message: format!("{doing} at {}: {said}", self.url) }
    }
}

/// What came of one try.
enum Tried {
    Answer(Answer),
    /// The server wants to be asked again, after `pause` if it said so.
    Later {
        said: String,
        pause: Option<Duration>,
    },
}

/// The pause that a server asks for, if it is given in seconds (RFC 9110, 10.2.3).
fn retry_after<T>(response: &Response<T>) -> Option<Duration> {
    let value = response.headers().get("retry-after")?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// A random pause up to `longest`: full jitter, as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
pub(crate) fn jitter(longest: Duration) -> Duration {
    // The standard library seeds each hasher at random.
    let random = RandomState::new().hash_one(0_u8);
    longest.mul_f64(random as f64 / u64::MAX as f64)
}

/// At most some hundred characters of what a server said: the beginning and the end, where the reason often stands.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST_PART: usize = 300;
    let text = text.trim();
    let beginning = text.char_indices().nth(LONGEST_PART).map(|(at, _)| at);
    let end = text.char_indices().nth_back(LONGEST_PART).map(|(at, _)| at);
    match (beginning, end) {
        (Some(beginning), Some(end)) if beginning < end => format!("{} ... {}", &text[..beginning], &text[end..]),
        _ => text.to_owned(),
    }
}

/// A text as a value in a query string.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(byte as char),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn compressed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing to memory does not fail; if it did, the server would refuse the body.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Result<Client, StoreError> {
        Client::new("a store", url, Vec::new(), Duration::from_secs(1))
    }

    #[test]
    fn only_addresses_are_taken() {
        assert_eq!(client("http://localhost:8086/").unwrap().url, "http://localhost:8086");
        assert!(client("https://example.com/below").is_ok());
        for url in ["", "localhost:8086", "ftp://host", "http://", "a b"] {
            assert!(client(url).is_err(), "{url}");
        }
    }

    #[test]
    fn headers_cannot_smuggle() {
        let with = |value: &str| {
            Client::new("s", "http://h", vec![("authorization", value.to_owned())], Duration::from_secs(1))
        };
        assert!(with("Token abc").is_ok());
        for value in ["", "a\r\nb: c", "ä"] {
            assert!(with(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn pauses_are_random_and_bounded() {
        let pauses: std::collections::HashSet<Duration> = (0..100).map(|_| jitter(FIRST_PAUSE)).collect();
        assert!(pauses.len() > 90);
        assert!(pauses.iter().all(|pause| *pause <= FIRST_PAUSE));
    }

    #[test]
    fn long_answers_keep_both_ends() {
        let long = format!("{}{}", "é".repeat(500), "reason".repeat(100));
        let short = shorten(&long);
        assert!(short.starts_with('é') && short.ends_with("reason") && short.chars().count() < 610, "{short}");
        assert_eq!(shorten(" as it is\n"), "as it is");
    }

    #[test]
    fn query_values_are_escaped() {
        assert_eq!(escaped("my org&ä"), "my%20org%26%C3%A4");
    }
}
