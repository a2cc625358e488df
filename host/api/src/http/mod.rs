//! What all routes share of HTTP: problem details, reading bodies and parameters, the request log.

mod body;
mod conditional;
mod convert;
mod encoding;
mod error;
mod layers;
mod params;
mod query_names;
mod wire;

pub(crate) use body::{BodyFormat, body_format, in_bytes, read_body};
pub(crate) use conditional::{skip_unchanged, tags};
pub(crate) use encoding::{Undo, read_limited, zstd_reader};
pub(crate) use error::{ApiError, Code, ProblemBody};
pub(crate) use layers::{catch_panics, close_if_unread, log_requests, render_errors};
pub(crate) use params::{PageQuery, Time, page_limit};
pub(crate) use query_names::{QueryNames, check_query, nearest};
pub(crate) use wire::{compression, cors};
