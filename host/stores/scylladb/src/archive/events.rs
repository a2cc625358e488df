//! Writes events and reads single events.
//!
//! The table `entity_events` holds the bytes of an event, by entity and time. The tables `events` (by offset) and
//! `event_ids` (by id) hold pointers to its rows. Only an event without an entry has its bytes in `events`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use assay_core::names::Offset;
use assay_engine::ports::archive::{ArchivedEvent, EventEntry};
use assay_engine::ports::log::Records;
use assay_engine::ports::{PartitionId, Place, StoreError};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use scylla::errors::ExecutionError;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use super::weeks::{EntityWeek, Weeks};
use crate::connection::{Connection, or_unset, split_into_batches};
use crate::error::broken;
use crate::keys::{self, TablePartition};

/// The prepared statements of the tables of events.
pub(super) struct Events {
    connection: Arc<Connection>,
    weeks: Weeks,
    write_entity_event: PreparedStatement,
    write_by_offset: PreparedStatement,
    write_by_id: PreparedStatement,
    read_entity_event: PreparedStatement,
    read_by_offset: PreparedStatement,
    read_by_id: PreparedStatement,
}

/// An event to write.
struct NewEvent<'a> {
    offset: Offset,
    appended_at: i64,
    schema: u32,
    bytes: &'a [u8],
    /// `None` if the event could not be decoded.
    entry: Option<&'a EventEntry>,
}

impl NewEvent<'_> {
    /// The approximate size of its row in `events`, in bytes.
    fn pointer_bytes(&self) -> usize {
        self.entry.map_or(self.bytes.len(), |entry| entry.key.len() + entry.id.len())
    }
}

/// An event with the key and the week of its row in `entity_events`.
struct EntityRow<'a> {
    key: Cow<'a, str>,
    week: i64,
    event: &'a NewEvent<'a>,
    entry: &'a EventEntry,
}

impl EntityRow<'_> {
    fn is_same_partition(&self, other: &Self) -> bool {
        (&self.key, self.week) == (&other.key, other.week)
    }
}

impl Events {
    pub(super) async fn prepare(connection: Arc<Connection>) -> Result<Self, StoreError> {
        let prepare = async |statement: &str| connection.prepare(statement).await;
        Ok(Self {
            weeks: Weeks::prepare(connection.clone()).await?,
            write_entity_event: prepare(
                "INSERT INTO {}.entity_events
                 (stream, log_partition, key, week, time, offset, appended_at, bytes, schema_number)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?",
            )
            .await?,
            write_by_offset: prepare(
                "INSERT INTO {}.events
                 (stream, log_partition, bucket, offset, appended_at, time, key, id, unreadable)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?",
            )
            .await?,
            write_by_id: prepare(
                "INSERT INTO {}.event_ids (stream, log_partition, id, offset, time, key)
                 VALUES (?, ?, ?, ?, ?, ?) USING TTL ?",
            )
            .await?,
            read_entity_event: prepare(
                "SELECT appended_at, bytes, schema_number FROM {}.entity_events
                 WHERE stream = ? AND log_partition = ? AND key = ? AND week = ? AND time = ? AND offset = ?",
            )
            .await?,
            read_by_offset: prepare(
                "SELECT appended_at, time, key, unreadable FROM {}.events
                 WHERE stream = ? AND log_partition = ? AND bucket = ? AND offset = ?",
            )
            .await?,
            read_by_id: prepare(
                "SELECT offset, time, key FROM {}.event_ids
                 WHERE stream = ? AND log_partition = ? AND id = ? AND offset >= ? LIMIT ?",
            )
            .await?,
            connection,
        })
    }

