//! Carries verdicts into profiles: per entity the latest of each rule.

use std::collections::HashMap;
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::rule::Mode;

use super::{Refusal, Sink, read_blocks_with};
use crate::plan::Plan;
use crate::ports::log::{Records, Topic};
use crate::ports::profiles::{LatestVerdict, Profile, Profiles};
use crate::ports::{PartitionId, StoreError};

pub(super) struct ProfilesSink(pub(super) Arc<dyn Profiles>);

impl Sink for ProfilesSink {
    fn name(&self) -> &'static str {
        "profiles"
    }

    fn topic(&self) -> Topic {
        Topic::Verdicts
    }

    fn position(&mut self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.0.position(partition)
    }

    fn write_records(
        &mut self,
        _: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        self.0.write(partition, profiles_of(partition, records)?, next).map(|()| Vec::new())
    }

    fn examine(&mut self, partition: &PartitionId, records: &[Records]) -> Result<(), StoreError> {
        profiles_of(partition, records).map(drop)
    }
}

/// What verdicts change in profiles, by entity.
fn profiles_of(partition: &PartitionId, records: &[Records]) -> Result<Vec<Profile>, StoreError> {
    let mut profiles: HashMap<String, Profile> = HashMap::new();
    for outcome in read_blocks_with(0, partition, records)?.into_iter().flat_map(|block| block.outcomes) {
        if !outcome.verdicts.iter().any(|verdict| verdict.by.mode == Mode::Active) {
            continue;
        }
        let profile =
            profiles.entry(outcome.key).or_insert_with_key(|key| Profile { key: key.clone(), ..Profile::default() });
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
    Ok(newer)
}
