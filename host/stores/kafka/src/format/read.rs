//! Decodes messages of a stream's topic to plain Avro in the stream's schema.

use std::sync::Arc;

use assay_core::failure_code::FailureCode;
use assay_core::schema::{Encoder, MAX_EVENT_BYTES};
use assay_core::stream::Format;
use assay_engine::panics::catch;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Records, Refused};
use rdkafka::message::{BorrowedHeaders, Headers as _};

use super::super::error::unavailable;
use super::writers::Writer;
use super::{CONFLUENT_MAGIC, Codec, SCHEMA_HEADER, SINGLE_OBJECT_MAGIC};

/// Decodes the messages of one partition, in order.
pub(in super::super) struct MessageDecoder {
    codec: Arc<Codec>,
    /// The writer of the last message: mostly that of the next one, too.
    last: Option<(i32, Arc<Writer>)>,
    json: Option<Encoder>,
}

impl MessageDecoder {
    pub(in super::super) fn new(codec: Arc<Codec>) -> Self {
        let json = (codec.format == Format::Json).then(|| Encoder::new(&codec.schema));
        Self { codec, last: None, json }
    }

    /// The codec of the target schema.
    pub(in super::super) fn codec(&self) -> &Arc<Codec> {
        &self.codec
    }

    /// Adds a message to `records`, as an event or as a refused record.
    ///
    /// # Errors
    /// The registry does not answer, or the event has a later schema. `records` are unchanged then.
    pub(in super::super) fn push(
        &mut self,
        payload: Option<&[u8]>,
        headers: Option<&BorrowedHeaders>,
        records: &mut Records,
    ) -> Result<(), StoreError> {
        if let Some(written) = headers.and_then(read_schema_header).filter(|written| self.codec.must_wait_for(*written))
        {
            let (stream, number) = (&self.codec.stream, self.codec.number);
            return Err(unavailable(format!(
                "an event of '{stream}' is in the stream's schema number {written}, and number {number} is in effect here: \
                 this process has still to hear of the change"
            )));
        }
        let refused = match payload {
            None => Err(make_refused(FailureCode::EventEmpty, "the message has no value (a tombstone)")),
            Some(payload) if payload.len() > MAX_EVENT_BYTES + 16 && self.json.is_none() => {
                let message = format!("a message of {} bytes; at most {MAX_EVENT_BYTES} are allowed", payload.len());
                Err(make_refused(FailureCode::EventTooLarge, message))
            }
            Some(payload) => self.decode_message_caught(payload, &mut records.data)?,
        };
        if let Err(refused) = refused {
            records.data.extend_from_slice(payload.unwrap_or_default());
            // A block has far fewer than 2^32 records.
            records.refused.push((records.ends.len() as u32, refused));
        }
        records.end_record();
        Ok(())
    }

    /// As [`Self::decode_message`]; a message that makes it panic is refused.
    fn decode_message_caught(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<Result<(), Refused>, StoreError> {
        let before = out.len();
        let decoded = catch(|| {
            let decoded = self.decode_message(payload, out)?;
            // Other producers may write UUIDs in upper case.
            self.codec.schema.canonicalize(&mut out[before..]);
            Ok(decoded)
        });
        decoded.unwrap_or_else(|panicked| {
            out.truncate(before);
            // The panic may have left the encoder half-used, so the state is replaced.
            *self = Self::new(self.codec.clone());
            Ok(Err(make_refused(FailureCode::EventPanicked, panicked.to_string())))
        })
    }

    /// Appends the event's Avro to `out`. `out` is unchanged if the message is refused.
    fn decode_message(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<Result<(), Refused>, StoreError> {
        let event = match self.codec.format {
            Format::Avro => payload,
            Format::Confluent => match payload {
                [CONFLUENT_MAGIC, a, b, c, d, event @ ..] => {
                    return self.decode_confluent(i32::from_be_bytes([*a, *b, *c, *d]), event, out);
                }
                _ => {
                    return Ok(Err(make_refused(
                        FailureCode::EventMalformed,
                        describe_wrong_frame("a zero byte and a schema id", payload),
                    )));
                }
            },
            Format::SingleObject => match payload {
                [m, n, rest @ ..] if [*m, *n] == SINGLE_OBJECT_MAGIC && rest.len() >= 8 => {
                    let (fingerprint, event) = rest.split_at(8);
                    let known = <[u8; 8]>::try_from(fingerprint).ok();
                    match known.and_then(|fingerprint| self.codec.fingerprints.get(&fingerprint)) {
                        Some(writer) => {
                            return Ok(convert_record(writer, event, out, &"of an earlier schema of the stream"));
                        }
                        None => {
                            return Ok(Err(make_refused(
                                FailureCode::SchemaUnknown,
                                describe_fingerprint(fingerprint),
                            )));
                        }
                    }
                }
                _ => {
                    return Ok(Err(make_refused(
                        FailureCode::EventMalformed,
                        describe_wrong_frame("C3 01 and a fingerprint", payload),
                    )));
                }
            },
            Format::Json => {
                let encoded = self.json.as_mut().map(|encoder| encoder.encode(payload, out));
                return Ok(match encoded {
                    Some(Err(error)) => Err(make_refused(error.code(), error.to_string())),
                    _ => Ok(()),
                });
            }
        };
        out.extend_from_slice(event);
        Ok(Ok(()))
    }

    fn decode_confluent(
        &mut self,
        id: i32,
        event: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Result<(), Refused>, StoreError> {
        let writer = match &self.last {
            Some((last, writer)) if *last == id => writer,
            _ => {
                let writer = self.codec.writers.get(id)?;
                &self.last.insert((id, writer)).1
            }
        };
        let converted = convert_record(writer, event, out, &format_args!("of the schema with the id {id}"));
        if matches!(**writer, Writer::Refused(_)) {
            // The registry may learn the schema later, so a refusal is not kept.
            self.last = None;
        }
        Ok(converted)
    }
}

/// Appends a writer's record to `out` as an event of the stream. `source` describes the record in errors.
fn convert_record(
    writer: &Writer,
    record: &[u8],
    out: &mut Vec<u8>,
    source: &dyn std::fmt::Display,
) -> Result<(), Refused> {
    match writer {
        Writer::Same => {
            out.extend_from_slice(record);
            Ok(())
        }
        Writer::Resolved(resolver) => resolver
            .resolve(record, out)
            .map_err(|error| make_refused(FailureCode::EventMalformed, format!("as a record {source}: {error}"))),
        Writer::Refused(why) => Err(why.clone()),
    }
}

/// The schema number in a message's headers; none if there is no such header.
fn read_schema_header(headers: &BorrowedHeaders) -> Option<u32> {
    let header = headers.iter().find(|header| header.key == SCHEMA_HEADER)?;
    std::str::from_utf8(header.value?).ok()?.parse().ok()
}

fn make_refused(code: FailureCode, message: impl Into<String>) -> Refused {
    Refused { code: code.as_str(), message: message.into() }
}

fn describe_wrong_frame(expected: &str, payload: &[u8]) -> String {
    let begin: Vec<String> = payload.iter().take(8).map(|byte| format!("{byte:02X}")).collect();
    format!("the message does not begin with {expected}, but with {}", begin.join(" "))
}

fn describe_fingerprint(fingerprint: &[u8]) -> String {
    let hex: Vec<String> = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("the message's schema has the fingerprint {}, which is not the stream's", hex.join(" "))
}
