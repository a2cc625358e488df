//! Messages of a stream's topic, turned into plain Avro of the stream's schema.

use std::sync::Arc;

use assay_core::schema::{Encoder, MAX_EVENT_BYTES};
use assay_core::stream::Format;
use assay_engine::panics::{EVENT_PANICKED, catch};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Records, Refused};
use rdkafka::message::{BorrowedHeaders, Headers as _};

use super::super::error::unavailable;
use super::writers::Writer;
use super::{CONFLUENT_MAGIC, Codec, SCHEMA_HEADER, SINGLE_OBJECT_MAGIC};

/// Reads messages of one partition, one behind the other.
pub(in super::super) struct Reading {
    codec: Arc<Codec>,
    /// The writer of the message before: mostly the next one's too.
    last: Option<(i32, Arc<Writer>)>,
    json: Option<Encoder>,
}

impl Reading {
    pub(in super::super) fn new(codec: Arc<Codec>) -> Self {
        let json = (codec.format == Format::Json).then(|| Encoder::new(&codec.schema));
        Self { codec, last: None, json }
    }

    /// What events are read with.
    pub(in super::super) fn codec(&self) -> &Arc<Codec> {
        &self.codec
    }

    /// Adds a message to `records`, as an event or as a refused record.
    ///
    /// # Errors
    /// The registry cannot be asked, or the event was written in a later schema; `records` are as they were.
    pub(in super::super) fn push(
        &mut self,
        payload: Option<&[u8]>,
        headers: Option<&BorrowedHeaders>,
        records: &mut Records,
    ) -> Result<(), StoreError> {
        if let Some(written) = headers.and_then(schema_of).filter(|written| self.codec.has_to_wait(*written)) {
            let (stream, number) = (&self.codec.stream, self.codec.number);
            return Err(unavailable(format!(
                "an event of '{stream}' is in the stream's schema number {written}, and number {number} is in effect here: \
                 this process has still to hear of the change"
            )));
        }
        let refused = match payload {
            None => Err(refused("event-empty", "the message has no value (a tombstone)")),
            Some(payload) if payload.len() > MAX_EVENT_BYTES + 16 && self.json.is_none() => {
                let message = format!("a message of {} bytes; at most {MAX_EVENT_BYTES} are allowed", payload.len());
                Err(refused("event-too-large", message))
            }
            Some(payload) => self.translate_caught(payload, &mut records.data)?,
        };
        if let Err(refused) = refused {
            records.data.extend_from_slice(payload.unwrap_or_default());
            // Blocks are cut far below what a u32 counts.
            records.refused.push((records.ends.len() as u32, refused));
        }
        records.end_record();
        Ok(())
    }

    /// The same as `translate`; an event that makes it panic is refused.
    fn translate_caught(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<Result<(), Refused>, StoreError> {
        let before = out.len();
        let translated = catch(|| {
            let translated = self.translate(payload, out)?;
            // Other producers may write UUIDs in capital letters.
            self.codec.schema.canonicalize(&mut out[before..]);
            Ok(translated)
        });
        translated.unwrap_or_else(|panicked| {
            out.truncate(before);
            // What was in hand is made anew.
            *self = Self::new(self.codec.clone());
            Ok(Err(refused(EVENT_PANICKED, panicked.to_string())))
        })
    }

    /// Appends the event's Avro to `out`, which is as it was when the message is refused.
    fn translate(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<Result<(), Refused>, StoreError> {
        let event = match self.codec.format {
            Format::Avro => payload,
            Format::Confluent => match payload {
                [CONFLUENT_MAGIC, a, b, c, d, event @ ..] => {
                    return self.by_id(i32::from_be_bytes([*a, *b, *c, *d]), event, out);
                }
                _ => return Ok(Err(refused("event-malformed", not_framed("a zero byte and a schema id", payload)))),
            },
            Format::SingleObject => match payload {
                [m, n, rest @ ..] if [*m, *n] == SINGLE_OBJECT_MAGIC && rest.len() >= 8 => {
                    let (fingerprint, event) = rest.split_at(8);
                    let known = <[u8; 8]>::try_from(fingerprint).ok();
                    match known.and_then(|fingerprint| self.codec.fingerprints.get(&fingerprint)) {
                        Some(writer) => return Ok(turn(writer, event, out, &"of an earlier schema of the stream")),
                        None => return Ok(Err(refused("schema-unknown", unknown_fingerprint(fingerprint)))),
                    }
                }
                _ => return Ok(Err(refused("event-malformed", not_framed("C3 01 and a fingerprint", payload)))),
            },
            Format::Json => {
                let encoded = self.json.as_mut().map(|encoder| encoder.encode(payload, out));
                return Ok(match encoded {
                    Some(Err(error)) => Err(refused(error.code(), error.to_string())),
                    _ => Ok(()),
                });
            }
        };
        out.extend_from_slice(event);
        Ok(Ok(()))
    }

    fn by_id(&mut self, id: i32, event: &[u8], out: &mut Vec<u8>) -> Result<Result<(), Refused>, StoreError> {
        let writer = match &self.last {
            Some((last, writer)) if *last == id => writer,
            _ => {
                let writer = self.codec.writers.get(id)?;
                &self.last.insert((id, writer)).1
            }
        };
        let turned = turn(writer, event, out, &format_args!("of the schema with the id {id}"));
        if matches!(**writer, Writer::Refused(_)) {
            // It may become known.
            self.last = None;
        }
        Ok(turned)
    }
}

/// Appends a writer's record to `out`, as an event of the stream.
fn turn(writer: &Writer, record: &[u8], out: &mut Vec<u8>, of: &dyn std::fmt::Display) -> Result<(), Refused> {
    match writer {
        Writer::Same => {
            out.extend_from_slice(record);
            Ok(())
        }
        Writer::Other(resolver) => resolver
            .resolve(record, out)
            .map_err(|error| refused("event-malformed", format!("as a record {of}: {error}"))),
        Writer::Refused(why) => Err(why.clone()),
    }
}

/// The number of the schema that an event was written in, if its headers say it.
fn schema_of(headers: &BorrowedHeaders) -> Option<u32> {
    let header = headers.iter().find(|header| header.key == SCHEMA_HEADER)?;
    std::str::from_utf8(header.value?).ok()?.parse().ok()
}

fn refused(code: &'static str, message: impl Into<String>) -> Refused {
    Refused { code, message: message.into() }
}

fn not_framed(expected: &str, payload: &[u8]) -> String {
    let begin: Vec<String> = payload.iter().take(8).map(|byte| format!("{byte:02X}")).collect();
    format!("the message does not begin with {expected}, but with {}", begin.join(" "))
}

fn unknown_fingerprint(fingerprint: &[u8]) -> String {
    let hex: Vec<String> = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("the message's schema has the fingerprint {}, which is not the stream's", hex.join(" "))
}
