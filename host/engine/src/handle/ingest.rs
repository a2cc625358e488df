//! Taking events in: checked against the schema, encoded as Avro, put into the partitions of their entities.

use std::sync::Arc;

use assay_core::names::Partition;
use assay_core::schema::{Encoder, EventError, Extractor, FieldError, MAX_EVENT_BYTES, Resolver, Scalar, Schema};

use super::Engine;
use crate::plan::StreamPlan;
use crate::ports::log::{Durability, Log, Receipt, Records, Topic};
use crate::ports::{Place, StoreError};
use crate::shared::{Shared, log_stopped};

/// Why no events can be taken in.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The stream is unknown.
    #[error("there is no stream '{name}'{}", known(.streams))]
    UnknownStream {
        /// What was asked for.
        name: String,
        /// What there is.
        streams: Vec<String>,
    },
    /// The stream has the events of another one.
    #[error("'{name}' has the events of '{from}' under another key: send them there")]
    Derived {
        /// What was asked for.
        name: String,
        /// Where events are taken in.
        from: String,
    },
    /// The stream's key, time or id is not in its schema, which compiling the stream rules out.
    #[error("{0}")]
    Plan(String),
}

fn known(streams: &[String]) -> String {
    if streams.is_empty() { ": none was made yet".to_owned() } else { format!(" (streams: {})", streams.join(", ")) }
}

/// Events on their way into a stream's log.
pub struct Ingest {
    shared: Arc<Shared>,
    stream: Arc<StreamPlan>,
    encoder: Encoder,
    extractor: Extractor,
    avro: Vec<u8>,
    batches: Vec<Records>,
    /// Partition and place in its batch, per event.
    order: Vec<(u32, u32)>,
}

/// Events that were handed to the log.
pub struct Submitted {
    receipt: Option<Receipt>,
    /// Per event: which of the batches, and the place in it.
    order: Vec<(u32, u32)>,
    shared: Arc<Shared>,
    stream: String,
}

impl Engine {
    /// Begins to take events in.
    ///
    /// # Errors
    /// The stream is unknown.
    pub fn ingest(&self, stream: &str) -> Result<Ingest, IngestError> {
        let plan = self.plan();
        let Some(stream) = plan.streams.get(stream) else {
            let streams = plan.streams.keys().cloned().collect();
            return Err(IngestError::UnknownStream { name: stream.to_owned(), streams });
        };
        if let Some(from) = stream.def.from.clone() {
            return Err(IngestError::Derived { name: stream.def.stream.clone(), from });
        }
        Ok(Ingest {
            shared: self.inner.shared.clone(),
            encoder: Encoder::new(&stream.schema),
            extractor: stream.extractor().map_err(|error| IngestError::Plan(error.to_string()))?,
            avro: Vec::new(),
            batches: vec![Records::default(); stream.partitions as usize],
            order: Vec::new(),
            stream: stream.clone(),
        })
    }
}

impl StreamPlan {
    /// Takes key, time and id (if there is one) out of an event's Avro.
    fn extractor(&self) -> Result<Extractor, FieldError> {
        Extractor::new(&self.schema, &self.identity())
    }

    /// The partition of the event's entity. Key, time and id are never missing in an event that is let in.
    fn partition_of_event(&self, log: &dyn Log, extractor: &Extractor, avro: &[u8]) -> Result<Partition, EventError> {
        let mut found = [Scalar::Null; 3];
        // This reads every byte, so what came as Avro is checked here.
        extractor.extract(avro, &mut found)?;
        for (path, value) in self.identity().iter().zip(&found) {
            if *value == Scalar::Null {
                let expected = "a value, because the stream needs this field of every event".to_owned();
                return Err(EventError::Mismatch { path: (*path).to_owned(), expected, found: "null".to_owned() });
            }
        }
        let key = found[0].key().ok_or_else(|| EventError::Missing(self.def.key.clone()))?;
        Ok(log.partition_of(&key, self.partitions))
    }
}

