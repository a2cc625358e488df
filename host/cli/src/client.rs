//! The HTTP client of the command line, and its errors that can be read.

mod address;
mod form;

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use address::{read_key, server_url};
use form::{Part, encode_form};

pub use address::ServerArgs;

/// A client of one server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    url: String,
    key: String,
}

/// The body of a request.
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// A JSON document.
    Json(&'a Value),
    /// Bytes with their content type.
    Bytes(&'static str, &'a [u8]),
    /// Bytes with their content type, already compressed with zstd.
    Zstd(&'static str, &'a [u8]),
    /// A form of several parts.
    Form(&'a [Part]),
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The server answered with an error.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The problem as readable text.
        message: String,
        /// The problem details (RFC 9457); null if the answer has none.
        problem: Value,
    },
    /// There was no answer.
    #[error("no answer from {url}: {cause}; is the server running? (assay serve)")]
    NoAnswer {
        /// The server.
        url: String,
        /// The reason. Not called `source`, because the message contains it already.
        cause: Box<ureq::Error>,
    },
}

impl RequestError {
    /// The code of the error for programs, such as `not-found`.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { problem, .. } => {
                problem["type"].as_str().and_then(|name| name.strip_prefix("urn:assay:")).unwrap_or("http")
            }
            Self::NoAnswer { .. } => "no-answer",
        }
    }

    /// True if the same request may succeed later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::NoAnswer { .. } => true,
        }
    }
}

impl Client {
    /// A client with the given key.
    ///
    /// # Errors
    /// There is no key, its file cannot be read, or the address is no URL.
    pub fn new(args: &ServerArgs) -> Result<Self> {
        let url = server_url(args.url.as_deref(), std::env::var("ASSAY_URL").ok())?;
        let key = read_key(args)?;
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(120)));
        Ok(Self { agent: config.build().into(), url, key })
    }

    /// True if the server's address is one of this machine.
    pub fn is_local(&self) -> bool {
        let host = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        ["localhost", "127.", "[::1]"].iter().any(|local| host.starts_with(local))
    }

    /// Gets a JSON document.
    ///
    /// # Errors
    /// The server answers with an error, or not at all.
    pub fn get(&self, path: &str) -> Result<Value, RequestError> {
        self.request("GET", path, &Body::Empty)
    }

    /// Sends a request and returns the JSON document of the answer; null if it has no body.
    ///
    /// # Errors
    /// The server answers with an error, or not at all.
    pub fn request(&self, method: &str, path: &str, body: &Body<'_>) -> Result<Value, RequestError> {
        self.request_with(method, path, &[], body)
    }

    /// As [`Client::request`], with more headers.
    ///
    /// # Errors
    /// The server answers with an error, or not at all.
    pub fn request_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Body<'_>,
    ) -> Result<Value, RequestError> {
        let mut response = self.send(method, path, headers, body)?;
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(256 << 20).read_to_string();
        let text = text.map_err(|cause| self.no_answer(cause))?;
        if status >= 400 {
            return Err(refused_error(status, &text));
        }
        // The answer to a deletion has no body.
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Opens an endless answer, which can be read for `timeout`.
    ///
    /// # Errors
    /// The server answers with an error, or not at all.
    pub fn open(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<impl std::io::Read + use<>, RequestError> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        request = request.header("authorization", format!("Bearer {}", self.key));
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        let request = request.config().timeout_global(None).timeout_recv_body(Some(timeout)).build();
        let mut response = request.call().map_err(|cause| self.no_answer(cause))?;
        let status = response.status().as_u16();
        if status >= 400 {
            let text = response.body_mut().read_to_string().map_err(|cause| self.no_answer(cause))?;
            return Err(refused_error(status, &text));
        }
        Ok(response.into_body().into_with_config().limit(u64::MAX).reader())
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Body<'_>,
    ) -> Result<Response<ureq::Body>, RequestError> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", self.key));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = match body {
            Body::Empty => request.body(Vec::new()),
            Body::Json(value) => {
                request.header("content-type", "application/json").body(value.to_string().into_bytes())
            }
            Body::Bytes(content_type, bytes) => request.header("content-type", *content_type).body(bytes.to_vec()),
            Body::Zstd(content_type, bytes) => {
                let request = request.header("content-type", *content_type).header("content-encoding", "zstd");
                request.body(bytes.to_vec())
            }
            Body::Form(parts) => {
                let (content_type, bytes) = encode_form(parts);
                request.header("content-type", content_type).body(bytes)
            }
        };
        let request = request.map_err(|error| self.no_answer(ureq::Error::Http(error)))?;
        let allowed = self.agent.configure_request(request).allow_non_standard_methods(true).build();
        self.agent.run(allowed).map_err(|cause| self.no_answer(cause))
    }

    fn no_answer(&self, cause: ureq::Error) -> RequestError {
        RequestError::NoAnswer { url: self.url.clone(), cause: Box::new(cause) }
    }
}

