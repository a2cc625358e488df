//! An Avro object container file (Avro 1.12, "Object Container Files"), uncompressed, from datums that are encoded
//! already. The sync marker is an argument, so that the same events give the same file.

use std::io::{self, Write};

use super::avro::push_long;

/// Blocks are written when they are at least this long.
const BLOCK_BYTES: usize = 64 * 1024;

/// Writes one container file. Only [`finish`](Self::finish) makes it complete.
pub struct ContainerWriter<W> {
    out: W,
    sync: [u8; 16],
    block: Vec<u8>,
    count: i64,
}

impl<W: Write> ContainerWriter<W> {
    /// Writes the file's header. The sync marker should be different for every content.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn new(mut out: W, schema: &serde_json::Value, sync: [u8; 16]) -> io::Result<Self> {
        let mut header = b"Obj\x01".to_vec();
        push_long(&mut header, 2);
        for (key, value) in [("avro.schema", schema.to_string().as_str()), ("avro.codec", "null")] {
            for text in [key, value] {
                push_long(&mut header, text.len() as i64);
                header.extend_from_slice(text.as_bytes());
            }
        }
        push_long(&mut header, 0);
        header.extend_from_slice(&sync);
        out.write_all(&header)?;
        Ok(Self { out, sync, block: Vec::with_capacity(2 * BLOCK_BYTES), count: 0 })
    }

    /// Adds one datum: `encode` appends its bytes.
    ///
    /// # Errors
    /// When a full block cannot be written.
    pub fn append(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        encode(&mut self.block);
        self.count += 1;
        if self.block.len() >= BLOCK_BYTES { self.write_block() } else { Ok(()) }
    }

    /// Writes what is left and gives the writer back, flushed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        if self.count > 0 {
            self.write_block()?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn write_block(&mut self) -> io::Result<()> {
        let mut head = Vec::with_capacity(20);
        push_long(&mut head, self.count);
        push_long(&mut head, self.block.len() as i64);
        self.out.write_all(&head)?;
        self.out.write_all(&self.block)?;
        self.out.write_all(&self.sync)?;
        self.block.clear();
        self.count = 0;
        Ok(())
    }
}

/// A sync marker made of a seed: 16 bytes that look random.
pub fn sync_marker(seed: u64) -> [u8; 16] {
    let mut marker = [0; 16];
    marker[..8].copy_from_slice(&super::rng::mix_bits(seed).to_le_bytes());
    marker[8..].copy_from_slice(&super::rng::mix_bits(!seed).to_le_bytes());
    marker
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_many_blocks_is_read_back() {
        let schema = serde_json::json!({ "type": "long" });
        let mut writer = ContainerWriter::new(Vec::new(), &schema, sync_marker(3)).unwrap();
        for i in 0..100_000 {
            writer.append(|out| push_long(out, i)).unwrap();
        }
        let file = writer.finish().unwrap();
        let sync = sync_marker(3);
        assert!(file.windows(16).filter(|window| *window == sync).count() > 2, "one block only");
        let reader = apache_avro::Reader::new(file.as_slice()).unwrap();
        let read: Vec<_> = reader.map(Result::unwrap).collect();
        assert_eq!(read, (0..100_000).map(apache_avro::types::Value::Long).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_without_events_is_a_file() {
        let schema = serde_json::json!({ "type": "long" });
        let file = ContainerWriter::new(Vec::new(), &schema, sync_marker(1)).and_then(ContainerWriter::finish).unwrap();
        assert_eq!(apache_avro::Reader::new(file.as_slice()).unwrap().count(), 0);
    }
}
