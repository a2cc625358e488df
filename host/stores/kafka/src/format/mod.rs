//! The format of a stream's events in its topic: frames, keys, schemas. `read` decodes messages to plain Avro.

mod read;
mod writers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use apache_avro::rabin::Rabin;
use assay_core::schema::{Extractor, Scalar, Schema, to_json};
use assay_core::stream::{Format, StreamDef};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::Records;
use rdkafka::message::{Header, OwnedHeaders};

use super::error::broken;
use super::schemas::Schemas;
use writers::{Writer, Writers};

pub(super) use read::MessageDecoder;

/// The first byte of Confluent's wire format.
const CONFLUENT_MAGIC: u8 = 0;
/// The first bytes of Avro's single-object encoding.
const SINGLE_OBJECT_MAGIC: [u8; 2] = [0xc3, 0x01];

/// The header with the number of the schema, as text. Events of the stream's first schema have none.
const SCHEMA_HEADER: &str = "assay-schema";
/// The longest wait for an unknown later schema. It is longer than any outage of the catalog should be. It is bounded,
/// because tools copy messages with their headers from other installations, and such a header must not stop a partition
/// for good.
const MAX_SCHEMA_WAIT: Duration = Duration::from_secs(600);

/// Writes events in one of the stream's schemas, and decodes events of any writer to it.
pub(super) struct Codec {
    pub(super) stream: String,
    pub(super) format: Format,
    /// The number of the schema: the stream's first one is 0.
    pub(super) number: u32,
    pub(super) schema: Schema,
    /// The writers of this schema and of the earlier ones, by CRC-64-AVRO. Only single-object frames need them.
    fingerprints: HashMap<[u8; 8], Writer>,
    /// The CRC-64-AVRO of this schema.
    fingerprint: [u8; 8],
    key: Extractor,
    subject: String,
    schemas: Arc<dyn Schemas>,
    /// The schema's id in the registry, once it is known.
    id: Mutex<Option<i32>>,
    /// The time of the first event of a later schema.
    later_schema_seen_at: OnceLock<Instant>,
    pub(super) writers: Writers,
}

/// The keys of events, concatenated.
pub(super) struct Keys {
    data: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    /// The i-th event's key.
    pub(super) fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.data[start..self.ends[index]]
    }
}

impl Codec {
    /// Builds a codec for each schema of a stream; the present one is the last.
    ///
    /// # Errors
    /// A schema is invalid, or cannot be resolved to a later one.
    pub(super) fn build_all(
        def: &StreamDef,
        topic: &str,
        schemas: &Arc<dyn Schemas>,
    ) -> Result<Vec<Arc<Self>>, StoreError> {
        let wrong =
            |error: &dyn std::fmt::Display| broken(format!("the schema of the stream '{}': {error}", def.stream));
        let mut known: Vec<(Schema, [u8; 8])> = Vec::with_capacity(def.earlier.len() + 1);
        for schema in def.earlier.iter().chain([&def.schema]) {
            let schema = Schema::parse_value(schema).map_err(|error| wrong(&error))?;
            let avro = apache_avro::Schema::parse_str(schema.json()).map_err(|error| wrong(&error))?;
            let fingerprint = avro.fingerprint::<Rabin>().bytes;
            let fingerprint = fingerprint.try_into().map_err(|_| wrong(&"its fingerprint has not eight bytes"))?;
            known.push((schema, fingerprint));
        }
        let codec = |(number, (schema, fingerprint)): (usize, &(Schema, [u8; 8]))| {
            let key = Extractor::new(schema, &[&def.key]).map_err(|error| wrong(&error))?;
            let writers = if def.format == Format::SingleObject { &known[..=number] } else { &[] };
            let mut fingerprints = HashMap::with_capacity(writers.len());
            for (writer, fingerprint) in writers {
                // Schemas with the same fingerprint are decoded alike, so any of them will do.
                fingerprints.insert(*fingerprint, Writer::compare(writer, schema).map_err(|error| wrong(&error))?);
            }
            Ok(Arc::new(Self {
                stream: def.stream.clone(),
                format: def.format,
                // The number of schemas is far below 2^32.
                number: number as u32,
                schema: schema.clone(),
                fingerprints,
                fingerprint: *fingerprint,
                key,
                subject: format!("{topic}-value"),
                schemas: schemas.clone(),
                id: Mutex::new(None),
                later_schema_seen_at: OnceLock::new(),
                writers: Writers::new(schemas.clone(), schema.clone()),
            }))
        };
        known.iter().enumerate().map(codec).collect()
    }

