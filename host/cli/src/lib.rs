//! The parts of the `assay` command.
//!
//! - [`args`]: the command line; [`commands`]: one file per command
//! - [`serve`]: the composition root of the server; `stores`: what it opens; [`config`]: its config file
//! - [`client`], [`send`]: how commands talk to a server
//! - [`codes`]: what codes of errors and dead letters mean
//! - [`pack`]: packs on disk; [`rule_test`]: their cases
//! - [`generate`]: producers of realistic events

pub mod args;
pub mod client;
pub mod codes;
pub mod commands;
pub mod config;
pub mod generate;
pub mod pack;
pub mod rule_test;
pub mod send;
pub mod serve;
mod stores;
