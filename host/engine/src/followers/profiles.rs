//! Carries verdicts into profiles: per entity the latest of each rule.

use std::collections::HashMap;
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::rule::Mode;

use super::{Follow, Refusal, blocks_with};
use crate::plan::Plan;
use crate::ports::log::{Records, Topic};
use crate::ports::profiles::{LatestVerdict, Profile, Profiles};
use crate::ports::{StoreError, StreamPartition};

pub(super) struct Follower(pub(super) Arc<dyn Profiles>);

impl Follow for Follower {
    fn name(&self) -> &'static str {
        "profiles"
    }

    fn topic(&self) -> Topic {
        Topic::Verdicts
    }

    fn position(&mut self, of: &StreamPartition) -> Result<Offset, StoreError> {
        self.0.position(of)
    }

    fn carry(
        &mut self,
        _: &Plan,
        of: &StreamPartition,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        let mut profiles: HashMap<String, Profile> = HashMap::new();
        for outcome in blocks_with(0, of, records)?.into_iter().flat_map(|block| block.outcomes) {
            if !outcome.verdicts.iter().any(|verdict| verdict.by.mode == Mode::Active) {
                continue;
            }
            let profile = profiles
                .entry(outcome.key)
                .or_insert_with_key(|key| Profile { key: key.clone(), ..Profile::default() });
            for verdict in outcome.verdicts.into_iter().filter(|verdict| verdict.by.mode == Mode::Active) {
                let latest = LatestVerdict {
                    score: verdict.score,
                    tags: verdict.tags,
                    offset: outcome.offset,
                    time: outcome.time,
                    event: outcome.id.clone(),
                    revision: verdict.by.revision,
                    plugin: verdict.by.plugin.as_ref().map(|plugin| plugin.digest),
                };
                // An owner that was replaced may repeat older blocks behind newer ones.
                match profile.rules.get_mut(&verdict.by.rule) {
                    Some(before) if !latest.is_newer_than(before) => {}
                    Some(before) => *before = latest,
                    None => drop(profile.rules.insert(verdict.by.rule.clone(), latest)),
                }
            }
        }
        let mut newer: Vec<Profile> = profiles.into_values().collect();
        newer.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        self.0.write(of, newer, next).map(|()| Vec::new())
    }
}
