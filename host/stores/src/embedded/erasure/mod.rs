//! Deletes what the data folder holds of one entity. Which events are its own, the engine knows.

mod blocks;
mod marker;

use std::collections::BTreeSet;
use std::sync::Arc;

use assay_core::names::{Digest, Offset};
use assay_core::rule::Mode;
use assay_core::verdict::Outcome;
use assay_engine::ports::archive::EventEntry;
use assay_engine::ports::erasure::{EraseStep, Erased, Erasing, Erasure};
use assay_engine::ports::graph::GraphEdge;
use assay_engine::ports::{StoreError, StreamPartition};

use super::archive::EmbeddedArchive;
use super::commits::Batch;
use super::database::{Database, Durability};
use super::dead_letters;
use super::graph::EmbeddedGraph;
use super::keys;
use super::log::LogReader;
use super::profiles::EmbeddedProfiles;
use marker::Purged;

/// Deletes what the data folder holds of one entity.
pub struct EmbeddedErasure {
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

    /// Notes how far the last step is.
    fn note_purged(&self, id: u64, purged: Purged) -> Result<(), StoreError> {
        let mut batch = self.database.batch(1);
        marker::put_purged(&self.database, &mut batch, id, purged)?;
        self.database.commit(batch, Durability::Power, "noting how far a deletion is")
    }

    /// Adds the removal of the dead letters of some events to a batch. Returns how many there are.
    fn dead_letters(
        &self,
        batch: &mut Batch,
        of: &StreamPartition,
        offsets: &BTreeSet<u64>,
    ) -> Result<u64, StoreError> {
        let mut count = 0;
        for offset in offsets {
            for key in dead_letters::keys_of(&self.database, of, *offset)? {
                batch.remove(&self.database.dead_letters, key);
                count += 1;
            }
        }
        Ok(count)
    }
}

impl Erasure for EmbeddedErasure {
    fn begin(&self, of: &StreamPartition, key: &str, author: &str) -> Result<u64, StoreError> {
        let _changing = self.database.changing_blocks();
        let id = marker::next_id(&self.database)?;
        let digest = Digest::of(key.as_bytes()).hex();
        let step = EraseStep::Cut { key: key.to_owned() };
        let erasing = Erasing { id, of: of.clone(), digest, author: author.to_owned(), step };
        let mut batch = self.database.batch(1);
        marker::put(&self.database, &mut batch, &erasing)?;
        self.database.commit(batch, Durability::Power, "noting that an entity is to be deleted")?;
        Ok(id)
    }

    fn pending(&self) -> Result<Vec<Erasing>, StoreError> {
        marker::all(&self.database)
    }

    fn cut(&self, erasing: &Erasing, key: &str, before: Offset) -> Result<(), StoreError> {
        let mut batch = self.database.batch(2);
        if let Some(id) = self.database.streams.find_partition(&erasing.of) {
            batch.remove(&self.database.state, keys::entity(id, key));
        }
        let step = EraseStep::Erase { key: key.to_owned(), before };
        marker::put(&self.database, &mut batch, &Erasing { step, ..erasing.clone() })?;
        self.database.commit(batch, Durability::Power, "deleting the state of an entity")
    }

    fn erase(&self, of: &StreamPartition, events: &[EventEntry]) -> Result<Erased, StoreError> {
        let Some(id) = self.database.streams.find_partition(of) else { return Ok(Erased::default()) };
        let offsets: BTreeSet<u64> = events.iter().map(|event| event.offset.0).collect();
        let _changing = self.database.changing_blocks();
        let mut batch = self.database.batch(64);
        let count = blocks::blank_events(&self.database, &self.log, &mut batch, id, &offsets)?;
        let places = self.archive.verdict_places(id, &offsets)?;
        let outcomes = blocks::erase_verdicts(&self.database, &self.log, &mut batch, id, places)?;
        let verdicts = outcomes.iter().map(|outcome| outcome.verdicts.len() as u64).sum();
        let dead_letters = self.dead_letters(&mut batch, of, &offsets)?;
        let _edges = self.graph.lock();
        let edges = self.graph.erase(&mut batch, edges_of(outcomes))?;
        // All of it is one batch, with the index: what it does not hold is in the index still, and is erased next time.
        self.archive.erase(id, events, batch)?;
        Ok(Erased { events: count, verdicts, dead_letters, edges, profiles: 0 })
    }

    fn finish(&self, erasing: &Erasing, key: &str, before: Offset) -> Result<Erased, StoreError> {
        let _profiles = self.profiles.lock();
        let mut batch = self.database.batch(2);
        let profiles = self.profiles.erase(&mut batch, &erasing.of, key, before)?;
        marker::put(&self.database, &mut batch, &Erasing { step: EraseStep::Purge, ..erasing.clone() })?;
        self.database.commit(batch, Durability::Power, "deleting the profile of an entity")?;
        Ok(Erased { profiles: profiles.into(), ..Erased::default() })
    }

    fn purge(&self, id: u64) -> Result<(), StoreError> {
        let doing = "writing what was deleted out of the files";
        let database = &self.database;
        let spaces = [
            &database.log,
            &database.state,
            &database.index,
            &database.profiles,
            &database.graph,
            &database.dead_letters,
            &database.meta,
        ];
        let mut purged = marker::purged(database, id)?;
        for space in spaces.iter().skip(purged.keyspaces) {
            database.reclaim(space, doing)?;
            purged.keyspaces += 1;
            self.note_purged(id, purged)?;
        }
        let journal = match purged.journal {
            Some(journal) => journal,
            None => {
                let journal = database.newest_journal(doing)?;
                self.note_purged(id, Purged { journal: Some(journal), ..purged })?;
                journal
            }
        };
        database.renew_journals(journal, doing)?;
        let mut batch = database.batch(1);
        marker::remove(database, &mut batch, id);
        database.commit(batch, Durability::Power, "ending a deletion")
    }
}

/// The edges that verdicts have made, as the graph has them if nobody made them later.
fn edges_of(outcomes: Vec<Outcome>) -> Vec<GraphEdge> {
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

    use assay_core::names::Partition;
    use assay_engine::ports::StreamPartition;

    use super::super::{Config, Embedded};
    use super::*;

    /// As a process leaves it that is killed between any two parts of the last step.
    #[test]
    fn the_last_step_goes_on_where_it_was() {
        let of = StreamPartition { stream: Arc::from("payments"), partition: Partition(0) };
        for (keyspaces, journal) in [(0, None), (1, None), (4, None), (7, None), (7, Some(0))] {
            let dir = tempfile::tempdir().unwrap();
            let store = Embedded::open(dir.path(), &Config::default()).unwrap();
            let id = store.erasure.begin(&of, "a", "test").unwrap();
            let erasing = store.erasure.pending().unwrap().remove(0);
            store.erasure.finish(&erasing, "a", Offset(0)).unwrap();
            let purged = Purged { keyspaces, journal };
            store.erasure.note_purged(id, purged).unwrap();
            drop(store);
            let store = Embedded::open(dir.path(), &Config::default()).unwrap();
            assert_eq!(marker::purged(&store.database, id).unwrap(), purged);
            assert_eq!(store.erasure.pending().unwrap()[0].step, EraseStep::Purge);
            store.erasure.purge(id).unwrap();
            assert_eq!(store.erasure.pending().unwrap(), []);
        }
    }
}
