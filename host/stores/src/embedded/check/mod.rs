//! Verifies all of a store's folder while no server has it: every file's checksum, then every row.
//!
//! The files are looked at first and nothing is changed. Only if nothing is gone the database is opened, as a start does
//! it, and its rows are compared with each other.

mod log;
mod rows;

use std::path::Path;

use super::open::{self, DATABASE};
use super::{Config, Embedded, OpenError, inspect};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Files of tables and blobs whose checksums were compared.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records of the log.
    pub records: u64,
    /// Rows of the other parts.
    pub rows: u64,
    /// What is damaged or missing, a sentence each.
    pub problems: Vec<String>,
    /// Whether rows were looked at: they are not when data is gone already.
    pub is_complete: bool,
}

impl Report {
    fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }
}

/// Verifies a store's folder. `progress` is told what is looked at next.
///
/// # Errors
/// It is not such a folder, another process has it, or it cannot be read at all.
pub fn check(dir: &Path, config: &Config, progress: &mut dyn FnMut(&str)) -> Result<Report, OpenError> {
    let lock = open::lock_existing(dir)?;
    let mut report = Report::default();
    let database = dir.join(DATABASE);
    progress("journals and the ledger");
    match inspect::inspect(dir, &database) {
        Ok(findings) => {
            report.problems.extend(findings.losses.iter().map(|loss| format!("lost: {loss}")));
            report.problems.extend(findings.warnings);
        }
        Err(why) => report.problem(why),
    }
    check_files(&database, progress, &mut report);
    drop(lock);
    if !report.problems.is_empty() {
        return Ok(report);
    }
    progress("rows");
    match Embedded::open(dir, config) {
        Ok(store) => {
            let checked = log::check(&store, progress, &mut report)
                .and_then(|events| rows::check(&store, &events, progress, &mut report));
            if let Err(error) = checked {
                report.problem(error.to_string());
            }
            report.is_complete = true;
        }
        Err(OpenError::Lost { losses, .. }) => {
            report.problems.extend(losses.0.iter().map(|loss| format!("lost: {loss}")));
        }
        Err(OpenError::Corrupted { why, .. }) => report.problem(why),
        Err(error) => return Err(error),
    }
    Ok(report)
}

/// Compares the checksum of each file of tables and blobs with the one in its manifest.
fn check_files(database: &Path, progress: &mut dyn FnMut(&str), report: &mut Report) {
    // What stands in the way was told by `inspect`.
    let Ok(keyspaces) = inspect::open_tables(database) else { return };
    for keyspace in &keyspaces {
        progress(&format!("files of '{}'", keyspace.name));
        for (path, checksum) in keyspace.files() {
            match inspect::check_file(&path, checksum) {
                Ok(bytes) => {
                    report.files += 1;
                    report.bytes += bytes;
                }
                Err(why) => report.problem(why),
            }
        }
    }
}
