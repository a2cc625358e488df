//! Carries verdicts into profiles: per entity the latest of each rule.

use std::collections::HashMap;
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::rule::Mode;
use assay_core::verdict::Outcome;

use super::Refusal;
use super::verdicts::VerdictSink;
use crate::ports::profiles::{LatestVerdict, Profile, Profiles};
use crate::ports::{PartitionId, StoreError};

pub(super) struct ProfilesSink(pub(super) Arc<dyn Profiles>);

impl VerdictSink for ProfilesSink {
    const NAME: &'static str = "profiles";
    type Items = Vec<Profile>;

    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.0.position(partition)
    }

    /// The changes of profiles, by entity.
    fn convert(_: &PartitionId, outcomes: impl Iterator<Item = (Offset, Outcome)>) -> Vec<Profile> {
        let mut profiles: HashMap<String, Profile> = HashMap::new();
        for (_, outcome) in outcomes {
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
        newer
    }

    fn write(&self, partition: &PartitionId, profiles: Vec<Profile>, next: Offset) -> Result<Vec<Refusal>, StoreError> {
        self.0.write(partition, profiles, next).map(|()| Vec::new())
    }
}
