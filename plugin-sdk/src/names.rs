//! The names that a plugin declares for its verdicts: tags, reasons, edges and attributes.
//!
//! `#[plugin(tags = ["high-risk"])]` defines a constant per name, such as `tags::HIGH_RISK`. So a name that is not
//! declared does not compile, and a verdict has an index and not a text.

use std::fmt;

/// A name's index in the manifest, and the name.
type Declared = (u32, &'static str);

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(&'static Declared);

        impl $name {
            /// Used by `#[plugin]` for a declared name: its index in the manifest, and the name.
            #[doc(hidden)]
            #[inline(always)]
            pub const fn declared(declared: &'static Declared) -> Self {
                Self(declared)
            }

            /// The name as it was declared.
            pub const fn name(self) -> &'static str {
                self.0.1
            }

            #[inline(always)]
            pub(crate) const fn index(self) -> u32 {
                self.0.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.name(), f)
            }
        }
    )*};
}

names! {
    /// A label on an event and its entity, such as `high-risk`.
    Tag,
    /// A code that says why an event has its score, such as `amount`.
    Reason,
    /// A kind of connection between two nodes of the graph, such as `paid`.
    Edge,
    /// A kind of fact that is kept with a verdict, such as `speed-kmh`.
    Attribute
}
