//! Dgraph's HTTP API: alter, query, mutate, and the meaning of its errors.

use std::time::Duration;

use assay_engine::ports::StoreError;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use assay_http_client::{Answer, Client, Post, jitter, shorten};

/// Parts of the messages of failures that pass. Dgraph has no error codes for them.
const TRANSIENT_MESSAGES: [&str; 14] = [
    "Please retry",
    "not ready",
    "No connection exists",
    "nhealthy connection",
    "context deadline exceeded",
    "context canceled",
    "connection refused",
    "transport is closing",
    "draining mode",
    "only leader",
    "No leader",
    "code = Unavailable",
    "error reading from server",
    "ErrNotLeader",
];
/// Parts of the messages of transactions that lost against another one.
const ABORTED_MESSAGES: [&str; 2] = ["Transaction has been aborted", "Transaction is too old"];

/// The number of attempts to run a transaction, including the first.
const MAX_ATTEMPTS: u32 = 10;
/// Half of the upper bound of the random delay before the second attempt. It doubles with each further attempt.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(10);

/// A Dgraph alpha.
pub(super) struct Server {
    client: Client,
    namespace: String,
}

/// Why a request failed.
pub(super) enum Failure {
    /// Another transaction committed first: the whole transaction can be repeated.
    Aborted(String),
    /// Dgraph rejects the content of the request; repeating it does not help.
    Refused(String),
    /// Dgraph is not reachable, is not ready, or denies access.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Runs a transaction, and repeats it while it is aborted, up to [`MAX_ATTEMPTS`] times.
pub(super) fn retry_if_aborted<T>(run: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
    for attempt in 1..MAX_ATTEMPTS {
        match run() {
            Err(Failure::Aborted(_)) => std::thread::sleep(jitter(MIN_RETRY_DELAY * 2_u32.pow(attempt))),
            result => return result,
        }
    }
    run()
}

/// A transaction that a query has begun.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Transaction {
    start_ts: u64,
    /// With access control on, Dgraph accepts a commit only with the hash that it gave to the transaction's client.
    #[serde(default)]
    hash: String,
}

#[derive(Deserialize)]
struct Response<T> {
    data: Option<T>,
    #[serde(default)]
    errors: Vec<ResponseError>,
    extensions: Option<Extensions>,
}

#[derive(Deserialize)]
struct ResponseError {
    message: String,
}

#[derive(Deserialize)]
struct Extensions {
    txn: Option<Transaction>,
}

impl Server {
    pub(super) fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace }
    }

    /// The prefix of this installation's predicates and types, without the dot.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Adds to the schema. An alteration aborts running transactions, and a running transaction can abort it: so it is
    /// repeated.
    pub(super) fn alter(&self, schema: &str) -> Result<(), Failure> {
        let post = Post {
            doing: "changing the schema",
            path: "/alter",
            content_type: "application/dql",
            body: schema.as_bytes(),
        };
        retry_if_aborted(|| self.send::<serde_json::Value>(post).map(drop))
    }

    /// Runs a read-only query.
    pub(super) fn read<T: DeserializeOwned>(&self, doing: &str, query: &str) -> Result<T, Failure> {
        let post = self.dql_post(doing, "/query?ro=true", query);
        Ok(self.require_part(doing, self.send(post)?.data)?)
    }

    /// Runs a query that begins a transaction.
    pub(super) fn begin<T: DeserializeOwned>(&self, doing: &str, query: &str) -> Result<(T, Transaction), Failure> {
        let response = self.send(self.dql_post(doing, "/query", query))?;
        let transaction = self.require_part(doing, response.extensions.and_then(|extensions| extensions.txn))?;
        Ok((self.require_part(doing, response.data)?, transaction))
    }

    /// Writes triples (N-Quads) and commits the transaction.
    pub(super) fn commit(&self, doing: &str, transaction: &Transaction, triples: &str) -> Result<(), Failure> {
        let path = format!(
            "/mutate?startTs={}&commitNow=true&hash={}",
            transaction.start_ts,
            assay_http_client::percent_encode(&transaction.hash)
        );
        let body = format!("{{ set {{\n{triples}}} }}");
        let post = Post { doing, path: &path, content_type: "application/rdf", body: body.as_bytes() };
        self.send::<serde_json::Value>(post).map(drop)
    }

    /// The error of the port for a failure that is not handled here.
    pub(super) fn to_store_error(&self, doing: &str, failure: Failure) -> StoreError {
        match failure {
            Failure::Store(error) => error,
            Failure::Aborted(reason) => self.client.unavailable(doing, &reason),
            Failure::Refused(reason) => self.client.broken(doing, &reason),
        }
    }

    /// An error that repeating does not mend.
    pub(super) fn broken(&self, doing: &str, reason: &str) -> StoreError {
        self.client.broken(doing, reason)
    }

    fn dql_post<'a>(&self, doing: &'a str, path: &'a str, query: &'a str) -> Post<'a> {
        Post { doing, path, content_type: "application/dql", body: query.as_bytes() }
    }

    fn require_part<T>(&self, doing: &str, part: Option<T>) -> Result<T, StoreError> {
        part.ok_or_else(|| self.client.broken(doing, "the answer lacks its data"))
    }

    fn send<T: DeserializeOwned>(&self, post: Post<'_>) -> Result<Response<T>, Failure> {
        let answer = self.client.post(post)?;
        let response = self.parse(post.doing, &answer)?;
        match response.errors.first() {
            None => Ok(response),
            Some(error) => Err(self.classify_failure(post.doing, shorten(&error.message))),
        }
    }

    fn parse<T: DeserializeOwned>(&self, doing: &str, answer: &Answer) -> Result<Response<T>, StoreError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            let reason = format!("HTTP {}: {} ({error}); is this Dgraph's HTTP address?", answer.status, answer.text());
            self.client.broken(doing, &reason)
        })
    }

    fn classify_failure(&self, doing: &str, reason: String) -> Failure {
        let has_any = |phrases: &[&str]| phrases.iter().any(|phrase| reason.contains(phrase));
        if has_any(&ABORTED_MESSAGES) {
            return Failure::Aborted(reason);
        }
        if has_any(&TRANSIENT_MESSAGES) {
            return Failure::Store(self.client.unavailable(doing, &reason));
        }
        if has_any(&["AuthToken", "Unauthorized", "PermissionDenied", "Unauthenticated", "no accessJwt"]) {
            return Failure::Store(self.client.broken(doing, &format!("{reason}; is the token right?")));
        }
        Failure::Refused(reason)
    }
}
