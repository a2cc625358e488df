//! Views: incremental aggregates of a stream's events, over all time, over a sliding window or in tumbling buckets.
//!
//! A sliding window of length `over` is cut into tiles of equal width, counted from 1970. A value at time t covers the
//! tile of t and the `tiles - 1` tiles before it; so an event counts for `over`, less up to one tile. A value covers
//! whole tiles: at the time of an event that came out of order, it holds later events of the same tile too.
//!
//! What is counted depends on the entity's own events alone. A tile is kept until the entity's newest counted event is
//! `tiles` tiles and the stream's `lateness` (rounded up to whole tiles) ahead of it; an event whose tile is not kept
//! any more is late and not counted. All time is one tile that is always kept: nothing is late there.
//!
//! ```text
//! kept:    lateness | tile tile tile ... tile | newest tile
//! covered:          |<--------- a value at the newest tile --------->|
//! memory:            `Tiles`                       | the head of the slot
//! ```
//!
//! A tumbling view is a window of one tile, the bucket, and `keep` says how many tiles are kept, not the lateness.
//!
//! Absent here: the expressions (`by`, `when`, arguments), which come as columns; which entity has which slot; disks.

mod buckets;
mod bytes;
mod changes;
mod columns;
mod definition;
mod fold;
mod kernel;
mod layout;
mod measure;
mod save;
mod texts;
mod tiles;
mod window;
mod windows;

pub use buckets::Bucket;
pub use definition::{DEFAULT_TILES, MAX_BUCKETS, MAX_MEASURES, MAX_TILES, Measures, ViewDef, ViewError};
pub use fold::{FoldError, Folded, Rows};
pub use layout::Layout;
pub use measure::{Aggregate, BadArgument, Measure, NotAMeasure};
pub use save::Corrupt;
pub use texts::MAX_TEXT;
pub use windows::{NotKept, Snapshot, Windows};
