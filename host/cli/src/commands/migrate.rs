//! `assay migrate`: copies a data folder to the servers of the distributed stack.
//!
//! It copies the catalog, plugins, both logs with their offsets, and state. The sinks fill archive, profiles, graph and
//! time series from the logs at the first start. Existing records are not copied again, so an interrupted run can be
//! repeated.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail, ensure};
use assay_core::names::{Digest, Offset};
use assay_core::schema::{Extractor, History, Scalar, Schema};
use assay_core::stream::StreamDef;
use assay_embedded::Embedded;
use assay_engine::definition::PluginDef;
use assay_engine::ports::catalog::{Change, CommitError, Kind, Snapshot};
use assay_engine::ports::log::{Durability, Records, Topic};
use assay_engine::ports::{PartitionId, Ports};
use assay_engine::{derive_position_ids, resolve_to_newest};
use indicatif::ProgressBar;

use super::data_folder::find_store;
use super::progress::{Progress, Unit};
use crate::config;
use crate::config::stores::{Mode, Partitioner};
use crate::stores::Stores;

/// About how many records are read and appended at once.
const MAX_RECORDS: usize = 10_000;
/// About how many bytes are read and appended at once.
const MAX_BYTES: usize = 4 << 20;
/// How many entities' states are copied at once.
const MAX_ENTITIES: usize = 1_000;

/// Copy a data folder to the servers of the distributed stack.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay migrate --data assay-data --config distributed.toml
  assay serve --config distributed.toml

Stop the server of the data folder first; the folder is only read. Streams must not have events on the servers, except \
those of an earlier run of this command. kafka.partitioner must be 'xxh3', the partitioner of the data folder. After an \
interruption, run it again.")]
pub struct Args {
    /// The data folder to copy.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The config with the servers to copy to (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Copies a data folder.
///
/// # Errors
/// A store fails, or has other data already.
pub fn run(args: &Args, quiet: bool) -> Result<()> {
    let config = config::load(Some(&args.config))?;
    ensure!(config.stores.mode == Mode::Distributed, "{}: stores.mode must be 'distributed'", args.config.display());
    ensure!(
        config.kafka.partitioner == Partitioner::Xxh3,
        "{}: kafka.partitioner must be 'xxh3', which is how a data folder places entities",
        args.config.display()
    );
    let folder = find_store(&args.data)?;
    let source = Embedded::open(&folder, &config.embedded_config())?;
    let target = Stores::open(&config)?;
    let progress = Progress::new("migrate", Unit::Events, Some(0), quiet);
    let copy = Migration { from: source.ports(), to: target.ports(), bar: progress.bar().clone() };
    let catalog = copy.copy_catalog()?;
    let streams: Vec<StreamDef> = catalog
        .of(Kind::Stream)
        .map(|revision| revision.read().cloned())
        .collect::<Result<_, _>>()
        .context("a stream in the catalog cannot be read")?;
    streams.iter().try_for_each(|stream| copy.check_whole(stream))?;
    let (mut events, mut entities) = (0, 0);
    for stream in &streams {
        copy.to.log.create(stream)?;
        let version = catalog.get(Kind::Stream, &stream.stream).map_or(0, |revision| revision.version);
        for partition in 0..stream.partitions.unwrap_or(1) {
            let partition_id = PartitionId {
                stream: stream.stream.as_str().into(),
                partition: assay_core::names::PartitionIndex(partition),
            };
            let judged_by = copy.from.state.checkpoint(&partition_id)?.map_or(version, |checkpoint| checkpoint.catalog);
            ensure!(
                stream.earlier.is_empty() || judged_by >= version,
                "{partition_id} has not gone over to the stream's last change: start the server on the data folder once"
            );
            let keys = copy.copy_log(stream, &partition_id, Topic::Events)?;
            copy.copy_log(stream, &partition_id, Topic::Verdicts)?;
            entities += copy.copy_state(&partition_id, &keys)?;
            events += copy.from.log.end(&partition_id.stream, Topic::Events, partition_id.partition)?.0;
        }
        for derived in streams.iter().filter(|derived| derived.from.as_ref() == Some(&stream.stream)) {
            let (to, from) = (derived.partitions.unwrap_or(1), stream.partitions.unwrap_or(1));
            for position in derive_position_ids(&derived.stream, to, from) {
                copy.copy_state(&position, &BTreeSet::new())?;
            }
        }
    }
    drop(progress);
    target.shutdown()?;
    super::print_text(&format!(
        "copied {} versions of the catalog, {} streams, {events} events, the state of {entities} entities\n\
         start it with: assay serve --config {}\n",
        catalog.version,
        streams.len(),
        args.config.display()
    ));
    Ok(())
}

struct Migration {
    from: Ports,
    to: Ports,
    bar: ProgressBar,
}

impl Migration {
    /// Copies the catalog, version by version, so that revisions, versions and authors stay the same.
    fn copy_catalog(&self) -> Result<Snapshot> {
        let (from, to) = (&self.from.catalog, &self.to.catalog);
        let last = from.version()?;
        let have = to.version()?;
        if have > last {
            let copied = from.snapshot(None)?;
            ensure!(
                has_only_schemas_beside(&to.snapshot(None)?, &copied),
                "the target's catalog is at version {have}, beyond the data folder's {last}: it is another"
            );
            return Ok(copied);
        }
        self.bar.set_message("catalog");
        self.bar.set_length(last);
        let mut before = from.snapshot(Some(have))?;
        ensure!(
            before == to.snapshot(None)?,
            "the target's catalog is not a copy of the data folder's: use a new database"
        );
        for version in have + 1..=last {
            let now = from.snapshot(Some(version))?;
            let changed = now.revisions.iter().filter(|revision| revision.version == version);
            let mut author = "migrate".to_owned();
            let mut at = 0;
            let mut changes = Vec::new();
            for revision in changed {
                (author, at) = (revision.author.clone(), revision.at);
                if revision.kind == Kind::Plugin {
                    let plugin: &PluginDef = revision.read().context("a plugin in the catalog cannot be read")?;
                    self.copy_artifact(&plugin.digest)?;
                }
                let (kind, name, definition) = (revision.kind, revision.name.clone(), revision.definition.clone());
                changes.push(Change { kind, name, definition });
            }
            let is_gone = |kind, name: &str| now.get(kind, name).is_none();
            for gone in before.revisions.iter().filter(|revision| is_gone(revision.kind, &revision.name)) {
                changes.push(Change::delete(gone.kind, &gone.name));
                let deleted = from.revisions(gone.kind, &gone.name)?.into_iter().find(|one| one.version == version);
                if let Some(deleted) = deleted {
                    (author, at) = (deleted.author, deleted.at);
                }
            }
            let committed = to.commit(version - 1, changes, &author, at).map_err(|error| match error {
                CommitError::Conflict { .. } => anyhow!("something else changes the target's catalog: stop it first"),
                CommitError::Store(error) => error.into(),
            })?;
            ensure!(committed == now, "version {version} of the catalog differs after the copy");
            before = now;
            self.bar.set_position(version);
        }
        Ok(before)
    }

