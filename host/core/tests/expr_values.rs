//! The values of each operator, row by row, also for missing values; and the columns that an expression reads.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at what it did not expect")]

mod expr_rows;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef};
use assay_core::expr::{EvalError, Expr};
use assay_core::types::Type;
use expr_rows::{check, columns, scope};

#[test]
fn arithmetic_is_missing_where_it_overflows_or_divides_by_zero() {
    check(&[
        ("n + 1", "8 -6 - -"),
        ("1 + n", "8 -6 - -"),
        ("n - -1", "8 -6 - -"),
        ("n * 2", "14 -14 - -"),
        ("n / 2", "3 -3 - 4611686018427387903"),
        ("n % 4", "3 -3 - 3"),
        ("n / 0", "- - - -"),
        ("n % (n - 7)", "- -7 - 7"),
        ("-n", "-7 7 - -9223372036854775807"),
        ("-9223372036854775808 / n", "-1317624576693539401 1317624576693539401 - -1"),
        ("-9223372036854775808 / (n / 7 * -1)", "- -9223372036854775808 - 7"),
        ("x + 1.0", "2.5 -1.5 - NaN"),
        ("x * 2", "3 -5 - NaN"),
        ("2 - x", "0.5 4.5 - NaN"),
        ("x / 0.0", "inf -inf - NaN"),
        ("x % 1.0", "0.5 -0.5 - NaN"),
        ("-x", "-1.5 2.5 - NaN"),
        ("s + '!'", "'Ab!' '!' - 'Straße!'"),
        ("'<' + s + device.os", "- '<ios' - '<Straßeios'"),
        ("1 + 2 * 3", "7 7 7 7"),
        ("9223372036854775807 + 1", "- - - -"),
    ]);
}

#[test]
fn comparisons_follow_cel() {
    check(&[
        ("n > 0", "true false - true"),
        ("0 < n", "true false - true"),
        ("n >= n", "true true - true"),
        ("x == x", "true true - false"),
        ("x != x", "false false - true"),
        ("x < 0.0", "false true - false"),
        ("0.0 == -0.0", "true true true true"),
        ("n > 6.5", "true false - true"),
        ("6.5 < n", "true false - true"),
        ("x < n", "true false - false"),
        ("n == 7.0", "true false - false"),
        ("x > 1", "true false - false"),
        ("s == 'Ab'", "true false - false"),
        ("s != device.os", "- true - true"),
        ("s < 'Az'", "true true - false"),
        ("'B' > s", "true true - false"),
        ("b == true", "true false - true"),
        ("b < true", "false true - false"),
        ("t < timestamp('2000-01-01T00:00:00Z')", "false true - true"),
        ("t - t == duration('0s')", "true true - true"),
    ]);
}

#[test]
fn logic_is_three_valued() {
    check(&[
        ("b && c", "- false - false"),
        ("c && b", "- false - false"),
        ("b || c", "true - - true"),
        ("!b", "false true - false"),
        ("c && false", "false false false false"),
        ("c || true", "true true true true"),
        ("b && null", "- false - -"),
        ("b ? n : 0", "7 0 - 9223372036854775807"),
        ("b ? x : 0", "1.5 0 - NaN"),
        ("b ? s : 'none'", "'Ab' 'none' - 'Straße'"),
        ("b ? null : s", "- '' - -"),
        ("c ? 1 : 2", "- - - 2"),
        ("b ? c : b", "- false - false"),
        ("b ? t : t + duration('1ms')", "@1709214330250 @0 - @0"),
        ("true ? 1 : n", "1 1 1 1"),
    ]);
}

#[test]
fn presence_is_never_missing() {
    check(&[
        ("has(n)", "true true false true"),
        ("has(device.os)", "false true true true"),
        ("has(items)", "true true false true"),
        ("n == null", "false false true false"),
        ("null != s", "true true false true"),
        ("null == null", "true true true true"),
        ("coalesce(n, 0)", "7 -7 0 9223372036854775807"),
        ("coalesce(x, 0)", "1.5 -2.5 0 NaN"),
        ("coalesce(s, device.os)", "'Ab' '' 'android' 'Straße'"),
        ("coalesce(c, b)", "true false - false"),
        ("coalesce(null, n)", "7 -7 - 9223372036854775807"),
        ("coalesce(s, null)", "'Ab' '' - 'Straße'"),
    ]);
}

