//! A client of Confluent's schema registry API. Redpanda, Karapace and Assay itself serve it, too.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use assay_engine::ports::StoreError;
use assay_http_client::percent_encode;
use serde::Deserialize;
use ureq::Agent;

use super::schemas::Schemas;

/// The store's name in errors.
const STORE: &str = "the schema registry";
/// The timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// The number of attempts to send a request. Further retries are up to the caller.
const MAX_ATTEMPTS: u32 = 2;

/// A client of a schema registry. It caches schemas by id, because the schema of an id never changes.
pub struct RegistryClient {
    agent: Agent,
    /// Without user, password and slash at the end.
    url: String,
    authorization: Option<String>,
    by_id: Mutex<HashMap<i32, String>>,
}

#[derive(Deserialize)]
struct SchemaAnswer {
    schema: String,
    /// Absent: Avro.
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
}

#[derive(Deserialize)]
struct IdAnswer {
    id: i32,
}

#[derive(Default, Deserialize)]
struct ErrorAnswer {
    #[serde(default)]
    error_code: u32,
    #[serde(default)]
    message: String,
}

impl RegistryClient {
    /// Makes a client of the registry at a URL such as `https://user:password@host:8081`. User and password are sent as
    /// basic authentication; their special characters are percent-encoded in the URL.
    pub fn new(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let authorization = user.map(|user| {
            let user = if user.contains(':') { user.to_owned() } else { format!("{user}:") };
            format!("Basic {}", base64(&percent_decode(&user)))
        });
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(REQUEST_TIMEOUT));
        Self {
            agent: config.build().into(),
            url: format!("{scheme}://{host}{}", path.trim_end_matches('/')),
            authorization,
            by_id: Mutex::default(),
        }
    }

    /// Sends a request, up to [`MAX_ATTEMPTS`] times. Returns the status and the body.
    fn request(&self, doing: &str, path: &str, body: Option<&str>) -> Result<(u16, String), StoreError> {
        let mut tries = 1;
        loop {
            let answer = self.request_once(path, body);
            match answer {
                Ok((status, text)) if status < 500 && status != 429 => return Ok((status, text)),
                _ if tries < MAX_ATTEMPTS => tries += 1,
                Ok((status, text)) => return Err(unavailable(format!("{doing}: {}", error_message(status, &text)))),
                Err(error) => {
                    return Err(unavailable(format!("{doing}: no answer from {}: {error}; is it running?", self.url)));
                }
            }
        }
    }

    fn request_once(&self, path: &str, body: Option<&str>) -> Result<(u16, String), ureq::Error> {
        let url = format!("{}{path}", self.url);
        let mut answer = match body {
            None => self.with_authorization(self.agent.get(url)).call()?,
            Some(body) => {
                let request = self.agent.post(url).header("Content-Type", "application/vnd.schemaregistry.v1+json");
                self.with_authorization(request).send(body)?
            }
        };
        Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
    }

    fn with_authorization<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        }
    }
}

impl Schemas for RegistryClient {
    fn by_id(&self, id: i32) -> Result<Option<String>, StoreError> {
        if let Some(schema) = self.by_id.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Some(schema.clone()));
        }
        let doing = format!("asking for the schema with the id {id}");
        let (status, text) = self.request(&doing, &format!("/schemas/ids/{id}"), None)?;
        match status {
            200 => {
                let answer: SchemaAnswer = parse_answer(&doing, &text)?;
                if let Some(other) = answer.schema_type.filter(|kind| kind != "AVRO") {
                    // This text is no Avro schema, so the codec refuses the records of this schema. It is no failure of
                    // the registry.
                    return Ok(Some(format!("{{\"type\": \"a schema of type {other}\"}}")));
                }
                let mut known = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(id, answer.schema.clone());
                Ok(Some(answer.schema))
            }
            404 => Ok(None),
            status => Err(refusal(&doing, status, &text)),
        }
    }

    fn register(&self, subject: &str, schema: &str) -> Result<i32, StoreError> {
        let doing = format!("registering a schema under '{subject}'");
        let body = serde_json::json!({ "schema": schema }).to_string();
        let (status, text) =
            self.request(&doing, &format!("/subjects/{}/versions", percent_encode(subject)), Some(&body))?;
        match status {
            200 | 201 => Ok(parse_answer::<IdAnswer>(&doing, &text)?.id),
            status => Err(refusal(&doing, status, &text)),
        }
    }
}

fn parse_answer<'a, T: Deserialize<'a>>(doing: &str, text: &'a str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| broken(format!("{doing}: it answered what is no schema ({error})")))
}

fn refusal(doing: &str, status: u16, text: &str) -> StoreError {
    let advice = match status {
        401 | 403 => "; give its URL a user and a password that may do it",
        409 => "; the schema must stay compatible with those under the subject",
        _ => "",
    };
    broken(format!("{doing}: {}{advice}", error_message(status, text)))
}

fn error_message(status: u16, text: &str) -> String {
    let error: ErrorAnswer = serde_json::from_str(text).unwrap_or_default();
    match error.error_code {
        0 => format!("it answered {status}"),
        code => format!("{} ({code})", error.message),
    }
}

fn unavailable(message: String) -> StoreError {
    StoreError::Unavailable { store: STORE, message }
}

fn broken(message: String) -> StoreError {
    StoreError::Broken { store: STORE, message }
}

fn percent_decode(text: &str) -> Vec<u8> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, hex) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

/// Base64 with padding (RFC 4648), for the one header that needs it.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (group >> (18 - 6 * place)) & 63;
            out.push(if place <= chunk.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_passwords_are_taken_out_of_the_url() {
        let client = RegistryClient::new("https://me:p%40ss@host:8081/api/");
        assert_eq!(client.url, "https://host:8081/api");
        assert_eq!(client.authorization.as_deref(), Some(&*format!("Basic {}", base64(b"me:p@ss"))));
        let client = RegistryClient::new("http://host");
        assert_eq!((client.url.as_str(), client.authorization), ("http://host", None));
    }

    /// The vectors of RFC 4648, section 10.
    #[test]
    fn base64_is_that_of_the_standard() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn subjects_are_one_segment() {
        assert_eq!(percent_encode("a/b c-value"), "a%2Fb%20c-value");
    }
}