impl Ingest {
    /// The schema that events are stored in.
    pub fn schema(&self) -> &Schema {
        &self.stream.schema
    }

    /// Takes in one event as JSON.
    ///
    /// # Errors
    /// What is wrong with the event; it is left out.
    pub fn push_json(&mut self, event: &[u8]) -> Result<(), EventError> {
        self.avro.clear();
        let encoded = self.encoder.encode(event, &mut self.avro);
        self.push(encoded)
    }

    /// Takes in one event as Avro: in the schema that `resolver` reads, or without one in the stream's own.
    ///
    /// # Errors
    /// What is wrong with the event; it is left out.
    pub fn push_avro(&mut self, resolver: Option<&Resolver>, event: &[u8]) -> Result<(), EventError> {
        self.avro.clear();
        let resolved = match resolver {
            Some(resolver) => resolver.resolve(event, &mut self.avro).map_err(EventError::from),
            None => {
                self.avro.extend_from_slice(event);
                Ok(())
            }
        };
        self.push(match self.avro.len() {
            length if length > MAX_EVENT_BYTES => Err(EventError::TooLarge(length)),
            _ => resolved,
        })
    }

    /// Puts the event in `avro` into its partition, if all is well with it.
    fn push(&mut self, read: Result<(), EventError>) -> Result<(), EventError> {
        let pushed = read.and_then(|()| self.place());
        if pushed.is_err() {
            self.shared.metrics.refused.get_or_create(&crate::metrics::Metrics::stream(&self.stream.def.stream)).inc();
        }
        pushed
    }

    fn place(&mut self) -> Result<(), EventError> {
        let partition = self.stream.partition_of_event(&*self.shared.ports.log, &self.extractor, &self.avro)?.0;
        let batch = &mut self.batches[partition as usize];
        // A batch is bounded by the size of a request, far below what a u32 counts.
        self.order.push((partition, batch.len() as u32));
        batch.push(&self.avro);
        Ok(())
    }

    /// How many events were taken in.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Hands the events to the log, all or none. Blocks while the log's queue is full.
    ///
    /// # Errors
    /// The log fails.
    pub fn submit(self) -> Result<Submitted, StoreError> {
        let mut batch_of_partition = vec![0; self.batches.len()];
        let mut batches = Vec::new();
        for (partition, mut records) in self.batches.into_iter().enumerate().filter(|(_, records)| !records.is_empty())
        {
            batch_of_partition[partition] = batches.len() as u32;
            records.appended_at = crate::clock::now_ms();
            records.schema = self.stream.history.newest();
            batches.push((Partition(partition as u32), records));
        }
        let order =
            self.order.into_iter().map(|(partition, at)| (batch_of_partition[partition as usize], at)).collect();
        let stream = self.stream.def.stream.clone();
        let receipt = match batches.is_empty() {
            true => None,
            false => Some(self.shared.ports.log.append(&stream, Topic::Events, batches, Durability::Synced)?),
        };
        Ok(Submitted { receipt, order, shared: self.shared, stream })
    }
}

impl Submitted {
    /// Waits until the events are durable. Their places, in the order in which they were taken in.
    ///
    /// # Errors
    /// The log failed: none of them is durable.
    pub async fn durable(self) -> Result<Vec<Place>, StoreError> {
        let Some(receipt) = self.receipt else { return Ok(Vec::new()) };
        let appended = receipt.await.unwrap_or_else(|_| Err(log_stopped()))?;
        let label = crate::metrics::Metrics::stream(&self.stream);
        self.shared.metrics.ingested.get_or_create(&label).inc_by(self.order.len() as u64);
        let place = |(batch, at): (u32, u32)| appended.get(batch as usize)?.place(at as usize);
        let places: Option<Vec<Place>> = self.order.into_iter().map(place).collect();
        places.ok_or_else(|| {
            let message = format!("it did not say where the events of stream '{}' are", self.stream);
            StoreError::Broken { store: "log", message }
        })
    }
}
