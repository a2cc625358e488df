//! Dgraph's HTTP API: alter, query, mutate, and what its errors mean.

use std::time::Duration;

use assay_engine::ports::StoreError;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http::{Answer, Client, Post, jitter, shorten};

/// What Dgraph says when it cannot do now what it may do later. It has no codes for that.
const PASSING: [&str; 14] = [
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
/// What it says when somebody else's transaction came first.
const ABORTED: [&str; 2] = ["Transaction has been aborted", "Transaction is too old"];

/// How often a transaction begins again at most.
const TRIES: u32 = 10;
/// The longest pause before the second try; each following one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// An alpha of Dgraph.
pub(super) struct Server {
    client: Client,
    namespace: String,
}

/// Why a request failed.
pub(super) enum Failure {
    /// Somebody else's transaction came first: begin again.
    Aborted(String),
    /// Dgraph does not take what was sent.
    Refused(String),
    /// Dgraph does not answer, or not now, or not to us.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Does something again while somebody else's transaction comes first, a few times at most.
pub(super) fn again_if_aborted<T>(run: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
    for tried in 1..TRIES {
        match run() {
            Err(Failure::Aborted(_)) => std::thread::sleep(jitter(FIRST_PAUSE * 2_u32.pow(tried))),
            done => return done,
        }
    }
    run()
}

/// A transaction, as its first query began it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Transaction {
    start_ts: u64,
    /// Proves to Dgraph that the transaction is ours, when access control is on.
    #[serde(default)]
    hash: String,
}

#[derive(Deserialize)]
struct Response<T> {
    data: Option<T>,
    #[serde(default)]
    errors: Vec<Problem>,
    extensions: Option<Extensions>,
}

#[derive(Deserialize)]
struct Problem {
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

    /// What the names of our predicates and types begin with.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Adds to the schema. Dgraph makes others' transactions begin again for that, and is told the same by theirs.
    pub(super) fn alter(&self, schema: &str) -> Result<(), Failure> {
        let post = Post {
            doing: "changing the schema",
            path: "/alter",
            content_type: "application/dql",
            body: schema.as_bytes(),
            gzip: false,
        };
        again_if_aborted(|| self.send::<serde_json::Value>(post).map(drop))
    }

    /// Asks for data.
    pub(super) fn read<T: DeserializeOwned>(&self, doing: &str, query: &str) -> Result<T, Failure> {
        let post = self.dql(doing, "/query?ro=true", query);
        Ok(self.answered(doing, self.send(post)?.data)?)
    }

    /// Asks for data, as the beginning of a transaction.
    pub(super) fn begin<T: DeserializeOwned>(&self, doing: &str, query: &str) -> Result<(T, Transaction), Failure> {
        let response = self.send(self.dql(doing, "/query", query))?;
        let transaction = self.answered(doing, response.extensions.and_then(|extensions| extensions.txn))?;
        Ok((self.answered(doing, response.data)?, transaction))
    }

    /// Writes triples and commits.
    pub(super) fn commit(&self, doing: &str, transaction: &Transaction, triples: &str) -> Result<(), Failure> {
        let path = format!(
            "/mutate?startTs={}&commitNow=true&hash={}",
            transaction.start_ts,
            crate::http::escaped(&transaction.hash)
        );
        let body = format!("{{ set {{\n{triples}}} }}");
        let post = Post { doing, path: &path, content_type: "application/rdf", body: body.as_bytes(), gzip: false };
        self.send::<serde_json::Value>(post).map(drop)
    }

    /// A failure as an error, where there is nothing to do about it.
    pub(super) fn failed(&self, doing: &str, failure: Failure) -> StoreError {
        match failure {
            Failure::Store(error) => error,
            Failure::Aborted(said) => self.client.unavailable(doing, &said),
            Failure::Refused(said) => self.client.broken(doing, &said),
        }
    }

    /// An error about what Dgraph answered.
    pub(super) fn broken(&self, doing: &str, what: &str) -> StoreError {
        self.client.broken(doing, what)
    }

    fn dql<'a>(&self, doing: &'a str, path: &'a str, query: &'a str) -> Post<'a> {
        Post { doing, path, content_type: "application/dql", body: query.as_bytes(), gzip: false }
    }

    fn answered<T>(&self, doing: &str, part: Option<T>) -> Result<T, StoreError> {
        part.ok_or_else(|| self.client.broken(doing, "the answer lacks its data"))
    }

    fn send<T: DeserializeOwned>(&self, post: Post<'_>) -> Result<Response<T>, Failure> {
        let answer = self.client.post(post)?;
        let response = self.parse(post.doing, &answer)?;
        match response.errors.first() {
            None => Ok(response),
            Some(problem) => Err(self.failure(post.doing, shorten(&problem.message))),
        }
    }

    fn parse<T: DeserializeOwned>(&self, doing: &str, answer: &Answer) -> Result<Response<T>, StoreError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            let said = format!("HTTP {}: {} ({error}); is this Dgraph's HTTP address?", answer.status, answer.text());
            self.client.broken(doing, &said)
        })
    }

    fn failure(&self, doing: &str, said: String) -> Failure {
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| said.contains(phrase));
        if says(&ABORTED) {
            return Failure::Aborted(said);
        }
        if says(&PASSING) {
            return Failure::Store(self.client.unavailable(doing, &said));
        }
        if says(&["AuthToken", "Unauthorized", "PermissionDenied", "Unauthenticated", "no accessJwt"]) {
            return Failure::Store(self.client.broken(doing, &format!("{said}; is the token right?")));
        }
        Failure::Refused(said)
    }
}
