//! The columns that are passed to a plugin. They are borrowed, so that the copy into the guest is the only one.

use wasmtime::component::{ComponentType, Lower};

use crate::manifest::{Kind, Manifest};

/// Rows to score. The slices must fit each other as described; [`Instance::score`](crate::Instance::score) checks their
/// lengths.
#[derive(Clone, Debug, ComponentType, Lower)]
#[component(record)]
pub struct Batch<'a> {
    /// The number of rows; at least one.
    pub rows: u32,
    /// One per input of the manifest, in its order.
    pub columns: Vec<Column<'a>>,
    /// For a plugin with state: per row, the index of its entity in `states`. Empty for a plugin without.
    pub entities: &'a [u32],
    /// Each entity's state, empty bytes for an entity without one. Empty for a plugin without state.
    pub states: Blobs<'a>,
}

/// One input's values for all rows.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(variant)]
pub enum Column<'a> {
    /// For [`Kind::Float`](crate::Kind::Float).
    #[component(name = "floats")]
    Floats(Floats<'a>),
    /// For [`Kind::Int`](crate::Kind::Int).
    #[component(name = "ints")]
    Ints(Ints<'a>),
    /// For [`Kind::Boolean`](crate::Kind::Boolean).
    #[component(name = "bools")]
    Bools(Bools<'a>),
    /// For [`Kind::Text`](crate::Kind::Text).
    #[component(name = "texts")]
    Texts(Texts<'a>),
    /// For [`Kind::Timestamp`](crate::Kind::Timestamp): milliseconds since 1970-01-01T00:00:00Z.
    #[component(name = "times")]
    Times(Ints<'a>),
}

/// 64-bit floats.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub struct Floats<'a> {
    /// One per row.
    pub values: &'a [f64],
    /// Bitmap of the rows that have a value, least significant bit first, bits past the last row zero; empty: all.
    pub present: &'a [u8],
}

/// Signed 64-bit integers.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub struct Ints<'a> {
    /// One per row.
    pub values: &'a [i64],
    /// As in [`Floats`].
    pub present: &'a [u8],
}

/// Booleans.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub struct Bools<'a> {
    /// Bitmap, one bit per row, bits past the last row zero.
    pub values: &'a [u8],
    /// As in [`Floats`].
    pub present: &'a [u8],
}

/// UTF-8 texts: row i is `data[ends[i-1]..ends[i]]`, with `ends[-1]` = 0.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub struct Texts<'a> {
    /// One per row, never decreasing, the last is the length of `data`.
    pub ends: &'a [u32],
    /// All texts, without separators.
    pub data: &'a [u8],
    /// As in [`Floats`].
    pub present: &'a [u8],
}

/// Byte strings, laid out as [`Texts`].
#[derive(Clone, Copy, Debug, Default, ComponentType, Lower)]
#[component(record)]
pub struct Blobs<'a> {
    /// One per item, never decreasing, the last is the length of `data`.
    pub ends: &'a [u32],
    /// All byte strings, without separators.
    pub data: &'a [u8],
}

impl<'a> Blobs<'a> {
    /// The number of byte strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The byte string with an index.
    ///
    /// # Panics
    /// If `index` is not below [`Self::len`].
    pub fn get(&self, index: usize) -> &'a [u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.data[start as usize..self.ends[index] as usize]
    }
}

impl Batch<'_> {
    /// The first mistake in its columns or lengths; none if there is none. It costs a few comparisons per column.
    pub(crate) fn find_mistake(&self, manifest: &Manifest) -> Option<&'static str> {
        let rows = self.rows as usize;
        let has_state = manifest.state_version.is_some();
        let kinds = manifest.inputs.iter().map(|input| input.kind);
        if !kinds.eq(self.columns.iter().map(Column::kind)) {
            return Some("its columns are not those of the manifest");
        }
        if rows == 0 {
            return Some("it has no rows");
        }
        if !self.columns.iter().all(|column| column.fits(rows)) {
            return Some("a column's length differs from the number of rows");
        }
        let entities = if has_state { rows } else { 0 };
        if self.entities.len() != entities {
            return Some("entities must be one per row for a plugin with state, and none for one without");
        }
        if !ends_fit(self.states.ends, self.states.data) || (!has_state && !self.states.is_empty()) {
            return Some("its states are laid out wrongly");
        }
        None
    }
}

impl Column<'_> {
    /// The kind of input for which it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Floats(_) => Kind::Float,
            Self::Ints(_) => Kind::Int,
            Self::Bools(_) => Kind::Boolean,
            Self::Texts(_) => Kind::Text,
            Self::Times(_) => Kind::Timestamp,
        }
    }

    fn fits(&self, rows: usize) -> bool {
        let bytes = rows.div_ceil(8);
        let bitmap = |bits: &[u8]| bits.is_empty() || bits.len() == bytes;
        match self {
            Self::Floats(floats) => floats.values.len() == rows && bitmap(floats.present),
            Self::Ints(ints) | Self::Times(ints) => ints.values.len() == rows && bitmap(ints.present),
            Self::Bools(bools) => bools.values.len() == bytes && bitmap(bools.present),
            Self::Texts(texts) => texts.ends.len() == rows && ends_fit(texts.ends, texts.data) && bitmap(texts.present),
        }
    }
}

fn ends_fit(ends: &[u32], data: &[u8]) -> bool {
    ends.last().map_or(0, |last| *last as usize) == data.len()
}
