//! Verdicts: what rules say of events, and the block that carries those of one batch through the verdicts log.
//!
//! `write` encodes a block straight from columns (the hot path), `read` gives it back as plain structs.

mod cursor;
mod erase;
mod read;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::names::{Digest, Offset};
use crate::rule::Mode;
use crate::value::Value;

pub use cursor::OutcomeCursor;
pub use erase::erase_outcomes;
pub use read::{block_flags, find_outcome, read_block};
pub use write::{BlockHead, EdgeRow, EventColumns, RuleRows, empty_block, write_block};

/// Flags at the head of a block, so that a reader can pass over a block that has nothing for it.
pub mod flags {
    /// Some event could not be scored.
    pub const FAILURES: u8 = 1;
    /// Some verdict has edges.
    pub const EDGES: u8 = 2;
}

/// Everything that was said of the events of one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct VerdictBlock {
    /// The version of the catalog whose rules spoke.
    pub catalog: u64,
    /// All events before this offset are done: by this block or by those before it.
    pub next: Offset,
    /// The rules that speak in this block.
    pub rules: Vec<Arc<RuleStamp>>,
    /// Per event of which something is said, in order of offsets.
    pub outcomes: Vec<Outcome>,
}

/// Which revision of which rule spoke, by which plugin, and the names that its verdicts use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleStamp {
    /// The rule's name.
    pub rule: String,
    /// Its revision.
    pub revision: u32,
    /// `active` or `shadow`.
    pub mode: Mode,
    /// The plugin; none for an expression rule.
    pub plugin: Option<PluginStamp>,
    /// Names of tags: the plugin's, then the rule's own.
    pub tags: Vec<String>,
    /// Codes of reasons.
    pub reasons: Vec<String>,
    /// Names of edges.
    pub edges: Vec<String>,
    /// Names of attributes.
    pub attributes: Vec<String>,
    /// Names of inputs.
    pub inputs: Vec<String>,
}

/// The exact plugin behind a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginStamp {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// What the rules said of one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The event's offset in its partition.
    pub offset: Offset,
    /// The event's time, ms since 1970; 0 when the event could not be read.
    pub time: i64,
    /// Its entity; empty when the event could not be read.
    pub key: String,
    /// Its id; empty when the stream declares none.
    pub id: String,
    /// One per rule that judged it.
    pub verdicts: Vec<Verdict>,
    /// One per rule that failed on it, or one without a rule: the event could not be read.
    pub failures: Vec<Failure>,
}

impl Outcome {
    /// That no rule says anything of an event.
    pub fn silent(offset: Offset) -> Self {
        Self { offset, time: 0, key: String::new(), id: String::new(), verdicts: Vec::new(), failures: Vec::new() }
    }
}

/// What one rule says of one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Who speaks.
    pub by: Arc<RuleStamp>,
    /// The score, if there is one.
    pub score: Option<f64>,
    /// Tags, each once.
    pub tags: Vec<String>,
    /// Why, with weights.
    pub reasons: Vec<Reason>,
    /// What the event connects.
    pub edges: Vec<Edge>,
    /// Facts about the event, name and value.
    pub attributes: Vec<(String, String)>,
    /// The values that the rule saw, by input's name.
    pub inputs: Vec<(String, Value)>,
}

/// A reason for a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The plugin's code for it.
    pub code: String,
    /// How much it counts, in the plugin's unit.
    pub weight: f64,
}

/// Two nodes that an event connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// The edge's name.
    pub name: String,
    /// Where it begins.
    pub source: String,
    /// Where it ends.
    pub target: String,
    /// What is kept with it beside score, time and rule.
    #[serde(default, skip_serializing_if = "Facets::is_empty")]
    pub facets: Facets,
}

/// What is kept with an edge: names, and values that are a bool, a number or a text.
pub type Facets = BTreeMap<String, serde_json::Value>;

/// Why an event has no verdict of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The rule; none when the event itself could not be read.
    pub by: Option<Arc<RuleStamp>>,
    /// What kind of failure, such as `plugin-trap`.
    pub code: String,
    /// What happened, for the rule's author.
    pub message: String,
}
