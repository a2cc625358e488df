//! Profiles and highest scores by the rules of now. The stores also have verdicts of rules that were deleted, perhaps
//! made again since under the same name; these are history, and are left out here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use assay_core::rule::{Mode, RuleDef};

use super::Engine;
use crate::ports::catalog::{Kind, Revision};
use crate::ports::profiles::{HighestQuery, LatestVerdict, Ranked};
use crate::ports::{Page, PartitionId, StoreError};
use crate::problem::ReadError;

/// An entity's latest verdicts and tags by the rules of now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntityProfile {
    /// The tags of the latest verdicts of all rules that are active, by tag and then rule. Those that have expired are
    /// left out.
    pub tags: Vec<EntityTag>,
    /// Rule's name -> its latest verdict, without tags if these have expired.
    pub rules: BTreeMap<String, LatestVerdict>,
    /// True if any rule ever judged the entity, also one that was deleted.
    pub is_known: bool,
}

/// A tag of an entity.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityTag {
    /// The tag.
    pub tag: String,
    /// The rule that gave it.
    pub rule: String,
    /// The time of the event that last gave it, ms since 1970.
    pub at: i64,
    /// From which time on it is not shown any more, ms since 1970; none: it stays until the rule's next verdict.
    pub expires_at: Option<i64>,
}

/// Which scores are wanted.
#[derive(Clone, Debug)]
pub struct WantedScores {
    /// The rule.
    pub rule: String,
    /// Of this stream, which must be the rule's; none: the rule's.
    pub stream: Option<String>,
    /// Scores of at least this.
    pub min: Option<f64>,
    /// At most so many.
    pub limit: usize,
    /// Where to go on.
    pub cursor: Option<String>,
    /// Tags that have expired at this time are left out, ms since 1970.
    pub at: i64,
}

/// A rule of the catalog as readers of profiles need it.
struct CurrentRule {
    def: RuleDef,
    /// The first revision since which there is a rule of this name without a break.
    first_revision: u32,
}

/// The first revision of each life of a rule. A life is told by the version of the catalog at which it began, and what
/// is known of it never changes.
#[derive(Default)]
pub(super) struct FirstRevisions(Mutex<HashMap<(String, u64), u32>>);

impl Engine {
    /// An entity's latest verdicts by the rules of now, with the tags that have not expired at a time. Blocks.
    ///
    /// # Errors
    /// A store fails.
    pub fn profile(&self, partition: &PartitionId, key: &str, at: i64) -> Result<EntityProfile, StoreError> {
        let Some(stored) = self.ports().profiles.get(partition, key)? else { return Ok(EntityProfile::default()) };
        let mut profile = EntityProfile { is_known: true, ..EntityProfile::default() };
        for (name, mut latest) in stored.rules {
            let Some(rule) = self.current_rule(&name)? else { continue };
            if rule.def.stream != *partition.stream || latest.revision < rule.first_revision {
                continue;
            }
            let expires_at = expire(&rule.def, &mut latest, at);
            if rule.def.mode == Mode::Active {
                let tag =
                    |tag: &String| EntityTag { tag: tag.clone(), rule: name.clone(), at: latest.time, expires_at };
                profile.tags.extend(latest.tags.iter().map(tag));
            }
            profile.rules.insert(name, latest);
        }
        profile.tags.sort_by(|a, b| (&a.tag, &a.rule).cmp(&(&b.tag, &b.rule)));
        Ok(profile)
    }

    /// The entities with the highest latest scores of a rule, and the stream that it judges. Blocks.
    ///
    /// # Errors
    /// There is no such rule, or it judges another stream, the cursor is not one of ours, or a store fails.
    pub fn highest_scores(&self, query: WantedScores) -> Result<(String, Page<Ranked>), ReadError> {
        let name = &query.rule;
        let rule = self.current_rule(name)?;
        let CurrentRule { def, first_revision } =
            rule.ok_or_else(|| ReadError::NotFound(format!("there is no rule '{name}'")))?;
        if let Some(stream) = query.stream.filter(|stream| *stream != def.stream) {
            let message = format!("rule '{name}' judges the stream '{}', not '{stream}'", def.stream);
            return Err(ReadError::NotFound(message));
        }
        let wanted = HighestQuery {
            stream: def.stream.clone(),
            rule: query.rule,
            since: first_revision,
            min: query.min,
            limit: query.limit,
            cursor: query.cursor,
        };
        let mut page = self.ports().profiles.highest(&wanted)?;
        for ranked in &mut page.items {
            expire(&def, &mut ranked.latest, query.at);
        }
        Ok((def.stream, page))
    }

    /// A rule of the catalog as it is now; none: there is none of this name.
    fn current_rule(&self, name: &str) -> Result<Option<CurrentRule>, StoreError> {
        let plan = self.plan();
        let Some(revision) = plan.snapshot.get(Kind::Rule, name) else { return Ok(None) };
        // A plan has no damaged definitions.
        let Ok(def) = revision.read::<RuleDef>() else { return Ok(None) };
        Ok(Some(CurrentRule { def: def.clone(), first_revision: self.first_revision(revision)? }))
    }

    fn first_revision(&self, now: &Revision) -> Result<u32, StoreError> {
        if now.version == now.created_at_version {
            return Ok(now.revision);
        }
        let known = &self.inner.first_revisions.0;
        let life = (now.name.clone(), now.created_at_version);
        // Entries are put in whole.
        if let Some(first) = known.lock().unwrap_or_else(PoisonError::into_inner).get(&life) {
            return Ok(*first);
        }
        let revisions = self.ports().catalog.revisions(now.kind, &now.name)?;
        let of_life = revisions
            .iter()
            .filter(|revision| revision.created_at_version == now.created_at_version)
            .map(|revision| revision.revision);
        let first = of_life.min().unwrap_or(now.revision);
        known.lock().unwrap_or_else(PoisonError::into_inner).insert(life, first);
        Ok(first)
    }
}

/// Takes the tags off a verdict if they have expired at a time. Returns when they expire.
fn expire(rule: &RuleDef, latest: &mut LatestVerdict, at: i64) -> Option<i64> {
    let expires_at = rule.expire.map(|span| latest.time.saturating_add(span.as_millis()));
    if expires_at.is_some_and(|expires_at| at >= expires_at) {
        latest.tags.clear();
    }
    expires_at
}
