//! Removes entries from pages. A page keeps its key: it still sorts at or before the remaining entries.

use std::collections::BTreeMap;

use assay_engine::ports::StoreError;

use super::super::commits::Batch;
use super::super::database::Database;
use super::super::error::{damaged, failed};
use super::entry::{Entry, decode_page, encode_page};
use super::run::IndexId;

/// Changed pages by their keys.
#[derive(Default)]
pub(super) struct ChangedPages(BTreeMap<Vec<u8>, Vec<Entry>>);

impl ChangedPages {
    /// Removes an entry from its page of a run. Returns whether the run had the entry.
    pub(super) fn erase(
        &mut self,
        database: &Database,
        index: IndexId,
        run: u64,
        entry: &Entry,
    ) -> Result<bool, StoreError> {
        let unreadable = |error| failed("reading the archive's index", &error);
        // The page of the entry is the last one that begins at or before the entry.
        let row = database.index.range(index.page_prefix(run)..=index.page_key(run, entry)).next_back();
        let Some(row) = row else { return Ok(false) };
        let (key, page) = row.into_inner().map_err(unreadable)?;
        let mut entries = match self.0.get(&*key) {
            Some(entries) => entries.clone(),
            None => {
                let mut entries = Vec::new();
                decode_page(&page, &mut entries).map_err(|error| damaged("a page of the archive's index", &error))?;
                entries
            }
        };
        let before = entries.len();
        entries.retain(|have| have != entry);
        let was_there = entries.len() < before;
        if was_there {
            self.0.insert(key.to_vec(), entries);
        }
        Ok(was_there)
    }

    /// Adds the changed pages to a batch.
    pub(super) fn write(self, database: &Database, batch: &mut Batch) {
        for (key, entries) in self.0 {
            if entries.is_empty() {
                batch.remove(&database.index, key);
            } else {
                // There are fewer entries than before, so they fit in one page.
                batch.insert(&database.index, key, encode_page(&entries).0);
            }
        }
    }
}
