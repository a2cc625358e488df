//! Derived streams: the events of another stream under another key. Their definitions: `catalog/derived_streams.rs`.
//!
//! A sink of the source (`sinks/derive.rs`) appends each event to the partition of its entity in the derived
//! stream, with the place that it came from behind its other fields. After a crash it appends some again, in their old
//! order; whoever scores the derived stream knows for each partition of the source how far it has come, saves that with
//! its checkpoints, and passes over what it has had.

use std::sync::Arc;

use assay_core::names::Partition;
use assay_core::schema::{Extractor, FieldError, Scalar};
use assay_core::wire::put_signed;

use crate::plan::StreamPlan;
use crate::ports::{PartitionId, Place};

/// Where the state port keeps up to where a partition of the source was appended to a derived stream.
pub fn derive_progress_id(derived: &str, partition: Partition) -> PartitionId {
    // No stream has a dot in its name.
    PartitionId { stream: format!("{derived}.from").into(), partition }
}

/// Turns events of a source into those of a derived stream.
pub(crate) struct Rekeyer {
    pub(crate) to: Arc<StreamPlan>,
    /// Takes the key in the derived stream and the time.
    fields: Extractor,
}

/// Whose an event is in a derived stream.
pub(crate) struct RekeyedEvent {
    /// Its entity there.
    pub(crate) key: String,
    /// Its time, ms since 1970.
    pub(crate) time: i64,
}

impl Rekeyer {
    pub(crate) fn new(source: &StreamPlan, to: Arc<StreamPlan>) -> Result<Self, FieldError> {
        let fields = Extractor::new(&source.schema, &[to.def.key.as_str(), source.def.time.as_str()])?;
        Ok(Self { to, fields })
    }

    /// Appends the event as the derived stream has it, and returns whose it is. None, and nothing appended: it has no
    /// such entity, or is malformed, which is told where it came from.
    pub(crate) fn event(&self, event: &[u8], at: Place, out: &mut Vec<u8>) -> Option<RekeyedEvent> {
        let mut found = [Scalar::Null; 2];
        self.fields.extract(event, &mut found).ok()?;
        let key = found[0].key().filter(|key| !key.is_empty())?.into_owned();
        let time = found[1].millis()?;
        out.extend_from_slice(event);
        put_signed(out, i64::from(at.partition.0));
        // Offsets are far below what an i64 holds.
        put_signed(out, at.offset.0 as i64);
        Some(RekeyedEvent { key, time })
    }
}
