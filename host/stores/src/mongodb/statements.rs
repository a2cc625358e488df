//! Many upserts in few commands: the `update` command with many statements, each carried out by itself.

use std::fmt::Display;

use ::mongodb::bson::raw::{RawArrayBuf, RawDocumentBuf};
use ::mongodb::bson::{Bson, Document, cstr, doc, rawdoc};
use assay_engine::ports::StoreError;

use super::database::Database;
use super::error::{DUPLICATE_KEY, broken, is_passing_code, unavailable};
use super::fields::Fields;

/// The most statements of one command.
const MOST_STATEMENTS: usize = 1_000;
/// A command is sent when it has so many bytes. MongoDB takes commands of 16 MiB, and a statement may be half of that.
const FULL: usize = 4 << 20;

/// Changes or makes the one document that a filter finds.
pub(super) struct Upsert(RawDocumentBuf);

impl Upsert {
    /// `update` is a whole document, or has operators such as `$set`. When the filter names an `_id` and does not find
    /// it because of what else it says, the statement fails as a duplicate and nothing is changed.
    pub(super) fn new(filter: Document, update: Document) -> Result<Self, StoreError> {
        let statement = doc! { "q": filter, "u": update, "upsert": true };
        RawDocumentBuf::try_from(&statement)
            .map(Self)
            .map_err(|error| broken(format!("a document has no BSON form: {error}")))
    }

    /// Its bytes.
    pub(super) fn size(&self) -> usize {
        self.0.as_bytes().len()
    }
}

impl Database {
    /// Carries out upserts, in any order. Returns the places of those that failed as duplicates.
    pub(super) fn upsert(
        &self,
        doing: impl Display,
        collection: &str,
        statements: &[Upsert],
    ) -> Result<Vec<usize>, StoreError> {
        let mut duplicates = Vec::new();
        let mut from = 0;
        while from < statements.len() {
            let mut size = 0;
            let fitting = statements[from..].iter().take(MOST_STATEMENTS).take_while(|statement| {
                let is_fitting = size == 0 || size + statement.size() <= FULL;
                size += statement.size();
                is_fitting
            });
            let to = from + fitting.count();
            let refused = self.send(&doing, collection, &statements[from..to])?;
            duplicates.extend(refused.into_iter().map(|place| from + place));
            from = to;
        }
        Ok(duplicates)
    }

    fn send(&self, doing: &impl Display, collection: &str, statements: &[Upsert]) -> Result<Vec<usize>, StoreError> {
        let mut updates = RawArrayBuf::new();
        statements.iter().for_each(|statement| updates.push(&statement.0));
        let timeout = i64::try_from(self.timeout().as_millis() / 2).unwrap_or(i64::MAX);
        let mut command = rawdoc! {
            "update": collection,
            "ordered": false,
            "writeConcern": { "w": "majority", "wtimeout": timeout },
        };
        command.append(cstr!("updates"), updates);
        let reply = self.call(doing, self.mongo().run_raw_command(command))?;
        if let Some(Bson::Document(error)) = reply.get("writeConcernError") {
            let said = error.get_str("errmsg").unwrap_or_default();
            return Err(unavailable(format!(
                "{doing}: written, but not confirmed by a majority of the servers: {said}"
            )));
        }
        let errors = match reply.get("writeErrors") {
            Some(Bson::Array(errors)) => errors.as_slice(),
            _ => &[],
        };
        let duplicates = errors.iter().map(|error| duplicate(doing, error)).collect::<Result<Vec<usize>, _>>()?;
        // Some servers of this protocol end at the first statement that fails.
        let done = Fields::new(doing, &reply).number("n").unwrap_or_default();
        if usize::try_from(done).unwrap_or_default() + duplicates.len() == statements.len() {
            return Ok(duplicates);
        }
        let wanted = statements.len() - duplicates.len();
        Err(unavailable(format!("{doing}: {done} of {wanted} statements were carried out; they are to be repeated")))
    }
}

/// The place of a statement that failed as a duplicate. Whatever else failed is an error.
fn duplicate(doing: &impl Display, error: &Bson) -> Result<usize, StoreError> {
    let empty = Document::new();
    let error = error.as_document().unwrap_or(&empty);
    let fields = Fields::new(&"the answer to an update", error);
    // Servers differ in the types of these numbers.
    let code = i32::try_from(fields.number("code")?).unwrap_or_default();
    if code == DUPLICATE_KEY {
        return Ok(fields.small_number("index")? as usize);
    }
    let message = format!("{doing}: {} (code {code})", error.get_str("errmsg").unwrap_or("no reason given"));
    Err(if is_passing_code(code) { unavailable(message) } else { broken(message) })
}
