//! The collection `commits`: the log of the catalog's versions, one document each. The version is the `_id`, so of two
//! concurrent commits one fails as a duplicate. MongoDB writes a document atomically, so a commit needs no transaction.

use std::sync::Arc;

use ::mongodb::bson::{Bson, DateTime, Document, doc};
use ::mongodb::options::IndexOptions;
use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::{Definition, Kind, Revision};

use super::super::body::{to_bson, to_json};
use super::super::database::Database;
use super::super::error::{broken, is_duplicate};
use super::super::fields::{Fields, int};

pub(super) const COMMITS: &str = "commits";
/// The number of commits that one query reads.
const COMMITS_PER_READ: i64 = 100;
/// MongoDB refuses documents of more than 16 MiB; the rest is for the document's own fields.
const MAX_COMMIT_BYTES: usize = (16 << 20) - 1024;

/// One version of the catalog: its changes, author and time.
pub(super) struct Commit {
    pub(super) version: u64,
    pub(super) author: String,
    pub(super) at: i64,
    pub(super) revisions: Vec<Revision>,
}

/// The collection of commits.
pub(super) struct Commits {
    database: Arc<Database>,
}

impl Commits {
    pub(super) fn open(database: Arc<Database>) -> Result<Self, StoreError> {
        database.make_index(COMMITS, doc! { "revisions.name": 1 }, IndexOptions::default())?;
        Ok(Self { database })
    }

    /// The latest version; 0 if there is no commit.
    pub(super) fn latest(&self) -> Result<u64, StoreError> {
        let doing = "reading the catalog's version";
        let collection = self.database.collection(COMMITS);
        let last = collection.find_one(doc! {}).sort(doc! { "_id": -1 }).projection(doc! { "_id": 1 });
        self.database.call(doing, last)?.map_or(Ok(0), |last| Fields::new(&doing, &last).number("_id"))
    }

    /// The next commits after a version, in order, at most [`COMMITS_PER_READ`]; empty if there are none.
    pub(super) fn read_after(&self, version: u64) -> Result<Vec<Commit>, StoreError> {
        let collection = self.database.collection(COMMITS);
        let after = doc! { "_id": { "$gt": int("the version", version)? } };
        let find = collection.find(after).sort(doc! { "_id": 1 }).limit(COMMITS_PER_READ);
        let found = self.database.find("reading the catalog", find)?;
        found.iter().map(decode).collect()
    }

    /// Every revision of a definition, newest first.
    pub(super) fn revisions(&self, kind: Kind, name: &str) -> Result<Vec<Revision>, StoreError> {
        let collection = self.database.collection(COMMITS);
        // The filter also finds commits whose kind and name match in different revisions.
        let about = doc! { "revisions.kind": kind.to_string(), "revisions.name": name };
        let find = collection.find(about).sort(doc! { "_id": -1 });
        let found = self.database.find(format_args!("reading the revisions of the {kind} '{name}'"), find)?;
        let mut revisions = Vec::with_capacity(found.len());
        for commit in &found {
            let of_commit = decode(commit)?.revisions.into_iter();
            revisions.extend(of_commit.filter(|revision| revision.kind == kind && revision.name == name));
        }
        Ok(revisions)
    }

    /// Adds a commit. Returns false if a commit of this version exists already.
    pub(super) fn add(&self, commit: &Commit) -> Result<bool, StoreError> {
        let document = encode(commit)?;
        let size = document.to_vec().map_or(0, |bytes| bytes.len());
        if size > MAX_COMMIT_BYTES {
            return Err(broken(format!(
                "one commit of {} definitions has {size} bytes, and MongoDB takes {MAX_COMMIT_BYTES}: commit them in parts",
                commit.revisions.len()
            )));
        }
        let doing = format_args!("writing version {} of the catalog", commit.version);
        match self.database.try_call(&doing, self.database.collection(COMMITS).insert_one(document))? {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(self.database.failed(doing, &error)),
        }
    }
}

fn encode(commit: &Commit) -> Result<Document, StoreError> {
    let revision = |revision: &Revision| {
        Ok(doc! {
            "kind": revision.kind.to_string(),
            "name": &revision.name,
            "revision": int("the revision", u64::from(revision.revision))?,
            "born": int("the version", revision.created_at_version)?,
            "body": revision.definition.as_ref().map_or(Bson::Null, |definition| to_bson(&definition.to_json())),
        })
    };
    let revisions = commit.revisions.iter().map(revision).collect::<Result<Vec<Document>, StoreError>>()?;
    Ok(doc! {
        "_id": int("the version", commit.version)?,
        "author": &commit.author,
        "at": DateTime::from_millis(commit.at),
        "revisions": revisions,
    })
}

fn decode(document: &Document) -> Result<Commit, StoreError> {
    let version = Fields::new(&"a commit of the catalog", document).number("_id")?;
    let what = format_args!("version {version} of the catalog");
    let fields = Fields::new(&what, document);
    let (author, at) = (fields.text("author")?.to_owned(), fields.date("at")?);
    let revision = |revision: &Bson| {
        let revision = revision.as_document().ok_or_else(|| fields.wrong_type("revisions", "a list of documents"))?;
        let fields = Fields::new(&what, revision);
        let name = fields.text("name")?;
        let no_json = |why| broken(format!("{what}: the body of '{name}' cannot be read: {why}"));
        let kind =
            Kind::from_name(fields.text("kind")?).ok_or_else(|| fields.wrong_type("kind", "the name of a kind"))?;
        let body = fields.get("body").map(to_json).transpose().map_err(no_json)?;
        Ok(Revision {
            kind,
            name: name.to_owned(),
            revision: fields.small_number("revision")?,
            version,
            created_at_version: fields.number("born")?,
            author: author.clone(),
            at,
            definition: body.map(|body| Definition::from_json(kind, body)),
        })
    };
    let revisions = fields.list("revisions")?.iter().map(revision).collect::<Result<_, StoreError>>()?;
    Ok(Commit { version, author: author.clone(), at, revisions })
}