    /// Writes events. Events without an entry can be found by offset only.
    pub(super) async fn write(
        &self,
        partition: &PartitionId,
        entries: &[EventEntry],
        records: &[Records],
    ) -> Result<(), StoreError> {
        let entries: HashMap<Offset, &EventEntry> = entries.iter().map(|entry| (entry.offset, entry)).collect();
        let events: Vec<NewEvent<'_>> = records
            .iter()
            .flat_map(|block| block.iter().map(move |(offset, bytes)| (block, offset, bytes)))
            .map(|(block, offset, bytes)| NewEvent {
                offset,
                appended_at: block.appended_at,
                schema: block.schema,
                bytes,
                entry: entries.get(&offset).copied(),
            })
            .collect();
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        let table_partition = self.connection.table_partition(partition);
        let written = async {
            // The pointers are written after the rows that they point to, so that no pointer is ever without its row.
            self.write_entity_events(&table_partition, &events).await?;
            self.write_pointers(&table_partition, &events).await
        };
        written.await.map_err(|error| {
            let doing = format_args!("archiving the events {} to {} of {partition}", first.offset, last.offset);
            self.connection.to_store_error(doing, &error)
        })
    }

    async fn write_entity_events(
        &self,
        table_partition: &TablePartition,
        events: &[NewEvent<'_>],
    ) -> Result<(), ExecutionError> {
        let mut rows: Vec<EntityRow<'_>> = events.iter().filter_map(to_entity_row).collect();
        // The events of one entity and week are in one partition of the table: one batch can write them.
        rows.sort_by(|a, b| (&a.key, a.week).cmp(&(&b.key, b.week)));
        // The weeks are written first: a history reads only the weeks that it finds in their table.
        let mut weeks: Vec<EntityWeek<'_>> =
            rows.iter().map(|row| EntityWeek { key: &row.key, week: row.week }).collect();
        // Sorting has made equal weeks neighbours.
        weeks.dedup();
        self.weeks.write(table_partition, &weeks).await?;
        let ttl = self.connection.config.ttl_seconds();
        let batches = split_into_batches(&rows, EntityRow::is_same_partition, |row| row.event.bytes.len());
        let batches = batches.map(|batch| {
            let mut values = Vec::with_capacity(batch.len());
            for EntityRow { key, week, event, entry } in batch {
                let (time, appended_at) = (CqlTimestamp(entry.time), CqlTimestamp(event.appended_at));
                let (key, offset) = (&**key, keys::offset_to_bigint(event.offset));
                // The schema is always written with the bytes: a repeated write may have another schema.
                let (bytes, schema) = (event.bytes, keys::schema_to_int(event.schema));
                values.push((
                    &table_partition.stream,
                    table_partition.partition,
                    key,
                    *week,
                    time,
                    offset,
                    appended_at,
                    bytes,
                    schema,
                    ttl,
                ));
            }
            values
        });
        self.connection.write_batches(&self.write_entity_event, batches).await
    }

    async fn write_pointers(
        &self,
        table_partition: &TablePartition,
        events: &[NewEvent<'_>],
    ) -> Result<(), ExecutionError> {
        let ttl = self.connection.config.ttl_seconds();
        let bucket = |event: &NewEvent<'_>| keys::offset_bucket(event.offset);
        let by_offset = split_into_batches(events, |a, b| bucket(a) == bucket(b), NewEvent::pointer_bytes);
        let by_offset = by_offset.map(|batch| {
            let mut values = Vec::with_capacity(batch.len());
            for event in batch {
                let (offset, appended_at) = (keys::offset_to_bigint(event.offset), CqlTimestamp(event.appended_at));
                let time = or_unset(event.entry.map(|entry| CqlTimestamp(entry.time)));
                let (key, id) =
                    (or_unset(event.entry.map(|entry| &*entry.key)), or_unset(event.entry.map(|entry| &*entry.id)));
                let unreadable = or_unset(event.entry.is_none().then_some(event.bytes));
                let bucket = bucket(event);
                values.push((
                    &table_partition.stream,
                    table_partition.partition,
                    bucket,
                    offset,
                    appended_at,
                    time,
                    key,
                    id,
                    unreadable,
                    ttl,
                ));
            }
            values
        });
        let with_id = events.iter().filter_map(|event| event.entry).filter(|entry| !entry.id.is_empty());
        let by_id = with_id.map(|entry| {
            let (id, offset) = (keys::bound_text(&entry.id), keys::offset_to_bigint(entry.offset));
            (&table_partition.stream, table_partition.partition, id, offset, CqlTimestamp(entry.time), &entry.key, ttl)
        });
        self.connection.write_batches(&self.write_by_offset, by_offset).await?;
        self.connection.write_all(&self.write_by_id, by_id).await
    }

    /// Reads the event at an offset.
    pub(super) async fn read_at(
        &self,
        partition: &PartitionId,
        offset: Offset,
    ) -> Result<Option<ArchivedEvent>, StoreError> {
        type Row = (CqlTimestamp, Option<CqlTimestamp>, Option<String>, Option<Vec<u8>>);
        let table_partition = self.connection.table_partition(partition);
        let doing = format_args!("looking up the event at offset {offset} of {partition}");
        let values = (
            &table_partition.stream,
            table_partition.partition,
            keys::offset_bucket(offset),
            keys::offset_to_bigint(offset),
        );
        match self.connection.read_one::<Row>(doing, &self.read_by_offset, values).await? {
            Some((appended_at, _, _, Some(bytes))) => {
                let place = Place { partition: partition.partition, offset };
                Ok(Some(ArchivedEvent { place, appended_at: appended_at.0, schema: 0, bytes }))
            }
            Some((_, Some(time), Some(key), None)) => {
                self.fetch_event(partition, &table_partition, &key, time.0, offset).await
            }
            Some(_) => Err(broken(format!("{doing}: its row says neither of which entity it is nor its bytes"))),
            None => Ok(None),
        }
    }

    /// Reads the events that have an id, the oldest first.
    pub(super) async fn read_by_event_id(
        &self,
        partition: &PartitionId,
        id: &str,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<ArchivedEvent>, StoreError> {
        let table_partition = self.connection.table_partition(partition);
        let doing = format_args!("looking up the events with the id '{id}' of {partition}");
        // An offset above the range of a bigint is after all events.
        let begin = after.map_or(0, |after| i64::try_from(after.0.saturating_add(1)).unwrap_or(i64::MAX));
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = (&table_partition.stream, table_partition.partition, keys::bound_text(id), begin, limit);
        let found: Vec<(i64, CqlTimestamp, String)> =
            self.connection.read(doing, &self.read_by_id, values, |_| false).await?;
        let fetch = |(offset, time, key): (i64, CqlTimestamp, String)| {
            let table_partition = &table_partition;
            async move { self.fetch_event(partition, table_partition, &key, time.0, keys::offset_from_bigint(offset)).await }
        };
        let fetched = stream::iter(found).map(fetch).buffered(self.connection.config.in_flight);
        fetched.try_filter_map(async |event| Ok(event)).try_collect().await
    }

    /// Reads the event that a pointer row names. `None` if the archive's TTL has deleted it.
    async fn fetch_event(
        &self,
        partition: &PartitionId,
        table_partition: &TablePartition,
        key: &str,
        time: i64,
        offset: Offset,
    ) -> Result<Option<ArchivedEvent>, StoreError> {
        let doing = format_args!("reading the event at offset {offset} of {partition}");
        let (week, time) = (keys::week_of(time), CqlTimestamp(time));
        let (key_text, bigint) = (keys::bound_text(key), keys::offset_to_bigint(offset));
        let values = (&table_partition.stream, table_partition.partition, key_text, week, time, bigint);
        type Row = (Option<CqlTimestamp>, Option<Vec<u8>>, Option<i32>);
        match self.connection.read_one::<Row>(doing, &self.read_entity_event, values).await? {
            Some((Some(appended_at), Some(bytes), schema)) => {
                let place = Place { partition: partition.partition, offset };
                Ok(Some(ArchivedEvent {
                    place,
                    appended_at: appended_at.0,
                    schema: keys::schema_from_int(schema),
                    bytes,
                }))
            }
            _ if self.connection.config.archive_ttl.is_some() => Ok(None),
            _ => Err(broken(format!("{doing}: the row of entity '{key}' that should hold it is not there"))),
        }
    }
}

/// Returns `None` for an event without an entry.
fn to_entity_row<'a>(event: &'a NewEvent<'a>) -> Option<EntityRow<'a>> {
    let entry = event.entry?;
    Some(EntityRow { key: keys::bound_text(&entry.key), week: keys::week_of(entry.time), event, entry })
}
