//! Where tests get into the engine's threads, to let one panic in its round or at a certain event. Without a probe this
//! costs a look at an option per round and batch.

use std::fmt;
use std::sync::Arc;

use assay_core::names::Offset;

use crate::ports::StreamPartition;

/// What an engine's thread is about to do.
#[derive(Clone, Copy, Debug)]
pub enum Probed<'a> {
    /// A round of its loop.
    Round,
    /// Folding events of a partition together.
    Fold(&'a StreamPartition, &'a [(Offset, &'a [u8])]),
    /// Carrying records of a partition into the store of a follower: its name, and the first and the last offset.
    Carry(&'static str, &'a StreamPartition, Offset, Offset),
}

type Look = dyn Fn(Probed<'_>) + Send + Sync;

/// Looks at what the engine's threads are about to do, on these threads.
#[derive(Clone, Default)]
pub struct Probe(Option<Arc<Look>>);

impl Probe {
    /// Calls this each time.
    pub fn new(look: impl Fn(Probed<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(look)))
    }

    pub(crate) fn look(&self, at: Probed<'_>) {
        if let Some(look) = &self.0 {
            look(at);
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a probe" } else { "none" })
    }
}