    /// Extracts the keys of events, and so checks the events.
    ///
    /// # Errors
    /// An event is malformed or has no key.
    pub(super) fn extract_keys(&self, events: &Records) -> Result<Keys, StoreError> {
        let mut keys = Keys { data: Vec::with_capacity(events.len() * 16), ends: Vec::with_capacity(events.len()) };
        for (index, event) in (0..events.len()).filter_map(|index| Some((index, events.get(index)?))) {
            let refuse = |why: &dyn std::fmt::Display| broken(format!("event {index} for '{}': {why}", self.stream));
            let mut found = [Scalar::Null];
            self.key.extract(event, &mut found).map_err(|error| refuse(&error))?;
            let key = found[0].key().ok_or_else(|| refuse(&"its key is missing"))?;
            keys.data.extend_from_slice(key.as_bytes());
            keys.ends.push(keys.data.len());
        }
        Ok(keys)
    }

    /// Returns whether an event with this schema number in its header must wait until this process knows the schema.
    pub(super) fn must_wait_for(&self, schema: u32) -> bool {
        schema > self.number && self.later_schema_seen_at.get_or_init(Instant::now).elapsed() < MAX_SCHEMA_WAIT
    }

    /// The headers of each message.
    pub(super) fn make_headers(&self) -> Option<OwnedHeaders> {
        let number = (self.number > 0).then(|| self.number.to_string());
        number.map(|number| OwnedHeaders::new().insert(Header { key: SCHEMA_HEADER, value: Some(&number) }))
    }

    /// The frame before each event.
    ///
    /// # Errors
    /// The registry does not answer or refuses the schema.
    pub(super) fn make_frame(&self) -> Result<Vec<u8>, StoreError> {
        Ok(match self.format {
            Format::Confluent => {
                let mut frame = vec![CONFLUENT_MAGIC];
                frame.extend_from_slice(&self.get_or_register_id()?.to_be_bytes());
                frame
            }
            Format::SingleObject => [&SINGLE_OBJECT_MAGIC[..], &self.fingerprint].concat(),
            Format::Avro | Format::Json => Vec::new(),
        })
    }

    /// Writes the payload of an event to `out`, which is cleared first: the frame, then the event.
    pub(super) fn write(&self, frame: &[u8], event: &[u8], out: &mut Vec<u8>) -> Result<(), StoreError> {
        out.clear();
        out.extend_from_slice(frame);
        if self.format != Format::Json {
            out.extend_from_slice(event);
            return Ok(());
        }
        let refuse = |why: &dyn std::fmt::Display| broken(format!("an event for '{}': {why}", self.stream));
        let json = to_json(&self.schema, event).map_err(|error| refuse(&error))?;
        serde_json::to_writer(out, &json).map_err(|error| refuse(&error))
    }

    /// The schema's id in the registry. The first call registers the schema.
    fn get_or_register_id(&self) -> Result<i32, StoreError> {
        // The lock is held during the request, so that only one thread asks the registry.
        let mut id = self.id.lock().unwrap_or_else(PoisonError::into_inner);
        match *id {
            Some(id) => Ok(id),
            None => Ok(*id.insert(self.schemas.register(&self.subject, self.schema.json())?)),
        }
    }
}
