//! The events of one request: checked against the schema, encoded as Avro, put into the partitions of their entities.

use std::borrow::Cow;
use std::sync::Arc;

use assay_core::event_time::TimeError;
use assay_core::names::{PartitionIndex, check_key};
use assay_core::schema::{Encoder, EventError, Extractor, FieldError, MAX_EVENT_BYTES, Resolver, Scalar, Schema};

use super::{IngestError, VerdictMarks};
use crate::panics::catch;
use crate::plan::StreamPlan;
use crate::ports::log::{Durability, Log, Receipt, Records, Topic};
use crate::ports::{PartitionId, Place, StoreError};
use crate::shared::{Shared, log_stopped};

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
    /// The latest time by the clock against which an event's time was checked, ms since 1970.
    checked_at: i64,
}

/// Events that were handed to the log.
pub struct Submitted {
    receipt: Option<Receipt>,
    /// The sizes of the batches.
    sizes: Vec<BatchSize>,
    /// Per event: which of the batches, and the place in it.
    order: Vec<(u32, u32)>,
    shared: Arc<Shared>,
    stream: String,
}

/// The size of a batch.
struct BatchSize {
    events: usize,
    bytes: u64,
}

impl StreamPlan {
    /// Takes key, time and id (if there is one) out of an event's Avro.
    fn extractor(&self) -> Result<Extractor, FieldError> {
        Extractor::new(&self.schema, &self.identity())
    }

    /// The partition of the event's entity, and its time. Key, time and id are never missing in an event that is let in,
    /// and key and id are such as can be asked for.
    fn place_event(
        &self,
        log: &dyn Log,
        extractor: &Extractor,
        avro: &[u8],
    ) -> Result<(PartitionIndex, i64), EventError> {
        let mut found = [Scalar::Null; 3];
        // This reads every byte, so what came as Avro is checked here.
        extractor.extract(avro, &mut found)?;
        for (path, value) in self.identity().iter().zip(&found) {
            if *value == Scalar::Null {
                let expected = "a value, because the stream needs this field of every event".to_owned();
                return Err(EventError::Mismatch { path: (*path).to_owned(), expected, found: "null".to_owned() });
            }
        }
        let key = checked_key(&found[0], &self.def.key)?;
        if let Some(id) = &self.def.id {
            checked_key(&found[2], id)?;
        }
        let time = found[1].millis().ok_or_else(|| EventError::Missing(self.def.time.clone()))?;
        Ok((log.partition_of(&key, self.partitions), time))
    }
}

/// The text of a key or an id, which has to be one that can be asked for.
fn checked_key<'a>(value: &Scalar<'a>, path: &str) -> Result<Cow<'a, str>, EventError> {
    let key = value.key().ok_or_else(|| EventError::Missing(path.to_owned()))?;
    check_key(&key).map_err(|problem| EventError::Key { path: path.to_owned(), problem })?;
    Ok(key)
}

impl Ingest {
    pub(super) fn new(shared: Arc<Shared>, stream: Arc<StreamPlan>) -> Result<Self, FieldError> {
        Ok(Self {
            checked_at: shared.config.clock.now_ms(),
            shared,
            encoder: Encoder::new(&stream.schema),
            extractor: stream.extractor()?,
            avro: Vec::new(),
            batches: vec![Records::default(); stream.partitions as usize],
            order: Vec::new(),
            stream,
        })
    }

    /// The schema that events are stored in.
    pub fn schema(&self) -> &Schema {
        &self.stream.schema
    }

    /// Takes in one event as JSON.
    ///
    /// # Errors
    /// The event is refused, for the reason in the error; it is left out.
    pub fn push_json(&mut self, event: &[u8]) -> Result<(), EventError> {
        self.avro.clear();
        let encoded = self.caught(|ingest| ingest.encoder.encode(event, &mut ingest.avro));
        self.push(encoded)
    }

