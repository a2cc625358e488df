//! Ends the life of an entity between two batches: what it was is saved nowhere any more, what comes begins from nothing.

use assay_core::names::Offset;

use super::super::Cut;
use super::super::saver::Saver;
use super::{Fate, Owned};
use crate::ports::StoreError;
use crate::ports::log::Bell;
use crate::shared::{Shared, log_stopped};

impl Owned {
    /// Saves everything, then lets go of the entity in memory and in the store. Returns where that is; none: it cannot
    /// be done yet.
    pub(in crate::worker) fn cut(
        &mut self,
        cut: &Cut,
        saver: &Saver,
        shared: &Shared,
        bell: &Bell,
    ) -> Result<Option<Offset>, StoreError> {
        if self.events < cut.through || self.fate != Fate::Working {
            return Ok(None);
        }
        // Recovery begins here from now on, so it never sees what is deleted.
        self.save(self.partition.catalog(), saver, shared, bell);
        saver.flush();
        if shared.is_stopping() {
            // The saver may have given up.
            return Err(log_stopped());
        }
        if self.is_waiting() || self.fate != Fate::Working {
            return Ok(None);
        }
        if let (Some((erasing, key)), Some(erasure)) = (&cut.entity, &shared.ports.erasure) {
            erasure.cut(erasing, key, self.events)?;
            self.partition.forget(key);
        }
        Ok(Some(self.events))
    }
}
