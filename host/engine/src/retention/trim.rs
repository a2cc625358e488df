//! Deletes the records that retention does not keep and nobody needs any more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use assay_core::names::Offset;
use assay_core::retention::Limits;

use super::floor::{RetentionFloor, find_floor};
use super::is_warning_due;
use super::needed_records::component_of;
use crate::health::HealthComponent;
use crate::metrics::TopicLabel;
use crate::ports::log::{Topic, Trim};
use crate::ports::{PartitionId, StoreError};
use crate::shared::Shared;

/// Deletes, look by look.
pub(super) struct Trimmer {
    shared: Arc<Shared>,
    /// Up to where the archive has forgotten events and verdicts.
    forgotten: HashMap<PartitionId, (Offset, Offset)>,
    /// When it was said last that somebody holds retention up, or that the log fails.
    last_warned: HashMap<String, Instant>,
}

impl Trimmer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, forgotten: HashMap::new(), last_warned: HashMap::new() }
    }

    /// Deletes what can be deleted now. Returns the warnings about readers that hold it up.
    pub(super) fn trim_partitions(&mut self) -> BTreeMap<HealthComponent, String> {
        let mut held = BTreeMap::new();
        let shared = self.shared.clone();
        if !shared.ports.log.trims() {
            return held;
        }
        for partition in shared.owned_partitions() {
            if shared.is_stopping() {
                break;
            }
            if let Err(error) = self.trim_partition(&partition, &mut held) {
                self.warn(
                    &partition.to_string(),
                    &format!("retention cannot delete from {partition}; trying again: {error}"),
                );
            }
        }
        for (component, warning) in &held {
            self.warn(&component.to_string(), warning);
        }
        held
    }

    fn trim_partition(
        &mut self,
        partition: &PartitionId,
        held: &mut BTreeMap<HealthComponent, String>,
    ) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let plan = shared.plan();
        let Some(stream) = plan.streams.get(&*partition.stream) else { return Ok(()) };
        let keeps = stream.def.retention.or(shared.config.retention);
        for (topic, limits) in [(Topic::Events, keeps.events), (Topic::Verdicts, keeps.verdicts)] {
            if let Some(RetentionFloor { at, reader }) = self.trim_topic(partition, topic, limits, stream.partitions)? {
                let warning = format!(
                    "retention would delete {} of {partition} from offset {at} on, but {reader} still needs them: see why it \
                     is behind",
                    topic.name()
                );
                held.entry(component_of(reader, partition)).or_insert(warning);
            }
        }
        let kept = |topic| shared.ports.log.kept(&partition.stream, topic, partition.partition).map(|kept| kept.first);
        let begin = (kept(Topic::Events)?, kept(Topic::Verdicts)?);
        if self.forgotten.get(partition).copied().unwrap_or_default() != begin {
            shared.ports.archive.forget(partition, begin.0, begin.1)?;
            self.forgotten.insert(partition.clone(), begin);
        }
        Ok(())
    }

    /// Deletes from one topic. Returns who holds up the rest.
    fn trim_topic(
        &self,
        partition: &PartitionId,
        topic: Topic,
        limits: Limits,
        partitions: u32,
    ) -> Result<Option<RetentionFloor>, StoreError> {
        let shared = &self.shared;
        let older_than = limits.max_age().map(|age| shared.config.clock.now_ms().saturating_sub(age));
        let max_bytes = limits.max_bytes(partitions);
        if older_than.is_none() && max_bytes.is_none() {
            return Ok(None);
        }
        let floor = find_floor(shared, partition, topic)?;
        let wish = Trim { older_than, max_bytes, below: floor.at };
        let (mut records, mut bytes) = (0, 0);
        let is_held = loop {
            let trimmed = shared.ports.log.trim(&partition.stream, topic, partition.partition, &wish)?;
            records += trimmed.records;
            bytes += trimmed.bytes;
            if !trimmed.has_more || shared.is_stopping() {
                break trimmed.is_held;
            }
        };
        if records > 0 {
            let label = TopicLabel { stream: partition.stream.to_string(), topic: topic.name() };
            shared.metrics.deleted_records.get_or_create(&label).inc_by(records);
            shared.metrics.deleted_bytes.get_or_create(&label).inc_by(bytes);
            tracing::info!(partition = %partition, topic = topic.name(), records, bytes, "retention deleted the oldest records");
        }
        Ok(is_held.then_some(floor))
    }

    fn warn(&mut self, about: &str, warning: &str) {
        if is_warning_due(self.last_warned.get(about).copied()) {
            tracing::warn!("{warning}");
            self.last_warned.insert(about.to_owned(), Instant::now());
        }
    }
}
