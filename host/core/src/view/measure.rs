//! A measure of a view: an aggregate function over an expression, written `sum(amount)`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::expr::call_argument;
use crate::types::Type;

/// The aggregate functions, which reduce many events to one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// The number of events, or of events with a value. Of none: 0.
    Count,
    /// The sum. Of none: 0. Integers saturate at the ends of their range instead of wrapping.
    Sum,
    /// The mean, a double. Of none: missing.
    Avg,
    /// The minimum. Of none: missing. -0.0 is below 0.0.
    Min,
    /// The maximum. Of none: missing. 0.0 is above -0.0.
    Max,
    /// The value of the event with the greatest time; among equal times that of the event that came last. Of none:
    /// missing. Texts are truncated to [`MAX_TEXT_BYTES`](super::MAX_TEXT_BYTES) bytes.
    Last,
}

impl Aggregate {
    /// All aggregates.
    pub const ALL: [Self; 6] = [Self::Count, Self::Sum, Self::Avg, Self::Min, Self::Max, Self::Last];

    /// The name in a definition.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Last => "last",
        }
    }

    /// The type of its result over an argument of a type (`None`: no argument, as in `count()`).
    ///
    /// # Errors
    /// It does not take such an argument; the error names the types that it takes.
    pub fn result_type(self, argument: Option<&Type>) -> Result<Type, InvalidArgument> {
        let refused = |expected| InvalidArgument { aggregate: self, found: argument.cloned(), expected };
        match (self, argument) {
            (Self::Count, _) => Ok(Type::Int),
            (Self::Sum, Some(ty @ (Type::Int | Type::Double))) => Ok(ty.clone()),
            (Self::Sum, _) => Err(refused("an int or a double")),
            (Self::Avg, Some(Type::Int | Type::Double)) => Ok(Type::Double),
            (Self::Avg, _) => Err(refused("an int or a double")),
            (Self::Min | Self::Max, Some(ty @ (Type::Int | Type::Double | Type::Timestamp))) => Ok(ty.clone()),
            (Self::Min | Self::Max, _) => Err(refused("an int, a double or a timestamp")),
            (Self::Last, None | Some(Type::Duration | Type::List(_) | Type::Map(_) | Type::Record(_))) => {
                Err(refused("a bool, an int, a double, a string or a timestamp"))
            }
            (Self::Last, Some(ty)) => Ok(ty.clone()),
        }
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

/// An aggregate with its argument: `count()`, `sum(amount)`, `max(price * double(quantity))`.
///
/// Events whose argument is missing or NaN do not count for the measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// The function.
    pub aggregate: Aggregate,
    /// The source of the expression in the parentheses; only `count()` has none.
    pub argument: Option<String>,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.aggregate.name(), self.argument.as_deref().unwrap_or_default())
    }
}

/// A text that is not a measure.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a measure: {why}")]
pub struct ParseMeasureError {
    text: String,
    why: String,
}

impl FromStr for Measure {
    type Err = ParseMeasureError;

    fn from_str(text: &str) -> Result<Self, ParseMeasureError> {
        let text = text.trim();
        let refused = |why: String| ParseMeasureError { text: text.to_owned(), why };
        let Some((name, _)) = text.split_once('(') else {
            return Err(refused("expected a function and its argument, such as count() or sum(amount)".into()));
        };
        let aggregate = find_aggregate(name.trim()).map_err(refused)?;
        let argument = call_argument(text).map_err(|why| refused(why.to_string()))?;
        let argument = text[argument].trim();
        if argument.is_empty() && aggregate != Aggregate::Count {
            return Err(refused(format!("{name} needs an argument, such as {name}(amount)")));
        }
        Ok(Self { aggregate, argument: (!argument.is_empty()).then(|| argument.to_owned()) })
    }
}

