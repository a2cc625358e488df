//! The parts of the `assay` command.
//!
//! - [`args`]: the command line; [`commands`]: one file per command
//! - [`serve`]: the composition root of the server; `listen`: its addresses; `stores`: its stores; `recovery`: reopens a
//!   failed data folder; [`config`]: its config file
//! - [`client`], [`send`]: the HTTP client of the commands
//! - [`failure`]: reports of failed commands
//! - [`codes`]: the meaning of codes of errors and dead letters
//! - [`pack`]: reads packs; [`rule_test`]: runs their cases
//! - [`generate`]: generators of realistic events

pub mod args;
pub mod client;
pub mod codes;
pub mod commands;
pub mod config;
pub mod failure;
pub mod generate;
mod listen;
pub mod pack;
mod recovery;
pub mod rule_test;
pub mod send;
pub mod serve;
mod stores;
