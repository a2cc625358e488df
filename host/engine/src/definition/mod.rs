//! Typed definitions, which the catalog keeps by kind and name. JSON is parsed once, where it enters: from a request, a
//! file or a store.
//!
//! A new kind is a row in `definition_types!`, a row in [`Kind::properties`], and its type.

mod api_key;
mod kind;
mod plugin;
mod schema;

use assay_core::rule::RuleDef;
use assay_core::stream::StreamDef;
use assay_core::view::ViewDef;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

pub use api_key::{ApiKey, Role};
pub use kind::{Kind, KindProperties};
pub use plugin::PluginDef;
pub use schema::StoredSchema;

/// The type of the definitions of one kind.
pub trait DefinitionType: Clone + PartialEq + Serialize + DeserializeOwned + Into<Definition> + 'static {
    /// Its kind.
    const KIND: Kind;

    /// The definition as this type; none: it is of another kind, or damaged.
    fn from_definition(definition: &Definition) -> Option<&Self>;
}

/// A generic function to be called with the type of a kind that is known only at run time.
pub trait WithType {
    /// Its result.
    type Output;

    /// Calls it.
    fn call<T: DefinitionType>(self) -> Self::Output;
}

/// Definitions of all kinds, each by its kind's name and its type.
macro_rules! definition_types {
    ($($kind:ident($def:ty)),+ $(,)?) => {
        /// A definition.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Definition {
            $(#[doc = concat!("See [`Kind::", stringify!($kind), "`].")] $kind(Box<$def>),)+
            /// A definition in a store that this version of the program cannot read.
            Damaged(Box<DamagedDefinition>),
        }

        impl Definition {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)+
                    Self::Damaged(damaged) => damaged.kind,
                }
            }
        }

        impl Serialize for Definition {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$kind(def) => def.serialize(serializer),)+
                    Self::Damaged(damaged) => damaged.body.serialize(serializer),
                }
            }
        }

        impl Kind {
            /// Calls a generic function with the type of this kind.
            pub fn with_type<W: WithType>(self, with: W) -> W::Output {
                match self {
                    $(Self::$kind => with.call::<$def>(),)+
                }
            }
        }

        $(
            impl From<$def> for Definition {
                fn from(def: $def) -> Self {
                    Self::$kind(Box::new(def))
                }
            }

            impl DefinitionType for $def {
                const KIND: Kind = Kind::$kind;

                fn from_definition(definition: &Definition) -> Option<&Self> {
                    match definition {
                        Definition::$kind(def) => Some(def),
                        _ => None,
                    }
                }
            }
        )+
    };
}

definition_types! {
    Stream(StreamDef),
    View(ViewDef),
    Rule(RuleDef),
    Plugin(PluginDef),
    Key(ApiKey),
    Schema(StoredSchema),
}

/// A definition that cannot be read. A plan with one is refused, and says why; it is kept as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct DamagedDefinition {
    /// The kind under which it is stored.
    pub kind: Kind,
    /// The stored body.
    pub body: Value,
    /// The reason why it cannot be read.
    pub error: String,
}

impl Definition {
    /// Reads a definition; one that cannot be read is [`Definition::Damaged`].
    pub fn from_json(kind: Kind, body: Value) -> Self {
        struct Read<'a>(&'a Value);

        impl WithType for Read<'_> {
            type Output = Result<Definition, serde_json::Error>;

            fn call<T: DefinitionType>(self) -> Self::Output {
                <T as Deserialize>::deserialize(self.0).map(Into::into)
            }
        }

        match kind.with_type(Read(&body)) {
            Ok(definition) => definition,
            Err(error) => {
                let error = error.to_string();
                Self::Damaged(Box::new(DamagedDefinition { kind, body, error }))
            }
        }
    }

    /// The definition as stores and the API show it.
    pub fn to_json(&self) -> Value {
        // Texts, numbers, lists, and maps with text keys always have a JSON form.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The name in the definition itself, if its kind has one there.
    pub fn own_name(&self) -> Option<&str> {
        match self {
            Self::Stream(def) => Some(&def.stream),
            Self::View(def) => Some(&def.view),
            Self::Rule(def) => Some(&def.rule),
            Self::Plugin(_) | Self::Key(_) | Self::Schema(_) | Self::Damaged(_) => None,
        }
    }

    /// Returns whether two definitions mean the same: the order of fields and measures does not count.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self == other || (self.kind() == other.kind() && self.to_json() == other.to_json())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_is_read_and_written_as_it_was() {
        let digest = assay_core::names::Digest::of(b"x").to_string();
        let bodies = [
            json!({"stream": "s", "key": "k", "time": "t", "lateness": "0s", "schema": {"type": "record"}}),
            json!({"view": "v", "stream": "s", "by": ["k"], "measures": {"z": "count()", "a": "sum(x)"}}),
            json!({"rule": "r", "stream": "s", "score": "1.0", "mode": "shadow"}),
            json!({"digest": digest, "size": 3, "manifest": {"name": "p", "version": "1.0.0"}, "yanked": true}),
            json!({"hash": "ab", "roles": ["read", "admin"], "created": 7}),
            json!({"schema": "\"string\"", "subjects": {"s-value": 1}}),
        ];
        for (kind, body) in Kind::ALL.into_iter().zip(bodies) {
            let definition = Definition::from_json(kind, body.clone());
            assert!(!matches!(definition, Definition::Damaged(_)), "{definition:?}");
            assert_eq!(definition.kind(), kind);
            // The order of fields, too: stored rows stay the same, byte by byte.
            assert_eq!(definition.to_json().to_string(), body.to_string());
        }
    }

    #[test]
    fn one_that_cannot_be_read_is_kept_with_the_reason() {
        let body = json!({"rule": "r", "stream": "s", "scoer": "1.0"});
        let definition = Definition::from_json(Kind::Rule, body.clone());
        assert_eq!((definition.kind(), definition.to_json()), (Kind::Rule, body));
        let Definition::Damaged(damaged) = definition else { panic!("it has an unknown field") };
        assert!(damaged.error.contains("unknown field `scoer`"), "{}", damaged.error);
    }

    #[test]
    fn the_order_of_measures_says_nothing() {
        let view = |measures: &str| {
            let text = format!(r#"{{"view": "v", "stream": "s", "by": ["k"], "measures": {measures}}}"#);
            Definition::from_json(Kind::View, serde_json::from_str(&text).unwrap())
        };
        let one = view(r#"{"a": "count()", "b": "sum(x)"}"#);
        assert!(one.says_the_same_as(&view(r#"{"b": "sum(x)", "a": "count()"}"#)));
        assert!(!one.says_the_same_as(&view(r#"{"a": "count()"}"#)));
    }
}
