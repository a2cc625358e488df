//! Histories: an entity's events, newest first. Only the weeks in which it has events are read, the latest alone at
//! first and then more and more at once, so that a busy entity costs one read and a rare one few.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_engine::ports::archive::{ArchivedEvent, HistoryQuery};
use assay_engine::ports::{Page, Place, StoreError, StreamPartition};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use super::super::connection::Connection;
use super::super::{cursor, keys};

/// The most events of one page.
const LONGEST_PAGE: usize = 10_000;
/// The most rows that come in one answer.
const ROWS_PER_ANSWER: usize = 500;
/// The most weeks that are read at once.
const WEEKS_AT_ONCE: usize = 16;

/// Reads histories.
pub(super) struct Histories {
    connection: Arc<Connection>,
    read_weeks: PreparedStatement,
    read_events: PreparedStatement,
}

/// An event as the table has it. Without bytes it is a verdict's, and the event itself is still on its way.
type Row = (CqlTimestamp, i64, Option<CqlTimestamp>, Option<Vec<u8>>, Option<i32>);

/// What to read: `start <= (time, offset) < end` and of these the archived ones.
struct Range<'a> {
    of: &'a StreamPartition,
    key: &'a str,
    start: (i64, i64),
    end: (i64, i64),
    archived: Offset,
    wanted: usize,
}

impl Histories {
    pub(super) async fn prepare(connection: Arc<Connection>) -> Result<Self, StoreError> {
        let of_entity = "WHERE stream = ? AND log_partition = ? AND key = ?";
        let weeks = format!("SELECT week FROM {{}}.entity_weeks {of_entity} AND week >= ? AND week <= ?");
        let events = format!(
            "SELECT time, offset, appended_at, bytes, schema_number FROM {{}}.entity_events
             {of_entity} AND week = ? AND (time, offset) >= (?, ?) AND (time, offset) < (?, ?)"
        );
        Ok(Self {
            read_weeks: connection.prepare(&weeks).await?,
            read_events: connection.prepare(&events).await?,
            connection,
        })
    }

    /// One page of an entity's events that are before `archived`.
    pub(super) async fn page(
        &self,
        of: &StreamPartition,
        query: &HistoryQuery,
        archived: Offset,
    ) -> Result<Page<ArchivedEvent>, StoreError> {
        // Behind the last offset of the last time there is nothing: offsets of real logs are below 2^63.
        let end = query.times.to.map_or((i64::MAX, i64::MAX), |to| (to, i64::MIN));
        let end = query.cursor.as_deref().map(cursor::read).transpose()?.map_or(end, |behind| end.min(behind));
        let start = (query.times.from.unwrap_or(i64::MIN), i64::MIN);
        let limit = query.limit.min(LONGEST_PAGE);
        if limit == 0 || start >= end {
            return Ok(Page { items: Vec::new(), cursor: None });
        }
        let key = keys::bounded(&query.key);
        // One more than wanted tells whether there is another page.
        let mut found = self.find(&Range { of, key: &key, start, end, archived, wanted: limit + 1 }).await?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let cursor = found.last().filter(|_| has_more).map(|last| cursor::write(last.0.0, last.1));
        Ok(Page { items: found.into_iter().filter_map(|row| event(of, row)).collect(), cursor })
    }

    async fn find(&self, range: &Range<'_>) -> Result<Vec<Row>, StoreError> {
        let (of, home) = (range.of, self.connection.home(range.of));
        let doing = format_args!("reading the weeks of '{}' in {of}", range.key);
        let values = (&home.stream, home.partition, range.key, keys::week(range.start.0), keys::week(range.end.0));
        let weeks: Vec<(i64,)> = self.connection.read(doing, &self.read_weeks, values, |_| false).await?;
        let (mut weeks, mut at_once) = (&weeks[..], 1);
        let mut found = Vec::new();
        while !weeks.is_empty() && found.len() < range.wanted {
            let (now, later) = weeks.split_at(at_once.min(weeks.len()));
            let read = stream::iter(now).map(|(week,)| self.week(range, *week)).buffered(at_once);
            let read: Vec<Vec<Row>> = read.try_collect().await?;
            found.extend(read.into_iter().flatten());
            weeks = later;
            at_once = (at_once * 2).min(WEEKS_AT_ONCE);
        }
        Ok(found)
    }

    async fn week(&self, range: &Range<'_>, week: i64) -> Result<Vec<Row>, StoreError> {
        let (of, home) = (range.of, self.connection.home(range.of));
        let doing = format_args!("reading the history of '{}' in {of}", range.key);
        let (start, end) = ((CqlTimestamp(range.start.0), range.start.1), (CqlTimestamp(range.end.0), range.end.1));
        let values = (&home.stream, home.partition, range.key, week, start.0, start.1, end.0, end.1);
        let mut statement = self.read_events.clone();
        // At most ROWS_PER_ANSWER.
        statement.set_page_size(range.wanted.min(ROWS_PER_ANSWER) as i32);
        let is_archived = |row: &Row| row.3.is_some() && keys::offset(row.1) < range.archived;
        let is_enough = |rows: &[Row]| rows.iter().filter(|row| is_archived(row)).count() >= range.wanted;
        let mut rows = self.connection.read(doing, &statement, values, is_enough).await?;
        rows.retain(is_archived);
        Ok(rows)
    }
}

fn event(of: &StreamPartition, (_, offset, appended_at, bytes, schema): Row) -> Option<ArchivedEvent> {
    let place = Place { partition: of.partition, offset: keys::offset(offset) };
    Some(ArchivedEvent { place, appended_at: appended_at?.0, schema: keys::schema(schema), bytes: bytes? })
}
