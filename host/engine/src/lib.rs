//! The pipeline and the ports it needs: workers, checkpoints, reload, followers, dead letters.
//!
//! Absent on purpose: any product's name, HTTP, configuration files.

pub mod ports;
