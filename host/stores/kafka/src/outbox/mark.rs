//! The mark of a record: its headers identify it, so that the last record of a partition shows what was published.

use std::time::Duration;

use assay_core::names::Offset;
use assay_engine::ports::StoreError;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};

use super::super::last_record::{header_text, read_last_record};

/// The header with the event's offset in the topic of the events.
const OFFSET: &str = "assay-offset";
/// The header with the block's offset in the engine's log of verdicts.
const BLOCK: &str = "assay-block";
/// The header with the rule of the verdict or failure; empty if the event could not be read.
const RULE: &str = "assay-rule";

/// The identity of a published record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The event's offset.
    pub(super) offset: Offset,
    /// The offset of the block with the verdict or failure.
    pub(super) block: Offset,
    /// The rule, which distinguishes the records of an event.
    pub(super) rule: String,
}

impl Mark {
    /// The mark as headers.
    pub(super) fn make_headers(&self) -> OwnedHeaders {
        OwnedHeaders::new_with_capacity(8)
            .insert(Header { key: OFFSET, value: Some(&self.offset.to_string()) })
            .insert(Header { key: BLOCK, value: Some(&self.block.to_string()) })
            .insert(Header { key: RULE, value: Some(&self.rule) })
    }
}

/// Reads the mark of the last record of a partition; none if there is no record, or it is not the outbox's.
pub(super) fn read_mark(
    settings: &ClientConfig,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> Result<Option<Mark>, StoreError> {
    let Some(last) = read_last_record(settings, topic, partition, timeout)? else { return Ok(None) };
    let number = |name| header_text(&last, name)?.parse().ok().map(Offset);
    let mark =
        || Some(Mark { offset: number(OFFSET)?, block: number(BLOCK)?, rule: header_text(&last, RULE)?.to_owned() });
    let mark = mark();
    if mark.is_none() {
        tracing::warn!(
            topic,
            partition,
            "the last record is not Assay's: everything is published again; let nobody else write to this topic"
        );
    }
    Ok(mark)
}

/// The number of an event's records, in their order, that are published up to the mark.
pub(super) fn count_published(mark: Option<&Mark>, offset: Offset, rules: &[&str]) -> usize {
    match mark {
        Some(mark) if offset < mark.offset => rules.len(),
        Some(mark) if offset == mark.offset => rules.iter().position(|rule| *rule == mark.rule).map_or(0, |at| at + 1),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_records_are_counted_up_to_the_rule() {
        let mark = Mark { offset: Offset(5), block: Offset(1), rule: "b".to_owned() };
        let count = |offset| count_published(Some(&mark), Offset(offset), &["a", "b", "c"]);
        assert_eq!((count(4), count(5), count(6)), (3, 2, 0));
        assert_eq!(count_published(Some(&mark), Offset(5), &["c"]), 0);
        assert_eq!(count_published(None, Offset(0), &["a"]), 0);
    }
}
