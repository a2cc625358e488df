//! The log: blocks follow one another without a gap, their checksums fit, and verdicts judge what there is.

use std::collections::HashMap;

use assay_core::verdict::read_block;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Records, Topic};

use super::super::Embedded;
use super::super::keys::{PartitionId, TopicPartition};
use super::super::ledger::Contents;
use super::Report;

/// How much is read at once.
const READ_BYTES: usize = 4 << 20;
/// How many records are read at once.
const READ_RECORDS: usize = 65_536;

/// The records of a partition of a topic.
pub(super) struct Range {
    pub(super) end: u64,
}

/// The ranges of the log, by partition and topic.
pub(super) type Ranges = HashMap<(PartitionId, Topic), Range>;

pub(super) fn check(
    store: &Embedded,
    progress: &mut dyn FnMut(&str),
    report: &mut Report,
) -> Result<Ranges, StoreError> {
    let mut ranges = Ranges::new();
    for (place, stream, end) in store.log.ends() {
        progress(&format!("{} of {stream}/{}", place.topic.name(), place.of.partition));
        check_partition(store, place, &stream, end, report);
        ranges.insert((place.of, place.topic), Range { end });
    }
    for loss in store.log.cut_off(&Contents::default())? {
        report.problem(format!("lost: {loss}, which checkpoints or positions know of"));
    }
    Ok(ranges)
}

fn check_partition(store: &Embedded, place: TopicPartition, stream: &str, end: u64, report: &mut Report) {
    let name = format!("{} of {stream}/{}", place.topic.name(), place.of.partition);
    let reader = store.log.reader();
    let (mut at, mut judged) = (reader.head(place), 0);
    while at < end {
        let blocks = match reader.read(place, at, READ_RECORDS, READ_BYTES) {
            Ok(blocks) => blocks,
            Err(error) => {
                report.problem(format!("the {name}: {error}"));
                break;
            }
        };
        for block in &blocks {
            if block.first.0 != at {
                report.problem(format!("the {name}: {at} to {} are missing", block.first.0.saturating_sub(1)));
            }
            at = block.next().0;
            report.records += block.len() as u64;
            if place.topic == Topic::Verdicts {
                check_verdicts(block, &name, &mut judged, report);
            }
        }
    }
}

fn check_verdicts(records: &Records, name: &str, judged: &mut u64, report: &mut Report) {
    for (offset, record) in records.iter() {
        match read_block(record) {
            Ok(block) if block.next.0 < *judged => {
                let next = block.next;
                report
                    .problem(format!("the {name}, block {offset}: it judges up to {next}, the one before to {judged}"));
            }
            Ok(block) => *judged = block.next.0,
            Err(error) => report.problem(format!("the {name}, block {offset}: {error}")),
        }
    }
}
