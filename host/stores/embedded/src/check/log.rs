//! Checks the log: blocks are contiguous, their checksums are right, and verdict blocks never judge backwards.

use std::collections::HashMap;

use assay_core::verdict::read_block;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Records, Topic};

use super::super::Embedded;
use super::super::keys::{NumberedPartition, TopicPartition};
use super::super::ledger::LedgerContents;
use super::Report;

/// The bytes of one read.
const READ_BYTES: usize = 4 << 20;
/// The records of one read.
const READ_RECORDS: usize = 65_536;

/// The extent of a partition of a topic: the offset after its last record.
pub(super) struct TopicRange {
    pub(super) end: u64,
}

/// The ranges of the log, by partition and topic.
pub(super) type TopicRanges = HashMap<(NumberedPartition, Topic), TopicRange>;

pub(super) fn check_log(
    store: &Embedded,
    progress: &mut dyn FnMut(&str),
    report: &mut Report,
) -> Result<TopicRanges, StoreError> {
    let mut ranges = TopicRanges::new();
    for (topic_partition, stream, end) in store.log.ends() {
        progress(&format!("{} of {stream}/{}", topic_partition.topic.name(), topic_partition.partition.partition));
        check_partition(store, topic_partition, &stream, end, report);
        ranges.insert((topic_partition.partition, topic_partition.topic), TopicRange { end });
    }
    for loss in store.log.find_truncated_partitions(&LedgerContents::default())? {
        report.add_problem(format!("lost: {loss}, which checkpoints or positions know of"));
    }
    Ok(ranges)
}

fn check_partition(store: &Embedded, topic_partition: TopicPartition, stream: &str, end: u64, report: &mut Report) {
    let name = format!("{} of {stream}/{}", topic_partition.topic.name(), topic_partition.partition.partition);
    let reader = store.log.reader();
    let (mut at, mut judged) = (reader.start_offset(topic_partition), 0);
    while at < end {
        let blocks = match reader.read(topic_partition, at, READ_RECORDS, READ_BYTES) {
            Ok(blocks) => blocks,
            Err(error) => {
                report.add_problem(format!("the {name}: {error}"));
                break;
            }
        };
        for block in &blocks {
            if block.first.0 != at {
                report.add_problem(format!("the {name}: {at} to {} are missing", block.first.0.saturating_sub(1)));
            }
            at = block.next().0;
            report.records += block.len() as u64;
            if topic_partition.topic == Topic::Verdicts {
                check_verdicts(block, &name, &mut judged, report);
            }
        }
    }
}

fn check_verdicts(records: &Records, name: &str, judged: &mut u64, report: &mut Report) {
    for (offset, record) in records.iter() {
        match read_block(record) {
            // A block that says where it begins may fill a gap before the end of others.
            Ok(block) if block.next.0 < *judged && block.from.is_none() => {
                let next = block.next;
                report.add_problem(format!(
                    "the {name}, block {offset}: it judges up to {next}, the one before to {judged}"
                ));
            }
            Ok(block) => *judged = block.next.0.max(*judged),
            Err(error) => report.add_problem(format!("the {name}, block {offset}: {error}")),
        }
    }
}
