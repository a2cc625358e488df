//! Avro object container files: a header with the writer's schema, then blocks of records.
//! See <https://avro.apache.org/docs/1.12.0/specification/#object-container-files>.
//!
//! Blocks are decompressed up to a limit, and records are read one by one, so that a record that does not fit the
//! stream is refused alone. If the end of a record cannot be found, the rest of its block is refused too, because the
//! beginning of the next record is unknown. Damage of the file itself is an error with its place.

use assay_core::schema::{DecodeError, DecodeProblem, Schema};
use assay_core::wire::{Corrupt, Reader};

use super::codec::Codec;
use crate::http::{ApiError, Code, DecompressError, format_bytes};

/// The longest schema that is read, in bytes.
const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// A container file after its header.
pub(crate) struct Container<'a> {
    /// The writer's schema of its records.
    pub(crate) schema: Schema,
    codec: Codec,
    sync: &'a [u8],
    /// Positioned at the next block.
    blocks: Reader<'a>,
}

/// The limits of a file.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of all blocks, decompressed.
    pub(crate) bytes: usize,
    pub(crate) events: usize,
}

impl<'a> Container<'a> {
    pub(crate) fn open(file: &'a [u8]) -> Result<Self, ApiError> {
        let mut reader = Reader::new(file);
        if reader.take(4).ok() != Some(b"Obj\x01") {
            return Err(damaged("it does not begin as an Avro object container file does, with 'Obj' and 01"));
        }
        let (mut schema, mut codec) = (None, None);
        let truncated = |error: Corrupt| damaged(&format!("its header breaks off: {error}"));
        loop {
            let entries = match reader.signed().map_err(truncated)? {
                0 => break,
                // A negative count is followed by the number of bytes, which only helps to skip them.
                count if count < 0 => reader.signed().map(|_| count.unsigned_abs()).map_err(truncated)?,
                count => count.unsigned_abs(),
            };
            for _ in 0..entries {
                let (name, value) =
                    (read_bytes(&mut reader).map_err(truncated)?, read_bytes(&mut reader).map_err(truncated)?);
                match name {
                    b"avro.schema" => schema = Some(value),
                    b"avro.codec" => codec = Some(value),
                    _ => {}
                }
            }
        }
        let sync = reader.take(16).map_err(truncated)?;
        let codec = Codec::from_name(codec.unwrap_or(b"null")).map_err(|why| damaged(&why))?;
        Ok(Self { schema: read_schema(schema)?, codec, sync, blocks: reader })
    }

    /// Calls `record` for every record, with its number from 1, or with the reason why its bytes cannot be found.
    pub(crate) fn for_each_record(
        mut self,
        limits: Limits,
        mut record: impl FnMut(usize, Result<&[u8], DecodeError>),
    ) -> Result<(), ApiError> {
        let (mut number, mut unpacked, mut block) = (0, 0, 0);
        let mut data = Vec::new();
        while !self.blocks.is_empty() {
            block += 1;
            let (count, packed) = self.next_block(block)?;
            if count > (limits.events - number) as u64 {
                let detail = format!("more than {} events; send several smaller files", limits.events);
                return Err(ApiError::new(Code::TooLarge, detail));
            }
            data.clear();
            self.codec.decompress(packed, limits.bytes - unpacked, &mut data).map_err(|error| match error {
                DecompressError::TooLarge => {
                    let limit = format_bytes(limits.bytes);
                    ApiError::new(Code::TooLarge, format!("more than {limit} uncompressed; send several smaller files"))
                }
                DecompressError::Broken(why) => damaged(&format!("block {block} cannot be decompressed: {why}")),
            })?;
            unpacked += data.len();
            let mut rest = data.as_slice();
            let mut first_lost = None;
            for _ in 0..count {
                number += 1;
                if let Some(first) = first_lost {
                    record(number, Err(lost_record_error(first)));
                    continue;
                }
                match self.schema.record_length(rest) {
                    Ok(length) => {
                        let (one, others) = rest.split_at(length);
                        record(number, Ok(one));
                        rest = others;
                    }
                    Err(error) => {
                        record(number, Err(error));
                        first_lost = Some(number);
                    }
                }
            }
            if first_lost.is_none() && !rest.is_empty() {
                let left = rest.len();
                return Err(damaged(&format!("block {block} has {left} bytes after its {count} events")));
            }
        }
        Ok(())
    }

    /// The number of records of the next block, and its bytes.
    fn next_block(&mut self, block: usize) -> Result<(u64, &'a [u8]), ApiError> {
        let truncated = |error: Corrupt| damaged(&format!("block {block} breaks off: {error}"));
        let count = self.blocks.signed().map_err(truncated)?;
        let count =
            u64::try_from(count).map_err(|_| damaged(&format!("block {block} says that it has {count} events")))?;
        let packed = read_bytes(&mut self.blocks).map_err(truncated)?;
        if self.blocks.take(16).map_err(truncated)? != self.sync {
            let why = format!(
                "after block {block} the file's sync marker is missing: the file is damaged, or two files were joined"
            );
            return Err(damaged(&why));
        }
        Ok((count, packed))
    }
}

fn read_schema(text: Option<&[u8]>) -> Result<Schema, ApiError> {
    let text = text.ok_or_else(|| damaged("its header has no 'avro.schema'"))?;
    if text.len() > MAX_SCHEMA_BYTES {
        let limit = format_bytes(MAX_SCHEMA_BYTES);
        return Err(ApiError::new(Code::TooLarge, format!("the file's schema is larger than {limit}")));
    }
    let text = std::str::from_utf8(text).map_err(|_| damaged("its schema is not UTF-8"))?;
    Schema::parse(text).map_err(|error| damaged(&format!("its schema cannot be used: {error}")))
}

/// Reads a length in Avro's encoding, and that many bytes.
fn read_bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Corrupt> {
    let length = reader.signed()?;
    let length = usize::try_from(length).map_err(|_| reader.corrupt("a length that is not negative"))?;
    reader.take(length)
}

/// The error of a record that comes after one whose end was not found.
fn lost_record_error(first: usize) -> DecodeError {
    DecodeError { path: String::new(), position: 0, problem: DecodeProblem::Lost(first) }
}

fn damaged(why: &str) -> ApiError {
    ApiError::bad_request(format!("the Avro file cannot be read: {why}; nothing was stored"))
}

#[cfg(test)]
mod tests;
