//! Four rows with columns of every type, and a notation for the values of expressions.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{DurationMillisecondType, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMillisecondArray,
};
use assay_core::expr::{Columns, Expr};
use assay_core::types::Type;

/// 2024-02-29T13:45:30.250Z, a Thursday.
const LEAP_DAY: i64 = 1_709_214_330_250;

/// The names of the columns and their types.
pub(crate) fn scope() -> Columns {
    Columns::new([
        ("n", Type::Int),
        ("x", Type::Double),
        ("s", Type::Text),
        ("b", Type::Bool),
        ("t", Type::Timestamp),
        ("device.os", Type::Text),
        ("items", Type::List(Box::new(Type::Int))),
        ("c", Type::Bool),
    ])
}

/// Four rows. In the third nearly all values are missing.
pub(crate) fn columns() -> Vec<ArrayRef> {
    let items = [Some(vec![Some(1), Some(2)]), Some(vec![]), None, Some(vec![None])];
    vec![
        Arc::new(Int64Array::from(vec![Some(7), Some(-7), None, Some(i64::MAX)])),
        Arc::new(Float64Array::from(vec![Some(1.5), Some(-2.5), None, Some(f64::NAN)])),
        Arc::new(StringArray::from(vec![Some("Ab"), Some(""), None, Some("Straße")])),
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)])),
        Arc::new(TimestampMillisecondArray::from(vec![Some(LEAP_DAY), Some(-1), None, Some(0)])),
        Arc::new(StringArray::from(vec![None, Some("ios"), Some("android"), Some("ios")])),
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(items)),
        Arc::new(BooleanArray::from(vec![None, None, None, Some(false)])),
    ]
}

/// The values of the four rows, a missing one as `-`.
fn values(source: &str) -> String {
    let expr = Expr::compile(source, &scope()).unwrap_or_else(|error| panic!("{error}"));
    let array = expr.eval(&columns(), 4).unwrap_or_else(|error| panic!("{source}: {error}"));
    assert_eq!(array.data_type(), &expr.ty().arrow(), "{source}");
    let show = |row: usize| match expr.ty() {
        Type::Bool => array.as_boolean().value(row).to_string(),
        Type::Int => array.as_primitive::<Int64Type>().value(row).to_string(),
        Type::Double => array.as_primitive::<Float64Type>().value(row).to_string(),
        Type::Text => format!("'{}'", array.as_string::<i32>().value(row)),
        Type::Timestamp => format!("@{}", array.as_primitive::<TimestampMillisecondType>().value(row)),
        Type::Duration => format!("{}ms", array.as_primitive::<DurationMillisecondType>().value(row)),
        Type::List(_) | Type::Map(_) | Type::Record(_) => format!("{:?}", array.as_list::<i32>().value(row)),
    };
    (0..4).map(|row| if array.is_null(row) { "-".to_owned() } else { show(row) }).collect::<Vec<_>>().join(" ")
}

/// Checks the values of some expressions.
#[track_caller]
#[allow(dead_code, reason = "each test uses a part")]
pub(crate) fn check(table: &[(&str, &str)]) {
    for (source, expected) in table {
        assert_eq!(values(source), *expected, "{source}");
    }
}
