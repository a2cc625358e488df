//! The table of strict functions and operators, whose result is missing where an argument is: signatures and kernels.
//!
//! Functions that need more checks than their argument types (`has`, `in`, `matches`, ...) are in `check`.

use super::kernels::{arithmetic, convert, logic, math, strings, text, time};
use super::node::Kernel;
use crate::types::Type;

/// One signature of a function or operator.
pub(super) struct Overload {
    pub(super) name: &'static str,
    pub(super) parameters: &'static [Type],
    pub(super) result: Type,
    pub(super) kernel: Kernel,
}

macro_rules! overloads {
    ($($name:literal ($($parameter:ident),*) -> $result:ident = $kernel:expr;)*) => {
        &[$(Overload {
            name: $name,
            parameters: &[$(Type::$parameter),*],
            result: Type::$result,
            kernel: $kernel,
        }),*]
    };
}

/// Operators by their sign; a leading minus is `-_`.
pub(super) static OPERATORS: &[Overload] = overloads! {
    "+" (Int, Int) -> Int = arithmetic::add_ints;
    "+" (Double, Double) -> Double = arithmetic::add_doubles;
    "+" (Text, Text) -> Text = text::concatenate;
    "+" (Timestamp, Duration) -> Timestamp = arithmetic::add_ints;
    "+" (Duration, Timestamp) -> Timestamp = arithmetic::add_ints;
    "+" (Duration, Duration) -> Duration = arithmetic::add_ints;
    "-" (Int, Int) -> Int = arithmetic::subtract_ints;
    "-" (Double, Double) -> Double = arithmetic::subtract_doubles;
    "-" (Timestamp, Timestamp) -> Duration = arithmetic::subtract_ints;
    "-" (Timestamp, Duration) -> Timestamp = arithmetic::subtract_ints;
    "-" (Duration, Duration) -> Duration = arithmetic::subtract_ints;
    "*" (Int, Int) -> Int = arithmetic::multiply_ints;
    "*" (Double, Double) -> Double = arithmetic::multiply_doubles;
    "/" (Int, Int) -> Int = arithmetic::divide_ints;
    "/" (Double, Double) -> Double = arithmetic::divide_doubles;
    "%" (Int, Int) -> Int = arithmetic::remainder_ints;
    "%" (Double, Double) -> Double = arithmetic::remainder_doubles;
    "-_" (Int) -> Int = arithmetic::negate_int;
    "-_" (Double) -> Double = arithmetic::negate_double;
    "-_" (Duration) -> Duration = arithmetic::negate_int;
    "!" (Bool) -> Bool = logic::not;
};

