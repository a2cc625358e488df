//! A schema in which producers write, in the catalog. [`crate::registry`] gives it its meaning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A schema as the catalog keeps it, under its id. It is never deleted: events may be written in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredSchema {
    /// The Avro schema as JSON text, with all that its author wrote but blanks.
    pub schema: String,
    /// Each subject that has it, with its version there.
    pub subjects: BTreeMap<String, u32>,
}
