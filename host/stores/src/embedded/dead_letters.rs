//! The dead letters: one row each, by stream, partition, the latest first, and rule.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_engine::ports::dead_letters::{DeadLetter, DeadLetterQuery, DeadLetters};
use assay_engine::ports::{Page, StoreError, StreamPartition};
use fjall::Slice;

use super::commits::COUNT_KEY;
use super::cursor::{self, Listing};
use super::database::{Database, Durability};
use super::error::{broken, failed};
use super::keys::{self, Whose};

/// The most dead letters of one page.
const LONGEST_PAGE: usize = 1_000;

/// Dead letters on the embedded database.
pub struct EmbeddedDeadLetters {
    database: Arc<Database>,
}

impl EmbeddedDeadLetters {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

impl DeadLetters for EmbeddedDeadLetters {
    fn position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        let id = self.database.streams.find_partition(of);
        id.map_or(Ok(Offset(0)), |id| self.database.position(Whose::DeadLetters, id).map(Offset))
    }

    fn write(&self, of: &StreamPartition, letters: &[DeadLetter], next: Offset) -> Result<(), StoreError> {
        let id = self.database.streams.number_partition(&self.database, of)?;
        // At the same position others than its follower set events aside, which it has not heard of.
        if next.0 < self.database.position(Whose::DeadLetters, id)? {
            return Ok(());
        }
        let mut batch = self.database.batch(letters.len() + 1);
        for letter in letters {
            let mut key = event_key(&letter.stream, letter.place.partition.0, letter.place.offset.0);
            keys::push_text(&mut key, letter.rule.as_deref().unwrap_or_default());
            let value = serde_json::to_vec(letter)
                .map_err(|error| broken(format!("a dead letter has no JSON form: {error}")))?;
            batch.insert(&self.database.dead_letters, key, value);
        }
        self.database.put_position(&mut batch, Whose::DeadLetters, id, next.0);
        self.database.commit(batch, Durability::Process, format_args!("writing dead letters of {of}"))
    }

    fn list(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
        let behind = query.cursor.as_deref().map(|cursor| cursor::read(Listing::DeadLetters, cursor)).transpose()?;
        let limit = query.limit.min(LONGEST_PAGE);
        let prefix = query.stream.as_deref().map(stream_key).unwrap_or_default();
        let mut items = Vec::new();
        let mut last = Vec::new();
        let start = behind.map_or_else(
            || prefix.clone(),
            |mut key| {
                key.push(0);
                key.max(prefix.clone())
            },
        );
        for row in self.database.dead_letters.range(start..COUNT_KEY.to_vec()) {
            let (key, value) = row.into_inner().map_err(|error| failed("reading the dead letters", &error))?;
            if !key.starts_with(&prefix) || limit == 0 {
                break;
            }
            let letter = decode(&value)?;
            if query.rule.is_some() && letter.rule != query.rule {
                continue;
            }
            if items.len() == limit {
                return Ok(Page { items, cursor: Some(cursor::write(Listing::DeadLetters, &last)) });
            }
            items.push(letter);
            last = key.to_vec();
        }
        Ok(Page { items, cursor: None })
    }

    fn of_event(&self, of: &StreamPartition, offset: Offset) -> Result<Vec<DeadLetter>, StoreError> {
        let rows = self.database.dead_letters.prefix(event_key(&of.stream, of.partition.0, offset.0));
        let letter = |row: fjall::Guard| {
            decode(&row.value().map_err(|error| failed("reading the dead letters of an event", &error))?)
        };
        rows.map(letter).collect()
    }
}

/// The keys of an event's dead letters.
pub(super) fn keys_of(database: &Database, of: &StreamPartition, offset: u64) -> Result<Vec<Slice>, StoreError> {
    let rows = database.dead_letters.prefix(event_key(&of.stream, of.partition.0, offset));
    rows.map(|row| row.key().map_err(|error| failed("reading the dead letters of an event", &error))).collect()
}

fn stream_key(stream: &str) -> Vec<u8> {
    let mut key = Vec::new();
    keys::push_text(&mut key, stream);
    key
}

fn event_key(stream: &str, partition: u32, offset: u64) -> Vec<u8> {
    let mut key = stream_key(stream);
    key.extend_from_slice(&partition.to_be_bytes());
    // The latest first.
    key.extend_from_slice(&(!offset).to_be_bytes());
    key
}

fn decode(value: &[u8]) -> Result<DeadLetter, StoreError> {
    serde_json::from_slice(value).map_err(|error| broken(format!("a dead letter cannot be read: {error}")))
}
