//! Where tests get into the engine's threads, to let one panic in its round or at a certain event. Without a probe this
//! costs a look at an option per round and batch.

use std::fmt;
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::verdict::read_block;

use crate::ports::PartitionId;
use crate::ports::log::Records;

/// What an engine's thread is about to do.
#[derive(Clone, Copy, Debug)]
pub enum ProbePoint<'a> {
    /// A round of its loop.
    Round,
    /// Folding events of a partition together.
    Fold(&'a PartitionId, &'a [(Offset, &'a [u8])]),
    /// Carrying records of a partition into the store of a sink: its name, and the first and the last offset.
    Carry(&'static str, &'a PartitionId, Offset, Offset),
    /// Carrying the outcome of an event into the store of a sink, or trying that without writing: its name, and the
    /// event's offset.
    CarryOutcome(&'static str, &'a PartitionId, Offset),
}

type ProbeFn = dyn Fn(ProbePoint<'_>) + Send + Sync;

/// Looks at what the engine's threads are about to do, on these threads.
#[derive(Clone, Default)]
pub struct Probe(Option<Arc<ProbeFn>>);

impl Probe {
    /// Looks at nothing.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Calls this each time.
    pub fn new(call: impl Fn(ProbePoint<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(call)))
    }

    pub(crate) fn call(&self, at: ProbePoint<'_>) {
        if let Some(call) = &self.0 {
            call(at);
        }
    }

    /// Looks at each outcome of blocks of verdicts. Blocks that cannot be read are told of by whoever carries them.
    pub(crate) fn look_at_outcomes(&self, sink: &'static str, partition: &PartitionId, records: &[Records]) {
        let Some(call) = &self.0 else { return };
        let blocks = records.iter().flat_map(Records::iter).filter_map(|(_, block)| read_block(block).ok());
        for outcome in blocks.flat_map(|block| block.outcomes) {
            call(ProbePoint::CarryOutcome(sink, partition, outcome.offset));
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a probe" } else { "none" })
    }
}
