//! The collection `submissions`: definitions that people and scripts insert, to be checked and committed. One process
//! claims each and writes the outcome into its `status`.

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

pub(super) const SUBMISSIONS: &str = "submissions";
/// A claim expires after this time without an answer; then another process may claim the submission.
const CLAIM_TIMEOUT_MS: i64 = 30_000;
/// The number of submissions that one call claims.
const MAX_SUBMISSIONS_PER_READ: usize = 100;

/// The collection of submissions.
pub(super) struct Submissions {
    database: Arc<Database>,
    /// The name of this process in its claims, unique among processes.
    claimant: String,
}

impl Submissions {
    pub(super) fn open(database: Arc<Database>) -> Result<Self, StoreError> {
        database.make_index(SUBMISSIONS, doc! { "status.state": 1 }, IndexOptions::default())?;
        let claimant = format!("process {}, {}", std::process::id(), ObjectId::new());
        Ok(Self { database, claimant })
    }

    /// The `_id` of the newest submission that no process has claimed.
    pub(super) fn find_newest_unclaimed(&self) -> Result<Option<Bson>, StoreError> {
        let collection = self.database.collection(SUBMISSIONS);
        let newest =
            collection.find_one(doc! { "status": null }).sort(doc! { "_id": -1 }).projection(doc! { "_id": 1 });
        let newest = self.database.call("looking for submissions", newest)?;
        Ok(newest.and_then(|mut submission| submission.remove("_id")))
    }

    /// Claims submissions that are unclaimed or whose claim expired, the oldest first. Malformed ones are refused here.
    pub(super) fn take(&self) -> Result<Vec<Submission>, StoreError> {
        let doing = "taking submissions";
        let collection = self.database.collection(SUBMISSIONS);
        let open = doc! { "$or": [{ "status": null }, { "status.state": "checking" }] };
        if self.database.call(doing, collection.find_one(open).projection(doc! { "_id": 1 }))?.is_none() {
            return Ok(Vec::new());
        }
        let mut taken = Vec::new();
        // Claims are timed by the server's clock, because the clocks of processes differ.
        let now = self.read_server_time()?;
        let late = DateTime::from_millis(now.timestamp_millis().saturating_sub(CLAIM_TIMEOUT_MS));
        let free = doc! { "$or": [
            { "status": null },
            { "status.state": "checking", "status.at": { "$lt": late } },
        ] };
        let claim = doc! { "$set": { "status": { "state": "checking", "by": &self.claimant, "at": now } } };
        while taken.len() < MAX_SUBMISSIONS_PER_READ {
            let next = collection.find_one_and_update(free.clone(), claim.clone());
            let next = next.sort(doc! { "_id": 1 }).return_document(ReturnDocument::After);
            let Some(submission) = self.database.call(doing, next)? else {
                break;
            };
            let id = encode_id(&submission)?;
            match parse(&submission) {
                Ok((change, author)) => taken.push(Submission { id, author, change }),
                Err(errors) => self.answer(&id, Err(errors))?,
            }
        }
        Ok(taken)
    }

    /// Writes the outcome of a submission that this process claimed. Without a valid claim any more it only warns.
    pub(super) fn answer(&self, id: &str, outcome: Result<u32, Vec<String>>) -> Result<(), StoreError> {
        let unknown = || broken(format!("'{id}' is not a submission"));
        let mut claimed = from_hex(id).and_then(|bytes| Document::from_reader(&bytes[..]).ok()).ok_or_else(unknown)?;
        // The claimant in the filter fences off a process whose claim has expired.
        claimed.insert("status.by", &self.claimant);
        let now = DateTime::now();
        let status = match outcome {
            Ok(revision) => doc! { "state": "applied", "revision": i64::from(revision), "at": now },
            Err(errors) => doc! { "state": "refused", "errors": errors, "at": now },
        };
        let collection = self.database.collection(SUBMISSIONS);
        let answer = collection.update_one(claimed, doc! { "$set": { "status": status } });
        if self.database.call("answering a submission", answer)?.matched_count == 0 {
            tracing::warn!("a submission was answered too late: somebody else has taken it or it was deleted");
        }
        Ok(())
    }

    fn read_server_time(&self) -> Result<DateTime, StoreError> {
        let hello = self.database.mongo().run_command(doc! { "hello": 1 });
        let answer = self.database.try_call(&"asking for the time", hello)?;
        // A server whose answer has no time: the clock of this process is used.
        let time = answer.ok().and_then(|answer| answer.get_datetime("localTime").ok().copied());
        Ok(time.unwrap_or_else(DateTime::now))
    }
}

/// A submission's `_id` as hex digits of BSON: clients may use any type.
fn encode_id(submission: &Document) -> Result<String, StoreError> {
    let id = submission.get("_id").cloned().unwrap_or(Bson::Null);
    let bytes = doc! { "_id": id }.to_vec();
    bytes.map(|bytes| hex(&bytes)).map_err(|error| broken(format!("a submission's _id cannot be kept: {error}")))
}

/// The change and the author of a submission.
///
/// # Errors
/// All that is wrong with it.
fn parse(submission: &Document) -> Result<(Change, String), Vec<String>> {
    let mut errors = Vec::new();
    let kind = match submission.get("kind") {
        Some(Bson::String(name)) => Kind::from_name(name),
        _ => None,
    };
    if !kind.is_some_and(|kind| kind.properties().is_editable) {
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
        // The prefix shows in the audit that nobody verified this name, unlike the name of an API key.
        Some(Bson::String(author)) => Ok(format!("mongodb:{author}")),
        Some(_) => Err("`author` should be a text".to_owned()),
    };
    match (kind, body, author) {
        (Some(kind), Ok(body), Ok(author)) if errors.is_empty() => {
            let change = match body {
                Some(body) => Change::from_json(kind, name, body),
                None => Change::delete(kind, name),
            };
            Ok((change, author))
        }
        (_, body, author) => {
            errors.extend(body.err().map(|why| if why.starts_with('`') { why } else { format!("`definition`{why}") }));
            errors.extend(author.err());
            Err(errors)
        }
    }
}
