//! Deletes the data of one entity from the data folder. The engine finds the entity's events.

mod blocks;
mod marker;

use std::collections::BTreeSet;
use std::sync::Arc;

use assay_core::names::{Digest, Offset};
use assay_core::rule::Mode;
use assay_core::verdict::Outcome;
use assay_engine::ports::archive::EventEntry;
use assay_engine::ports::erasure::{EraseStep, Erased, Erasure, PendingErasure};
use assay_engine::ports::graph::GraphEdge;
use assay_engine::ports::{PartitionId, StoreError};

use super::archive::EmbeddedArchive;
use super::commits::Batch;
use super::database::{Database, Durability};
use super::dead_letters;
use super::graph::EmbeddedGraph;
use super::keys;
use super::log::LogReader;
use super::profiles::EmbeddedProfiles;
use marker::PurgeProgress;

/// The erasure port on the embedded database.
pub(super) struct EmbeddedErasure {
    database: Arc<Database>,
    log: LogReader,
    archive: Arc<EmbeddedArchive>,
    profiles: Arc<EmbeddedProfiles>,
    graph: Arc<EmbeddedGraph>,
}

impl EmbeddedErasure {
    pub(super) fn new(
        database: Arc<Database>,
        log: LogReader,
        archive: Arc<EmbeddedArchive>,
        profiles: Arc<EmbeddedProfiles>,
        graph: Arc<EmbeddedGraph>,
    ) -> Self {
        Self { database, log, archive, profiles, graph }
    }

    /// Saves the progress of the step `Purge`.
    fn save_progress(&self, id: u64, progress: PurgeProgress) -> Result<(), StoreError> {
        let mut batch = self.database.batch(1);
        marker::put_progress(&self.database, &mut batch, id, progress)?;
        self.database.commit(batch, Durability::Power, "noting how far a deletion is")
    }

    /// Adds the removal of the dead letters of events to a batch. Returns their number.
    fn remove_dead_letters(
        &self,
        batch: &mut Batch,
        partition: &PartitionId,
        offsets: &BTreeSet<u64>,
    ) -> Result<u64, StoreError> {
        let mut count = 0;
        for offset in offsets {
            for key in dead_letters::find_keys_of_event(&self.database, partition, *offset)? {
                batch.remove(&self.database.dead_letters, key);
                count += 1;
            }
        }
        Ok(count)
    }
}

impl Erasure for EmbeddedErasure {
    fn begin(&self, partition: &PartitionId, key: &str, author: &str) -> Result<u64, StoreError> {
        let _block_changes = self.database.lock_block_changes();
        let id = marker::next_id(&self.database)?;
        let digest = Digest::of(key.as_bytes()).hex();
        let step = EraseStep::EndLifetime { key: key.to_owned() };
        let erasing = PendingErasure { id, partition: partition.clone(), digest, author: author.to_owned(), step };
        let mut batch = self.database.batch(1);
        marker::put(&self.database, &mut batch, &erasing)?;
        self.database.commit(batch, Durability::Power, "noting that an entity is to be deleted")?;
        Ok(id)
    }

    fn pending(&self) -> Result<Vec<PendingErasure>, StoreError> {
        marker::list(&self.database)
    }

    fn end_lifetime(&self, erasing: &PendingErasure, key: &str, before: Offset) -> Result<(), StoreError> {
        let mut batch = self.database.batch(2);
        if let Some(id) = self.database.streams.find_partition(&erasing.partition) {
            batch.remove(&self.database.state, keys::entity_key(id, key));
        }
        let step = EraseStep::Erase { key: key.to_owned(), before };
        marker::put(&self.database, &mut batch, &PendingErasure { step, ..erasing.clone() })?;
        self.database.commit(batch, Durability::Power, "deleting the state of an entity")
    }

