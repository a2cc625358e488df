//! Finds the lost offsets of the log: those between the remaining blocks, and those up to the end in the ledger.

use std::collections::BTreeMap;

use fjall::AbstractTree as _;
use lsm_tree::{Guard as _, SeqNo};

use super::super::keys::TopicPartition;
use super::super::ledger::{LedgerContents, LedgerPart};
use super::super::log::count_records;
use super::Loss;
use super::tables::KeyspaceTables;

/// Finds the lost records of each partition. `blocks` are those in the journals: first offset and number of records.
pub(super) fn find_lost_records(
    log: Option<&KeyspaceTables>,
    mut blocks: BTreeMap<LedgerPart, Vec<(u64, u64)>>,
    ledger: &LedgerContents,
) -> Result<Vec<Loss>, String> {
    for part in ledger.values.keys() {
        blocks.entry(*part).or_default();
    }
    let mut losses = Vec::new();
    for (part, mut blocks) in blocks {
        let Some(topic_partition) = TopicPartition::from_part(part) else { continue };
        let (synced, name) = ledger.values.get(&part).cloned().unwrap_or_default();
        let stream =
            if name.is_empty() { format!("stream number {}", topic_partition.partition.stream.0) } else { name };
        blocks.sort_unstable();
        let mut end = log.map_or(Ok(None), |log| find_end_in_tables(log, topic_partition))?;
        // The end in the ledger acts as an empty last block.
        for (first, count) in blocks.into_iter().chain([(synced, 0)]) {
            // Without a block in the tables the first one in the journals is where retention ended, or the beginning.
            let from = *end.get_or_insert(if count > 0 { first } else { 0 });
            if first > from {
                let (stream, topic, partition) =
                    (stream.clone(), topic_partition.topic.name(), topic_partition.partition.partition);
                losses.push(Loss::Records { stream, topic, partition, from, to: first });
            }
            end = Some(from.max(first + count));
        }
    }
    Ok(losses)
}

/// The offset after the last record of a partition in the tables; none without a block.
fn find_end_in_tables(log: &KeyspaceTables, topic_partition: TopicPartition) -> Result<Option<u64>, String> {
    let range = topic_partition.block_key(0).to_vec()..=topic_partition.block_key(u64::MAX).to_vec();
    let Some(last) = log.tree.range(range, SeqNo::MAX, None).next_back() else { return Ok(None) };
    let (key, block) = last.into_inner().map_err(|error| format!("the log cannot be read: {error:?}"))?;
    let first = TopicPartition::first_offset_in(&key).ok_or("the log has a key that is none")?;
    let count = count_records(&block).map_err(|error| format!("the block at offset {first} of the log: {error}"))?;
    Ok(Some(first + count))
}
