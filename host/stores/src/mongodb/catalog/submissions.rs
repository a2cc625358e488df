//! The collection `submissions`: definitions that people and scripts put there, to be checked and committed. One
//! process takes each, and writes into its `status` what became of it.

use std::sync::Arc;

use ::mongodb::bson::oid::ObjectId;
use ::mongodb::bson::{Bson, DateTime, Document, doc};
use ::mongodb::options::{IndexOptions, ReturnDocument};
use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::{Change, Kind, Submission};

use super::super::body::to_json;
use super::super::cursor::{from_hex, hex};
use super::super::database::Database;
use super::super::error::broken;
use super::commits::kind;

pub(super) const SUBMISSIONS: &str = "submissions";
/// Whoever took a submission has so long to answer it; then others take it.
const CLAIM_MS: i64 = 30_000;
/// The most that are taken at once.
const MOST: usize = 100;

/// The submissions in their collection.
pub(super) struct Submissions {
    database: Arc<Database>,
    /// By what our claims are known.
    claimant: String,
}

impl Submissions {
    pub(super) fn open(database: Arc<Database>) -> Result<Self, StoreError> {
        database.make_index(SUBMISSIONS, doc! { "status.state": 1 }, IndexOptions::default())?;
        let claimant = format!("process {}, {}", std::process::id(), ObjectId::new());
        Ok(Self { database, claimant })
    }

    /// The newest submission that nobody has taken.
    pub(super) fn newest_waiting(&self) -> Result<Option<Bson>, StoreError> {
        let collection = self.database.collection(SUBMISSIONS);
        let newest =
            collection.find_one(doc! { "status": null }).sort(doc! { "_id": -1 }).projection(doc! { "_id": 1 });
        let newest = self.database.call("looking for submissions", newest)?;
        Ok(newest.and_then(|mut submission| submission.remove("_id")))
    }

    /// Takes those that nobody has taken, or not answered in time, the oldest first. Answers those that make no sense.
    pub(super) fn take(&self) -> Result<Vec<Submission>, StoreError> {
        let doing = "taking submissions";
        let collection = self.database.collection(SUBMISSIONS);
        let open = doc! { "$or": [{ "status": null }, { "status.state": "checking" }] };
        if self.database.call(doing, collection.find_one(open).projection(doc! { "_id": 1 }))?.is_none() {
            return Ok(Vec::new());
        }
        let mut taken = Vec::new();
        // By the server's clock: those of processes differ.
        let now = self.server_time()?;
        let late = DateTime::from_millis(now.timestamp_millis().saturating_sub(CLAIM_MS));
        let free = doc! { "$or": [
            { "status": null },
            { "status.state": "checking", "status.at": { "$lt": late } },
        ] };
        let claim = doc! { "$set": { "status": { "state": "checking", "by": &self.claimant, "at": now } } };
        while taken.len() < MOST {
            let next = collection.find_one_and_update(free.clone(), claim.clone());
            let next = next.sort(doc! { "_id": 1 }).return_document(ReturnDocument::After);
            let Some(submission) = self.database.call(doing, next)? else {
                break;
            };
            let id = id_of(&submission)?;
            match read(&submission) {
                Ok((change, author)) => taken.push(Submission { id, author, change }),
                Err(errors) => self.answer(&id, Err(errors))?,
            }
        }
        Ok(taken)
    }

    /// Writes what became of a submission that we took.
    pub(super) fn answer(&self, id: &str, outcome: Result<u32, Vec<String>>) -> Result<(), StoreError> {
        let unknown = || broken(format!("'{id}' is not a submission"));
        let place = from_hex(id).and_then(|bytes| Document::from_reader(&bytes[..]).ok()).ok_or_else(unknown)?;
        let mut ours = place;
        ours.insert("status.by", &self.claimant);
        let now = DateTime::now();
        let status = match outcome {
            Ok(revision) => doc! { "state": "applied", "revision": i64::from(revision), "at": now },
            Err(errors) => doc! { "state": "refused", "errors": errors, "at": now },
        };
        let collection = self.database.collection(SUBMISSIONS);
        let answer = collection.update_one(ours, doc! { "$set": { "status": status } });
        if self.database.call("answering a submission", answer)?.matched_count == 0 {
            tracing::warn!("a submission was answered too late: somebody else has taken it or it was deleted");
        }
        Ok(())
    }

    fn server_time(&self) -> Result<DateTime, StoreError> {
        let hello = self.database.mongo().run_command(doc! { "hello": 1 });
        let answer = self.database.try_call(&"asking for the time", hello)?;
        // A server that does not tell it has to live with our clock.
        let time = answer.ok().and_then(|answer| answer.get_datetime("localTime").ok().copied());
        Ok(time.unwrap_or_else(DateTime::now))
    }
}

/// A submission's `_id`, of whatever type it is.
fn id_of(submission: &Document) -> Result<String, StoreError> {
    let id = submission.get("_id").cloned().unwrap_or(Bson::Null);
    let bytes = doc! { "_id": id }.to_vec();
    bytes.map(|bytes| hex(&bytes)).map_err(|error| broken(format!("a submission's _id cannot be kept: {error}")))
}

/// What is wanted, and by whom.
fn read(submission: &Document) -> Result<(Change, String), Vec<String>> {
    let mut errors = Vec::new();
    let kind = match submission.get("kind") {
        Some(Bson::String(name)) => kind(name),
        _ => None,
    };
    if !matches!(kind, Some(Kind::Stream | Kind::View | Kind::Rule)) {
        errors
            .push("`kind` should be \"stream\", \"view\" or \"rule\"; plugins and keys go through the API".to_owned());
    }
    let name = submission.get_str("name").unwrap_or_default();
    if name.is_empty() {
        errors.push("`name` should be the definition's name, a text".to_owned());
    }
    let body = match submission.get("definition") {
        None => {
            Err("`definition` is missing: it should be a document, or null to delete what has this name".to_owned())
        }
        Some(Bson::Null) => Ok(None),
        Some(Bson::Document(definition)) => to_json(&Bson::Document(definition.clone())).map(Some),
        Some(_) => Err("`definition` should be a document, or null to delete what has this name".to_owned()),
    };
    let author = match submission.get("author") {
        None | Some(Bson::Null) => Ok("mongodb".to_owned()),
        // Anyone may write any name here: the audit shows that it is no API key's.
        Some(Bson::String(author)) => Ok(format!("mongodb:{author}")),
        Some(_) => Err("`author` should be a text".to_owned()),
    };
    match (kind, body, author) {
        (Some(kind), Ok(body), Ok(author)) if errors.is_empty() => {
            Ok((Change { kind, name: name.to_owned(), body }, author))
        }
        (_, body, author) => {
            errors.extend(body.err().map(|why| if why.starts_with('`') { why } else { format!("`definition`{why}") }));
            errors.extend(author.err());
            Err(errors)
        }
    }
}