fn refused_error(status: u16, text: &str) -> RequestError {
    let problem = serde_json::from_str(text).unwrap_or(Value::Null);
    RequestError::Refused { status, message: describe_problem(status, &problem, text), problem }
}

/// Problem details (RFC 9457) as readable text.
fn describe_problem(status: u16, problem: &Value, text: &str) -> String {
    if !problem.is_object() {
        return format!("HTTP {status}: {text}");
    }
    let title = problem["title"].as_str().unwrap_or("the server refused the request");
    let mut message = format!("{title} (HTTP {status})");
    if let Some(detail) = problem["detail"].as_str().filter(|detail| !detail.is_empty()) {
        message.push_str(&format!(": {detail}"));
    }
    for part in problem["problems"].as_array().into_iter().flatten() {
        let text = |name: &str| part[name].as_str().unwrap_or_default();
        let at = if text("at").is_empty() { String::new() } else { format!(", {}", text("at")) };
        let line = format!("{} '{}'{at}: {}", text("kind"), text("name"), text("message"));
        // A single problem is the detail already.
        if !message.contains(&line) {
            message.push_str(&format!("\n  {line}"));
        }
    }
    if let Some(left_out) = problem["problems_left_out"].as_u64() {
        message.push_str(&format!("\n  and {left_out} more"));
    }
    message
}

/// A path with the parameters that have a value.
pub fn with_query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some(format!("{name}={}", escape(value.as_ref()?))));
    let query = given.collect::<Vec<_>>().join("&");
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A name, percent-encoded as a part of a path.
pub fn escape(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(byte as char),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_described_with_all_its_parts() {
        let problem = serde_json::json!({
            "title": "The definition is not valid",
            "detail": "1 problem",
            "problems": [{ "kind": "rule", "name": "r", "at": "when", "message": "no field 'amout'" }],
        });
        let told = describe_problem(422, &problem, "");
        assert_eq!(told, "The definition is not valid (HTTP 422): 1 problem\n  rule 'r', when: no field 'amout'");
        let problem = serde_json::json!({
            "title": "The definition is not valid",
            "detail": "rule 'r', when: no field 'amout'",
            "problems": [{ "kind": "rule", "name": "r", "at": "when", "message": "no field 'amout'" }],
        });
        let told = describe_problem(422, &problem, "");
        assert_eq!(told, "The definition is not valid (HTTP 422): rule 'r', when: no field 'amout'", "once");
        assert_eq!(describe_problem(502, &Value::Null, "Bad Gateway"), "HTTP 502: Bad Gateway");
    }

    #[test]
    fn a_name_is_escaped_as_a_part_of_a_path() {
        assert_eq!(escape("card-000001"), "card-000001");
        assert_eq!(escape("a/b ü?"), "a%2Fb%20%C3%BC%3F");
    }
}
