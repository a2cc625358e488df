//! Maps an entity's key to its partition, as producers do.

use assay_core::names::{PartitionIndex, partition_of};

use super::config::Partitioner;

impl Partitioner {
    /// The partition of a key.
    pub(super) fn partition_of(self, key: &str, partitions: u32) -> PartitionIndex {
        let partitions = partitions.max(1);
        match self {
            // Java clients: Utils.toPositive(Utils.murmur2(keyBytes)) % numPartitions.
            Self::Murmur2 => PartitionIndex((murmur2(key.as_bytes()) & 0x7fff_ffff) % partitions),
            // librdkafka: rd_crc32(key) % partition_cnt.
            Self::Crc32 => PartitionIndex(crc32(key.as_bytes()) % partitions),
            Self::Xxh3 => partition_of(key, partitions),
        }
    }
}

/// Murmur2 by Austin Appleby (public domain), with the seed that Kafka's Java clients use.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut chunks = data.chunks_exact(4);
    // The length is a 32-bit int in Java, too.
    let mut hash = SEED ^ data.len() as u32;
    for chunk in &mut chunks {
        let mut word = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]).wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// CRC-32 (IEEE 802.3).
fn crc32(data: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of `UtilsTest.testMurmur2` in Apache Kafka's sources.
    #[test]
    fn murmur2_is_that_of_java_clients() {
        let vectors: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
        assert_eq!(
            Partitioner::Murmur2.partition_of("21", 10),
            PartitionIndex((-973_932_308_i32 & 0x7fff_ffff) as u32 % 10)
        );
    }

    /// The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms.
    #[test]
    fn crc32_is_that_of_librdkafka() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(Partitioner::Crc32.partition_of("123456789", 7), PartitionIndex(0xcbf4_3926 % 7));
    }
}
