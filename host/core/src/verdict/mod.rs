//! Verdicts of rules on events, and the block that carries the verdicts of one batch through the verdicts log.
//!
//! `write` encodes a block directly from columns (the hot path), `read` decodes it to structs, and `format` describes its
//! bytes.

mod cursor;
mod erase;
mod format;
mod read;
mod rows;
mod rule_cursor;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::names::{Digest, Offset};
use crate::rule::Mode;
use crate::value::Value;

pub use cursor::OutcomeCursor;
pub use erase::erase_outcomes;
pub use read::{BlockSummary, HiddenFailure, find_outcome, read_block, read_block_summary, read_hidden_failures};
pub use rows::{BlockHead, EdgeRow, EventColumns, RuleRows};
pub use write::{empty_block, write_block};

/// Flags in the head of a block, by which a reader can skip blocks without data for it.
pub mod flags {
    /// An event could not be scored.
    pub const FAILURES: u8 = 1;
    /// A verdict has edges.
    pub const EDGES: u8 = 2;
    /// The head lists failures that no outcome shows: those of rules which skip what they cannot score.
    pub const HIDDEN_FAILURES: u8 = 4;
}

/// The outcomes of the events of one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct VerdictBlock {
    /// The version of the catalog whose rules scored the batch.
    pub catalog: u64,
    /// The first event that this block scores; none: the block does not say (see [`BlockSummary`]).
    pub from: Option<Offset>,
    /// The event after the last one that this block scores.
    pub next: Offset,
    /// The rules with verdicts or failures in this block.
    pub rules: Vec<Arc<RuleStamp>>,
    /// Per event with verdicts or failures, ascending by offset.
    pub outcomes: Vec<Outcome>,
}

/// The revision of a rule and the plugin that made verdicts, and the names to which those verdicts refer by index.
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

/// The exact plugin of a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginStamp {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
}

/// The verdicts and failures of one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The event's offset in its partition.
    pub offset: Offset,
    /// The event's time, ms since 1970; 0 if the event could not be read.
    pub time: i64,
    /// Its entity; empty if the event could not be read.
    pub key: String,
    /// Its id; empty if the stream declares none.
    pub id: String,
    /// One per rule that scored it.
    pub verdicts: Vec<Verdict>,
    /// One per rule that failed on it. One without a rule if the event could not be read.
    pub failures: Vec<Failure>,
}

impl Outcome {
    /// The outcome of an event without verdicts and failures.
    pub fn silent(offset: Offset) -> Self {
        Self { offset, time: 0, key: String::new(), id: String::new(), verdicts: Vec::new(), failures: Vec::new() }
    }
}

/// The verdict of one rule on one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The rule and its revision.
    pub by: Arc<RuleStamp>,
    /// The score, if there is one.
    pub score: Option<f64>,
    /// Tags, each once.
    pub tags: Vec<String>,
    /// The reasons for the score, with weights.
    pub reasons: Vec<Reason>,
    /// The edges of the graph that the event adds.
    pub edges: Vec<Edge>,
    /// Facts about the event, name and value.
    pub attributes: Vec<(String, String)>,
    /// The recorded values of the rule's inputs, by name.
    pub inputs: Vec<(String, Value)>,
}

/// A reason for a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The plugin's code for it.
    pub code: String,
    /// Its contribution to the score, in the plugin's unit.
    pub weight: f64,
}

/// An edge of the graph: two nodes that an event connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// The edge's name.
    pub name: String,
    /// The node where it begins.
    pub source: String,
    /// The node where it ends.
    pub target: String,
    /// Values that are stored with it, beside score, time and rule.
    #[serde(default, skip_serializing_if = "Facets::is_empty")]
    pub facets: Facets,
}

/// The values that are stored with an edge, by name: bools, numbers or texts.
pub type Facets = BTreeMap<String, serde_json::Value>;

/// The reason why an event has no verdict of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The rule; none if the event itself could not be read.
    pub by: Option<Arc<RuleStamp>>,
    /// The code of the failure, such as `plugin-trap`.
    pub code: String,
    /// A description for the rule's author.
    pub message: String,
}