    fn copy_artifact(&self, digest: &Digest) -> Result<()> {
        let bytes = self.from.catalog.artifact(digest)?;
        let bytes = bytes.with_context(|| format!("the data folder has no plugin with the digest {digest}"))?;
        self.to.catalog.put_artifact(&bytes)?;
        Ok(())
    }

    /// Topics on Kafka begin with offset 0, so the first records must be there.
    fn check_whole(&self, stream: &StreamDef) -> Result<()> {
        for partition in (0..stream.partitions.unwrap_or(1)).map(assay_core::names::PartitionIndex) {
            for topic in [Topic::Events, Topic::Verdicts] {
                let Offset(first) = self.from.log.kept(&stream.stream, topic, partition)?.first;
                ensure!(
                    first == 0,
                    "retention has deleted the {} of {}/{partition} before offset {first}: such a folder cannot be \
                     migrated, because offsets on Kafka begin with 0. Begin with new streams on the servers",
                    topic.name(),
                    stream.stream
                );
            }
        }
        Ok(())
    }

    /// Copies one topic of a partition, and returns the keys of its events.
    fn copy_log(&self, stream: &StreamDef, partition: &PartitionId, topic: Topic) -> Result<BTreeSet<String>> {
        let name = if topic == Topic::Events { "events" } else { "verdicts" };
        let end = self.from.log.end(&partition.stream, topic, partition.partition)?;
        let have = self.to.log.end(&partition.stream, topic, partition.partition)?;
        ensure!(
            have <= end,
            "{name} of {partition}: the target has {have}, the data folder {end}: the target has other data"
        );
        self.bar.set_message(format!("{name} of {partition}"));
        self.bar.set_length(end.0);
        let schema = Schema::parse_value(&stream.schema)?;
        let history = schema_history(stream, &schema)?;
        let extractor = Extractor::new(&schema, &[stream.key.as_str()])?;
        let mut keys = BTreeSet::new();
        let mut at = Offset(0);
        while at < end {
            let mut blocks =
                self.from.log.read(&partition.stream, topic, partition.partition, at, MAX_RECORDS, MAX_BYTES)?;
            if topic == Topic::Events {
                // All events are written in the stream's current schema.
                blocks = resolve_to_newest(&history, blocks);
            }
            let Some(last) = blocks.last() else { bail!("{name} of {partition} end at {at}, not at {end}") };
            let next = last.next();
            for block in blocks {
                if topic == Topic::Events {
                    keys.extend(block.iter().filter_map(|(_, event)| event_key(&extractor, event)));
                }
                if block.next() > have {
                    self.append(partition, topic, block, have)?;
                }
            }
            at = next;
            self.bar.set_position(at.0);
        }
        Ok(keys)
    }

