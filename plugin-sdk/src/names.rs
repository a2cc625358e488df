//! The names that a plugin declares for its verdicts: tags, reasons, edges and attributes.
//!
//! `#[plugin(tags = ["high-risk"])]` makes a constant of each, `tags::HIGH_RISK`, so that a name that is not declared
//! does not compile, and a verdict carries an index and not a text.

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name {
            pub(crate) index: u32,
            name: &'static str,
        }

        impl $name {
            /// What `#[plugin]` makes for a declared name; `index` is its place in the manifest.
            #[doc(hidden)]
            pub const fn declared(index: u32, name: &'static str) -> Self {
                Self { index, name }
            }

            /// The name as it was declared.
            pub const fn name(self) -> &'static str {
                self.name
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
