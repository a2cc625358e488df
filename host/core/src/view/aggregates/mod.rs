//! The aggregates, one file each, and the table that names them. A new aggregate is a file here, with its entry
//! (`SPEC`) and its kernels, and a row in the table below. `interface` says what a kernel does.

mod avg;
mod cells;
mod count;
mod first;
mod interface;
mod last;
mod max;
mod min;
mod stddev;
mod sum;
#[cfg(test)]
mod tests;

use interface::{AggregateSpec, Kernel, MAX_CELL_WORDS};
pub(super) use interface::{LoadScope, SaveScope, TileBounds};

use super::bytes::{CorruptWindow, WindowReader};
use super::texts::TextArena;
use crate::types::Type;

/// Declares the aggregates and their kernels. A kernel is chosen once per measure; its functions are chosen by a
/// `match` that the compiler inlines into the fold, which is faster than calls through pointers.
macro_rules! aggregates {
    ($($(#[$doc:meta])* $aggregate:ident = $file:ident { $($kernel:ident),+ })+) => {
        /// The aggregate functions, which reduce many events to one value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Aggregate {
            $($(#[$doc])* $aggregate,)+
        }

        impl Aggregate {
            /// All aggregates.
            pub const ALL: &'static [Self] = &[$(Self::$aggregate),+];

            fn spec(self) -> &'static AggregateSpec {
                match self { $(Self::$aggregate => &$file::SPEC,)+ }
            }
        }

        /// An aggregate over arguments of certain types. Each has a type of the same name that implements [`Kernel`],
        /// where the functions are described.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum AggregateKernel {
            $($($kernel,)+)+
        }

        $($(const _: () = assert!(<$file::$kernel as Kernel>::IDENTITY.len() <= MAX_CELL_WORDS);)+)+

        impl AggregateKernel {
            pub(super) fn identity(self) -> &'static [u64] {
                match self { $($(Self::$kernel => $file::$kernel::IDENTITY,)+)+ }
            }

            pub(super) fn reads_values(self) -> bool {
                match self { $($(Self::$kernel => $file::$kernel::READS_VALUES,)+)+ }
            }

            pub(super) fn can_be_missing(self) -> bool {
                match self { $($(Self::$kernel => $file::$kernel::CAN_BE_MISSING,)+)+ }
            }

            #[cfg(test)]
            fn is_exact(self) -> bool {
                match self { $($(Self::$kernel => $file::$kernel::IS_EXACT,)+)+ }
            }

            #[inline]
            pub(super) fn add(self, cell: &mut [u64], word: u64, time: i64) {
                match self { $($(Self::$kernel => $file::$kernel::add(cell, word, time),)+)+ }
            }

            #[inline]
            pub(super) fn add_text(self, cell: &mut [u64], text: &str, time: i64, texts: &mut TextArena) {
                match self { $($(Self::$kernel => $file::$kernel::add_text(cell, text, time, texts),)+)+ }
            }

            #[inline]
            pub(super) fn merge(self, cell: &mut [u64], newer: &[u64]) {
                match self { $($(Self::$kernel => $file::$kernel::merge(cell, newer),)+)+ }
            }

            #[inline]
            pub(super) fn result(self, cell: &[u64]) -> Option<u64> {
                match self { $($(Self::$kernel => $file::$kernel::result(cell),)+)+ }
            }

            #[inline]
            pub(super) fn result_of_three(self, a: &[u64], b: &[u64], c: &[u64]) -> Option<u64> {
                match self { $($(Self::$kernel => $file::$kernel::result_of_three(a, b, c),)+)+ }
            }

            #[inline]
            pub(super) fn copy(self, cell: &[u64]) -> [u64; MAX_CELL_WORDS] {
                match self { $($(Self::$kernel => $file::$kernel::copy(cell),)+)+ }
            }

            pub(super) fn free(self, cell: &[u64], texts: &mut TextArena) {
                match self { $($(Self::$kernel => $file::$kernel::free(cell, texts),)+)+ }
            }

            pub(super) fn save(self, cell: &[u64], scope: &SaveScope<'_>, out: &mut Vec<u8>) {
                match self { $($(Self::$kernel => $file::$kernel::save(cell, scope, out),)+)+ }
            }

            pub(super) fn load(
                self,
                cell: &mut [u64],
                scope: &mut LoadScope<'_>,
                reader: &mut WindowReader<'_>,
            ) -> Result<(), CorruptWindow> {
                match self { $($(Self::$kernel => $file::$kernel::load(cell, scope, reader),)+)+ }
            }
        }
    };
}

// The table: the name in code, the file, its kernels.
aggregates! {
    /// The number of events, or of events with a value. Of none: 0.
    Count = count { Count }
    /// The sum. Of none: 0. Integers saturate at the ends of their range instead of wrapping.
    Sum = sum { SumInt, SumDouble }
    /// The mean, a double. Of none: missing.
    Avg = avg { AverageInt, AverageDouble }
    /// The minimum. Of none: missing. -0.0 is below 0.0.
    Min = min { MinInt, MinDouble }
    /// The maximum. Of none: missing. 0.0 is above -0.0.
    Max = max { MaxInt, MaxDouble }
    /// The value of the event with the least time; among equal times that of the event that came first. Of none:
    /// missing. Texts are truncated to [`MAX_TEXT_BYTES`](super::MAX_TEXT_BYTES) bytes.
    First = first { FirstWord, FirstText }
    /// The value of the event with the greatest time; among equal times that of the event that came last. Of none:
    /// missing. Texts are truncated to [`MAX_TEXT_BYTES`](super::MAX_TEXT_BYTES) bytes.
    Last = last { LastWord, LastText }
    /// The sample standard deviation, a double. Of fewer than two values: missing.
    Stddev = stddev { DeviationInt, DeviationDouble }
}

impl Aggregate {
    /// The name in a definition.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The aggregate with a name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|aggregate| aggregate.name() == name)
    }

    /// The aggregate that a text, which is not a name, probably means.
    pub(super) fn nearest(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let has_alias = |aggregate: &Self| aggregate.spec().aliases.contains(&text.as_str());
        let is_near = |aggregate: &Self| strsim::damerau_levenshtein(aggregate.name(), &text) <= 1;
        let mut all = Self::ALL.iter().copied();
        all.clone().find(has_alias).or_else(|| all.find(is_near))
    }

    /// True if it can be written without an argument.
    pub(super) fn takes_nothing(self) -> bool {
        (self.spec().select)(None).is_some()
    }

    /// The type of its result over an argument of a type (`None`: no argument, as in `count()`).
    ///
    /// # Errors
    /// It does not take such an argument; the error names the types that it takes.
    pub fn result_type(self, argument: Option<&Type>) -> Result<Type, InvalidArgument> {
        self.select_kernel(argument).map(|(_, result)| result)
    }

    /// The kernel and the type of the result over an argument of a type.
    ///
    /// # Errors
    /// It does not take such an argument; the error names the types that it takes.
    pub(super) fn select_kernel(self, argument: Option<&Type>) -> Result<(AggregateKernel, Type), InvalidArgument> {
        let refused = || InvalidArgument { aggregate: self, found: argument.cloned(), expected: self.spec().takes };
        (self.spec().select)(argument).ok_or_else(refused)
    }
}

/// An aggregate over an argument that it does not take.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} takes {expected}, not {}", aggregate.name(), found.as_ref().map_or("nothing".to_owned(), Type::to_string))]
pub struct InvalidArgument {
    aggregate: Aggregate,
    found: Option<Type>,
    expected: &'static str,
}
