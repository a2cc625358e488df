//! Messages of a stream's topic, turned into plain Avro of the stream's schema.

use std::sync::Arc;

use assay_core::schema::{Encoder, MAX_EVENT_BYTES};
use assay_core::stream::Format;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Records, Refused};

use super::writers::Writer;
use super::{CONFLUENT_MAGIC, Codec, SINGLE_OBJECT_MAGIC};

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

    /// Adds a message to `records`, as an event or as a refused record.
    ///
    /// # Errors
    /// The registry cannot be asked; `records` are as they were.
    pub(in super::super) fn push(&mut self, payload: Option<&[u8]>, records: &mut Records) -> Result<(), StoreError> {
        let refused = match payload {
            None => Err(refused("event-empty", "the message has no value (a tombstone)")),
            Some(payload) if payload.len() > MAX_EVENT_BYTES + 16 && self.json.is_none() => {
                let message = format!("a message of {} bytes; at most {MAX_EVENT_BYTES} are allowed", payload.len());
                Err(refused("event-too-large", message))
            }
            Some(payload) => self.translate(payload, &mut records.data)?,
        };
        if let Err(refused) = refused {
            records.data.extend_from_slice(payload.unwrap_or_default());
            // Blocks are cut far below what a u32 counts.
            records.refused.push((records.ends.len() as u32, refused));
        }
        records.end_record();
        Ok(())
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
                    if fingerprint != self.codec.fingerprint {
                        return Ok(Err(refused("schema-unknown", unknown_fingerprint(fingerprint))));
                    }
                    event
                }
                _ => return Ok(Err(refused("event-malformed", not_framed("C3 01 and a fingerprint", payload)))),
            },
            Format::Json => {
                let encoded = self.json.as_mut().map(|encoder| encoder.encode(payload, out));
                return Ok(match encoded {
                    Some(Err(error)) => Err(refused("event-malformed", error.to_string())),
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
        Ok(match &**writer {
            Writer::Same => {
                out.extend_from_slice(event);
                Ok(())
            }
            Writer::Other(resolver) => resolver.resolve(event, out).map_err(|error| {
                refused("event-malformed", format!("as a record of the schema with the id {id}: {error}"))
            }),
            Writer::Refused(why) => {
                let why = why.clone();
                // It may become known.
                self.last = None;
                Err(why)
            }
        })
    }
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
