//! The dead letters: one document each, by what they are of, so that the same letter again is the same document.

use std::sync::Arc;

use ::mongodb::bson::{Bson, DateTime, Document, doc};
use ::mongodb::options::IndexOptions;
use assay_core::names::{Offset, Partition};
use assay_engine::ports::dead_letters::{DeadLetter, DeadLetterQuery, DeadLetters};
use assay_engine::ports::{Page, Place, StoreError, StreamPartition};

use super::cursor::{self, Listing};
use super::database::Database;
use super::error::broken;
use super::fields::{Fields, int};
use super::statements::Upsert;

const DEAD_LETTERS: &str = "dead_letters";
/// The follower's name in the positions.
const FOLLOWER: &str = "dead_letters";
/// The most dead letters of one page.
const LONGEST_PAGE: usize = 1_000;
/// A text of a letter that is longer than this is cut: no letter may be one that MongoDB refuses, for nothing would
/// get past it. It takes documents of 16 MiB.
const LONGEST_TEXT: usize = 1 << 20;

/// Dead letters on MongoDB.
pub struct MongoDeadLetters {
    database: Arc<Database>,
}

impl MongoDeadLetters {
    pub(super) fn open(database: Arc<Database>) -> Result<Self, StoreError> {
        database.make_index(DEAD_LETTERS, order(), IndexOptions::default())?;
        let mut by_rule = doc! { "rule": 1 };
        by_rule.extend(doc! { "stream": 1, "partition": 1, "offset": -1 });
        database.make_index(DEAD_LETTERS, by_rule, IndexOptions::default())?;
        Ok(Self { database })
    }
}

impl DeadLetters for MongoDeadLetters {
    fn position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        self.database.position(FOLLOWER, of)
    }

    fn write(&self, of: &StreamPartition, letters: &[DeadLetter], next: Offset) -> Result<(), StoreError> {
        // At the same position others than its follower set events aside, which it has not heard of.
        if next < self.position(of)? {
            return Ok(());
        }
        let statements = letters.iter().map(statement).collect::<Result<Vec<Upsert>, StoreError>>()?;
        let doing = format_args!("writing dead letters of {of}");
        // A duplicate is a letter that another process wrote at the same moment: the same one.
        self.database.upsert(doing, DEAD_LETTERS, &statements)?;
        self.database.save_position(FOLLOWER, of, next)
    }

    fn list(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
        let behind = query.cursor.as_deref().map(read_cursor).transpose()?;
        let limit = query.limit.min(LONGEST_PAGE);
        if limit == 0 {
            return Ok(Page { items: Vec::new(), cursor: None });
        }
        let mut conditions = Vec::new();
        conditions.extend(query.stream.as_deref().map(|stream| doc! { "stream": stream }));
        conditions.extend(query.rule.as_deref().map(|rule| doc! { "rule": rule }));
        conditions.extend(behind);
        let filter = if conditions.is_empty() {
            doc! {}
        } else {
            doc! { "$and": conditions }
        };
        let collection = self.database.collection(DEAD_LETTERS);
        // One more than wanted tells whether there is another page.
        let page = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let found = self.database.find("listing dead letters", collection.find(filter).sort(order()).limit(page))?;
        let cursor = match found.get(limit) {
            Some(_) => Some(write_cursor(&found[limit - 1])?),
            None => None,
        };
        let items = found.iter().take(limit).map(read).collect::<Result<_, StoreError>>()?;
        Ok(Page { items, cursor })
    }

    fn of_event(&self, of: &StreamPartition, offset: Offset) -> Result<Vec<DeadLetter>, StoreError> {
        let collection = self.database.collection(DEAD_LETTERS);
        let event = doc! {
            "stream": &*of.stream,
            "partition": i64::from(of.partition.0),
            "offset": int("the offset", offset.0)?,
        };
        let doing = format_args!("reading the dead letters of event {offset} of {of}");
        let found = self.database.find(doing, collection.find(event).sort(doc! { "rule": 1 }))?;
        found.iter().map(read).collect()
    }
}

/// The order of the listing. Letters without a rule come before those with one.
fn order() -> Document {
    doc! { "stream": 1, "partition": 1, "offset": -1, "rule": 1 }
}

