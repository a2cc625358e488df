//! All ports on one fjall database (an LSM tree) in one folder, without any other service.
//!
//! One journal orders the writes of all adapters, and fjall syncs it before it writes a table. So a power failure loses
//! only a suffix of the writes: verdicts never survive their events, nor profiles their verdicts.

mod archive;
mod catalog;
mod check;
mod commits;
mod config;
mod create;
mod cursor;
mod database;
mod dead_letters;
mod erasure;
mod error;
mod graph;
mod inspect;
mod keys;
mod ledger;
mod log;
mod open;
mod open_error;
mod positions;
mod profiles;
mod reclaim;
mod state;
mod store;
mod streams;

pub use check::{Report, check};
pub use config::Config;
pub use inspect::Loss;
pub use open::disk_takes_writes;
pub use open_error::{Losses, OpenError};
pub use store::Embedded;
