//! Verifies the data folder of a stopped server: the checksum of every file, then every row.
//!
//! The files are read first, and nothing is changed. The database is opened, which writes to the folder, only if the files
//! are intact; then its rows are compared with each other.

mod log;
mod rows;

use std::path::Path;

use super::open::{self, DATABASE};
use super::{Config, Embedded, OpenError, inspect};

/// The result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The number of table and blob files whose checksum was compared.
    pub files: u64,
    /// The bytes of these files.
    pub bytes: u64,
    /// The number of records read from the log.
    pub records: u64,
    /// The number of rows read from the other keyspaces.
    pub rows: u64,
    /// Damaged and missing data, one text each; empty if there is none.
    pub problems: Vec<String>,
    /// True if the rows were checked. They are not checked if the files show a loss already.
    pub is_complete: bool,
}

impl Report {
    fn add_problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }
}

/// Verifies a data folder. `progress` is called with the name of each part before the part is read.
///
/// # Errors
/// The folder is not a data folder, another process has locked it, or it cannot be read at all. Damage is no error: it is
/// in the report.
pub fn check(dir: &Path, config: &Config, progress: &mut dyn FnMut(&str)) -> Result<Report, OpenError> {
    let lock = open::lock_existing(dir)?;
    let mut report = Report::default();
    let database = dir.join(DATABASE);
    progress("journals and the ledger");
    match inspect::inspect(dir, &database) {
        Ok(findings) => {
            report.problems.extend(findings.losses.iter().map(|loss| format!("lost: {loss}")));
            let unaccounted = findings.unaccounted.map(|why| format!("{why}: a loss of stored data would not be seen"));
            report.problems.extend(unaccounted.into_iter().chain(findings.warnings));
        }
        Err(why) => report.add_problem(why),
    }
    check_files(&database, progress, &mut report);
    drop(lock);
    if !report.problems.is_empty() {
        return Ok(report);
    }
    progress("rows");
    match Embedded::open(dir, config) {
        Ok(store) => {
            let checked = log::check_log(&store, progress, &mut report)
                .and_then(|events| rows::check_rows(&store, &events, progress, &mut report));
            if let Err(error) = checked {
                report.add_problem(error.to_string());
            }
            report.is_complete = true;
        }
        Err(OpenError::Lost { losses, .. }) => {
            report.problems.extend(losses.0.iter().map(|loss| format!("lost: {loss}")));
        }
        Err(OpenError::Corrupted { why, .. }) => report.add_problem(why),
        Err(error) => return Err(error),
    }
    Ok(report)
}

/// Compares the checksum of each file of tables and blobs with the one in its manifest.
fn check_files(database: &Path, progress: &mut dyn FnMut(&str), report: &mut Report) {
    // `inspect` has reported a failure already.
    let Ok(keyspaces) = inspect::open_tables(database) else { return };
    for keyspace in &keyspaces {
        progress(&format!("files of '{}'", keyspace.name));
        for (path, checksum) in keyspace.files() {
            match inspect::check_file(&path, checksum) {
                Ok(bytes) => {
                    report.files += 1;
                    report.bytes += bytes;
                }
                Err(why) => report.add_problem(why),
            }
        }
    }
}