fn statement(letter: &DeadLetter) -> Result<Upsert, StoreError> {
    let Place { partition, offset } = letter.place;
    let rule = letter.rule.as_deref().unwrap_or_default();
    let id = format!("{}/{partition}/{offset}/{rule}", letter.stream);
    let mut cut_off = Vec::new();
    let mut fitting = |name: &str, text: &str| {
        let (text, is_cut) = cut(text);
        if is_cut {
            cut_off.push(name.to_owned());
        }
        text
    };
    let (key, event, message) =
        (fitting("key", &letter.key), fitting("id", &letter.id), fitting("message", &letter.message));
    let letter = doc! {
        "stream": &letter.stream,
        "partition": i64::from(partition.0),
        "offset": int("the offset", offset.0)?,
        "rule": letter.rule.as_deref(),
        "time": DateTime::from_millis(letter.time),
        "key": key,
        "id": event,
        "revision": letter.revision.map(i64::from),
        "plugin": letter.plugin.as_deref(),
        "digest": letter.digest.map(|digest| digest.to_string()),
        "code": &letter.code,
        "message": message,
        "cut": cut_off,
    };
    Upsert::new(doc! { "_id": id }, doc! { "$set": letter })
}

/// A text that is short enough, and whether it was cut for that. One that was cut says so itself.
fn cut(text: &str) -> (String, bool) {
    if text.len() <= LONGEST_TEXT {
        return (text.to_owned(), false);
    }
    let kept = &text[..text.floor_char_boundary(LONGEST_TEXT)];
    (format!("{kept} [cut: it has {} bytes]", text.len()), true)
}

fn read(document: &Document) -> Result<DeadLetter, StoreError> {
    let what = format!("the dead letter '{}'", document.get_str("_id").unwrap_or_default());
    let fields = Fields::new(&what, document);
    let maybe = |name: &str| fields.get(name).map(|_| fields.text(name).map(str::to_owned)).transpose();
    let digest = |digest: &str| digest.parse().map_err(|_| fields.wrong("digest", "sha256: and 64 hex digits"));
    Ok(DeadLetter {
        stream: fields.text("stream")?.to_owned(),
        place: Place {
            partition: Partition(fields.small_number("partition")?),
            offset: Offset(fields.number("offset")?),
        },
        time: fields.date("time")?,
        key: fields.text("key")?.to_owned(),
        id: fields.text("id")?.to_owned(),
        rule: maybe("rule")?,
        revision: fields.get("revision").map(|_| fields.small_number("revision")).transpose()?,
        plugin: maybe("plugin")?,
        digest: maybe("digest")?.as_deref().map(digest).transpose()?,
        code: fields.text("code")?.to_owned(),
        message: fields.text("message")?.to_owned(),
    })
}

fn write_cursor(last: &Document) -> Result<String, StoreError> {
    let place: Document = ["stream", "partition", "offset", "rule"]
        .into_iter()
        .map(|name| (name.to_owned(), last.get(name).cloned().unwrap_or(Bson::Null)))
        .collect();
    cursor::write(Listing::DeadLetters, &place).ok_or_else(|| broken("a cursor has no BSON form".to_owned()))
}

/// The condition of what comes behind a cursor.
fn read_cursor(cursor: &str) -> Result<Document, StoreError> {
    let place = cursor::read(Listing::DeadLetters, cursor)?;
    let field = |name: &str| place.get(name).cloned().ok_or(StoreError::BadCursor);
    let (stream, partition, offset, rule) = (field("stream")?, field("partition")?, field("offset")?, field("rule")?);
    let later_rule = match &rule {
        Bson::Null => doc! { "$gte": "" },
        rule => doc! { "$gt": rule },
    };
    Ok(doc! { "$or": [
        { "stream": { "$gt": &stream } },
        { "stream": &stream, "partition": { "$gt": &partition } },
        { "stream": &stream, "partition": &partition, "offset": { "$lt": &offset } },
        { "stream": &stream, "partition": &partition, "offset": &offset, "rule": later_rule },
    ] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_letters_and_say_so() {
        let (text, is_cut) = cut(&"é".repeat(LONGEST_TEXT));
        assert!(is_cut && text.len() < LONGEST_TEXT + 100);
        assert!(text.ends_with("[cut: it has 2097152 bytes]"), "{}", &text[text.len() - 40..]);
        assert_eq!(cut("short"), ("short".to_owned(), false));
    }
}
