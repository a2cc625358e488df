//! Reads histories: the events of one entity, newest first.
//!
//! Only the weeks in which the entity has events are read. The latest week is read alone, then twice as many weeks at
//! once each time. So the history of a busy entity takes one read, and that of a rare one takes few.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_engine::ports::archive::{ArchivedEvent, HistoryQuery};
use assay_engine::ports::{Page, PartitionId, Place, StoreError};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use crate::connection::Connection;
use crate::{cursor, keys};

/// The most events of one page.
const MAX_PAGE_ITEMS: usize = 10_000;
/// The most rows of one response of the server.
const MAX_RESPONSE_ROWS: usize = 500;
/// The most weeks that are read at once.
const MAX_CONCURRENT_WEEKS: usize = 16;

/// The prepared statements of histories.
pub(super) struct Histories {
    connection: Arc<Connection>,
    read_weeks: PreparedStatement,
    read_events: PreparedStatement,
}

/// A row of `entity_events`: time, offset, append time, bytes and schema. A row without bytes has only the summary of
/// verdicts: the event itself is not yet archived.
type HistoryRow = (CqlTimestamp, i64, Option<CqlTimestamp>, Option<Vec<u8>>, Option<i32>);

/// The rows to read: `start <= (time, offset) < end`, and of these the ones below the offset `archived`.
struct HistoryRange<'a> {
    partition: &'a PartitionId,
    key: &'a str,
    start: (i64, i64),
    end: (i64, i64),
    archived: Offset,
    max_rows: usize,
}

impl Histories {
    pub(super) async fn prepare(connection: Arc<Connection>) -> Result<Self, StoreError> {
        let where_entity = "WHERE stream = ? AND log_partition = ? AND key = ?";
        let weeks = format!("SELECT week FROM {{}}.entity_weeks {where_entity} AND week >= ? AND week <= ?");
        let events = format!(
            "SELECT time, offset, appended_at, bytes, schema_number FROM {{}}.entity_events
             {where_entity} AND week = ? AND (time, offset) >= (?, ?) AND (time, offset) < (?, ?)"
        );
        Ok(Self {
            read_weeks: connection.prepare(&weeks).await?,
            read_events: connection.prepare(&events).await?,
            connection,
        })
    }

    /// Reads one page of an entity's events whose offsets are below `archived`.
    pub(super) async fn read_page(
        &self,
        partition: &PartitionId,
        query: &HistoryQuery,
        archived: Offset,
    ) -> Result<Page<ArchivedEvent>, StoreError> {
        // No event has the offset `i64::MAX`: offsets of real logs are far below 2^63. So this end excludes nothing.
        let end = query.times.to.map_or((i64::MAX, i64::MAX), |to| (to, i64::MIN));
        let end = query.cursor.as_deref().map(cursor::read).transpose()?.map_or(end, |position| end.min(position));
        let start = (query.times.from.unwrap_or(i64::MIN), i64::MIN);
        let limit = query.limit.min(MAX_PAGE_ITEMS);
        if limit == 0 || start >= end {
            return Ok(Page { items: Vec::new(), cursor: None });
        }
        let key = keys::bound_text(&query.key);
        // One row more than the page holds shows that there is another page.
        let range = HistoryRange { partition, key: &key, start, end, archived, max_rows: limit + 1 };
        let mut found = self.find_rows(&range).await?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let cursor = found.last().filter(|_| has_more).map(|last| cursor::write(last.0.0, last.1));
        Ok(Page { items: found.into_iter().filter_map(|row| to_archived_event(partition, row)).collect(), cursor })
    }

    /// Reads rows of the range, newest first: at least `max_rows`, or all that there are.
    async fn find_rows(&self, range: &HistoryRange<'_>) -> Result<Vec<HistoryRow>, StoreError> {
        let (partition, table_partition) = (range.partition, self.connection.table_partition(range.partition));
        let doing = format_args!("reading the weeks of '{}' in {partition}", range.key);
        let values = (
            &table_partition.stream,
            table_partition.partition,
            range.key,
            keys::week_of(range.start.0),
            keys::week_of(range.end.0),
        );
        let weeks: Vec<(i64,)> = self.connection.read(doing, &self.read_weeks, values, |_| false).await?;
        let (mut weeks, mut at_once) = (&weeks[..], 1);
        let mut found = Vec::new();
        while !weeks.is_empty() && found.len() < range.max_rows {
            let (next, later) = weeks.split_at(at_once.min(weeks.len()));
            let read = stream::iter(next).map(|(week,)| self.read_week(range, *week)).buffered(at_once);
            let read: Vec<Vec<HistoryRow>> = read.try_collect().await?;
            found.extend(read.into_iter().flatten());
            weeks = later;
            at_once = (at_once * 2).min(MAX_CONCURRENT_WEEKS);
        }
        Ok(found)
    }

    /// Reads the rows of the range that are in one week, newest first.
    async fn read_week(&self, range: &HistoryRange<'_>, week: i64) -> Result<Vec<HistoryRow>, StoreError> {
        let (partition, table_partition) = (range.partition, self.connection.table_partition(range.partition));
        let doing = format_args!("reading the history of '{}' in {partition}", range.key);
        let (start, end) = ((CqlTimestamp(range.start.0), range.start.1), (CqlTimestamp(range.end.0), range.end.1));
        let values =
            (&table_partition.stream, table_partition.partition, range.key, week, start.0, start.1, end.0, end.1);
        let mut statement = self.read_events.clone();
        // The cast is lossless: the value is at most MAX_RESPONSE_ROWS.
        statement.set_page_size(range.max_rows.min(MAX_RESPONSE_ROWS) as i32);
        let is_archived = |row: &HistoryRow| row.3.is_some() && keys::offset_from_bigint(row.1) < range.archived;
        let is_enough = |rows: &[HistoryRow]| rows.iter().filter(|row| is_archived(row)).count() >= range.max_rows;
        let mut rows = self.connection.read(doing, &statement, values, is_enough).await?;
        rows.retain(is_archived);
        Ok(rows)
    }
}

/// Returns `None` for a row without the event itself.
fn to_archived_event(
    partition: &PartitionId,
    (_, offset, appended_at, bytes, schema): HistoryRow,
) -> Option<ArchivedEvent> {
    let place = Place { partition: partition.partition, offset: keys::offset_from_bigint(offset) };
    Some(ArchivedEvent { place, appended_at: appended_at?.0, schema: keys::schema_from_int(schema), bytes: bytes? })
}
