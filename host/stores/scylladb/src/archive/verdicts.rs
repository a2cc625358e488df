//! Writes verdicts by the offset of their event, with a summary in the event's row, and reads outcomes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::rule::Mode;
use assay_core::verdict::{Outcome, RuleStamp, VerdictBlock, read_block};
use assay_engine::ports::log::Records;
use assay_engine::ports::{PartitionId, StoreError};
use scylla::errors::ExecutionError;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use super::outcome::{self, NewRow, StoredRow};
use super::stamps::{StampId, Stamps};
use crate::connection::{Connection, or_unset, split_into_batches};
use crate::error::broken;
use crate::keys::{self, TablePartition};

/// The prepared statements of verdicts, and the stamps that they name.
pub(super) struct Verdicts {
    connection: Arc<Connection>,
    stamps: Stamps,
    write: PreparedStatement,
    write_summary: PreparedStatement,
    read: PreparedStatement,
}

/// A block and the ids of its rules' stamps.
type StampedBlock = (VerdictBlock, Vec<StampId>);

impl Verdicts {
    pub(super) async fn prepare(connection: Arc<Connection>) -> Result<Self, StoreError> {
        let summary = "INSERT INTO {}.entity_events (stream, log_partition, key, week, time, offset, scores, tags)
                       VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?";
        Ok(Self {
            stamps: Stamps::prepare(connection.clone()).await?,
            write: connection.prepare(outcome::INSERT).await?,
            write_summary: connection.prepare(summary).await?,
            read: connection.prepare(outcome::SELECT).await?,
            connection,
        })
    }

    /// Writes the outcomes of verdict blocks. Returns the offset before which all events are judged, or `None` if there
    /// is no block.
    pub(super) async fn write(
        &self,
        partition: &PartitionId,
        blocks: &[Records],
    ) -> Result<Option<Offset>, StoreError> {
        let mut read = Vec::new();
        for (offset, block) in blocks.iter().flat_map(Records::iter) {
            read.push(
                read_block(block)
                    .map_err(|error| broken(format!("the verdict block at offset {offset} of {partition}: {error}")))?,
            );
        }
        let judged = read.iter().map(|block| block.next).max();
        let written = async {
            let mut stamped = Vec::with_capacity(read.len());
            for block in read {
                // Stamps are written before the rows that name them, so that every row that can be read has its stamp.
                let ids = self.stamps.write(&block.rules).await?;
                stamped.push((block, ids));
            }
            let table_partition = self.connection.table_partition(partition);
            self.write_rows(&table_partition, &stamped).await?;
            self.write_summaries(&table_partition, &stamped).await
        };
        written.await.map_err(|error: ExecutionError| {
            let doing = format_args!("archiving verdicts of {partition}");
            self.connection.to_store_error(doing, &error)
        })?;
        Ok(judged)
    }

    async fn write_rows(
        &self,
        table_partition: &TablePartition,
        blocks: &[StampedBlock],
    ) -> Result<(), ExecutionError> {
        let ttl = self.connection.config.ttl_seconds();
        let outcomes: Vec<(&Outcome, &StampedBlock)> =
            blocks.iter().flat_map(|block| block.0.outcomes.iter().map(move |outcome| (outcome, block))).collect();
        let bucket = |outcome: &Outcome| keys::offset_bucket(outcome.offset);
        let batches =
            split_into_batches(&outcomes, |a, b| bucket(a.0) == bucket(b.0), |outcome| estimate_bytes(outcome.0));
        let batches = batches.map(|batch| {
            let mut rows: Vec<NewRow<'_>> = Vec::new();
            for (outcome, (block, ids)) in batch {
                rows.extend(outcome::make_rows(
                    table_partition,
                    outcome,
                    |by| find_stamp_id(by, &block.rules, ids),
                    ttl,
                ));
            }
            rows
        });
        self.connection.write_batches(&self.write, batches).await
    }

    /// Writes the scores and tags of active rules into the rows of the events.
    async fn write_summaries(
        &self,
        table_partition: &TablePartition,
        blocks: &[StampedBlock],
    ) -> Result<(), ExecutionError> {
        let ttl = self.connection.config.ttl_seconds();
        let outcomes = blocks.iter().flat_map(|block| &block.0.outcomes);
        let rows = outcomes.filter_map(|outcome| {
            let active = || outcome.verdicts.iter().filter(|verdict| verdict.by.mode == Mode::Active);
            let scores: BTreeMap<&str, f64> =
                active().filter_map(|verdict| Some((verdict.by.rule.as_str(), verdict.score?))).collect();
            let tags: BTreeSet<&str> = active().flat_map(|verdict| &verdict.tags).map(String::as_str).collect();
            if scores.is_empty() && tags.is_empty() {
                return None;
            }
            let key = keys::bound_text(&outcome.key);
            let (week, time, offset) =
                (keys::week_of(outcome.time), CqlTimestamp(outcome.time), keys::offset_to_bigint(outcome.offset));
            let (scores, tags) = (
                or_unset(Some(scores).filter(|all| !all.is_empty())),
                or_unset(Some(tags).filter(|all| !all.is_empty())),
            );
            Some((&table_partition.stream, table_partition.partition, key, week, time, offset, scores, tags, ttl))
        });
        self.connection.write_all(&self.write_summary, rows).await
    }

    /// Reads the outcome of the event at an offset. `None` if it has no verdict and no failure.
    pub(super) async fn read_outcome(
        &self,
        partition: &PartitionId,
        offset: Offset,
    ) -> Result<Option<Outcome>, StoreError> {
        let table_partition = self.connection.table_partition(partition);
        let doing = format_args!("reading the verdicts on the event at offset {offset} of {partition}");
        let values = (
            &table_partition.stream,
            table_partition.partition,
            keys::offset_bucket(offset),
            keys::offset_to_bigint(offset),
        );
        let found: Vec<StoredRow> = self.connection.read(doing, &self.read, values, |_| false).await?;
        let mut rows = Vec::with_capacity(found.len());
        for row in found {
            let stamp = match outcome::read_stamp_id(&row)? {
                Some(id) => Some(self.stamps.read(id).await?),
                None => None,
            };
            rows.push((row, stamp));
        }
        outcome::build_outcome(offset, rows)
    }
}

fn find_stamp_id(by: &Arc<RuleStamp>, rules: &[Arc<RuleStamp>], ids: &[StampId]) -> Option<StampId> {
    // Pointers identify stamps: the verdicts of a block share the stamps of its head.
    let index = rules.iter().position(|rule| Arc::ptr_eq(rule, by));
    index.and_then(|index| ids.get(index)).copied()
}

/// The approximate size of an outcome's rows, in bytes.
fn estimate_bytes(outcome: &Outcome) -> usize {
    let inputs: usize = outcome.verdicts.iter().map(|verdict| 200 + 40 * verdict.inputs.len()).sum();
    let failures: usize = outcome.failures.iter().map(|failure| 200 + failure.message.len()).sum();
    inputs + failures + outcome.key.len()
}
