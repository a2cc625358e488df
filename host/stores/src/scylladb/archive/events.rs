//! Events: by entity and time with their bytes, by place and by id with where those are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use assay_core::names::Offset;
use assay_engine::ports::archive::{ArchivedEvent, EventEntry};
use assay_engine::ports::log::Records;
use assay_engine::ports::{Place, StoreError, StreamPartition};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use scylla::errors::ExecutionError;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use super::super::connection::{Connection, batches, set};
use super::super::error::broken;
use super::super::keys::{self, Home};
use super::weeks::{EntityWeek, Weeks};

/// Writes events, and reads them one by one.
pub(super) struct Events {
    connection: Arc<Connection>,
    weeks: Weeks,
    write_of_entity: PreparedStatement,
    write_by_place: PreparedStatement,
    write_by_id: PreparedStatement,
    read_of_entity: PreparedStatement,
    read_by_place: PreparedStatement,
    read_by_id: PreparedStatement,
}

/// An event as it is written.
struct Event<'a> {
    offset: Offset,
    appended_at: i64,
    schema: u32,
    bytes: &'a [u8],
    /// None: it cannot be read.
    entry: Option<&'a EventEntry>,
}

impl Event<'_> {
    /// About how many bytes its row by place is.
    fn weight_by_place(&self) -> usize {
        self.entry.map_or(self.bytes.len(), |entry| entry.key.len() + entry.id.len())
    }
}

/// An event that can be read, and where it belongs.
struct OfEntity<'a> {
    key: Cow<'a, str>,
    week: i64,
    event: &'a Event<'a>,
    entry: &'a EventEntry,
}

impl OfEntity<'_> {
    fn is_beside(&self, other: &Self) -> bool {
        (&self.key, self.week) == (&other.key, other.week)
    }
}

