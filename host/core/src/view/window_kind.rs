//! The kinds of windows that a view can have. Each divides time into tiles and bounds how many are kept; the fold
//! needs no more. A new kind, such as a window per session, is a variant here.

use crate::span::Span;

/// The number of tiles of a sliding window without `tiles`.
pub const DEFAULT_TILES: u32 = 60;
/// The most tiles of a sliding window: one per minute of a day.
pub const MAX_TILES: u32 = 1440;
/// The most buckets of a tumbling view that are kept per entity: one per minute of a day, or one per hour of 60 days.
pub const MAX_BUCKETS: u32 = 1440;

/// The window of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// Every event counts for ever.
    AllTime,
    /// An event counts for `over`, less up to the length of a tile.
    Sliding {
        /// The length of the window.
        over: Span,
        /// The number of tiles of the window.
        tiles: u32,
    },
    /// A separate value for each bucket of time.
    Tumbling {
        /// The length of a bucket.
        every: Span,
        /// The time for which buckets are kept, measured from the entity's newest event.
        keep: Span,
    },
}

/// The division of time into tiles of equal length, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiling {
    /// The length of a tile, in ms.
    pub(super) width: i64,
    /// The number of tiles that a value covers.
    pub(super) tiles: i64,
    /// The number of kept tiles, those of the window included.
    pub(super) kept: i64,
}

impl WindowKind {
    /// The window of a definition with these fields.
    ///
    /// # Errors
    /// The fields do not make one window, or are out of range.
    pub(super) fn from_fields(
        over: Option<Span>,
        tiles: Option<u32>,
        every: Option<Span>,
        keep: Option<Span>,
    ) -> Result<Self, WindowError> {
        match (over, tiles, every, keep) {
            (Some(_), _, Some(_), _) | (_, Some(_), Some(_), _) => Err(WindowError::SlidesAndTumbles),
            (_, _, None, Some(_)) => Err(WindowError::KeepWithoutBuckets),
            (None, None, Some(_), None) => Err(WindowError::BucketsWithoutKeep),
            (None, None, Some(every), Some(keep)) => Self::tumbling(every, keep),
            (None, Some(_), None, None) => Err(WindowError::TilesWithoutWindow),
            (Some(over), tiles, None, None) => Self::sliding(over, tiles.unwrap_or(DEFAULT_TILES)),
            (None, None, None, None) => Ok(Self::AllTime),
        }
    }

    fn sliding(over: Span, tiles: u32) -> Result<Self, WindowError> {
        if !(1..=MAX_TILES).contains(&tiles) {
            return Err(WindowError::Tiles(tiles));
        }
        if over.0 < u64::from(tiles) || over > Span::MAX {
            return Err(WindowError::Over { over, least: Span(u64::from(tiles)) });
        }
        Ok(Self::Sliding { over, tiles })
    }

    fn tumbling(every: Span, keep: Span) -> Result<Self, WindowError> {
        if !(Span(1)..=Span::MAX).contains(&every) {
            return Err(WindowError::Every(every));
        }
        let max_keep = Span(every.0 * u64::from(MAX_BUCKETS));
        if keep < every || keep > max_keep {
            return Err(WindowError::Keep { keep, every, most: max_keep });
        }
        Ok(Self::Tumbling { every, keep })
    }

    /// The tiles of the window for a stream with this `lateness`; none for a window over all time.
    pub(super) fn tiling(self, lateness: Span) -> Option<Tiling> {
        match self {
            Self::AllTime => None,
            Self::Sliding { over, tiles } => {
                let tiles = i64::from(tiles);
                let width = over.0.div_ceil(tiles.unsigned_abs()) as i64;
                let late_tiles = lateness.min(Span::MAX).0.div_ceil(width.unsigned_abs()) as i64;
                Some(Tiling { width, tiles, kept: tiles + late_tiles })
            }
            // `keep` alone decides which events are late. The quotient is 1 to `MAX_BUCKETS`.
            Self::Tumbling { every, keep } => {
                Some(Tiling { width: every.as_millis(), tiles: 1, kept: keep.0.div_ceil(every.0) as i64 })
            }
        }
    }

    /// True if it has a value per bucket of time instead of one value.
    pub fn has_buckets(self) -> bool {
        matches!(self, Self::Tumbling { .. })
    }

    /// The time for which a bucket is of use after its last change: as long as it is kept, and a bucket more. Zero for
    /// a window without buckets.
    pub fn bucket_lifetime(self) -> Span {
        match self {
            Self::Tumbling { every, keep } => Span(every.0 + keep.0),
            Self::AllTime | Self::Sliding { .. } => Span(0),
        }
    }
}

/// The reason why the fields of a definition are not a window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// `tiles` without `over`.
    #[error("tiles: only a view with a sliding window has tiles; add 'over', such as over: 1h")]
    TilesWithoutWindow,
    /// `tiles` out of range.
    #[error("tiles: expected 1 to {MAX_TILES}, found {0}")]
    Tiles(u32),
    /// `over` out of range.
    #[error("over: expected at least {least}, a millisecond for each tile, and at most {}, found {over}", Span::MAX)]
    Over {
        /// The value that was found.
        over: Span,
        /// The least for this number of tiles.
        least: Span,
    },
    /// Both `every` and `over` or `tiles`.
    #[error("every: a view either tumbles ('every' and 'keep') or slides ('over' and 'tiles'), not both")]
    SlidesAndTumbles,
    /// `keep` without `every`.
    #[error("keep: only a view with buckets keeps them; add 'every', such as every: 1h")]
    KeepWithoutBuckets,
    /// `every` without `keep`.
    #[error("keep: missing: say how long the buckets of 'every' are kept for each entity, such as keep: 30d")]
    BucketsWithoutKeep,
    /// `every` out of range.
    #[error("every: expected 1ms to {most}, found {0}", most = Span::MAX)]
    Every(Span),
    /// `keep` out of range.
    #[error("keep: expected {every} to {most}, which is 1 to {MAX_BUCKETS} buckets of {every}, found {keep}")]
    Keep {
        /// The value that was found.
        keep: Span,
        /// The length of a bucket.
        every: Span,
        /// The length of [`MAX_BUCKETS`] buckets.
        most: Span,
    },
}
