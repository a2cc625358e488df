//! Many upserts in few commands: the `update` command with many unordered statements.

use std::fmt::Display;

use ::mongodb::bson::raw::{RawArrayBuf, RawDocumentBuf};
use ::mongodb::bson::{Bson, Document, cstr, doc, rawdoc};
use assay_engine::ports::StoreError;

use super::database::Database;
use super::error::{DUPLICATE_KEY, broken, is_transient_code, unavailable};
use super::fields::Fields;

/// The number of statements of one command.
const MAX_STATEMENTS: usize = 1_000;
/// The bytes of one command, unless a single statement has more. MongoDB refuses commands of more than 16 MiB, and a
/// statement can have half of that.
const MAX_COMMAND_BYTES: usize = 4 << 20;

/// A statement that updates the one document of a filter, or inserts it.
pub(super) struct Upsert(RawDocumentBuf);

impl Upsert {
    /// `update` is a whole document, or has operators such as `$set`. If the filter names an `_id` that exists and its
    /// further conditions do not hold, the statement fails as a duplicate and changes nothing.
    ///
    /// # Errors
    /// A document has no BSON form.
    pub(super) fn new(filter: Document, update: Document) -> Result<Self, StoreError> {
        let statement = doc! { "q": filter, "u": update, "upsert": true };
        RawDocumentBuf::try_from(&statement)
            .map(Self)
            .map_err(|error| broken(format!("a document has no BSON form: {error}")))
    }

    /// The statement's size, in bytes.
    pub(super) fn size(&self) -> usize {
        self.0.as_bytes().len()
    }
}

impl Database {
    /// Executes upserts in any order. Returns the indexes of those that failed as duplicates.
    ///
    /// # Errors
    /// A statement failed otherwise, or a majority did not confirm the writes. Some statements may be executed then.
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
            let fitting = statements[from..].iter().take(MAX_STATEMENTS).take_while(|statement| {
                let is_fitting = size == 0 || size + statement.size() <= MAX_COMMAND_BYTES;
                size += statement.size();
                is_fitting
            });
            let to = from + fitting.count();
            let refused = self.send_statements(&doing, collection, &statements[from..to])?;
            duplicates.extend(refused.into_iter().map(|index| from + index));
            from = to;
        }
        Ok(duplicates)
    }

    fn send_statements(
        &self,
        doing: &impl Display,
        collection: &str,
        statements: &[Upsert],
    ) -> Result<Vec<usize>, StoreError> {
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
            let reason = error.get_str("errmsg").unwrap_or_default();
            return Err(unavailable(format!(
                "{doing}: written, but not confirmed by a majority of the servers: {reason}"
            )));
        }
        let errors = match reply.get("writeErrors") {
            Some(Bson::Array(errors)) => errors.as_slice(),
            _ => &[],
        };
        let duplicates = errors.iter().map(|error| read_duplicate(doing, error)).collect::<Result<Vec<usize>, _>>()?;
        // Some servers of this protocol stop at the first failed statement, so the number of executed ones is checked.
        let done = Fields::new(doing, &reply).number("n").unwrap_or_default();
        if usize::try_from(done).unwrap_or_default() + duplicates.len() == statements.len() {
            return Ok(duplicates);
        }
        let expected = statements.len() - duplicates.len();
        Err(unavailable(format!("{doing}: {done} of {expected} statements were carried out; they are to be repeated")))
    }
}

/// The index of a statement that failed as a duplicate.
///
/// # Errors
/// The statement failed for another reason.
fn read_duplicate(doing: &impl Display, error: &Bson) -> Result<usize, StoreError> {
    let empty = Document::new();
    let error = error.as_document().unwrap_or(&empty);
    let fields = Fields::new(&"the answer to an update", error);
    // The BSON types of these numbers differ between servers.
    let code = i32::try_from(fields.number("code")?).unwrap_or_default();
    if code == DUPLICATE_KEY {
        return Ok(fields.small_number("index")? as usize);
    }
    let message = format!("{doing}: {} (code {code})", error.get_str("errmsg").unwrap_or("no reason given"));
    Err(if is_transient_code(code) { unavailable(message) } else { broken(message) })
}
