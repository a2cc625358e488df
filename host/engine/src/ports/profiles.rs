//! The profiles port: each entity's latest scores and tags, and the highest scores of a rule.

use std::collections::BTreeMap;

use assay_core::names::{Digest, Offset};
use serde::{Deserialize, Serialize};

use super::{Page, PartitionId, StoreError};

/// An entity's latest scores and tags.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The entity.
    pub key: String,
    /// Rule's name -> its latest verdict on the entity.
    pub rules: BTreeMap<String, LatestVerdict>,
}

impl Profile {
    /// Takes in the verdicts that are newer than what is there.
    pub fn merge(&mut self, newer: BTreeMap<String, LatestVerdict>) {
        for (rule, verdict) in newer {
            if self.rules.get(&rule).is_none_or(|have| verdict.is_newer_than(have)) {
                self.rules.insert(rule, verdict);
            }
        }
    }
}

/// A rule's latest verdict on an entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatestVerdict {
    /// The score, if there is one.
    pub score: Option<f64>,
    /// The tags.
    pub tags: Vec<String>,
    /// The offset of the event.
    pub offset: Offset,
    /// The event's time, ms since 1970.
    pub time: i64,
    /// The event's id; empty when the stream declares none.
    pub event: String,
    /// The rule's revision.
    pub revision: u32,
    /// The plugin's digest; none for an expression rule.
    pub plugin: Option<Digest>,
}

impl LatestVerdict {
    /// The order of a rule's verdicts on an entity: by revision, then by offset. Revisions are never given twice, also
    /// not after the rule was deleted; so the verdict of an older one comes too late, whichever event it is of.
    pub fn age(&self) -> (u32, Offset) {
        (self.revision, self.offset)
    }

    /// True if it takes the place of another verdict of the same rule on the same entity.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.age() > other.age()
    }
}

/// A query for the highest scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HighestQuery {
    /// Of the entities of this stream.
    pub stream: String,
    /// Of this rule.
    pub rule: String,
    /// Said by this revision of the rule or a later one: earlier ones may be of a rule that was deleted.
    pub since: u32,
    /// Of at least this.
    pub min: Option<f64>,
    /// At most so many.
    pub limit: usize,
    /// The cursor of the page before; none: the first page.
    pub cursor: Option<String>,
}

/// One entity's score in the listing of the highest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// The entity.
    pub key: String,
    /// The rule's latest verdict on it, with a score.
    pub latest: LatestVerdict,
}

/// Latest scores and tags.
pub trait Profiles: Send + Sync {
    /// The offset of the verdicts topic from which on blocks are not in the profiles yet.
    ///
    /// # Errors
    /// The store fails.
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError>;

    /// Merges newer verdicts into profiles (see [`Profile::merge`]), each entity once; all verdict blocks before `next`
    /// are in then. An older `next` than the one that is known changes nothing; at the same one verdicts are added.
    ///
    /// # Errors
    /// The store fails.
    fn write(&self, partition: &PartitionId, newer: Vec<Profile>, next: Offset) -> Result<(), StoreError>;

    /// One entity's profile.
    ///
    /// # Errors
    /// The store fails.
    fn get(&self, partition: &PartitionId, key: &str) -> Result<Option<Profile>, StoreError>;

    /// The entities with the highest latest score of a rule, over all partitions of a stream, highest first, equal
    /// ones by key.
    ///
    /// # Errors
    /// The store fails, or the cursor is not one of ours.
    fn highest(&self, query: &HighestQuery) -> Result<Page<Ranked>, StoreError>;
}
