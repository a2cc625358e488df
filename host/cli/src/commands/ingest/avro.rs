//! Splits an Avro object container file into its header and its blocks, so that requests can be files themselves.
//! See <https://avro.apache.org/docs/1.12.0/specification/#object-container-files>. The server checks the
//! content of the blocks.

use std::io::{BufRead, Read};

use anyhow::{Context, Result, ensure};

/// The first bytes of an Avro file.
pub(super) const MAGIC: &[u8] = b"Obj\x01";
/// The largest text of a header, in bytes.
const MAX_TEXT_BYTES: u64 = 16 << 20;
/// The largest block, in bytes. No server accepts a larger body.
const MAX_BLOCK_BYTES: u64 = 1 << 30;
const SYNC_BYTES: u64 = 16;

/// One block, as in the file.
pub(super) struct Block {
    pub(super) events: u64,
    pub(super) bytes: Vec<u8>,
}

/// Reads the header.
pub(super) fn read_header(input: &mut impl Read) -> Result<Vec<u8>> {
    let mut header = Vec::new();
    copy_bytes(input, MAGIC.len() as u64, &mut header)?;
    loop {
        let count = copy_long(input, &mut header)?;
        if count < 0 {
            copy_long(input, &mut header)?;
        }
        for _ in 0..count.unsigned_abs() {
            copy_text(input, &mut header)?;
            copy_text(input, &mut header)?;
        }
        if count == 0 {
            break;
        }
    }
    copy_bytes(input, SYNC_BYTES, &mut header)?;
    Ok(header)
}

/// Reads the next block; none after the last.
pub(super) fn read_block(input: &mut impl BufRead) -> Result<Option<Block>> {
    if input.fill_buf().context("the file cannot be read")?.is_empty() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let events =
        u64::try_from(copy_long(input, &mut bytes)?).context("the file is damaged: a block without a count")?;
    let size = u64::try_from(copy_long(input, &mut bytes)?).context("the file is damaged: a block without a size")?;
    ensure!(size <= MAX_BLOCK_BYTES, "a block of {size} bytes: write the file with smaller blocks");
    // Every event gets a number, so a wrong count must not be trusted.
    ensure!(events <= 1_000_000, "a block of {events} events: write the file with smaller blocks");
    copy_bytes(input, size + SYNC_BYTES, &mut bytes)?;
    Ok(Some(Block { events, bytes }))
}

fn copy_text(input: &mut impl Read, out: &mut Vec<u8>) -> Result<()> {
    let length = u64::try_from(copy_long(input, out)?).context("the file's header is damaged: a negative length")?;
    ensure!(length <= MAX_TEXT_BYTES, "the file's header is damaged: a text of {length} bytes");
    copy_bytes(input, length, out)
}

/// Reads a long in Avro's zigzag coding, and copies its bytes.
fn copy_long(input: &mut impl Read, out: &mut Vec<u8>) -> Result<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let at = out.len();
        copy_bytes(input, 1, out)?;
        value |= u64::from(out[at] & 0x7f) << shift;
        if out[at] < 0x80 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    anyhow::bail!("the file is damaged: a number of more than 64 bits")
}

fn copy_bytes(input: &mut impl Read, length: u64, out: &mut Vec<u8>) -> Result<()> {
    let read = input.by_ref().take(length).read_to_end(out).context("the file cannot be read")?;
    ensure!(read as u64 == length, "the file breaks off inside a block or its header");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{ContainerWriter, sync_marker};

    #[test]
    fn the_pieces_are_the_file() {
        let schema = serde_json::json!({ "type": "string" });
        let mut writer = ContainerWriter::new(Vec::new(), &schema, sync_marker(3)).unwrap();
        for _ in 0..30_000 {
            writer.append(|out| out.extend_from_slice(b"\x08abcd")).unwrap();
        }
        let file = writer.finish().unwrap();
        let mut input = file.as_slice();
        let mut pieces = read_header(&mut input).unwrap();
        let mut events = 0;
        while let Some(block) = read_block(&mut input).unwrap() {
            pieces.extend_from_slice(&block.bytes);
            events += block.events;
        }
        assert_eq!((pieces == file, events), (true, 30_000));
        let mut cut = &file[..file.len() - 1];
        read_header(&mut cut).unwrap();
        let error = std::iter::from_fn(|| read_block(&mut cut).transpose()).find_map(Result::err).unwrap();
        assert_eq!(error.to_string(), "the file breaks off inside a block or its header");
        assert!(read_header(&mut &file[..20]).is_err());
    }
}