    fn erase(&self, partition: &PartitionId, events: &[EventEntry]) -> Result<Erased, StoreError> {
        let Some(id) = self.database.streams.find_partition(partition) else { return Ok(Erased::default()) };
        let offsets: BTreeSet<u64> = events.iter().map(|event| event.offset.0).collect();
        let _block_changes = self.database.lock_block_changes();
        let mut batch = self.database.batch(64);
        let count = blocks::blank_events(&self.database, &self.log, &mut batch, id, &offsets)?;
        let places = self.archive.verdict_places(id, &offsets)?;
        let outcomes = blocks::erase_verdicts(&self.database, &self.log, &mut batch, id, places)?;
        let verdicts = outcomes.iter().map(|outcome| outcome.verdicts.len() as u64).sum();
        let dead_letters = self.remove_dead_letters(&mut batch, partition, &offsets)?;
        let _edges = self.graph.lock();
        let edges = self.graph.erase(&mut batch, rebuild_edges(outcomes))?;
        // All changes are one batch. The index entries are a part of it, so that after a crash before the commit the
        // events are still found and erased again.
        self.archive.erase(id, events, batch)?;
        Ok(Erased { events: count, verdicts, dead_letters, edges, profiles: 0 })
    }

    fn finish(&self, erasing: &PendingErasure, key: &str, before: Offset) -> Result<Erased, StoreError> {
        let _profiles = self.profiles.lock();
        let mut batch = self.database.batch(2);
        let profiles = self.profiles.erase(&mut batch, &erasing.partition, key, before)?;
        marker::put(&self.database, &mut batch, &PendingErasure { step: EraseStep::Purge, ..erasing.clone() })?;
        self.database.commit(batch, Durability::Power, "deleting the profile of an entity")?;
        Ok(Erased { profiles: profiles.into(), ..Erased::default() })
    }

    fn purge(&self, id: u64) -> Result<(), StoreError> {
        let doing = "writing what was deleted out of the files";
        let database = &self.database;
        let keyspaces = [
            &database.log,
            &database.state,
            &database.index,
            &database.profiles,
            &database.graph,
            &database.dead_letters,
            &database.meta,
        ];
        let mut progress = marker::read_progress(database, id)?;
        for keyspace in keyspaces.iter().skip(progress.keyspaces) {
            database.reclaim(keyspace, doing)?;
            progress.keyspaces += 1;
            self.save_progress(id, progress)?;
        }
        let newest = database.newest_journal(doing)?;
        let journal = match progress.journal {
            // After the loss of all journals they are numbered from 1 again.
            Some(journal) => journal.min(newest),
            None => {
                self.save_progress(id, PurgeProgress { journal: Some(newest), ..progress })?;
                newest
            }
        };
        database.renew_journals(journal, doing)?;
        let mut batch = database.batch(1);
        marker::remove(database, &mut batch, id);
        database.commit(batch, Durability::Power, "ending a deletion")
    }
}

/// The edges that outcomes made, as the graph holds them unless a later event wrote the same edge.
fn rebuild_edges(outcomes: Vec<Outcome>) -> Vec<GraphEdge> {
    let mut edges = Vec::new();
    for outcome in outcomes {
        for verdict in outcome.verdicts.into_iter().filter(|verdict| verdict.by.mode == Mode::Active) {
            let (by, score) = (verdict.by, verdict.score);
            let made = verdict.edges.into_iter().map(|edge| GraphEdge::made(edge, &by, score, outcome.time));
            edges.extend(made);
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use assay_core::names::PartitionIndex;
    use assay_engine::ports::PartitionId;

    use super::super::{Config, Embedded};
    use super::*;

    /// The progress is that of a process that was killed between two parts of the step. There is no journal 9: the journals
    /// of then were lost.
    #[test]
    fn an_interrupted_purge_continues() {
        let partition = PartitionId { stream: Arc::from("payments"), partition: PartitionIndex(0) };
        for (keyspaces, journal) in [(0, None), (1, None), (4, None), (7, None), (7, Some(0)), (7, Some(9))] {
            let dir = tempfile::tempdir().unwrap();
            let store = Embedded::open(dir.path(), &Config::default()).unwrap();
            let id = store.erasure.begin(&partition, "a", "test").unwrap();
            let erasing = store.erasure.pending().unwrap().remove(0);
            store.erasure.finish(&erasing, "a", Offset(0)).unwrap();
            let progress = PurgeProgress { keyspaces, journal };
            store.erasure.save_progress(id, progress).unwrap();
            drop(store);
            let store = Embedded::open(dir.path(), &Config::default()).unwrap();
            assert_eq!(marker::read_progress(&store.database, id).unwrap(), progress);
            assert_eq!(store.erasure.pending().unwrap()[0].step, EraseStep::Purge);
            store.erasure.purge(id).unwrap();
            assert_eq!(store.erasure.pending().unwrap(), []);
        }
    }
}
