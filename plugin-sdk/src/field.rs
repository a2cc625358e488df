//! The types of fields of an input, each with the column from which it is read.

use crate::bindings::{Column, Kind};
use crate::column::{Bits, Present, Refusal, Strings, kind_name, kind_of, values};
use crate::time::Timestamp;

/// A type of an input's field that every row has.
///
/// `'a` is the lifetime of the batch: a `&'a str` points into the column and is not copied.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a type for an input's field",
    label = "a field of an input cannot be a `{Self}`",
    note = "fields are `f64`, `i64`, `bool`, `&str`, `String`, `assay_sdk::Timestamp`, or `Option` of one of these"
)]
pub trait Value<'a>: Sized {
    /// The input's type in the manifest.
    const STORED_AS: Kind;
    /// A view of a batch's column, cheap to copy.
    type Column: Copy;

    /// Checks a column, so that `get` cannot fail for any of its rows.
    ///
    /// # Errors
    /// Says what is wrong with the column.
    fn open(column: &'a Column, rows: usize) -> Result<(Self::Column, Present<'a>), String>;

    /// A row's value; an arbitrary one if the row has none.
    fn get(column: Self::Column, row: usize) -> Self;
}

/// A field of an input: a [`Value`] that every row has, or an `Option` of one.
pub trait Field<'a>: Sized {
    /// The input's type in the manifest.
    const KIND: Kind;
    /// False: rows may lack it, and a rule may leave it unbound.
    const REQUIRED: bool;
    /// A view of a batch's column, cheap to copy.
    type Column: Copy;

    /// Checks a column, so that `read` cannot fail for any of its rows.
    ///
    /// # Errors
    /// Says what is wrong with the column.
    fn open(column: &'a Column, rows: usize) -> Result<Self::Column, String>;

    /// A row's value.
    fn read(column: Self::Column, row: usize) -> Self;
}

impl<'a, T: Value<'a>> Field<'a> for T {
    const KIND: Kind = T::STORED_AS;
    const REQUIRED: bool = true;
    type Column = T::Column;

    fn open(column: &'a Column, rows: usize) -> Result<Self::Column, String> {
        let (column, present) = T::open(column, rows)?;
        match present.first_missing(rows) {
            None => Ok(column),
            Some(row) => Err(format!("it is required, but row {row} lacks it")),
        }
    }

    #[inline]
    fn read(column: Self::Column, row: usize) -> Self {
        T::get(column, row)
    }
}

impl<'a, T: Value<'a>> Field<'a> for Option<T> {
    const KIND: Kind = T::STORED_AS;
    const REQUIRED: bool = false;
    type Column = (T::Column, Present<'a>);

    fn open(column: &'a Column, rows: usize) -> Result<Self::Column, String> {
        T::open(column, rows)
    }

    #[inline]
    fn read((column, present): Self::Column, row: usize) -> Self {
        present.has(row).then(|| T::get(column, row))
    }
}

fn other_kind(expected: Kind, column: &Column) -> Refusal {
    format!("its column should hold {}s, but holds {}s", kind_name(expected), kind_name(kind_of(column)))
}

impl<'a> Value<'a> for f64 {
    const STORED_AS: Kind = Kind::Float;
    type Column = &'a [f64];

    fn open(column: &'a Column, rows: usize) -> Result<(Self::Column, Present<'a>), String> {
        let Column::Floats(floats) = column else {
            return Err(other_kind(Self::STORED_AS, column));
        };
        Ok((values(&floats.values, rows)?, Present::open(&floats.present, rows)?))
    }

    #[inline]
    fn get(column: Self::Column, row: usize) -> Self {
        column[row]
    }
}

impl<'a> Value<'a> for i64 {
    const STORED_AS: Kind = Kind::Int;
    type Column = &'a [i64];

    fn open(column: &'a Column, rows: usize) -> Result<(Self::Column, Present<'a>), String> {
        let Column::Ints(ints) = column else {
            return Err(other_kind(Self::STORED_AS, column));
        };
        Ok((values(&ints.values, rows)?, Present::open(&ints.present, rows)?))
    }

    #[inline]
    fn get(column: Self::Column, row: usize) -> Self {
        column[row]
    }
}

impl<'a> Value<'a> for Timestamp {
    const STORED_AS: Kind = Kind::Timestamp;
    type Column = &'a [i64];

    fn open(column: &'a Column, rows: usize) -> Result<(Self::Column, Present<'a>), String> {
        let Column::Times(times) = column else {
            return Err(other_kind(Self::STORED_AS, column));
        };
        Ok((values(&times.values, rows)?, Present::open(&times.present, rows)?))
    }

    #[inline]
    fn get(column: Self::Column, row: usize) -> Self {
        Self::from_millis(column[row])
    }
}

impl<'a> Value<'a> for bool {
    const STORED_AS: Kind = Kind::Boolean;
    type Column = Bits<'a>;

    fn open(column: &'a Column, rows: usize) -> Result<(Self::Column, Present<'a>), String> {
        let Column::Bools(bools) = column else {
            return Err(other_kind(Self::STORED_AS, column));
        };
        Ok((Bits::open(&bools.values, rows)?, Present::open(&bools.present, rows)?))
    }

    #[inline]
    fn get(column: Self::Column, row: usize) -> Self {
        column.get(row)
    }
}

impl<'a> Value<'a> for &'a str {
    const STORED_AS: Kind = Kind::Text;
    type Column = Strings<'a>;

    fn open(column: &'a Column, rows: usize) -> Result<(Self::Column, Present<'a>), String> {
        let Column::Texts(texts) = column else {
            return Err(other_kind(Self::STORED_AS, column));
        };
        Ok((Strings::open(texts, rows)?, Present::open(&texts.present, rows)?))
    }

    #[inline]
    fn get(column: Self::Column, row: usize) -> Self {
        column.get(row)
    }
}

impl<'a> Value<'a> for String {
    const STORED_AS: Kind = Kind::Text;
    type Column = Strings<'a>;

    fn open(column: &'a Column, rows: usize) -> Result<(Self::Column, Present<'a>), String> {
        <&str as Value>::open(column, rows)
    }

    #[inline]
    fn get(column: Self::Column, row: usize) -> Self {
        column.get(row).to_owned()
    }
}