impl Events {
    pub(super) async fn prepare(connection: Arc<Connection>) -> Result<Self, StoreError> {
        let prepare = async |statement: &str| connection.prepare(statement).await;
        Ok(Self {
            weeks: Weeks::prepare(connection.clone()).await?,
            write_of_entity: prepare(
                "INSERT INTO {}.entity_events
                 (stream, log_partition, key, week, time, offset, appended_at, bytes, schema_number)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?",
            )
            .await?,
            write_by_place: prepare(
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
            read_of_entity: prepare(
                "SELECT appended_at, bytes, schema_number FROM {}.entity_events
                 WHERE stream = ? AND log_partition = ? AND key = ? AND week = ? AND time = ? AND offset = ?",
            )
            .await?,
            read_by_place: prepare(
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

    /// Writes events; those without an entry are kept by their place alone.
    pub(super) async fn write(
        &self,
        of: &StreamPartition,
        entries: &[EventEntry],
        records: &[Records],
    ) -> Result<(), StoreError> {
        let entries: HashMap<Offset, &EventEntry> = entries.iter().map(|entry| (entry.offset, entry)).collect();
        let events: Vec<Event<'_>> = records
            .iter()
            .flat_map(|block| block.iter().map(move |(offset, bytes)| (block, offset, bytes)))
            .map(|(block, offset, bytes)| Event {
                offset,
                appended_at: block.appended_at,
                schema: block.schema,
                bytes,
                entry: entries.get(&offset).copied(),
            })
            .collect();
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        let home = self.connection.home(of);
        let written = async {
            // What points to rows is written behind them.
            self.write_of_entities(&home, &events).await?;
            self.write_pointers(&home, &events).await
        };
        written.await.map_err(|error| {
            let doing = format_args!("archiving the events {} to {} of {of}", first.offset, last.offset);
            self.connection.failed(doing, &error)
        })
    }

    async fn write_of_entities(&self, home: &Home, events: &[Event<'_>]) -> Result<(), ExecutionError> {
        let mut rows: Vec<OfEntity<'_>> = events.iter().filter_map(of_entity).collect();
        // Events of one entity and week lie in one partition of the table, and are written together.
        rows.sort_by(|a, b| (&a.key, a.week).cmp(&(&b.key, b.week)));
        let mut weeks: Vec<EntityWeek<'_>> =
            rows.iter().map(|row| EntityWeek { key: &row.key, week: row.week }).collect();
        weeks.dedup();
        self.weeks.write(home, &weeks).await?;
        let ttl = self.connection.config.ttl_seconds();
        let batches = batches(&rows, OfEntity::is_beside, |row| row.event.bytes.len());
        let batches = batches.map(|batch| {
            let mut values = Vec::with_capacity(batch.len());
            for OfEntity { key, week, event, entry } in batch {
                let (time, appended_at) = (CqlTimestamp(entry.time), CqlTimestamp(event.appended_at));
                let (key, offset) = (&**key, keys::bigint(event.offset));
                // Always with the bytes: who writes them again may do so in another schema.
                let (bytes, schema) = (event.bytes, keys::int(event.schema));
                values.push((&home.stream, home.partition, key, *week, time, offset, appended_at, bytes, schema, ttl));
            }
            values
        });
        self.connection.write_batches(&self.write_of_entity, batches).await
    }

    async fn write_pointers(&self, home: &Home, events: &[Event<'_>]) -> Result<(), ExecutionError> {
        let ttl = self.connection.config.ttl_seconds();
        let bucket = |event: &Event<'_>| keys::offset_bucket(event.offset);
        let by_place = batches(events, |a, b| bucket(a) == bucket(b), Event::weight_by_place);
        let by_place = by_place.map(|batch| {
            let mut values = Vec::with_capacity(batch.len());
            for event in batch {
                let (offset, appended_at) = (keys::bigint(event.offset), CqlTimestamp(event.appended_at));
                let time = set(event.entry.map(|entry| CqlTimestamp(entry.time)));
                let (key, id) = (set(event.entry.map(|entry| &*entry.key)), set(event.entry.map(|entry| &*entry.id)));
                let unreadable = set(event.entry.is_none().then_some(event.bytes));
                let bucket = bucket(event);
                values.push((
                    &home.stream,
                    home.partition,
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
            let (id, offset) = (keys::bounded(&entry.id), keys::bigint(entry.offset));
            (&home.stream, home.partition, id, offset, CqlTimestamp(entry.time), &entry.key, ttl)
        });
        self.connection.write_batches(&self.write_by_place, by_place).await?;
        self.connection.write_all(&self.write_by_id, by_id).await
    }

    /// The event at an offset.
    pub(super) async fn at(&self, of: &StreamPartition, offset: Offset) -> Result<Option<ArchivedEvent>, StoreError> {
        type Row = (CqlTimestamp, Option<CqlTimestamp>, Option<String>, Option<Vec<u8>>);
        let home = self.connection.home(of);
        let doing = format_args!("looking up the event at offset {offset} of {of}");
        let values = (&home.stream, home.partition, keys::offset_bucket(offset), keys::bigint(offset));
        match self.connection.read_one::<Row>(doing, &self.read_by_place, values).await? {
            Some((appended_at, _, _, Some(bytes))) => {
                let place = Place { partition: of.partition, offset };
                Ok(Some(ArchivedEvent { place, appended_at: appended_at.0, schema: 0, bytes }))
            }
            Some((_, Some(time), Some(key), None)) => self.of_entity(of, &home, &key, time.0, offset).await,
            Some(_) => Err(broken(format!("{doing}: its row says neither of which entity it is nor its bytes"))),
            None => Ok(None),
        }
    }

    /// The events that have an id, the oldest first.
    pub(super) async fn by_id(
        &self,
        of: &StreamPartition,
        id: &str,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<ArchivedEvent>, StoreError> {
        let home = self.connection.home(of);
        let doing = format_args!("looking up the events with the id '{id}' of {of}");
        // Offsets in the log are below what a bigint holds.
        let begin = after.map_or(0, |after| i64::try_from(after.0.saturating_add(1)).unwrap_or(i64::MAX));
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = (&home.stream, home.partition, keys::bounded(id), begin, limit);
        let found: Vec<(i64, CqlTimestamp, String)> =
            self.connection.read(doing, &self.read_by_id, values, |_| false).await?;
        let fetch = |(offset, time, key): (i64, CqlTimestamp, String)| {
            let home = &home;
            async move { self.of_entity(of, home, &key, time.0, keys::offset(offset)).await }
        };
        let fetched = stream::iter(found).map(fetch).buffered(self.connection.config.in_flight);
        fetched.try_filter_map(async |event| Ok(event)).try_collect().await
    }

    /// The event of an entity that something points to; none: its time in the archive is over.
    async fn of_entity(
        &self,
        of: &StreamPartition,
        home: &Home,
        key: &str,
        time: i64,
        offset: Offset,
    ) -> Result<Option<ArchivedEvent>, StoreError> {
        let doing = format_args!("reading the event at offset {offset} of {of}");
        let (week, time, at) = (keys::week(time), CqlTimestamp(time), keys::bigint(offset));
        let values = (&home.stream, home.partition, keys::bounded(key), week, time, at);
        type Row = (Option<CqlTimestamp>, Option<Vec<u8>>, Option<i32>);
        match self.connection.read_one::<Row>(doing, &self.read_of_entity, values).await? {
            Some((Some(appended_at), Some(bytes), schema)) => {
                let place = Place { partition: of.partition, offset };
                Ok(Some(ArchivedEvent { place, appended_at: appended_at.0, schema: keys::schema(schema), bytes }))
            }
            _ if self.connection.config.archive_ttl.is_some() => Ok(None),
            _ => Err(broken(format!("{doing}: the row of entity '{key}' that should hold it is not there"))),
        }
    }
}

fn of_entity<'a>(event: &'a Event<'a>) -> Option<OfEntity<'a>> {
    let entry = event.entry?;
    Some(OfEntity { key: keys::bounded(&entry.key), week: keys::week(entry.time), event, entry })
}
