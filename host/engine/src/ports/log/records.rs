//! Records of a partition, one behind the other, with the times at which the log stored them.

use assay_core::failure_code::FailureCode;
use assay_core::names::Offset;

/// Records that stand one behind the other in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The first one's offset; 0 and without meaning in what is to be appended.
    pub first: Offset,
    /// When the first was appended, ms since 1970, by the clock of whoever appended, or of the log.
    pub appended_at: i64,
    /// For logs with a time for each record: the indexes, rising, from which on another time holds than before.
    pub appended_later: Vec<(u32, i64)>,
    /// The number of the schema that events are in: how many schemas their stream had before. Verdicts have 0.
    pub schema: u32,
    /// All records, one behind the other.
    pub data: Vec<u8>,
    /// The end of each record in `data`.
    pub ends: Vec<u32>,
    /// Records that the log could not turn into the stream's Avro, by rising index. Their bytes are as they came.
    pub refused: Vec<(u32, Refused)>,
}

/// The reason why a record cannot be read as an event of its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The code of the failure.
    pub code: FailureCode,
    /// A description for the reader of the dead letter.
    pub message: String,
}

impl Records {
    /// Adds a record.
    pub fn push(&mut self, record: &[u8]) {
        self.data.extend_from_slice(record);
        self.end_record();
    }

    /// Makes what was added to `data` since the last record a record of its own.
    pub fn end_record(&mut self) {
        // Appends are bounded far below 4 GiB by whoever collects them.
        self.ends.push(self.data.len() as u32);
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The offset behind the last record.
    pub fn next(&self) -> Offset {
        Offset(self.first.0 + self.ends.len() as u64)
    }

    /// When the i-th record was appended, ms since 1970. The same whenever and in whatever blocks it is read.
    pub fn stored_at(&self, index: usize) -> i64 {
        let after = self.appended_later.partition_point(|(from, _)| *from as usize <= index);
        after.checked_sub(1).map_or(self.appended_at, |before| self.appended_later[before].1)
    }

    /// Makes the next record that is added one that was appended at a time of its own.
    pub fn note_appended(&mut self, appended_at: i64) {
        // Blocks are bounded far below what a u32 counts.
        let next = self.ends.len() as u32;
        if next == 0 {
            self.appended_at = appended_at;
        } else if self.stored_at(self.ends.len()) != appended_at {
            self.appended_later.push((next, appended_at));
        }
    }

    /// The i-th record.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)? as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        self.data.get(start..end)
    }

    /// Every record with its offset.
    pub fn iter(&self) -> impl Iterator<Item = (Offset, &[u8])> {
        (0..self.len()).map_while(|i| Some((Offset(self.first.0 + i as u64), self.get(i)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_has_the_time_at_which_it_was_appended() {
        let mut records = Records::default();
        let times = [5, 5, 9, 3, 3, 5];
        for time in times {
            records.note_appended(time);
            records.push(b"x");
        }
        assert_eq!(records.appended_later, [(2, 9), (3, 3), (5, 5)]);
        let found: Vec<i64> = (0..times.len()).map(|index| records.stored_at(index)).collect();
        assert_eq!(found, times);
    }
}
