//! How a stream's events are written in its topic: frames, keys, schemas. `read` turns them back into plain Avro.

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

pub(super) use read::Reading;

/// The first byte of Confluent's wire format.
const CONFLUENT_MAGIC: u8 = 0;
/// The first bytes of Avro's single-object encoding.
const SINGLE_OBJECT_MAGIC: [u8; 2] = [0xc3, 0x01];

/// The header of events in another schema than their stream's first one: its number, as text.
const SCHEMA_HEADER: &str = "assay-schema";
/// How long an event of a later schema is waited with for that schema. Longer than a catalog should ever be away; but
/// headers are copied with messages, from other installations too, and nothing may stop a partition for good.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// How a stream's events are written in one of its schemas, and how those of any writer are read as such.
pub(super) struct Codec {
    pub(super) stream: String,
    pub(super) format: Format,
    /// How many schemas the stream had before this one.
    pub(super) number: u32,
    pub(super) schema: Schema,
    /// By CRC-64-AVRO, as it stands in single-object frames: this schema and those before it. Other formats need none.
    fingerprints: HashMap<[u8; 8], Writer>,
    /// That of this schema.
    fingerprint: [u8; 8],
    key: Extractor,
    subject: String,
    schemas: Arc<dyn Schemas>,
    /// The schema's id in the registry, once it is known.
    id: Mutex<Option<i32>>,
    /// Since when events of later schemas have been met.
    met_later: OnceLock<Instant>,
    pub(super) writers: Writers,
}

/// Events' keys, one behind the other.
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
    /// One for each schema that a stream has had, the one of now last.
    pub(super) fn all(def: &StreamDef, topic: &str, schemas: &Arc<dyn Schemas>) -> Result<Vec<Arc<Self>>, StoreError> {
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
                // Of several schemas with one fingerprint all are read alike.
                fingerprints.insert(*fingerprint, Writer::of(writer, schema).map_err(|error| wrong(&error))?);
            }
            Ok(Arc::new(Self {
                stream: def.stream.clone(),
                format: def.format,
                // There are far fewer than a u32 counts.
                number: number as u32,
                schema: schema.clone(),
                fingerprints,
                fingerprint: *fingerprint,
                key,
                subject: format!("{topic}-value"),
                schemas: schemas.clone(),
                id: Mutex::new(None),
                met_later: OnceLock::new(),
                writers: Writers::new(schemas.clone(), schema.clone()),
            }))
        };
        known.iter().enumerate().map(codec).collect()
    }

    /// The keys of events, all of which are checked.
    pub(super) fn keys(&self, events: &Records) -> Result<Keys, StoreError> {
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

    /// Whether an event that says that it is in the schema of a number has to wait for it.
    pub(super) fn has_to_wait(&self, schema: u32) -> bool {
        schema > self.number && self.met_later.get_or_init(Instant::now).elapsed() < LONGEST_WAIT
    }

    /// The headers of each event in the topic.
    pub(super) fn headers(&self) -> Option<OwnedHeaders> {
        let number = (self.number > 0).then(|| self.number.to_string());
        number.map(|number| OwnedHeaders::new().insert(Header { key: SCHEMA_HEADER, value: Some(&number) }))
    }

    /// What stands in front of each event in the topic.
    pub(super) fn frame(&self) -> Result<Vec<u8>, StoreError> {
        Ok(match self.format {
            Format::Confluent => {
                let mut frame = vec![CONFLUENT_MAGIC];
                frame.extend_from_slice(&self.registered()?.to_be_bytes());
                frame
            }
            Format::SingleObject => [&SINGLE_OBJECT_MAGIC[..], &self.fingerprint].concat(),
            Format::Avro | Format::Json => Vec::new(),
        })
    }

    /// Puts an event into `out` as it stands in the topic, behind its frame.
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

    /// The schema's id in the registry; registers it when it is asked for the first time.
    fn registered(&self) -> Result<i32, StoreError> {
        // One asks, the others wait for its answer.
        let mut id = self.id.lock().unwrap_or_else(PoisonError::into_inner);
        match *id {
            Some(id) => Ok(id),
            None => Ok(*id.insert(self.schemas.register(&self.subject, self.schema.json())?)),
        }
    }
}
