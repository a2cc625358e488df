//! The risk that retention deletes a record that is needed. Pure.

use assay_core::names::Offset;
use assay_core::span::Span;

use super::{NeededRecord, SCORING};
use crate::ports::log::Kept;

/// With retention by size, a reader is in danger within the oldest part of the kept records: one in so many.
const LOWEST_PART: u64 = 5;
/// A reader that is fewer records behind is not in danger by size: such a topic is small, and the reader near its end.
const MIN_RECORDS_BEHIND: u64 = 10_000;

/// The risk of losing a record that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RetentionRisk {
    /// Until its age lets retention delete it, ms; negative if it may be deleted already; none: age deletes nothing.
    pub(super) left: Option<i64>,
    /// The warning, if it is in danger.
    pub(super) danger: Option<String>,
}

/// The risk of losing a record at `now`, ms since 1970, in a partition that ends at `end`.
pub(super) fn assess_risk(need: &NeededRecord, kept: &Kept, end: Offset, now: i64) -> RetentionRisk {
    let age = now.saturating_sub(need.appended_at).max(0);
    let limit = kept.max_age.map(|limit| i64::try_from(limit.as_millis()).unwrap_or(i64::MAX));
    let left = limit.map(|limit| limit.saturating_sub(age));
    let (at, partition) = (need.at, &need.partition);
    let what = match need.reader {
        SCORING => format!("scoring and its checkpoint need {partition} from offset {at} on"),
        sink => format!("the sink {sink} needs {partition} from offset {at} on"),
    };
    let danger = if kept.first > at {
        let gone = kept.first.0 - at.0;
        Some(format!("{what}, and retention has deleted {gone} records from there on: what was not read is lost"))
    } else if let (Some(limit), Some(left)) = (limit, left)
        && age > limit / 2
    {
        let (age, limit, left) = (rounded(age), rounded(limit), rounded(left));
        Some(format!("{what}, which is {age} old, and the topic keeps {limit}: {left} left"))
    } else if let Some(bytes) = kept.max_bytes
        && end.0.saturating_sub(at.0) >= MIN_RECORDS_BEHIND
        && (at.0 - kept.first.0) * LOWEST_PART < end.0 - kept.first.0
    {
        let (first, behind) = (kept.first, end.0 - at.0);
        let mib = bytes.div_ceil(1 << 20);
        Some(format!("{what}, {behind} records behind; the topic keeps {mib} MiB, and begins at {first} already"))
    } else {
        None
    };
    let advice = match need.reader {
        SCORING => "raise the topic's retention, or see why scoring or saving is behind",
        _ => "raise the topic's retention, or mend the sink's store",
    };
    RetentionRisk { left, danger: danger.map(|danger| format!("{danger}; {advice}")) }
}

/// A span of ms in whole units, as people say it: `2d`, `3h`, `90m`.
fn rounded(ms: i64) -> Span {
    const UNITS: [u64; 4] = [86_400_000, 3_600_000, 60_000, 1_000];
    let ms = u64::try_from(ms).unwrap_or(0);
    let unit = UNITS.into_iter().find(|unit| ms >= 2 * unit).unwrap_or(1_000);
    Span(ms / unit * unit)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use assay_core::names::PartitionIndex;

    use super::*;
    use crate::ports::PartitionId;
    use crate::ports::log::Topic;

    const HOUR: i64 = 3_600_000;
    const NOW: i64 = 1_000 * HOUR;

    fn need(reader: &'static str, at: u64, appended_at: i64) -> NeededRecord {
        let partition = PartitionId { stream: "payments".into(), partition: PartitionIndex(3) };
        NeededRecord { reader, partition, topic: Topic::Events, at: Offset(at), appended_at }
    }

    fn kept(first: u64, hours: Option<u64>, max_bytes: Option<u64>) -> Kept {
        Kept { first: Offset(first), max_age: hours.map(|hours| Duration::from_secs(3600 * hours)), max_bytes }
    }

    fn danger(need: &NeededRecord, kept: &Kept, end: u64) -> Option<String> {
        assess_risk(need, kept, Offset(end), NOW).danger
    }

    #[test]
    fn half_of_the_time_is_the_border() {
        let day = kept(0, Some(24), None);
        let young = assess_risk(&need("graph", 7, NOW - 12 * HOUR), &day, Offset(9), NOW);
        assert_eq!(young, RetentionRisk { left: Some(12 * HOUR), danger: None });
        let old = assess_risk(&need("graph", 7, NOW - 20 * HOUR), &day, Offset(9), NOW);
        assert_eq!(old.left, Some(4 * HOUR));
        assert_eq!(
            old.danger.unwrap(),
            "the sink graph needs payments/3 from offset 7 on, which is 20h old, and the topic keeps 1d: 4h left; \
             raise the topic's retention, or mend the sink's store"
        );
        // Closed segments go late: a record may be there that is too old already.
        let overdue = assess_risk(&need(SCORING, 7, NOW - 30 * HOUR), &day, Offset(9), NOW);
        assert_eq!(overdue.left, Some(-6 * HOUR));
        let text = overdue.danger.unwrap();
        assert!(text.starts_with("scoring and its checkpoint need") && text.contains("0s left"), "{text}");
    }

    #[test]
    fn without_limits_nothing_is_in_danger() {
        let old = need("graph", 0, 0);
        assert_eq!(
            assess_risk(&old, &kept(0, None, None), Offset(1 << 40), NOW),
            RetentionRisk { left: None, danger: None }
        );
        // A clock that is behind the appender's.
        let young = need("graph", 0, NOW + HOUR);
        assert_eq!(assess_risk(&young, &kept(0, Some(1), None), Offset(1), NOW).left, Some(HOUR));
    }

    #[test]
    fn the_lowest_fifth_is_in_danger_where_size_deletes() {
        let full = kept(100_000, None, Some(10 << 20));
        let text = danger(&need("graph", 119_999, NOW), &full, 200_000).unwrap();
        assert!(text.contains("80001 records behind; the topic keeps 10 MiB, and begins at 100000"), "{text}");
        assert_eq!(danger(&need("graph", 120_000, NOW), &full, 200_000), None);
        assert_eq!(danger(&need("graph", 100_000, NOW), &full, 109_999), None, "a small lag");
        assert!(danger(&need("graph", 100_000, NOW), &full, 110_000).is_some());
    }

    #[test]
    fn what_is_gone_is_said() {
        let text = danger(&need("graph", 90, NOW), &kept(100, None, None), 200).unwrap();
        assert!(text.contains("has deleted 10 records"), "{text}");
    }

    #[test]
    fn spans_are_rounded_down_to_what_people_say() {
        let said = |ms| rounded(ms).to_string();
        assert_eq!(
            [said(-5), said(1_999), said(119_999), said(7_199_999), said(50 * HOUR)],
            ["0s", "1s", "119s", "119m", "2d"]
        );
    }
}
