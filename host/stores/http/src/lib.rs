//! The HTTP client of the stores that are reached over HTTP.
//!
//! It sends idempotent requests with timeouts and retries, and reads answers of bounded size. It does not know any store.

mod backoff;
mod client;
mod text;

pub use backoff::jitter;
pub use client::{Answer, Client, Post};
pub use text::{percent_encode, shorten};
