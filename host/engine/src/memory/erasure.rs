//! The erasure port: takes what the tables hold of one entity out of them.

use std::collections::{BTreeMap, BTreeSet};

use assay_core::names::{Digest, Offset};
use assay_core::rule::Mode;
use assay_core::verdict::{Outcome, erase_outcomes};

use super::client::{Client, Port};
use super::tables::Tables;
use super::world::Write;
use crate::ports::archive::EventEntry;
use crate::ports::erasure::{EraseStep, Erased, Erasure, PendingErasure};
use crate::ports::graph::GraphEdge;
use crate::ports::log::Topic;
use crate::ports::{PartitionId, StoreError};

/// The deletions that are not done.
#[derive(Clone, Default)]
pub(super) struct ErasureTable {
    begun: u64,
    pending: BTreeMap<u64, PendingErasure>,
}

impl ErasureTable {
    fn begin(&mut self, partition: &PartitionId, key: &str, author: &str) -> u64 {
        self.begun += 1;
        let erasing = PendingErasure {
            id: self.begun,
            partition: partition.clone(),
            digest: Digest::of(key.as_bytes()).hex(),
            author: author.to_owned(),
            step: EraseStep::EndLifetime { key: key.to_owned() },
        };
        self.pending.insert(self.begun, erasing);
        self.begun
    }

    /// Notes what is to be done next of a deletion. One that is done stays so.
    fn advance(&mut self, id: u64, step: EraseStep) {
        if let Some(erasing) = self.pending.get_mut(&id) {
            erasing.step = step;
        }
    }
}

impl Tables {
    fn erase(&mut self, partition: &PartitionId, events: &[EventEntry]) -> Result<Erased, StoreError> {
        let offsets: BTreeSet<u64> = events.iter().map(|event| event.offset.0).collect();
        // Read first: what cannot be read changes nothing.
        let rewritten = self.verdicts_without(partition, &offsets)?;
        let mut erased = Erased::default();
        for (at, block, outcomes) in rewritten {
            if let Some(verdicts) = self.log.get_mut(partition, Topic::Verdicts) {
                verdicts.replace(at, &block);
            }
            erased.verdicts += outcomes.iter().map(|outcome| outcome.verdicts.len() as u64).sum::<u64>();
            erased.edges += self.graph.remove(&edges_of(outcomes));
        }
        for offset in &offsets {
            if let Some(log) = self.log.get_mut(partition, Topic::Events)
                && log.record(*offset).is_some_and(|event| !event.data.is_empty())
            {
                log.replace(*offset, b"");
                erased.events += 1;
            }
            erased.dead_letters += self.dead_letters.remove(partition, Offset(*offset));
        }
        self.archive.remove(partition, events);
        Ok(erased)
    }

    /// The verdict blocks that speak of some events: their places, what they are without it, and what they said.
    fn verdicts_without(&self, partition: &PartitionId, offsets: &BTreeSet<u64>) -> Result<Vec<Rewritten>, StoreError> {
        let places: BTreeSet<u64> =
            offsets.iter().flat_map(|offset| self.archive.blocks_of(partition, *offset)).collect();
        let mut rewritten = Vec::new();
        for at in places {
            let Some(block) = self.log.get(partition, Topic::Verdicts).and_then(|verdicts| verdicts.record(at)) else {
                continue;
            };
            let erased = erase_outcomes(&block.data, offsets).map_err(|error| {
                Port::Erasure.broken(format!("the verdict block at offset {at} of {partition}: {error}"))
            })?;
            rewritten.extend(erased.map(|(rest, outcomes)| (at, rest, outcomes)));
        }
        Ok(rewritten)
    }
}

type Rewritten = (u64, Vec<u8>, Vec<Outcome>);

/// The edges that verdicts have made, as the graph has them if nobody made them later.
fn edges_of(outcomes: Vec<Outcome>) -> Vec<GraphEdge> {
    let mut edges = Vec::new();
    for outcome in outcomes {
        for verdict in outcome.verdicts.into_iter().filter(|verdict| verdict.by.mode == Mode::Active) {
            let (by, score) = (verdict.by, verdict.score);
            edges.extend(verdict.edges.into_iter().map(|edge| GraphEdge::made(edge, &by, score, outcome.time)));
        }
    }
    edges
}

impl Erasure for Client {
    fn begin(&self, partition: &PartitionId, key: &str, author: &str) -> Result<u64, StoreError> {
        let (partition, key, author) = (partition.clone(), key.to_owned(), author.to_owned());
        self.execute(
            Write::new(Port::Erasure, move |tables, _| Ok(tables.erasure.begin(&partition, &key, &author))).synced(),
        )
    }

    fn pending(&self) -> Result<Vec<PendingErasure>, StoreError> {
        self.query(Port::Erasure, |tables| Ok(tables.erasure.pending.values().cloned().collect()))
    }

    fn end_lifetime(&self, erasing: &PendingErasure, key: &str, before: Offset) -> Result<(), StoreError> {
        let (id, partition, key) = (erasing.id, erasing.partition.clone(), key.to_owned());
        let write = Write::new(Port::Erasure, move |tables, _| {
            tables.state.remove(&partition, &key);
            tables.erasure.advance(id, EraseStep::Erase { key: key.clone(), before });
            Ok(())
        });
        self.execute(write.synced())
    }

    fn erase(&self, partition: &PartitionId, events: &[EventEntry]) -> Result<Erased, StoreError> {
        let (partition, events) = (partition.clone(), events.to_vec());
        self.execute(Write::new(Port::Erasure, move |tables, _| tables.erase(&partition, &events)))
    }

    fn finish(&self, erasing: &PendingErasure, key: &str, before: Offset) -> Result<Erased, StoreError> {
        let (id, partition, key) = (erasing.id, erasing.partition.clone(), key.to_owned());
        let write = Write::new(Port::Erasure, move |tables, _| {
            let had_profile = tables.profiles.remove_before(&partition, &key, before);
            tables.erasure.advance(id, EraseStep::Purge);
            Ok(Erased { profiles: had_profile.into(), ..Erased::default() })
        });
        self.execute(write.synced())
    }

    fn purge(&self, id: u64) -> Result<(), StoreError> {
        let write = Write::new(Port::Erasure, move |tables, _| {
            tables.erasure.pending.remove(&id);
            Ok(())
        });
        self.execute(write.synced())
    }
}
