//! The parts of the `assay` command that other programs of this workspace use as well.
//!
//! - [`generate`]: producers of realistic events

pub mod generate;
