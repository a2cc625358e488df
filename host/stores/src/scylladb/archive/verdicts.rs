//! Verdicts: by the place of their event, and in short beside the event itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::rule::Mode;
use assay_core::verdict::{Outcome, RuleStamp, VerdictBlock, read_block};
use assay_engine::ports::log::Records;
use assay_engine::ports::{StoreError, StreamPartition};
use scylla::errors::ExecutionError;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use super::super::connection::{Connection, batches, set};
use super::super::error::broken;
use super::super::keys::{self, Home};
use super::outcome::{self, NewRow, StoredRow};
use super::stamps::{StampId, Stamps};

/// Writes verdicts, and reads what was said of an event.
pub(super) struct Verdicts {
    connection: Arc<Connection>,
    stamps: Stamps,
    write: PreparedStatement,
    write_summary: PreparedStatement,
    read: PreparedStatement,
}

/// A block, and the ids of its rules' stamps.
type Stamped = (VerdictBlock, Vec<StampId>);

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

    /// Writes what blocks say. Returns the offset before which all events are judged by them; none: no block.
    pub(super) async fn write(&self, of: &StreamPartition, blocks: &[Records]) -> Result<Option<Offset>, StoreError> {
        let mut read = Vec::new();
        for (at, block) in blocks.iter().flat_map(Records::iter) {
            read.push(
                read_block(block)
                    .map_err(|error| broken(format!("the verdict block at offset {at} of {of}: {error}")))?,
            );
        }
        let judged = read.iter().map(|block| block.next).max();
        let written = async {
            let mut stamped = Vec::with_capacity(read.len());
            for block in read {
                let ids = self.stamps.write(&block.rules).await?;
                stamped.push((block, ids));
            }
            let home = self.connection.home(of);
            self.write_rows(&home, &stamped).await?;
            self.write_summaries(&home, &stamped).await
        };
        written.await.map_err(|error: ExecutionError| {
            let doing = format_args!("archiving verdicts of {of}");
            self.connection.failed(doing, &error)
        })?;
        Ok(judged)
    }

    async fn write_rows(&self, home: &Home, blocks: &[Stamped]) -> Result<(), ExecutionError> {
        let ttl = self.connection.config.ttl_seconds();
        let outcomes: Vec<(&Outcome, &Stamped)> =
            blocks.iter().flat_map(|block| block.0.outcomes.iter().map(move |outcome| (outcome, block))).collect();
        let bucket = |outcome: &Outcome| keys::offset_bucket(outcome.offset);
        let batches = batches(&outcomes, |a, b| bucket(a.0) == bucket(b.0), |outcome| weight(outcome.0));
        let batches = batches.map(|batch| {
            let mut rows: Vec<NewRow<'_>> = Vec::new();
            for (outcome, (block, ids)) in batch {
                rows.extend(outcome::rows(home, outcome, |by| id_of(by, &block.rules, ids), ttl));
            }
            rows
        });
        self.connection.write_batches(&self.write, batches).await
    }

    /// Writes the scores and tags of active rules beside the events.
    async fn write_summaries(&self, home: &Home, blocks: &[Stamped]) -> Result<(), ExecutionError> {
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
            let key = keys::bounded(&outcome.key);
            let (week, time, offset) =
                (keys::week(outcome.time), CqlTimestamp(outcome.time), keys::bigint(outcome.offset));
            let (scores, tags) =
                (set(Some(scores).filter(|all| !all.is_empty())), set(Some(tags).filter(|all| !all.is_empty())));
            Some((&home.stream, home.partition, key, week, time, offset, scores, tags, ttl))
        });
        self.connection.write_all(&self.write_summary, rows).await
    }

    /// What was said of the event at an offset.
    pub(super) async fn outcome(&self, of: &StreamPartition, offset: Offset) -> Result<Option<Outcome>, StoreError> {
        let home = self.connection.home(of);
        let doing = format_args!("reading the verdicts on the event at offset {offset} of {of}");
        let values = (&home.stream, home.partition, keys::offset_bucket(offset), keys::bigint(offset));
        let found: Vec<StoredRow> = self.connection.read(doing, &self.read, values, |_| false).await?;
        let mut rows = Vec::with_capacity(found.len());
        for row in found {
            let stamp = match outcome::stamp_of(&row)? {
                Some(id) => Some(self.stamps.read(id).await?),
                None => None,
            };
            rows.push((row, stamp));
        }
        outcome::outcome(offset, rows)
    }
}

fn id_of(by: &Arc<RuleStamp>, rules: &[Arc<RuleStamp>], ids: &[StampId]) -> Option<StampId> {
    // Verdicts of a block share the stamps of its head.
    let at = rules.iter().position(|rule| Arc::ptr_eq(rule, by));
    at.and_then(|at| ids.get(at)).copied()
}

/// About how many bytes an outcome's rows are.
fn weight(outcome: &Outcome) -> usize {
    let inputs: usize = outcome.verdicts.iter().map(|verdict| 200 + 40 * verdict.inputs.len()).sum();
    let failures: usize = outcome.failures.iter().map(|failure| 200 + failure.message.len()).sum();
    inputs + failures + outcome.key.len()
}
