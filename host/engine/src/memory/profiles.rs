//! The profiles port: each entity's latest verdicts.

use std::collections::BTreeMap;

use assay_core::names::Offset;

use super::client::{Client, Port};
use super::cursor;
use super::tables::{Extent, Positions};
use super::world::Write;
use crate::ports::profiles::{HighestQuery, Profile, Profiles, Ranked};
use crate::ports::{Page, PartitionId, StoreError};

const LISTING: &str = "highest";

/// All profiles.
#[derive(Clone, Default)]
pub(super) struct ProfileTable {
    profiles: BTreeMap<(PartitionId, String), Profile>,
    positions: Positions,
}

impl ProfileTable {
    fn write(&mut self, partition: &PartitionId, newer: &[Profile], next: Offset, extent: Extent) {
        if next <= self.positions.get(partition) {
            return;
        }
        for profile in extent.stored_items(newer) {
            let have = self.profiles.entry((partition.clone(), profile.key.clone())).or_default();
            have.key.clone_from(&profile.key);
            have.merge(profile.rules.clone());
        }
        self.positions.advance(partition, next, extent);
    }

    /// Deletes what a profile holds of events before an offset. Returns whether it held any.
    pub(super) fn remove_before(&mut self, partition: &PartitionId, key: &str, before: Offset) -> bool {
        let place = (partition.clone(), key.to_owned());
        let Some(profile) = self.profiles.get_mut(&place) else { return false };
        let had = profile.rules.len();
        profile.rules.retain(|_, latest| latest.offset >= before);
        let left = profile.rules.len();
        if left == 0 {
            self.profiles.remove(&place);
        }
        left < had
    }

    /// A page of the highest scores. A cursor holds the bits of a score, which JSON would round or refuse.
    fn highest(&self, query: &HighestQuery) -> Result<Page<Ranked>, StoreError> {
        let after: Option<(u64, String)> = cursor::read(LISTING, query.cursor.as_deref())?;
        let of_stream = self.profiles.iter().filter(|((partition, _), _)| *partition.stream == *query.stream);
        let mut ranked: Vec<(f64, Ranked)> = of_stream
            .filter_map(|((_, key), profile)| {
                let latest = profile.rules.get(&query.rule).filter(|latest| latest.revision >= query.since)?;
                let score = latest.score.filter(|score| query.min.is_none_or(|min| *score >= min))?;
                (!score.is_nan()).then(|| (score, Ranked { key: key.clone(), latest: latest.clone() }))
            })
            .collect();
        ranked.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.key.cmp(&other.key)));
        let is_after = |(score, ranked): &(f64, Ranked)| {
            after.as_ref().is_none_or(|(bits, key)| {
                f64::from_bits(*bits).total_cmp(score).then_with(|| ranked.key.cmp(key)).is_gt()
            })
        };
        let rest = ranked.into_iter().filter(is_after);
        let page = cursor::page(LISTING, rest, query.limit, |(score, ranked)| (score.to_bits(), ranked.key.clone()));
        Ok(Page { items: page.items.into_iter().map(|(_, ranked)| ranked).collect(), cursor: page.cursor })
    }
}

impl Profiles for Client {
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.query(Port::Profiles, |tables| Ok(tables.profiles.positions.get(partition)))
    }

    fn write(&self, partition: &PartitionId, newer: Vec<Profile>, next: Offset) -> Result<(), StoreError> {
        let (partition, count) = (partition.clone(), newer.len());
        let write = Write::new(Port::Profiles, move |tables, extent| {
            tables.profiles.write(&partition, &newer, next, extent);
            Ok(())
        });
        self.execute(write.divisible(count))
    }

    fn get(&self, partition: &PartitionId, key: &str) -> Result<Option<Profile>, StoreError> {
        self.query(Port::Profiles, |tables| {
            Ok(tables.profiles.profiles.get(&(partition.clone(), key.to_owned())).cloned())
        })
    }

    fn highest(&self, query: &HighestQuery) -> Result<Page<Ranked>, StoreError> {
        self.query(Port::Profiles, |tables| tables.profiles.highest(query))
    }
}
