//! The definition of a view, as its author uploads it. [`Layout`](super::Layout) compiles it.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::measure::Measure;
use super::window_kind::{WindowError, WindowKind};
use crate::names::{InvalidName, check_name};
use crate::source;
use crate::span::Span;

/// The most measures of a view.
pub const MAX_MEASURES: usize = 64;

/// Aggregates of a stream's events by groups, over all time, a sliding window or tumbling buckets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewDef {
    /// Its name.
    pub view: String,
    /// A description in Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    /// The stream whose events it aggregates.
    pub stream: String,
    /// The expressions by whose values events are grouped.
    #[serde(deserialize_with = "source::list")]
    pub by: Vec<String>,
    /// The measures, in the order of the definition.
    pub measures: Measures,
    /// The filter of the events that it counts: an expression of type bool. Without it, it counts all.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "source::optional")]
    pub when: Option<String>,
    /// The length of the sliding window. Without it and without `every` the view is over all time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Span>,
    /// The number of tiles of the window; [`DEFAULT_TILES`](super::DEFAULT_TILES) without it. More tiles make the window
    /// slide in smaller steps and take more memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiles: Option<u32>,
    /// The length of the buckets of a tumbling view, which are counted from 1970. It excludes `over`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// The time for which buckets are kept, measured from the entity's newest event. Required with `every`, and only
    /// allowed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Span>,
}

/// The measures of a view by name, in the order of the definition. In YAML and JSON it is a map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures(pub Vec<(String, Measure)>);

impl ViewDef {
    /// True if both aggregate the same, so that the windows of one are windows of the other: they differ in nothing but the
    /// description and the names of measures.
    pub fn has_same_meaning(&self, other: &Self) -> bool {
        let nameless = |def: &Self| {
            let measures = def.measures.0.iter().map(|(_, measure)| (String::new(), measure.clone()));
            Self { doc: String::new(), measures: Measures(measures.collect()), ..def.clone() }
        };
        nameless(self) == nameless(other)
    }

    /// Checks the definition as far as possible without the stream's schema.
    ///
    /// # Errors
    /// The error names the wrong field and the expected values.
    pub fn check(&self) -> Result<(), ViewError> {
        check_name(&self.view)?;
        if self.by.is_empty() {
            return Err(ViewError::NoGroup);
        }
        if self.measures.0.is_empty() || self.measures.0.len() > MAX_MEASURES {
            return Err(ViewError::MeasureCount(self.measures.0.len()));
        }
        for (name, _) in &self.measures.0 {
            let is_plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if !is_plain || !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.len() > 64 {
                return Err(ViewError::MeasureName(name.clone()));
            }
        }
        self.window()?;
        Ok(())
    }

    /// The window, from the fields `over`, `tiles`, `every` and `keep`.
    ///
    /// # Errors
    /// The fields do not make one window, or are out of range.
    pub fn window(&self) -> Result<WindowKind, WindowError> {
        WindowKind::from_fields(self.over, self.tiles, self.every, self.keep)
    }
}

/// The reason why a definition is not valid.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ViewError {
    /// The view's name breaks the rule for names.
    #[error("view: {0}")]
    Name(#[from] InvalidName),
    /// `by` is empty.
    #[error("by: expected at least one expression, such as [card]")]
    NoGroup,
    /// Too few or too many measures.
    #[error("measures: expected 1 to {MAX_MEASURES}, found {0}")]
    MeasureCount(usize),
    /// A measure's name cannot be written in an expression.
    #[error("measures: '{0}' is not a measure's name: expected a letter a-z, then up to 63 of a-z, 0-9 and '_'")]
    MeasureName(String),
    /// A measure's function does not take its argument.
    #[error("measures.{name}: {why}")]
    Argument {
        /// The measure.
        name: String,
        /// The types that it takes.
        why: super::InvalidArgument,
    },
    /// The caller passed a number of types that is not the number of measures.
    #[error("measures: there are {expected}, but {found} types of arguments came")]
    ArgumentCount {
        /// The number of measures.
        expected: usize,
        /// The number of types.
        found: usize,
    },
    /// The fields of the window are wrong.
    #[error(transparent)]
    Window(#[from] WindowError),
}

impl Serialize for Measures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, measure) in &self.0 {
            map.serialize_entry(name, measure)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Measures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MeasuresVisitor;

