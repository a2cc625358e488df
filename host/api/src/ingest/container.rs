//! Avro object container files: a header with the writer's schema, then blocks of records.
//! See <https://avro.apache.org/docs/1.12.0/specification/#object-container-files>.
//!
//! Nothing is ever unpacked beyond a limit, and records are cut out one by one, so that a record that the stream has no
//! place for costs none of its neighbours. A record whose end cannot be found is refused with those behind it in its
//! block: it is unknown where they begin. Damage of the file itself is told with its place.

use assay_core::schema::{DecodeError, DecodeProblem, Schema};
use assay_core::wire::{Corrupt, Reader};

use super::codec::Codec;
use crate::http::{ApiError, Code, Undo, in_bytes};

/// The longest schema that is read, in bytes.
const MAX_SCHEMA: usize = 1 << 20;

/// A container file whose header was read.
pub(crate) struct Container<'a> {
    /// What its records are written in.
    pub(crate) schema: Schema,
    codec: Codec,
    sync: &'a [u8],
    /// Stands at the next block.
    blocks: Reader<'a>,
}

/// What a file may hold.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of all blocks together, unpacked.
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
        let cut = |error: Corrupt| damaged(&format!("its header breaks off: {error}"));
        loop {
            let entries = match reader.signed().map_err(cut)? {
                0 => break,
                // A negative count is followed by the number of bytes, which only helps to skip them.
                count if count < 0 => reader.signed().map(|_| count.unsigned_abs()).map_err(cut)?,
                count => count.unsigned_abs(),
            };
            for _ in 0..entries {
                let (name, value) = (bytes(&mut reader).map_err(cut)?, bytes(&mut reader).map_err(cut)?);
                match name {
                    b"avro.schema" => schema = Some(value),
                    b"avro.codec" => codec = Some(value),
                    _ => {}
                }
            }
        }
        let sync = reader.take(16).map_err(cut)?;
        let codec = Codec::named(codec.unwrap_or(b"null")).map_err(|why| damaged(&why))?;
        Ok(Self { schema: read_schema(schema)?, codec, sync, blocks: reader })
    }

    /// Hands over every record with its number, counted from 1, or why it cannot be cut out.
    pub(crate) fn each(
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
            self.codec.unpack(packed, limits.bytes - unpacked, &mut data).map_err(|error| match error {
                Undo::TooLarge => {
                    let limit = in_bytes(limits.bytes);
                    ApiError::new(Code::TooLarge, format!("more than {limit} unpacked; send several smaller files"))
                }
                Undo::Broken(why) => damaged(&format!("block {block} cannot be unpacked: {why}")),
            })?;
            unpacked += data.len();
            let mut rest = data.as_slice();
            let mut lost = None;
            for _ in 0..count {
                number += 1;
                if let Some(first) = lost {
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
                        lost = Some(number);
                    }
                }
            }
            if lost.is_none() && !rest.is_empty() {
                let left = rest.len();
                return Err(damaged(&format!("block {block} has {left} bytes behind its {count} events")));
            }
        }
        Ok(())
    }

    /// How many records the next block has, and its bytes.
    fn next_block(&mut self, block: usize) -> Result<(u64, &'a [u8]), ApiError> {
        let cut = |error: Corrupt| damaged(&format!("block {block} breaks off: {error}"));
        let count = self.blocks.signed().map_err(cut)?;
        let count =
            u64::try_from(count).map_err(|_| damaged(&format!("block {block} says that it has {count} events")))?;
        let packed = bytes(&mut self.blocks).map_err(cut)?;
        if self.blocks.take(16).map_err(cut)? != self.sync {
            let why =
                format!("behind block {block} the file's sync marker is missing: it was damaged, or joined of two");
            return Err(damaged(&why));
        }
        Ok((count, packed))
    }
}

fn read_schema(text: Option<&[u8]>) -> Result<Schema, ApiError> {
    let text = text.ok_or_else(|| damaged("its header has no 'avro.schema'"))?;
    if text.len() > MAX_SCHEMA {
        let limit = in_bytes(MAX_SCHEMA);
        return Err(ApiError::new(Code::TooLarge, format!("the file's schema is larger than {limit}")));
    }
    let text = std::str::from_utf8(text).map_err(|_| damaged("its schema is not UTF-8"))?;
    Schema::parse(text).map_err(|error| damaged(&format!("its schema cannot be used: {error}")))
}

/// A length as Avro writes it, and as many bytes.
fn bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Corrupt> {
    let length = reader.signed()?;
    let length = usize::try_from(length).map_err(|_| reader.corrupt("a length that is not negative"))?;
    reader.take(length)
}

/// Why a record is refused that comes in its block after one whose end was not found.
fn lost_record_error(first: usize) -> DecodeError {
    DecodeError { path: String::new(), position: 0, problem: DecodeProblem::Lost(first) }
}

fn damaged(why: &str) -> ApiError {
    ApiError::bad_request(format!("the Avro file cannot be read: {why}; nothing was stored"))
}

#[cfg(test)]
mod tests;