    /// Appends the records of a block that the target lacks, and checks that their offsets stay the same.
    fn append(&self, partition: &PartitionId, topic: Topic, block: Records, have: Offset) -> Result<()> {
        let mut records = Records { appended_at: block.appended_at, ..Records::default() };
        let first = Offset(block.first.0.max(have.0));
        block.iter().filter(|(offset, _)| *offset >= first).for_each(|(_, record)| records.push(record));
        let count = records.len();
        let batches = vec![(partition.partition, records)];
        let appended = self.to.log.append(&partition.stream, topic, batches, Durability::Synced)?.blocking_recv()??;
        for index in 0..count {
            let place = appended.first().and_then(|appended| appended.place(index)).context("no place")?;
            let expected = first.0 + index as u64;
            ensure!(
                place.offset.0 == expected,
                "a record of {partition} went to offset {} instead of {expected}: something else writes to the topic; stop it, \
                 and begin with new topics",
                place.offset
            );
        }
        Ok(())
    }

    /// Copies the states of a partition's entities, and its checkpoint.
    fn copy_state(&self, partition: &PartitionId, keys: &BTreeSet<String>) -> Result<usize> {
        let Some(checkpoint) = self.from.state.checkpoint(partition)? else { return Ok(0) };
        self.bar.set_message(format!("state of {partition}"));
        self.bar.set_length(keys.len() as u64);
        self.bar.set_position(0);
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let mut copied = 0;
        for chunk in keys.chunks(MAX_ENTITIES) {
            let states = self.from.state.load(partition, chunk)?;
            let row = |(key, state): (&&str, Option<Vec<u8>>)| {
                Some(assay_engine::ports::state::StateRow { key: (*key).to_owned(), state: state? })
            };
            let rows: Vec<_> = chunk.iter().zip(states).filter_map(row).collect();
            copied += rows.len();
            self.to.state.save(partition, &checkpoint, &rows)?;
            self.bar.inc(chunk.len() as u64);
        }
        if keys.is_empty() {
            self.to.state.save(partition, &checkpoint, &[])?;
        }
        Ok(copied)
    }
}

/// Whether a catalog is a copy, apart from schemas that an earlier run registered when it wrote events.
fn has_only_schemas_beside(have: &Snapshot, copied: &Snapshot) -> bool {
    let others = |snapshot: &Snapshot| {
        let others = snapshot.revisions.iter().filter(|revision| revision.kind != Kind::Schema);
        others.cloned().collect::<Vec<_>>()
    };
    others(have) == others(copied)
}

/// The schemas of a stream, to read events of earlier ones.
fn schema_history(stream: &StreamDef, schema: &Schema) -> Result<History> {
    let earlier = stream.earlier.iter().map(Schema::parse_value).collect::<Result<Vec<_>, _>>()?;
    History::new(&earlier, schema)
        .map_err(|(number, why)| anyhow!("schema number {number} of '{}': {why}", stream.stream))
}

/// The entity of an event; none if the event cannot be read, and became a dead letter.
fn event_key(extractor: &Extractor, event: &[u8]) -> Option<String> {
    let mut found = [Scalar::Null];
    extractor.extract(event, &mut found).ok()?;
    Some(found[0].key()?.into_owned())
}