        impl<'de> Visitor<'de> for MeasuresVisitor {
            type Value = Measures;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from names to measures, such as spent: sum(amount)")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Measures, A::Error> {
                let mut measures: Vec<(String, Measure)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if measures.iter().any(|(earlier, _)| *earlier == name) {
                        return Err(A::Error::custom(format!("the measure '{name}' is defined twice")));
                    }
                    if measures.len() == MAX_MEASURES {
                        return Err(A::Error::custom(format!("a view has at most {MAX_MEASURES} measures")));
                    }
                    measures.push((name, map.next_value()?));
                }
                Ok(Measures(measures))
            }
        }

        deserializer.deserialize_map(MeasuresVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD_SPEND: &str = "view: card_spend\nstream: payments\nby: [card]\nmeasures: { payments: count(), spent: sum(amount), biggest: max(amount), last_country: last(country) }\nwhen: amount > 0.0\nover: 1h\n";

    fn read(text: &str) -> Result<ViewDef, String> {
        let view: ViewDef = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        view.check().map_err(|error| error.to_string())?;
        Ok(view)
    }

    #[test]
    fn a_definition_keeps_the_order_of_its_measures_and_survives_json() {
        let view = read(CARD_SPEND).unwrap();
        let names: Vec<_> = view.measures.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["payments", "spent", "biggest", "last_country"]);
        assert_eq!(view.over, Some(Span(3_600_000)));
        let json = serde_json::to_string(&view).unwrap();
        assert_eq!(
            json,
            r#"{"view":"card_spend","stream":"payments","by":["card"],"measures":{"payments":"count()","spent":"sum(amount)","biggest":"max(amount)","last_country":"last(country)"},"when":"amount > 0.0","over":"1h"}"#
        );
        assert_eq!(serde_json::from_str::<ViewDef>(&json).unwrap(), view);
    }

    #[test]
    fn a_tumbling_view_survives_json() {
        let view = read(&CARD_SPEND.replace("over: 1h", "every: 1h\nkeep: 60d")).unwrap();
        assert_eq!(view.window(), Ok(WindowKind::Tumbling { every: Span(3_600_000), keep: Span(60 * 86_400_000) }));
        let json = serde_json::to_string(&view).unwrap();
        assert!(json.ends_with(r#""when":"amount > 0.0","every":"1h","keep":"60d"}"#), "{json}");
        assert_eq!(serde_json::from_str::<ViewDef>(&json).unwrap(), view);
    }

    #[test]
    fn definitions_that_are_not_valid_are_refused_with_advice() {
        for (from, to, advice) in [
            ("over: 1h", "ovre: 1h", "ovre"),
            ("over: 1h", "over: 59ms", "expected at least 60ms"),
            ("over: 1h", "over: 1h\ntiles: 1441", "expected 1 to 1440, found 1441"),
            ("over: 1h", "over: 1h\ntiles: 0", "expected 1 to 1440, found 0"),
            ("over: 1h", "tiles: 60", "add 'over'"),
            ("over: 1h", "over: 1 hour", "is not a span of time"),
            ("over: 1h", "over: 1h\nevery: 1h\nkeep: 1d", "either tumbles"),
            ("over: 1h", "tiles: 4\nevery: 1h\nkeep: 1d", "either tumbles"),
            ("over: 1h", "every: 1h", "keep: missing"),
            ("over: 1h", "keep: 30d", "add 'every'"),
            ("over: 1h", "over: 1h\nkeep: 30d", "add 'every'"),
            ("over: 1h", "every: 0s\nkeep: 1h", "every: expected 1ms to 36500d, found 0s"),
            ("over: 1h", "every: 1h\nkeep: 59m", "expected 1h to 60d, which is 1 to 1440 buckets of 1h, found 59m"),
            ("over: 1h", "every: 1h\nkeep: 61d", "found 61d"),
            ("by: [card]", "by: []", "by: expected at least one"),
            ("spent: sum", "spent: summ", "did you mean 'sum'?"),
            ("spent:", "Spent:", "'Spent' is not a measure's name"),
            ("view: card_spend", "view: Card", "'Card' is not a name"),
            (
                "{ payments: count(), spent: sum(amount), biggest: max(amount), last_country: last(country) }",
                "{}",
                "found 0",
            ),
        ] {
            let error = read(&CARD_SPEND.replace(from, to)).unwrap_err();
            assert!(error.contains(advice), "{error}");
        }
        let twice = r#"{"view":"v","stream":"s","by":["a"],"measures":{"n":"count()","n":"count()"}}"#;
        let error = serde_json::from_str::<ViewDef>(twice).unwrap_err().to_string();
        assert!(error.contains("the measure 'n' is defined twice"), "{error}");
    }
}
