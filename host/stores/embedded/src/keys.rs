//! The keys of the rows. All numbers are big-endian, so that keys sort as the numbers do.

use assay_core::names::Digest;
use assay_engine::ports::log::Topic;

use super::ledger::LedgerPart;

/// Keys hold texts up to this length as they are, and a digest of longer ones. fjall refuses keys of more than 64 KiB.
const MAX_KEY_TEXT_BYTES: usize = 512;

/// A stream's number in keys. See `streams`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct StreamId(pub(super) u32);

/// A partition of a stream that has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NumberedPartition {
    pub(super) stream: StreamId,
    pub(super) partition: u32,
}

impl NumberedPartition {
    /// The partition in the key of an entity's row; none if the key is too short.
    pub(super) fn from_key(key: &[u8]) -> Option<Self> {
        let both = u64::from_be_bytes(*key.first_chunk()?);
        Some(Self { stream: StreamId((both >> 32) as u32), partition: both as u32 })
    }

    pub(super) fn to_bytes(self) -> [u8; 8] {
        (u64::from(self.stream.0) << 32 | u64::from(self.partition)).to_be_bytes()
    }
}

/// A partition of a topic. Its blocks are rows of the keyspace `log`, ordered by first offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TopicPartition {
    pub(super) partition: NumberedPartition,
    pub(super) topic: Topic,
}

impl TopicPartition {
    /// The key of the block that begins at an offset.
    pub(super) fn block_key(self, first: u64) -> [u8; 17] {
        let mut key = [0; 17];
        key[..4].copy_from_slice(&self.partition.stream.0.to_be_bytes());
        key[4] = match self.topic {
            Topic::Events => 0,
            Topic::Verdicts => 1,
        };
        key[5..9].copy_from_slice(&self.partition.partition.to_be_bytes());
        key[9..].copy_from_slice(&first.to_be_bytes());
        key
    }

    /// The partition in the key of a block; none if it is no such key.
    pub(super) fn from_key(key: &[u8]) -> Option<Self> {
        let number = |from: usize| Some(u32::from_be_bytes(*key.get(from..)?.first_chunk()?));
        let topic = match key.get(4)? {
            0 => Topic::Events,
            1 => Topic::Verdicts,
            _ => return None,
        };
        let partition = NumberedPartition { stream: StreamId(number(0)?), partition: number(5)? };
        (key.len() == 17).then_some(Self { partition, topic })
    }

    /// The partition of a part of the ledger; none for other parts.
    pub(super) fn from_part(part: LedgerPart) -> Option<Self> {
        match part {
            LedgerPart::Events(partition) => Some(Self { partition, topic: Topic::Events }),
            LedgerPart::Verdicts(partition) => Some(Self { partition, topic: Topic::Verdicts }),
            LedgerPart::Pairs | LedgerPart::Keyspace(_) => None,
        }
    }

    /// The first offset in the key of a block.
    pub(super) fn first_offset_in(key: &[u8]) -> Option<u64> {
        Some(u64::from_be_bytes(key.get(9..17)?.try_into().ok()?))
    }
}

/// The owner of a position in the keyspace `positions`. The numbers are part of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PositionOwner {
    State = 0,
    ArchivedEvents = 1,
    ArchivedVerdicts = 2,
    Profiles = 3,
    Graph = 4,
    DeadLetters = 5,
}

/// The key of a position.
pub(super) fn position_key(owner: PositionOwner, partition: NumberedPartition) -> [u8; 9] {
    let mut key = [owner as u8; 9];
    key[1..].copy_from_slice(&partition.to_bytes());
    key
}

/// The key of an entity's row, in the keyspaces `state` and `profiles`.
pub(super) fn entity_key(partition: NumberedPartition, key: &str) -> Vec<u8> {
    let mut row = Vec::with_capacity(9 + key.len().min(MAX_KEY_TEXT_BYTES));
    row.extend_from_slice(&partition.to_bytes());
    if key.len() <= MAX_KEY_TEXT_BYTES {
        row.push(0);
        row.extend_from_slice(key.as_bytes());
    } else {
        row.push(1);
        row.extend_from_slice(&Digest::of(key.as_bytes()).0);
    }
    row
}

/// The entity in a row's key; none if the key holds its digest.
pub(super) fn entity_in_key(row: &[u8]) -> Option<&str> {
    match row.get(8)? {
        0 => std::str::from_utf8(&row[9..]).ok(),
        _ => None,
    }
}

/// Appends a text so that keys sort by it and then by what follows. A zero byte becomes `00 FF`, and `00 01` ends the text.
pub(super) fn push_text(key: &mut Vec<u8>, text: &str) {
    let (text, digest) = match text.len() {
        0..=MAX_KEY_TEXT_BYTES => (text.as_bytes(), None),
        _ => (&text.as_bytes()[..MAX_KEY_TEXT_BYTES], Some(Digest::of(text.as_bytes()))),
    };
    for byte in text {
        key.push(*byte);
        if *byte == 0 {
            key.push(0xff);
        }
    }
    if let Some(digest) = digest {
        // `00 02` distinguishes the digest of a long text from a short text with the same bytes.
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
        let partition = NumberedPartition { stream: StreamId(1), partition: 2 };
        let long = "x".repeat(70_000);
        let longer = format!("{long}y");
        for key in [pair(&long, &long), entity_key(partition, &long)] {
            assert!(key.len() < 4096);
        }
        assert_ne!(pair(&long, ""), pair(&longer, ""));
        assert_ne!(entity_key(partition, &long), entity_key(partition, &longer));
        assert_eq!(entity_in_key(&entity_key(partition, "card-1")), Some("card-1"));
        assert_eq!(entity_in_key(&entity_key(partition, &long)), None);
    }
}
