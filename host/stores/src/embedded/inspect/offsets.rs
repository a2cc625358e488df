//! Which offsets of the log are gone: those between the blocks that are left, and those up to where the ledger says that
//! a partition ended.

use std::collections::BTreeMap;

use fjall::AbstractTree as _;
use lsm_tree::{Guard as _, SeqNo};

use super::super::keys::TopicPartition;
use super::super::ledger::{Contents, Part};
use super::super::log::count_records;
use super::Loss;
use super::tables::Keyspace;

/// The records that are gone of each partition, given the blocks that the journals hold.
pub(super) fn lost(
    log: Option<&Keyspace>,
    mut blocks: BTreeMap<Part, Vec<(u64, u64)>>,
    ledger: &Contents,
) -> Result<Vec<Loss>, String> {
    for part in ledger.values.keys() {
        blocks.entry(*part).or_default();
    }
    let mut losses = Vec::new();
    for (part, mut blocks) in blocks {
        let Some(place) = TopicPartition::of_part(part) else { continue };
        let (synced, name) = ledger.values.get(&part).cloned().unwrap_or_default();
        let stream = if name.is_empty() { format!("stream number {}", place.of.stream.0) } else { name };
        blocks.sort_unstable();
        let mut end = log.map_or(Ok(None), |log| end_in_tables(log, place))?;
        // After the last block the ledger takes the place of one.
        for (first, count) in blocks.into_iter().chain([(synced, 0)]) {
            // Without a block in the tables the first one is where retention has left off, or the beginning.
            let from = *end.get_or_insert(if count > 0 { first } else { 0 });
            if first > from {
                let (stream, topic, partition) = (stream.clone(), place.topic.name(), place.of.partition);
                losses.push(Loss::Records { stream, topic, partition, from, to: first });
            }
            end = Some(from.max(first + count));
        }
    }
    Ok(losses)
}

/// The offset after the last record that the tables hold of a partition.
fn end_in_tables(log: &Keyspace, place: TopicPartition) -> Result<Option<u64>, String> {
    let range = place.block(0).to_vec()..=place.block(u64::MAX).to_vec();
    let Some(last) = log.tree.range(range, SeqNo::MAX, None).next_back() else { return Ok(None) };
    let (key, block) = last.into_inner().map_err(|error| format!("the log cannot be read: {error:?}"))?;
    let first = TopicPartition::first_of(&key).ok_or("the log has a key that is none")?;
    let count = count_records(&block).map_err(|error| format!("the block at offset {first} of the log: {error}"))?;
    Ok(Some(first + count))
}