/// Functions, each usable as `f(a, b)` and as `a.f(b)`.
pub(super) static FUNCTIONS: &[Overload] = overloads! {
    "abs" (Int) -> Int = arithmetic::abs_int;
    "abs" (Double) -> Double = math::abs;
    "ceil" (Double) -> Double = math::ceil;
    "floor" (Double) -> Double = math::floor;
    "round" (Double) -> Double = math::round;
    "exp" (Double) -> Double = math::exp;
    "log" (Double) -> Double = math::log;
    "sqrt" (Double) -> Double = math::sqrt;
    "min" (Int, Int) -> Int = math::min::<i64>;
    "min" (Double, Double) -> Double = math::min::<f64>;
    "min" (Timestamp, Timestamp) -> Timestamp = math::min::<i64>;
    "min" (Duration, Duration) -> Duration = math::min::<i64>;
    "max" (Int, Int) -> Int = math::max::<i64>;
    "max" (Double, Double) -> Double = math::max::<f64>;
    "max" (Timestamp, Timestamp) -> Timestamp = math::max::<i64>;
    "max" (Duration, Duration) -> Duration = math::max::<i64>;
    "grid" (Double, Double) -> Double = math::grid;
    "haversine" (Double, Double, Double, Double) -> Double = math::haversine;
    "size" (Text) -> Int = text::size;
    "contains" (Text, Text) -> Bool = text::contains;
    "startsWith" (Text, Text) -> Bool = text::starts_with;
    "endsWith" (Text, Text) -> Bool = text::ends_with;
    "lower" (Text) -> Text = text::lower;
    "upper" (Text) -> Text = text::upper;
    "hash" (Text) -> Int = text::hash;
    "charAt" (Text, Int) -> Text = strings::char_at;
    "indexOf" (Text, Text) -> Int = strings::index_of;
    "indexOf" (Text, Text, Int) -> Int = strings::index_of_from;
    "lastIndexOf" (Text, Text) -> Int = strings::last_index_of;
    "lastIndexOf" (Text, Text, Int) -> Int = strings::last_index_of_from;
    "lowerAscii" (Text) -> Text = strings::lower_ascii;
    "upperAscii" (Text) -> Text = strings::upper_ascii;
    "replace" (Text, Text, Text) -> Text = strings::replace;
    "replace" (Text, Text, Text, Int) -> Text = strings::replace_some;
    "reverse" (Text) -> Text = strings::reverse;
    "substring" (Text, Int) -> Text = strings::substring_from;
    "substring" (Text, Int, Int) -> Text = strings::substring;
    "trim" (Text) -> Text = strings::trim;
    "h3" (Double, Double, Int) -> Text = math::h3;
    "int" (Int) -> Int = convert::same;
    "int" (Double) -> Int = convert::double_to_int;
    "int" (Text) -> Int = convert::text_to_int;
    "int" (Timestamp) -> Int = time::unix_seconds;
    "double" (Double) -> Double = convert::same;
    "double" (Int) -> Double = convert::int_to_double;
    "double" (Text) -> Double = convert::text_to_double;
    "bool" (Bool) -> Bool = convert::same;
    "bool" (Text) -> Bool = convert::text_to_bool;
    "string" (Text) -> Text = convert::same;
    "string" (Bool) -> Text = convert::bool_to_text;
    "string" (Int) -> Text = convert::int_to_text;
    "string" (Double) -> Text = convert::double_to_text;
    "string" (Timestamp) -> Text = time::timestamp_to_text;
    "string" (Duration) -> Text = time::span_to_text;
    "timestamp" (Timestamp) -> Timestamp = convert::same;
    "timestamp" (Text) -> Timestamp = time::from_text;
    "timestamp" (Int) -> Timestamp = time::from_unix_seconds;
    "hour" (Timestamp) -> Int = time::hour;
    "day" (Timestamp) -> Int = time::day;
    "month" (Timestamp) -> Int = time::month;
    "getFullYear" (Timestamp) -> Int = time::year;
    "getMonth" (Timestamp) -> Int = time::month_from_zero;
    "getDate" (Timestamp) -> Int = time::day;
    "getDayOfMonth" (Timestamp) -> Int = time::day_from_zero;
    "getDayOfYear" (Timestamp) -> Int = time::day_of_year;
    "getDayOfWeek" (Timestamp) -> Int = time::day_of_week;
    "getHours" (Timestamp) -> Int = time::hour;
    "getHours" (Duration) -> Int = time::whole_hours;
    "getMinutes" (Timestamp) -> Int = time::minute;
    "getMinutes" (Duration) -> Int = time::whole_minutes;
    "getSeconds" (Timestamp) -> Int = time::second;
    "getSeconds" (Duration) -> Int = time::whole_seconds;
    "getMilliseconds" (Timestamp) -> Int = time::millisecond;
    "getMilliseconds" (Duration) -> Int = time::millisecond_of_span;
};

/// The functions of a time that also take a time zone as second argument.
pub(super) const PARTS_OF_TIME: &[&str] = &[
    "day",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "hour",
    "month",
];

/// The functions that `check` handles itself, beside those of the table.
const CHECKED_FUNCTIONS: &[&str] =
    &["all", "coalesce", "duration", "exists", "exists_one", "filter", "has", "join", "map", "matches", "split", "sum"];

/// Functions of CEL that are not supported.
const UNSUPPORTED_FUNCTIONS: &[&str] = &["bytes", "dyn", "format", "type", "uint"];

/// The message for a function that does not exist.
pub(super) fn explain_unknown_function(name: &str) -> String {
    let mut known: Vec<&str> =
        FUNCTIONS.iter().map(|overload| overload.name).chain(CHECKED_FUNCTIONS.iter().copied()).collect();
    known.sort_unstable();
    known.dedup();
    let list = known.join(", ");
    if UNSUPPORTED_FUNCTIONS.contains(&name) {
        return format!("{name}() is not supported; the functions are {list}");
    }
    if let Some(advice) = super::hints::foreign_function(name) {
        return format!("unknown function '{name}'; {advice}");
    }
    match super::suggest::nearest(name, &known) {
        Some(nearest) => {
            format!("unknown function '{name}'; did you mean '{nearest}'? The functions are {list}")
        }
        None => format!("unknown function '{name}'; the functions are {list}"),
    }
}
