//! The dead letters: one document each. Its `_id` is the letter's identity, so that a repeated write is no second document.

use std::sync::Arc;

use ::mongodb::bson::{Bson, DateTime, Document, doc};
use ::mongodb::options::IndexOptions;
use assay_core::names::{Offset, PartitionIndex};
use assay_engine::ports::dead_letters::{DeadLetter, DeadLetterQuery, DeadLetters};
use assay_engine::ports::{Page, PartitionId, Place, StoreError};

use super::cursor::{self, Listing};
use super::database::Database;
use super::error::broken;
use super::fields::{Fields, int};
use super::statements::Upsert;

const DEAD_LETTERS: &str = "dead_letters";
/// The sink's name in the positions.
const SINK: &str = "dead_letters";
/// A larger limit is lowered to this.
const MAX_PAGE_ITEMS: usize = 1_000;
/// Longer texts of a letter are truncated. MongoDB refuses documents of more than 16 MiB, and a letter that it refuses
/// would block its sink for good.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// Dead letters on MongoDB.
pub struct MongoDeadLetters {
    database: Arc<Database>,
}

impl MongoDeadLetters {
    pub(super) fn open(database: Arc<Database>) -> Result<Self, StoreError> {
        database.make_index(DEAD_LETTERS, order(), IndexOptions::default())?;
        let mut by_rule = doc! { "rule": 1 };
        by_rule.extend(doc! { "stream": 1, "partition": 1, "offset": -1, "sink": 1 });
        database.make_index(DEAD_LETTERS, by_rule, IndexOptions::default())?;
        Ok(Self { database })
    }
}

impl DeadLetters for MongoDeadLetters {
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.database.position(SINK, partition)
    }

    fn write(&self, partition: &PartitionId, letters: &[DeadLetter], next: Offset) -> Result<(), StoreError> {
        // Other sinks write letters at the present position, so only an older position is outdated.
        if next < self.position(partition)? {
            return Ok(());
        }
        let statements = letters.iter().map(statement).collect::<Result<Vec<Upsert>, StoreError>>()?;
        let doing = format_args!("writing dead letters of {partition}");
        // A duplicate is the same letter, written by another process at the same moment.
        self.database.upsert(doing, DEAD_LETTERS, &statements)?;
        self.database.save_position(SINK, partition, next)
    }

    fn list(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
        let after = query.cursor.as_deref().map(read_cursor).transpose()?;
        let limit = query.limit.min(MAX_PAGE_ITEMS);
        if limit == 0 {
            return Ok(Page { items: Vec::new(), cursor: None });
        }
        let mut conditions = Vec::new();
        conditions.extend(query.stream.as_deref().map(|stream| doc! { "stream": stream }));
        conditions.extend(query.rule.as_deref().map(|rule| doc! { "rule": rule }));
        conditions.extend(after);
        let filter = if conditions.is_empty() {
            doc! {}
        } else {
            doc! { "$and": conditions }
        };
        let collection = self.database.collection(DEAD_LETTERS);
        // One more letter than the page holds tells whether there is another page.
        let page = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let found = self.database.find("listing dead letters", collection.find(filter).sort(order()).limit(page))?;
        let cursor = match found.get(limit) {
            Some(_) => Some(write_cursor(&found[limit - 1])?),
            None => None,
        };
        let items = found.iter().take(limit).map(read).collect::<Result<_, StoreError>>()?;
        Ok(Page { items, cursor })
    }

    fn of_event(&self, partition: &PartitionId, offset: Offset) -> Result<Vec<DeadLetter>, StoreError> {
        let collection = self.database.collection(DEAD_LETTERS);
        let event = doc! {
            "stream": &*partition.stream,
            "partition": i64::from(partition.partition.0),
            "offset": int("the offset", offset.0)?,
        };
        let doing = format_args!("reading the dead letters of event {offset} of {partition}");
        let found = self.database.find(doing, collection.find(event).sort(doc! { "rule": 1, "sink": 1 }))?;
        found.iter().map(read).collect()
    }
}

/// The order of the listing. Letters without a rule or sink come before those with one.
fn order() -> Document {
    doc! { "stream": 1, "partition": 1, "offset": -1, "rule": 1, "sink": 1 }
}

