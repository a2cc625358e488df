//! The dead letters: one row each, ordered by stream, partition, falling offset, rule and sink.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_engine::ports::dead_letters::{DeadLetter, DeadLetterQuery, DeadLetters};
use assay_engine::ports::{Page, PartitionId, StoreError};
use fjall::Slice;

use super::commits::COUNT_KEY;
use super::cursor::{self, Listing};
use super::database::{Database, Durability};
use super::error::{broken, failed};
use super::keys::{self, PositionOwner};

/// A larger limit is lowered to this.
const MAX_PAGE_ITEMS: usize = 1_000;

/// Dead letters on the embedded database.
pub(super) struct EmbeddedDeadLetters {
    database: Arc<Database>,
}

impl EmbeddedDeadLetters {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

impl DeadLetters for EmbeddedDeadLetters {
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        let id = self.database.streams.find_partition(partition);
        id.map_or(Ok(Offset(0)), |id| self.database.position(PositionOwner::DeadLetters, id).map(Offset))
    }

    fn write(&self, partition: &PartitionId, letters: &[DeadLetter], next: Offset) -> Result<(), StoreError> {
        let id = self.database.streams.find_or_add_partition(&self.database, partition)?;
        // Other sinks write letters at the present position, so only an older position is outdated.
        if next.0 < self.database.position(PositionOwner::DeadLetters, id)? {
            return Ok(());
        }
        let mut batch = self.database.batch(letters.len() + 1);
        for letter in letters {
            let value = serde_json::to_vec(letter)
                .map_err(|error| broken(format!("a dead letter has no JSON form: {error}")))?;
            batch.insert(&self.database.dead_letters, letter_key(letter), value);
        }
        self.database.put_position(&mut batch, PositionOwner::DeadLetters, id, next.0);
        self.database.commit(batch, Durability::Process, format_args!("writing dead letters of {partition}"))
    }

    fn list(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
        let after = query.cursor.as_deref().map(|cursor| cursor::read(Listing::DeadLetters, cursor)).transpose()?;
        let limit = query.limit.min(MAX_PAGE_ITEMS);
        let prefix = query.stream.as_deref().map(stream_key).unwrap_or_default();
        let mut items = Vec::new();
        let mut last = Vec::new();
        let start = after.map_or_else(
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

    fn of_event(&self, partition: &PartitionId, offset: Offset) -> Result<Vec<DeadLetter>, StoreError> {
        let rows = self.database.dead_letters.prefix(event_key(&partition.stream, partition.partition.0, offset.0));
        let letter = |row: fjall::Guard| {
            decode(&row.value().map_err(|error| failed("reading the dead letters of an event", &error))?)
        };
        rows.map(letter).collect()
    }
}

/// Reads the keys of an event's dead letters.
pub(super) fn find_keys_of_event(
    database: &Database,
    partition: &PartitionId,
    offset: u64,
) -> Result<Vec<Slice>, StoreError> {
    let rows = database.dead_letters.prefix(event_key(&partition.stream, partition.partition.0, offset));
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
    // Inverted, so that the highest offset comes first.
    key.extend_from_slice(&(!offset).to_be_bytes());
    key
}

fn letter_key(letter: &DeadLetter) -> Vec<u8> {
    let mut key = event_key(&letter.stream, letter.place.partition.0, letter.place.offset.0);
    keys::push_text(&mut key, letter.rule.as_deref().unwrap_or_default());
    // Letters without a sink have the key of earlier versions, which had no sinks.
    if let Some(sink) = &letter.sink {
        keys::push_text(&mut key, sink);
    }
    key
}

fn decode(value: &[u8]) -> Result<DeadLetter, StoreError> {
    serde_json::from_slice(value).map_err(|error| broken(format!("a dead letter cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use assay_core::recorded_failure_code::RecordedFailureCode;

    use super::*;

    #[test]
    fn a_letter_of_an_earlier_version_is_read_and_keeps_its_key() {
        let row = r#"{"stream":"s","place":{"partition":1,"offset":2},"time":0,"key":"","id":"","rule":null,"revision":null,
            "plugin":null,"digest":null,"code":"store-refused","message":"graph: too long"}"#;
        let letter = decode(row.as_bytes()).unwrap();
        assert_eq!(letter.sink, None);
        let mut key = event_key("s", 1, 2);
        keys::push_text(&mut key, "");
        assert_eq!(letter_key(&letter), key);
        let by_sink = letter_key(&DeadLetter { sink: Some("graph".to_owned()), ..letter.clone() });
        let by_rule = letter_key(&DeadLetter { rule: Some("a".to_owned()), ..letter });
        assert!(key < by_sink && by_sink < by_rule);
    }

    #[test]
    fn a_code_of_another_version_is_kept_as_it_is_written() {
        let row = r#"{"stream":"s","place":{"partition":1,"offset":2},"time":0,"key":"","id":"","rule":null,"revision":null,"plugin":null,"digest":null,"code":"next-year","message":"m"}"#;
        let letter = decode(row.as_bytes()).unwrap();
        assert_eq!(letter.code, RecordedFailureCode::Other("next-year".to_owned()));
        assert_eq!(serde_json::to_string(&letter).unwrap(), row);
    }
}
