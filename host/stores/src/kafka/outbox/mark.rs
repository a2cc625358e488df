//! How far a topic of the outbox has come: what its last record says of itself in its headers.

use std::time::Duration;

use assay_core::names::Offset;
use assay_engine::ports::StoreError;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};

use super::super::last::{header, last_record};

/// The event's offset in the events' topic.
const OFFSET: &str = "assay-offset";
/// The offset of the block in the engine's log of verdicts.
const BLOCK: &str = "assay-block";
/// The rule that spoke or failed; empty: the event could not be read.
const RULE: &str = "assay-rule";

/// Which record it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The event.
    pub(super) offset: Offset,
    /// The block that the verdict stands in.
    pub(super) block: Offset,
    /// Which of the event's records.
    pub(super) rule: String,
}

impl Mark {
    /// The headers that say so.
    pub(super) fn headers(&self) -> OwnedHeaders {
        OwnedHeaders::new_with_capacity(8)
            .insert(Header { key: OFFSET, value: Some(&self.offset.to_string()) })
            .insert(Header { key: BLOCK, value: Some(&self.block.to_string()) })
            .insert(Header { key: RULE, value: Some(&self.rule) })
    }
}

/// What the last record of a partition says; none: there is none, or it is not the outbox's.
pub(super) fn read(
    settings: &ClientConfig,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> Result<Option<Mark>, StoreError> {
    let Some(last) = last_record(settings, topic, partition, timeout)? else { return Ok(None) };
    let number = |name| header(&last, name)?.parse().ok().map(Offset);
    let mark = || Some(Mark { offset: number(OFFSET)?, block: number(BLOCK)?, rule: header(&last, RULE)?.to_owned() });
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

/// How many of an event's records, in their order, are published already.
pub(super) fn first_behind(mark: Option<&Mark>, offset: Offset, rules: &[&str]) -> usize {
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
    fn what_was_published_is_passed_over_to_the_rule() {
        let mark = Mark { offset: Offset(5), block: Offset(1), rule: "b".to_owned() };
        let behind = |offset| first_behind(Some(&mark), Offset(offset), &["a", "b", "c"]);
        assert_eq!((behind(4), behind(5), behind(6)), (3, 2, 0));
        assert_eq!(first_behind(Some(&mark), Offset(5), &["c"]), 0);
        assert_eq!(first_behind(None, Offset(0), &["a"]), 0);
    }
}
