//! A measure of a view: an aggregate function over an expression, written `sum(amount)`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::aggregates::Aggregate;
use crate::expr::call_argument;

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
        if argument.is_empty() && !aggregate.takes_nothing() {
            return Err(refused(format!("{name} needs an argument, such as {name}(amount)")));
        }
        Ok(Self { aggregate, argument: (!argument.is_empty()).then(|| argument.to_owned()) })
    }
}

/// The aggregate with a name, or advice.
fn find_aggregate(name: &str) -> Result<Aggregate, String> {
    if let Some(found) = Aggregate::from_name(name) {
        return Ok(found);
    }
    if ["distinct", "quantile", "top"].contains(&name) {
        return Err(format!("{name} is not supported yet; there are {}", all_names()));
    }
    Err(match Aggregate::nearest(name) {
        Some(near) => format!("there is no function '{name}'; did you mean '{}'?", near.name()),
        None => format!("there is no function '{name}'; there are {}", all_names()),
    })
}

fn all_names() -> String {
    let names: Vec<_> = Aggregate::ALL.iter().map(|aggregate| aggregate.name()).collect();
    names.join(", ")
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
    use crate::types::Type;

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
            ("quantile(amount)", "not supported yet; there are count, sum, avg, min, max, first, last, stddev"),
            ("median(amount)", "there are count, sum, avg, min, max, first, last, stddev"),
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
