//! The positions up to which partitions were read, and their text, by which a client resumes.

use std::collections::BTreeMap;
use std::time::Instant;

/// The position up to which a partition was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Position {
    /// The block to read next.
    pub(super) block: u64,
    /// The number of its verdicts that are read already.
    pub(super) verdicts: usize,
    /// All events before this one are done: a block that was appended twice says nothing new.
    pub(super) done: u64,
    /// When its end was asked for, if another process scores it.
    pub(super) asked: Option<Instant>,
    /// True if the log is known to have the block, or is at its end.
    pub(super) is_sure: bool,
}

/// `stream=block.verdicts,...;stream=...`: a block per partition, the verdicts only if some of the block are read.
pub(super) fn write(streams: &BTreeMap<String, Vec<Position>>) -> String {
    let streams = streams.iter().map(|(name, positions)| {
        let places = positions.iter().map(|position| match position.verdicts {
            0 => position.block.to_string(),
            verdicts => format!("{}.{verdicts}", position.block),
        });
        format!("{name}={}", places.collect::<Vec<_>>().join(","))
    });
    streams.collect::<Vec<_>>().join(";")
}

/// None: the text is no mark.
pub(super) fn read(mark: &str) -> Option<BTreeMap<String, Vec<Position>>> {
    let position = |text: &str| {
        let (block, verdicts) = text.split_once('.').unwrap_or((text, "0"));
        Some(Position { block: block.parse().ok()?, verdicts: verdicts.parse().ok()?, ..Position::default() })
    };
    let stream = |text: &str| {
        let (name, places) = text.split_once('=')?;
        Some((name.to_owned(), places.split(',').map(position).collect::<Option<_>>()?))
    };
    mark.split(';').filter(|text| !text.is_empty()).map(stream).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = "orders=0,0;payments=12,5.3,18446744073709551615";
        let streams = read(mark).unwrap();
        assert_eq!(streams["payments"][1], Position { block: 5, verdicts: 3, ..Position::default() });
        assert_eq!(write(&streams), mark);
        assert_eq!(read("").unwrap(), BTreeMap::new());
        for bad in ["payments", "payments=", "payments=1,x", "payments=1.2.3", "payments=-1", "=;="] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
