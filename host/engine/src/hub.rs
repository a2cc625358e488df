//! The hub: tells those who wait for verdicts that they are there.
//!
//! It keeps the latest blocks of each partition, so that whoever asks right behind the scoring needs no store.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use assay_core::names::Offset;
use assay_core::verdict::{Outcome, read_block};
use tokio::sync::watch;

use crate::ports::StreamPartition;

/// How many blocks of a partition are kept, at most.
const MAX_BLOCKS: usize = 256;
/// How many bytes of blocks of a partition are kept, at most.
const MAX_BYTES: usize = 4 << 20;

/// Tells those who wait for verdicts that they are there.
pub(crate) struct Hub {
    partitions: Mutex<HashMap<StreamPartition, Latest>>,
}

/// The latest blocks of a partition.
struct Latest {
    /// All events before it are scored.
    progress: watch::Sender<u64>,
    blocks: VecDeque<Kept>,
    bytes: usize,
}

struct Kept {
    from: u64,
    next: u64,
    block: Arc<Vec<u8>>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self { partitions: Mutex::default() }
    }

    /// Says how far a partition is when it is opened.
    pub(crate) fn open(&self, of: &StreamPartition, next: Offset) {
        self.with(of, |latest| {
            latest.progress.send_replace(next.0);
        });
    }

    /// Drops the latest blocks of a partition. Who waits for one finds it in the archive.
    pub(crate) fn forget(&self, of: &StreamPartition) {
        self.with(of, |latest| {
            latest.blocks.clear();
            latest.bytes = 0;
        });
    }

    /// Publishes the block of a batch, which carries the partition to `next`.
    pub(crate) fn publish(&self, of: &StreamPartition, from: Offset, next: Offset, block: Vec<u8>) {
        self.with(of, |latest| {
            latest.bytes += block.len();
            latest.blocks.push_back(Kept { from: from.0, next: next.0, block: Arc::new(block) });
            while latest.blocks.len() > MAX_BLOCKS || (latest.bytes > MAX_BYTES && latest.blocks.len() > 1) {
                latest.bytes -= latest.blocks.pop_front().map_or(0, |kept| kept.block.len());
            }
            latest.progress.send_replace(next.0);
        });
    }

    /// Follows how far a partition is.
    pub(crate) fn progress(&self, of: &StreamPartition) -> watch::Receiver<u64> {
        self.with(of, |latest| latest.progress.subscribe())
    }

    /// What was said of some events of a partition, as far as the latest blocks hold them. `offsets` rise.
    pub(crate) fn outcomes(&self, of: &StreamPartition, offsets: &[u64]) -> Vec<Option<Outcome>> {
        let blocks: Vec<(u64, u64, Arc<Vec<u8>>)> = self.with(of, |latest| {
            let wanted = |kept: &&Kept| offsets.iter().any(|offset| (kept.from..kept.next).contains(offset));
            latest.blocks.iter().filter(wanted).map(|kept| (kept.from, kept.next, kept.block.clone())).collect()
        });
        let mut found: HashMap<u64, Outcome> = HashMap::new();
        for (from, next, block) in blocks {
            // A block that was just written can be read; if not, the archive says why.
            let Ok(block) = read_block(&block) else { continue };
            for offset in offsets.iter().filter(|offset| (from..next).contains(offset)) {
                found.insert(*offset, silent(Offset(*offset)));
            }
            for outcome in block.outcomes {
                if let Some(place) = found.get_mut(&outcome.offset.0) {
                    *place = outcome;
                }
            }
        }
        offsets.iter().map(|offset| found.remove(offset)).collect()
    }

    fn with<T>(&self, of: &StreamPartition, act: impl FnOnce(&mut Latest) -> T) -> T {
        // Each act leaves the queue and its counters consistent.
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = partitions.entry(of.clone()).or_insert_with(|| Latest {
            progress: watch::channel(0).0,
            blocks: VecDeque::new(),
            bytes: 0,
        });
        act(latest)
    }
}

/// The outcome of an event of which no rule says anything.
pub(crate) fn silent(offset: Offset) -> Outcome {
    Outcome { offset, time: 0, key: String::new(), id: String::new(), verdicts: Vec::new(), failures: Vec::new() }
}