fn statement(letter: &DeadLetter) -> Result<Upsert, StoreError> {
    let Place { partition, offset } = letter.place;
    let rule = letter.rule.as_deref().unwrap_or_default();
    let mut id = format!("{}/{partition}/{offset}/{rule}", letter.stream);
    if let Some(sink) = &letter.sink {
        id += "/";
        id += sink;
    }
    let mut truncated = Vec::new();
    let mut truncate_field = |name: &str, text: &str| {
        let (text, is_truncated) = truncate(text);
        if is_truncated {
            truncated.push(name.to_owned());
        }
        text
    };
    let (key, event, message) = (
        truncate_field("key", &letter.key),
        truncate_field("id", &letter.id),
        truncate_field("message", &letter.message),
    );
    let letter = doc! {
        "stream": &letter.stream,
        "partition": i64::from(partition.0),
        "offset": int("the offset", offset.0)?,
        "rule": letter.rule.as_deref(),
        "sink": letter.sink.as_deref(),
        "time": DateTime::from_millis(letter.time),
        "key": key,
        "id": event,
        "revision": letter.revision.map(i64::from),
        "plugin": letter.plugin.as_deref(),
        "digest": letter.digest.map(|digest| digest.to_string()),
        "code": letter.code.as_str(),
        "message": message,
        "cut": truncated,
    };
    Upsert::new(doc! { "_id": id }, doc! { "$set": letter })
}

/// Truncates a text to about [`MAX_TEXT_BYTES`]. Returns whether it did; a truncated text ends with its former length.
fn truncate(text: &str) -> (String, bool) {
    if text.len() <= MAX_TEXT_BYTES {
        return (text.to_owned(), false);
    }
    let kept = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
    (format!("{kept} [cut: it has {} bytes]", text.len()), true)
}

fn read(document: &Document) -> Result<DeadLetter, StoreError> {
    let what = format!("the dead letter '{}'", document.get_str("_id").unwrap_or_default());
    let fields = Fields::new(&what, document);
    let maybe = |name: &str| fields.get(name).map(|_| fields.text(name).map(str::to_owned)).transpose();
    let digest = |digest: &str| digest.parse().map_err(|_| fields.wrong_type("digest", "sha256: and 64 hex digits"));
    Ok(DeadLetter {
        stream: fields.text("stream")?.to_owned(),
        place: Place {
            partition: PartitionIndex(fields.small_number("partition")?),
            offset: Offset(fields.number("offset")?),
        },
        time: fields.date("time")?,
        key: fields.text("key")?.to_owned(),
        id: fields.text("id")?.to_owned(),
        rule: maybe("rule")?,
        sink: maybe("sink")?,
        revision: fields.get("revision").map(|_| fields.small_number("revision")).transpose()?,
        plugin: maybe("plugin")?,
        digest: maybe("digest")?.as_deref().map(digest).transpose()?,
        code: fields.text("code")?.into(),
        message: fields.text("message")?.to_owned(),
    })
}

fn write_cursor(last: &Document) -> Result<String, StoreError> {
    let position: Document = ["stream", "partition", "offset", "rule", "sink"]
        .into_iter()
        .map(|name| (name.to_owned(), last.get(name).cloned().unwrap_or(Bson::Null)))
        .collect();
    cursor::write(Listing::DeadLetters, &position).ok_or_else(|| broken("a cursor has no BSON form".to_owned()))
}

/// The condition on the letters after a cursor.
fn read_cursor(cursor: &str) -> Result<Document, StoreError> {
    let position = cursor::read(Listing::DeadLetters, cursor)?;
    let field = |name: &str| position.get(name).cloned().ok_or(StoreError::BadCursor);
    let (stream, partition, offset, rule) = (field("stream")?, field("partition")?, field("offset")?, field("rule")?);
    // A cursor of an earlier version has no sink.
    let sink = position.get("sink").cloned().unwrap_or(Bson::Null);
    let later = |text: &Bson| match text {
        Bson::Null => doc! { "$gte": "" },
        text => doc! { "$gt": text },
    };
    let (later_rule, later_sink) = (later(&rule), later(&sink));
    Ok(doc! { "$or": [
        { "stream": { "$gt": &stream } },
        { "stream": &stream, "partition": { "$gt": &partition } },
        { "stream": &stream, "partition": &partition, "offset": { "$lt": &offset } },
        { "stream": &stream, "partition": &partition, "offset": &offset, "rule": later_rule },
        { "stream": &stream, "partition": &partition, "offset": &offset, "rule": &rule, "sink": later_sink },
    ] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_truncated_at_a_character_and_marked() {
        let (text, is_truncated) = truncate(&"é".repeat(MAX_TEXT_BYTES));
        assert!(is_truncated && text.len() < MAX_TEXT_BYTES + 100);
        assert!(text.ends_with("[cut: it has 2097152 bytes]"), "{}", &text[text.len() - 40..]);
        assert_eq!(truncate("short"), ("short".to_owned(), false));
    }
}