#[test]
fn membership_treats_missing_as_a_value() {
    check(&[
        ("n in [7, 8]", "true false false false"),
        ("n in []", "false false false false"),
        ("n in [null]", "false false true false"),
        ("n in [7, null]", "true false true false"),
        ("x in [1.5, 0]", "true false false false"),
        ("s in ['Ab', 'Straße']", "true false false true"),
        ("b in [false]", "false true false false"),
        ("!(s in ['Ab'])", "false true true true"),
        ("device.os in ['ios', s]", "false true false true"),
        ("s in [s, 'x']", "true true true true"),
        ("n in [n + 1]", "false false true false"),
        ("null in [n, 1]", "false false true false"),
        ("1 in [1, 2]", "true true true true"),
        ("-0.0 in [0.0]", "true true true true"),
    ]);
}

#[test]
fn a_filter_passes_only_true() {
    let passes = |source: &str| {
        let expr = Expr::compile(source, &scope()).unwrap();
        let mask = expr.filter(&columns(), 4).unwrap();
        assert_eq!(mask.null_count(), 0);
        mask.values().iter().collect::<Vec<_>>()
    };
    assert_eq!(passes("n > 0"), [true, false, false, true]);
    assert_eq!(passes("true"), [true; 4]);
    assert_eq!(passes("null == 1 || c"), [false; 4]);
    let not_bool = Expr::compile("n", &scope()).unwrap().filter(&columns(), 4);
    assert_eq!(not_bool, Err(EvalError::NotAFilter(Type::Int)));
}

#[test]
fn slices_and_empty_batches_are_evaluated() {
    let whole = columns();
    let sliced: Vec<ArrayRef> = whole.iter().map(|array| array.slice(1, 3)).collect();
    for source in ["n + 1", "x < 0.0", "s == 'Ab'", "lower(s)", "s + s", "b && c", "b ? n : 0", "s in ['Ab']", "t - t"]
    {
        let expr = Expr::compile(source, &scope()).unwrap();
        let expected = expr.eval(&whole, 4).unwrap().slice(1, 3);
        assert_eq!(&expr.eval(&sliced, 3).unwrap(), &expected, "{source}");
        let none: Vec<ArrayRef> = whole.iter().map(|array| array.slice(0, 0)).collect();
        assert_eq!(expr.eval(&none, 0).unwrap().len(), 0, "{source}");
    }
}

#[test]
fn a_compiled_expression_names_the_columns_that_it_reads() {
    let expr = Expr::compile("x > 1.0 && device.os != 'x' || x < 0.0", &scope()).unwrap();
    assert_eq!(expr.columns(), [1, 5]);
    assert_eq!(expr.ty(), &Type::Bool);
    let paths =
        Expr::paths("views.card.spent > amount && has(device.os) && name.startsWith(views.card.spent)").unwrap();
    assert_eq!(paths, ["views.card.spent", "amount", "device.os", "name"]);
}

#[test]
fn an_expression_of_an_expected_type_takes_int_literals_and_null() {
    let compile = |source: &str, ty: &Type| Expr::compile_as(source, &scope(), ty);
    let half = compile("1", &Type::Double).unwrap().eval(&columns(), 2).unwrap();
    assert_eq!(half.as_primitive::<Float64Type>().values(), &[1.0, 1.0]);
    let none = compile("null", &Type::Text).unwrap().eval(&columns(), 2).unwrap();
    assert_eq!((none.null_count(), none.data_type()), (2, &Type::Text.arrow()));
    let error = compile("n", &Type::Double).unwrap_err();
    assert_eq!(error.message, "expected double, found int; write double(...)");
}

#[test]
fn wrong_columns_are_errors_not_panics() {
    let expr = Expr::compile("x > 1.0", &scope()).unwrap();
    let error = |columns: &[ArrayRef], rows| expr.eval(columns, rows).unwrap_err().to_string();
    assert_eq!(error(&[], 4), "the expression reads column 1, but there are only 0");
    assert_eq!(error(&columns(), 5), "column 1 has 4 rows, expected 5");
    let mut swapped = columns();
    swapped.swap(0, 1);
    assert_eq!(error(&swapped, 4), "column 1 is Int64, expected double");
}
