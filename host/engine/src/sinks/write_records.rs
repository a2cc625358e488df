//! How a sink carries records when some of them panic or are refused: these are set aside as dead letters, and the
//! rest goes on.

use assay_core::names::Offset;

use super::panicked::find_panicking_outcomes;
use super::{Refusal, SinkLoop};
use crate::panics::{Panicked, catch};
use crate::plan::Plan;
use crate::ports::dead_letters::DeadLetter;
use crate::ports::log::{Records, Topic};
use crate::ports::{PartitionId, Place, StoreError};
use crate::probe::ProbePoint;
use crate::shared::{Shared, unreadable_block_error};

impl SinkLoop {
    /// Carries records. If that panics, they are carried one at a time when the round is repeated; an event that panics
    /// alone, also one of those in a block of verdicts, is set aside.
    pub(super) fn write_records(
        &mut self,
        plan: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        let first = records.first().map_or(next, |first| first.first);
        let name = self.sink.name();
        let is_dead_letter = self.panicked.has_event(partition, first);
        let (sink, probe) = (&mut self.sink, &self.shared.config.probe);
        let is_of_verdicts = sink.topic() == Topic::Verdicts;
        let carried = catch(|| {
            if is_of_verdicts {
                probe.look_at_outcomes(name, partition, records);
            }
            if !is_dead_letter {
                let last = Offset(next.0.saturating_sub(1));
                probe.call(ProbePoint::Carry(name, partition, first, last));
            }
            sink.write_records(plan, partition, records, next)
        });
        carried.map_err(|panicked| self.recover_from_panic(partition, records, next, &panicked))?
    }

    fn recover_from_panic(
        &mut self,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
        panicked: &Panicked,
    ) -> StoreError {
        let name = self.sink.name();
        let first = records.first().map_or(next, |first| first.first);
        tracing::error!(sink = name, partition = %partition, %first, %next, %panicked, "a panic while records are carried");
        self.positions.clear();
        self.sink = (self.make)();
        match (next.0 - first.0, self.sink.topic()) {
            (1, Topic::Events) => self.panicked.note_event(partition, first, panicked),
            (1, Topic::Verdicts) => {
                if let Err(error) = self.note_panicking_outcomes(partition, first, records) {
                    return error;
                }
            }
            _ => self.panicked.note_batch(partition, next),
        }
        StoreError::Broken { store: "engine", message: format!("the sink {name} at {partition}: {panicked}") }
    }

    /// Finds which outcomes of a block of verdicts panic. If there are none, it is not known to be the fault of an event:
    /// the block is carried again.
    fn note_panicking_outcomes(
        &mut self,
        partition: &PartitionId,
        block: Offset,
        records: &[Records],
    ) -> Result<(), StoreError> {
        let name = self.sink.name();
        let Some(bytes) = records.first().and_then(|first| first.get(0)) else { return Ok(()) };
        let found = catch(|| {
            find_panicking_outcomes(bytes, |part| {
                let mut records = Records { first: block, ..Records::default() };
                records.push(part);
                let records = [records];
                let examined = catch(|| {
                    self.shared.config.probe.look_at_outcomes(name, partition, &records);
                    // A failure of reading is told when the block is carried.
                    let _ = self.sink.examine(partition, &records);
                });
                examined.inspect_err(|_| self.sink = (self.make)()).err()
            })
        });
        let found = found.unwrap_or_else(|panicked| {
            tracing::error!(sink = name, partition = %partition, %block, %panicked, "a block of verdicts cannot be taken apart");
            Ok(Vec::new())
        });
        let found = found.map_err(|error| unreadable_block_error(partition, block, &error))?;
        self.panicked.note_outcomes(partition, block, found);
        Ok(())
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
        code: refusal.code.to_owned(),
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