    /// Takes in one event as Avro: in the schema that `resolver` reads, or without one in the stream's own.
    ///
    /// # Errors
    /// The event is refused, for the reason in the error; it is left out.
    pub fn push_avro(&mut self, resolver: Option<&Resolver>, event: &[u8]) -> Result<(), EventError> {
        self.avro.clear();
        let resolved = match resolver {
            Some(resolver) => self.caught(|ingest| Ok(resolver.resolve(event, &mut ingest.avro)?)),
            None => {
                self.avro.extend_from_slice(event);
                self.stream.schema.canonicalize(&mut self.avro);
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
        let pushed = read.and_then(|()| self.caught(Self::place));
        if pushed.is_err() {
            self.shared.metrics.refused.get_or_create(&crate::metrics::Metrics::stream(&self.stream.def.stream)).inc();
        }
        pushed
    }

    /// Does something with an event. One that makes this program panic is refused, and costs no other one of its request.
    fn caught(&mut self, act: impl FnOnce(&mut Self) -> Result<(), EventError>) -> Result<(), EventError> {
        catch(|| act(self)).unwrap_or_else(|panicked| {
            tracing::error!(stream = self.stream.def.stream, %panicked, "an event that panics is refused");
            self.encoder = Encoder::new(&self.stream.schema);
            let expected = "an event that this server can read".to_owned();
            Err(EventError::Mismatch { path: String::new(), expected, found: panicked.to_string() })
        })
    }

    fn place(&mut self) -> Result<(), EventError> {
        let (PartitionIndex(partition), time) =
            self.stream.place_event(&*self.shared.ports.log, &self.extractor, &self.avro)?;
        self.check_time(time)?;
        let batch = &mut self.batches[partition as usize];
        // A batch is bounded by the size of a request, far below what a u32 counts.
        self.order.push((partition, batch.len() as u32));
        batch.push(&self.avro);
        Ok(())
    }

    /// Checks an event's time against the clock, which is read again only for an event that is ahead of it.
    fn check_time(&mut self, time: i64) -> Result<(), TimeError> {
        let max_ahead = self.stream.max_ahead();
        max_ahead.check(time, Some(self.checked_at)).or_else(|_| {
            self.checked_at = self.checked_at.max(self.shared.config.clock.now_ms());
            max_ahead.check(time, Some(self.checked_at))
        })
    }

    /// The number of events that were taken in.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True if none was.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Checks that scoring is not too far behind in the partitions of the events that were taken in, as far as this
    /// process scores them. A partition that is not open yet takes in events: nobody knows how far it is.
    ///
    /// # Errors
    /// It is too far behind, or the log fails.
    pub fn check_backlog(&self) -> Result<(), IngestError> {
        let shared = &self.shared;
        for partition in self.partitions() {
            let Some(next) = shared.scored_offsets.next(&partition).filter(|_| shared.is_owned(&partition)) else {
                continue;
            };
            let end = shared.ports.log.end(&partition.stream, Topic::Events, partition.partition)?;
            shared.backlog.check(&partition, next, end, &shared.config.backlog, shared.config.clock.now())?;
        }
        Ok(())
    }

    /// The current ends of the verdicts logs of the events' partitions, as far as this process scores them: the
    /// verdicts on these events come after them.
    ///
    /// # Errors
    /// The log fails.
    pub fn verdict_marks(&self) -> Result<VerdictMarks, StoreError> {
        let log = &self.shared.ports.log;
        let mine = self.partitions().filter(|partition| self.shared.is_owned(partition));
        let ends = mine.map(|partition| {
            Ok((partition.partition, log.end(&partition.stream, Topic::Verdicts, partition.partition)?))
        });
        Ok(VerdictMarks(ends.collect::<Result<_, StoreError>>()?))
    }

    /// The partitions of the events that were taken in.
    fn partitions(&self) -> impl Iterator<Item = PartitionId> {
        let stream: Arc<str> = self.stream.def.stream.as_str().into();
        let filled = self.batches.iter().enumerate().filter(|(_, records)| !records.is_empty());
        filled.map(move |(at, _)| PartitionId { stream: stream.clone(), partition: PartitionIndex(at as u32) })
    }

    /// Hands the events to the log, all or none. Blocks while the log's queue is full.
    ///
    /// # Errors
    /// The log fails.
    pub fn submit(self) -> Result<Submitted, StoreError> {
        let mut batch_of_partition = vec![0; self.batches.len()];
        let mut batches = Vec::new();
        let mut sizes = Vec::new();
        for (partition, mut records) in self.batches.into_iter().enumerate().filter(|(_, records)| !records.is_empty())
        {
            batch_of_partition[partition] = batches.len() as u32;
            // A clock that was put back must not make events ahead that were not when they were checked.
            records.appended_at = self.shared.config.clock.now_ms().max(self.checked_at);
            records.schema = self.stream.history.newest();
            sizes.push(BatchSize { events: records.len(), bytes: records.data.len() as u64 });
            batches.push((PartitionIndex(partition as u32), records));
        }
        let order =
            self.order.into_iter().map(|(partition, at)| (batch_of_partition[partition as usize], at)).collect();
        let stream = self.stream.def.stream.clone();
        let receipt = match batches.is_empty() {
            true => None,
            false => Some(self.shared.ports.log.append(&stream, Topic::Events, batches, Durability::Synced)?),
        };
        Ok(Submitted { receipt, sizes, order, shared: self.shared, stream })
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
        let stream: Arc<str> = self.stream.as_str().into();
        for (batch, size) in appended.iter().zip(&self.sizes) {
            if let Some(last) = size.events.checked_sub(1).and_then(|last| batch.place(last)) {
                let partition = PartitionId { stream: stream.clone(), partition: batch.partition };
                self.shared.backlog.note(&partition, last.offset.next(), size.bytes, self.shared.config.clock.now());
            }
        }
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
