//! The parts of the `assay` command.
//!
//! - [`args`]: the command line; [`commands`]: one file per command
//! - [`serve`]: the composition root of the server; `stores`: what it opens; `recovery`: what becomes of a failed data
//!   folder; [`config`]: its config file
//! - [`client`], [`send`]: how commands talk to a server
//! - [`failure`]: how a command that failed ends
//! - [`codes`]: what codes of errors and dead letters mean
//! - [`pack`]: packs on disk; [`rule_test`]: their cases
//! - [`generate`]: producers of realistic events

pub mod args;
pub mod client;
pub mod codes;
pub mod commands;
pub mod config;
pub mod failure;
pub mod generate;
pub mod pack;
mod recovery;
pub mod rule_test;
pub mod send;
pub mod serve;
mod stores;