/// The aggregate with a name, or advice.
fn find_aggregate(name: &str) -> Result<Aggregate, String> {
    if let Some(found) = Aggregate::ALL.into_iter().find(|aggregate| aggregate.name() == name) {
        return Ok(found);
    }
    if ["distinct", "quantile", "top"].contains(&name) {
        return Err(format!("{name} is not supported yet; there are {}", all_names()));
    }
    let lower = name.to_ascii_lowercase();
    let near = match lower.as_str() {
        "average" | "mean" => Some(Aggregate::Avg),
        "minimum" => Some(Aggregate::Min),
        "maximum" => Some(Aggregate::Max),
        "latest" => Some(Aggregate::Last),
        "total" => Some(Aggregate::Sum),
        _ => Aggregate::ALL.into_iter().find(|aggregate| strsim::damerau_levenshtein(aggregate.name(), &lower) <= 1),
    };
    Err(match near {
        Some(near) => format!("there is no function '{name}'; did you mean '{}'?", near.name()),
        None => format!("there is no function '{name}'; there are {}", all_names()),
    })
}

fn all_names() -> String {
    Aggregate::ALL.map(Aggregate::name).join(", ")
}

impl Serialize for Measure {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Measure {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_parsed_and_written() {
        for (text, aggregate, argument, written) in [
            ("count()", Aggregate::Count, None, "count()"),
            (" count ( device.os ) ", Aggregate::Count, Some("device.os"), "count(device.os)"),
            ("sum(a * (b + 1))", Aggregate::Sum, Some("a * (b + 1)"), "sum(a * (b + 1))"),
            (
                "last(x in ['a)', \"b\\\"(\"])",
                Aggregate::Last,
                Some("x in ['a)', \"b\\\"(\"]"),
                "last(x in ['a)', \"b\\\"(\"])",
            ),
            ("max(coalesce(a, b))", Aggregate::Max, Some("coalesce(a, b)"), "max(coalesce(a, b))"),
        ] {
            let measure: Measure = text.parse().unwrap();
            assert_eq!((measure.aggregate, measure.argument.as_deref()), (aggregate, argument));
            assert_eq!(measure.to_string(), written);
        }
    }

    #[test]
    fn texts_that_are_no_measures_are_refused_with_advice() {
        for (text, advice) in [
            ("amount", "such as count() or sum(amount)"),
            ("summ(amount)", "did you mean 'sum'?"),
            ("Average(amount)", "did you mean 'avg'?"),
            ("quantile(amount)", "not supported yet; there are count, sum, avg, min, max, last"),
            ("median(amount)", "there are count, sum, avg, min, max, last"),
            ("sum()", "sum needs an argument"),
            ("sum(a, b)", "one argument"),
            ("sum(a", "not closed"),
            ("sum(a) + sum(b)", "nothing behind it"),
            ("sum(a]", "nothing behind it"),
        ] {
            let error = text.parse::<Measure>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("'{text}' is not a measure: ")) && error.contains(advice), "{error}");
        }
    }

    #[test]
    fn the_type_of_a_result_depends_on_the_argument() {
        assert_eq!(Aggregate::Count.result_type(None), Ok(Type::Int));
        assert_eq!(Aggregate::Sum.result_type(Some(&Type::Int)), Ok(Type::Int));
        assert_eq!(Aggregate::Avg.result_type(Some(&Type::Int)), Ok(Type::Double));
        assert_eq!(Aggregate::Max.result_type(Some(&Type::Timestamp)), Ok(Type::Timestamp));
        assert_eq!(Aggregate::Last.result_type(Some(&Type::Text)), Ok(Type::Text));
        let error = Aggregate::Sum.result_type(Some(&Type::Text)).unwrap_err();
        assert_eq!(error.to_string(), "sum takes an int or a double, not string");
        let error = Aggregate::Last.result_type(None).unwrap_err();
        assert_eq!(error.to_string(), "last takes a bool, an int, a double, a string or a timestamp, not nothing");
    }
}
