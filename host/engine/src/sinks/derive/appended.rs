//! How far a partition of a derived stream is by its own log: its events say which of the source they are. A position is
//! saved now and then, so that after a crash, or after an append of which nothing was heard, the log may have more.

use assay_core::names::{Offset, PartitionIndex};
use assay_core::schema::{Extractor, Scalar};
use assay_core::stream::ORIGIN;

use crate::merge_position::SavedPosition;
use crate::plan::StreamPlan;
use crate::ports::StoreError;
use crate::ports::log::{Log, Records, Topic};
use crate::schema_resolution::resolve_to_newest;

/// Records that are read at once, and their bytes, about.
const READ_RECORDS: usize = 8_192;
const READ_BYTES: usize = 8 << 20;

/// Moves a position behind the events that the log has. None: some are of a schema that is later than the plan, or cannot be
/// read yet.
pub(super) fn advance_by_log(
    log: &dyn Log,
    to: &StreamPlan,
    partition: PartitionIndex,
    mut saved: SavedPosition,
) -> Result<Option<SavedPosition>, StoreError> {
    let stream = to.def.stream.as_str();
    let [origin_partition, origin_offset] = ["partition", "offset"].map(|part| format!("{ORIGIN}.{part}"));
    let fields = Extractor::new(&to.schema, &[origin_partition.as_str(), origin_offset.as_str(), to.def.time.as_str()])
        .map_err(|error| StoreError::Broken { store: "engine", message: format!("{stream}: {error}") })?;
    let end = log.end(stream, Topic::Events, partition)?;
    let mut at = saved.log_from;
    while at < end {
        let history = &to.history;
        let read = log.read_events(stream, partition, at, history.newest(), READ_RECORDS, READ_BYTES)?;
        if read.is_empty() {
            let kept = log.kept(stream, Topic::Events, partition)?.first;
            if kept <= at {
                // They are on their way to this process: what it does not know it would append again.
                return Ok(None);
            }
            at = kept;
            continue;
        }
        let records = resolve_to_newest(history, read);
        let Some(last) = records.last() else { return Ok(None) };
        at = last.next();
        for (_, event) in records.iter().flat_map(Records::iter) {
            advance(&mut saved, &fields, event);
        }
    }
    Ok(Some(saved))
}

fn advance(saved: &mut SavedPosition, fields: &Extractor, event: &[u8]) {
    let mut found = [Scalar::Null; 3];
    if fields.extract(event, &mut found).is_err() {
        return;
    }
    let [Scalar::Int(partition), Scalar::Int(offset), time] = found else { return };
    let source = usize::try_from(partition).ok().and_then(|partition| saved.position.get_mut(partition));
    if let (Some(source), Ok(offset)) = (source, u64::try_from(offset))
        && source.next.0 <= offset
    {
        source.next = Offset(offset + 1);
        source.progress = source.progress.max(time.millis());
    }
}
