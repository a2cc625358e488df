//! How a sink carries records when some of them panic, in the sink or in the adapter of its store, or are refused: these
//! are set aside as dead letters, and the rest goes on.

use assay_core::names::Offset;

use super::panicked::{MAX_PANICS_ALONE, SinkPanic, carry_block_in_parts};
use super::{Refusal, SinkLoop};
use crate::panics::catch;
use crate::plan::Plan;
use crate::ports::dead_letters::DeadLetter;
use crate::ports::log::{Records, Topic};
use crate::ports::{PartitionId, Place, StoreError};
use crate::probe::ProbePoint;
use crate::shared::{Shared, unreadable_block_error};

impl SinkLoop {
    /// Carries records. If that panics, half of them are carried when the round is repeated, and so on. An event that
    /// panics alone, also one of those in a block of verdicts, is refused.
    pub(super) fn write_records(
        &mut self,
        plan: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        match self.try_write(plan, partition, records, next)? {
            Ok(refused) => Ok(refused),
            Err(panic) => self.recover_from_panic(plan, partition, records, next, panic),
        }
    }

    /// Carries records. The inner error is a panic.
    fn try_write(
        &mut self,
        plan: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
    ) -> Result<Result<Vec<Refusal>, SinkPanic>, StoreError> {
        let name = self.sink.name();
        let (sink, probe) = (&mut self.sink, &self.shared.config.probe);
        let carried = catch(|| {
            if sink.topic() == Topic::Verdicts {
                probe.look_at_outcomes(name, partition, records);
            }
            if let (Some(first), Some(last)) = (records.first(), records.last()) {
                let last = Offset(last.next().0.saturating_sub(1));
                probe.call(ProbePoint::Carry(name, partition, first.first, last));
            }
            sink.write_records(plan, partition, records, next)
        });
        let panic = match carried {
            Ok(Err(StoreError::Panicked { store, message })) => SinkPanic { store: Some(store), message },
            Ok(written) => {
                if written.is_ok() && !records.is_empty() {
                    self.panicked.note_success();
                }
                return written.map(Ok);
            }
            Err(panicked) => SinkPanic { store: None, message: panicked.to_string() },
        };
        // The panic may have left it half-changed.
        self.sink = (self.make)();
        Ok(Err(panic))
    }

    fn recover_from_panic(
        &mut self,
        plan: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
        panic: SinkPanic,
    ) -> Result<Vec<Refusal>, StoreError> {
        let name = self.sink.name();
        let first = records.first().map_or(next, |first| first.first);
        let count = records.iter().map(Records::len).sum();
        let panicked = &panic.message;
        tracing::error!(sink = name, partition = %partition, %first, %next, panicked, "a panic while records are carried");
        self.positions.clear();
        if count != 1 {
            self.panicked.note_batch(partition, next, count);
            self.retries_at_once = count > 1;
            return Err(panic.into_error(name, partition));
        }
        if panic.store.is_some() && self.panicked.note_alone(partition, first) < MAX_PANICS_ALONE {
            return Err(panic.into_error(name, partition));
        }
        // An adapter that panics also without records is itself at fault.
        self.sink.write_records(plan, partition, &[], first)?;
        match self.sink.topic() {
            Topic::Events => Ok(vec![self.panicked.set_aside(partition, first, panic)?]),
            Topic::Verdicts => self.write_block_in_parts(plan, partition, records, next, panic),
        }
    }

    /// Carries a block of verdicts that panicked in parts, so that only outcomes that panic alone are refused. The position
    /// stays before the block meanwhile, so that after a crash the rest of the parts is not missing.
    fn write_block_in_parts(
        &mut self,
        plan: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
        panic: SinkPanic,
    ) -> Result<Vec<Refusal>, StoreError> {
        let error = panic.into_error(self.sink.name(), partition);
        let Some((block, bytes)) = records.iter().flat_map(Records::iter).next() else { return Err(error) };
        let (mut refused, mut has_outcomes) = (Vec::new(), false);
        let carry = |part: &[u8], alone: Option<Offset>| {
            has_outcomes = true;
            let mut records = Records { first: block, ..Records::default() };
            records.push(part);
            match (self.try_write(plan, partition, &[records], block)?, alone) {
                (Ok(more), _) => refused.extend(more),
                (Err(panic), Some(event)) => refused.push(self.panicked.set_aside(partition, event, panic)?),
                (Err(_), None) => return Ok(true),
            }
            Ok(false)
        };
        let unreadable = |error: &_| unreadable_block_error(partition, block, error);
        let carried = catch(|| carry_block_in_parts(bytes, unreadable, carry));
        carried.unwrap_or_else(|panicked| {
            let message = format!("the verdicts of {partition} at offset {block} cannot be taken apart: {panicked}");
            Err(StoreError::Broken { store: "engine", message })
        })?;
        if !has_outcomes {
            return Err(error);
        }
        if refused.is_empty() {
            self.sink.write_records(plan, partition, &[], next)?;
        }
        Ok(refused)
    }

    /// What the store refuses becomes dead letters; the rest goes on.
    pub(super) fn write_dead_letters(&self, partition: &PartitionId, refused: Vec<Refusal>) -> Result<(), StoreError> {
        write_dead_letters(&self.shared, self.sink.name(), partition, refused)
    }
}

/// Writes what a sink refuses of a partition as dead letters.
pub(super) fn write_dead_letters(
    shared: &Shared,
    sink: &str,
    partition: &PartitionId,
    refused: Vec<Refusal>,
) -> Result<(), StoreError> {
    if refused.is_empty() {
        return Ok(());
    }
    let letter = |refusal: Refusal| DeadLetter {
        stream: partition.stream.to_string(),
        place: Place { partition: partition.partition, offset: refusal.offset },
        time: 0,
        key: String::new(),
        id: String::new(),
        rule: None,
        sink: Some(sink.to_owned()),
        revision: None,
        plugin: None,
        digest: None,
        code: refusal.code.into(),
        message: format!("{sink}: {}", refusal.message),
    };
    let letters: Vec<DeadLetter> = refused.into_iter().map(letter).collect();
    tracing::warn!(sink, partition = %partition, count = letters.len(), "some events are not carried into a store, for good");
    let dead_letters = &shared.ports.dead_letters;
    // Where their own sink is stays as it is. Should it go on meanwhile, this write is an older one, which changes
    // nothing: again then.
    loop {
        let position = dead_letters.position(partition)?;
        dead_letters.write(partition, &letters, position)?;
        if dead_letters.position(partition)? == position {
            return Ok(());
        }
    }
}
