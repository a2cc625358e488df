//! HTTP for all routes: problem details, bodies, parameters, the request log.

mod body;
mod bounds;
mod budget;
mod conditional;
mod convert;
mod cursor;
mod encoding;
mod error;
mod extract;
mod json;
mod layers;
mod multipart;
mod query_check;
mod query_types;
mod wire;

pub(crate) use body::{BodyFormat, BodyReader, HeldBody, body_format, essence, format_bytes};
pub(crate) use bounds::{MAX_DETAIL_BYTES, shorten};
pub(crate) use budget::{Budget, Hold};
pub(crate) use conditional::{EntityTags, skip_unchanged};
pub(crate) use cursor::Listing;
pub(crate) use encoding::{DecompressError, read_limited, zstd_reader};
pub(crate) use error::{ApiError, Code, ProblemBody};
pub(crate) use extract::{Path, Query};
pub(crate) use json::read_json;
pub(crate) use layers::{catch_panics, close_if_unread, log_requests, render_errors};
pub(crate) use multipart::{form_boundary, read_parts};
pub(crate) use query_check::{Parameters, check_query, nearest};
pub(crate) use query_types::{PageQuery, Time, page_limit, time_range};
pub(crate) use wire::{compression, cors};
