//! The configuration of the adapter.

use std::time::Duration;

/// The address of Dgraph and the limits of the adapter.
#[derive(Clone)]
pub struct Config {
    /// The address of an alpha, such as `http://localhost:8080`.
    pub url: String,
    /// The token of `--security token=..`, or of a proxy in front of Dgraph; none: requests carry no token.
    pub token: Option<String>,
    /// The prefix of the predicates and types of this installation, as in `assay.id`: letters, digits and `_`. Each
    /// installation that shares a Dgraph needs a namespace of its own.
    pub namespace: String,
    /// The timeout of a request, and the time after which no further attempt begins.
    pub timeout: Duration,
    /// The maximal number of edges of one transaction, 1 or more.
    pub batch_edges: usize,
}

impl Config {
    /// A configuration without a token, in the namespace `assay`, with a timeout of 30 seconds and 1,000 edges per
    /// transaction.
    pub fn new(url: &str) -> Self {
        let (url, namespace) = (url.to_owned(), "assay".to_owned());
        Self { url, token: None, namespace, timeout: Duration::from_secs(30), batch_edges: 1_000 }
    }
}
