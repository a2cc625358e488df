//! The output of wit-bindgen for `wit/plugin.wit`: types of the ABI, which authors of plugins do not use directly.

#![allow(missing_docs, reason = "generated; the contract is documented in the WIT")]
#![allow(unreachable_pub, reason = "generated")]

assay_sdk_macros::bindings!();

pub use assay::plugin::columns::{Blobs, Bools, Column, Floats, Ints, Texts};
pub use assay::plugin::manifests::{Input, Kind, Manifest};
pub use exports::assay::plugin::scoring::{Attribute, Batch, Edge, Guest, Reason, Tag, Verdicts};
