//! Every key that the adapters write, in one place. All numbers are big-endian, so that keys sort as numbers do.

use assay_core::names::Digest;
use assay_engine::ports::log::Topic;

use super::ledger::Part;

/// Texts up to this many bytes are in keys as they are; longer ones by their digest. fjall takes keys of 64 KiB.
const LONGEST_TEXT: usize = 512;

/// A stream's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct StreamId(pub(super) u32);

/// A partition of a numbered stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PartitionId {
    pub(super) stream: StreamId,
    pub(super) partition: u32,
}

impl PartitionId {
    /// The partition in the key of an entity's row.
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        let both = u64::from_be_bytes(*key.first_chunk()?);
        Some(Self { stream: StreamId((both >> 32) as u32), partition: both as u32 })
    }

    pub(super) fn bytes(self) -> [u8; 8] {
        (u64::from(self.stream.0) << 32 | u64::from(self.partition)).to_be_bytes()
    }
}

/// A partition of a topic: its blocks are in the keyspace `log`, by their first offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TopicPartition {
    pub(super) of: PartitionId,
    pub(super) topic: Topic,
}

impl TopicPartition {
    /// The key of the block that begins at an offset.
    pub(super) fn block(self, first: u64) -> [u8; 17] {
        let mut key = [0; 17];
        key[..4].copy_from_slice(&self.of.stream.0.to_be_bytes());
        key[4] = match self.topic {
            Topic::Events => 0,
            Topic::Verdicts => 1,
        };
        key[5..9].copy_from_slice(&self.of.partition.to_be_bytes());
        key[9..].copy_from_slice(&first.to_be_bytes());
        key
    }

    /// The partition in the key of a block.
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        let number = |from: usize| Some(u32::from_be_bytes(*key.get(from..)?.first_chunk()?));
        let topic = match key.get(4)? {
            0 => Topic::Events,
            1 => Topic::Verdicts,
            _ => return None,
        };
        let of = PartitionId { stream: StreamId(number(0)?), partition: number(5)? };
        (key.len() == 17).then_some(Self { of, topic })
    }

    /// The partition of a part of the ledger; none: it is something else.
    pub(super) fn of_part(part: Part) -> Option<Self> {
        match part {
            Part::Events(of) => Some(Self { of, topic: Topic::Events }),
            Part::Verdicts(of) => Some(Self { of, topic: Topic::Verdicts }),
            Part::Pairs | Part::Keyspace(_) => None,
        }
    }

    /// The first offset in the key of a block.
    pub(super) fn first_of(key: &[u8]) -> Option<u64> {
        Some(u64::from_be_bytes(key.get(9..17)?.try_into().ok()?))
    }
}

/// Whose position a row of the keyspace `positions` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    State = 0,
    ArchivedEvents = 1,
    ArchivedVerdicts = 2,
    Profiles = 3,
    Graph = 4,
    DeadLetters = 5,
}

/// The key of a position.
pub(super) fn position(whose: Whose, of: PartitionId) -> [u8; 9] {
    let mut key = [whose as u8; 9];
    key[1..].copy_from_slice(&of.bytes());
    key
}

/// The key of an entity's row, in the keyspaces `state` and `profiles`.
pub(super) fn entity(of: PartitionId, key: &str) -> Vec<u8> {
    let mut row = Vec::with_capacity(9 + key.len().min(LONGEST_TEXT));
    row.extend_from_slice(&of.bytes());
    if key.len() <= LONGEST_TEXT {
        row.push(0);
        row.extend_from_slice(key.as_bytes());
    } else {
        row.push(1);
        row.extend_from_slice(&Digest::of(key.as_bytes()).0);
    }
    row
}

/// The entity in a row's key; none if it is too long to be there.
pub(super) fn entity_of(row: &[u8]) -> Option<&str> {
    match row.get(8)? {
        0 => std::str::from_utf8(&row[9..]).ok(),
        _ => None,
    }
}

/// Appends a text so that keys sort by it and then by what follows: a zero byte becomes `00 FF`, the end `00 01`.
pub(super) fn push_text(key: &mut Vec<u8>, text: &str) {
    let (text, digest) = match text.len() {
        0..=LONGEST_TEXT => (text.as_bytes(), None),
        _ => (&text.as_bytes()[..LONGEST_TEXT], Some(Digest::of(text.as_bytes()))),
    };
    for byte in text {
        key.push(*byte);
        if *byte == 0 {
            key.push(0xff);
        }
    }
    if let Some(digest) = digest {
        // A text that is as long as this marker begins is not in any key: the marker keeps the two apart.
        key.extend_from_slice(&[0, 2]);
        key.extend_from_slice(digest.hex().as_bytes());
    }
    key.extend_from_slice(&[0, 1]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(a: &str, b: &str) -> Vec<u8> {
        let mut key = Vec::new();
        push_text(&mut key, a);
        push_text(&mut key, b);
        key
    }

    proptest! {
        #[test]
        fn keys_of_texts_sort_as_the_texts_do(a in "[\0\u{1}ab]{0,4}", b in "[\0\u{1}ab]{0,4}", c in "[\0\u{1}ab]{0,4}", d in "[\0\u{1}ab]{0,4}") {
            prop_assert_eq!(pair(&a, &b).cmp(&pair(&c, &d)), (&a, &b).cmp(&(&c, &d)));
        }
    }

    #[test]
    fn long_texts_have_keys_of_bounded_length_and_stay_apart() {
        let of = PartitionId { stream: StreamId(1), partition: 2 };
        let long = "x".repeat(70_000);
        let longer = format!("{long}y");
        for key in [pair(&long, &long), entity(of, &long)] {
            assert!(key.len() < 4096);
        }
        assert_ne!(pair(&long, ""), pair(&longer, ""));
        assert_ne!(entity(of, &long), entity(of, &longer));
        assert_eq!(entity_of(&entity(of, "card-1")), Some("card-1"));
        assert_eq!(entity_of(&entity(of, &long)), None);
    }
}
