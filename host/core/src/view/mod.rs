//! Views: incremental aggregates of a stream's events, over all time, over a sliding window or in tumbling buckets.
//!
//! A sliding window of length `over` is divided into tiles of equal length, counted from 1970. A value at time t covers
//! the tile of t and the `tiles - 1` tiles before it; so an event counts for `over`, less up to one tile. A value
//! covers whole tiles: the value at the time of an event that came out of order also includes later events of the same
//! tile.
//!
//! A value depends only on the entity's own events. A tile is kept until the entity's newest counted event is later
//! than it by `tiles` tiles and the stream's `lateness` (rounded up to whole tiles). An event whose tile is not kept
//! any more is late and not counted. A view over all time is one tile that is always kept, so no event is late.
//!
//! ```text
//! kept:    lateness | tile tile tile ... tile | newest tile
//! covered:          |<--------- a value at the newest tile --------->|
//! memory:            `Tiles`                       | the head of the slot
//! ```
//!
//! A tumbling view is a window of one tile, the bucket. `keep`, and not the lateness, decides how many tiles are kept.
//!
//! Absent on purpose: the expressions (`by`, `when`, arguments), which are passed as columns; the mapping from entities
//! to slots; disks.

mod aggregates;
mod buckets;
mod bytes;
mod changes;
mod columns;
mod definition;
mod fold;
mod layout;
mod measure;
mod save;
mod texts;
mod tiles;
mod window;
mod window_kind;
mod window_mut;
mod windows;

pub use aggregates::{Aggregate, InvalidArgument};
pub use buckets::Bucket;
pub use bytes::CorruptWindow;
pub use definition::{MAX_MEASURES, Measures, ViewDef, ViewError};
pub use fold::{FoldError, Folded, Rows};
pub use layout::Layout;
pub use measure::{Measure, ParseMeasureError};
pub use texts::MAX_TEXT_BYTES;
pub use window_kind::{DEFAULT_TILES, MAX_BUCKETS, MAX_TILES, WindowError, WindowKind};
pub use windows::{NotKept, Snapshot, Windows};
