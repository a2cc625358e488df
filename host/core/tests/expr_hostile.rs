//! No source and no row makes an expression panic, overflow the stack, or fail during evaluation.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at what it did not expect")]

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, ListArray, StringArray, StructArray, TimestampMillisecondArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field};
use assay_core::expr::{Columns, Expr};
use assay_core::types::Type;
use proptest::prelude::*;

const TOKENS: &[&str] = &[
    "n",
    "x",
    "s",
    "t",
    "device.os",
    "null",
    "true",
    "1",
    "-1",
    "0",
    "2.5",
    "9223372036854775807",
    "'a'",
    "\"é\"",
    "r'\\'",
    "+",
    "-",
    "*",
    "/",
    "%",
    "<",
    "<=",
    ">",
    ">=",
    "==",
    "!=",
    "&&",
    "||",
    "!",
    "?",
    ":",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    " in ",
    "in",
    "in[",
    "in'",
    "in\"",
    "in\u{e9}",
    "1in",
    "1r\"",
    "r\"",
    "R'",
    "`in`",
    ".`a",
    "?.5:",
    "+1.0",
    "has(",
    "coalesce(",
    "size(",
    "int(",
    "double(",
    "string(",
    "matches(",
    "duration(",
    "timestamp(",
    "duration('1h')",
    "haversine(",
    "grid(",
    "lower(",
    ".contains(",
    ".size()",
    "hour(t)",
    "abs(",
    "min(",
    "l",
    "k",
    "p",
    "m",
    "p[0].x",
    "m.a",
    "[1, 2]",
    ".exists(",
    "l.all(n, ",
    "p.map(e, e.x",
    ".filter(e, e",
    "k.exists_one(e, e == ",
    "e",
    "split(s, ",
    ".join()",
    "sum(",
    ".replace(",
    ".substring(",
    "h3(x, x, n)",
    "'",
    "\"",
    "\\",
    "#",
    "é",
    "\n",
    "//",
    "\u{0}",
    "`a`",
    ".?",
    "1u",
    "b'a'",
    "if",
    "0x",
    "1e",
    "..",
];

fn source() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}",
        "[-+*/%<>=!&|?:.,()a-z0-9 '\"\\[\\]{}\\\\]{0,60}",
        prop::collection::vec(prop::sample::select(TOKENS), 0..24).prop_map(|tokens| tokens.concat()),
        prop::collection::vec(prop::sample::select(TOKENS), 0..12).prop_map(|tokens| tokens.join(" ")),
    ]
}

fn scope() -> Columns {
    Columns::new([
        ("n", Type::Int),
        ("x", Type::Double),
        ("s", Type::Text),
        ("t", Type::Timestamp),
        ("device.os", Type::Text),
        ("l", list(Type::Int)),
        ("k", list(Type::Text)),
        ("p", list(Type::Record([("x".to_owned(), Type::Double)].into()))),
        ("m", Type::Map(Box::new(Type::Int))),
    ])
}

fn list(item: Type) -> Type {
    Type::List(Box::new(item))
}

fn columns() -> Vec<ArrayRef> {
    let texts = StringArray::from(vec![Some("a\u{1f600}"), None, Some("")]);
    let doubles = Float64Array::from(vec![Some(f64::INFINITY), Some(-0.0), None]);
    let keys = StringArray::from(vec!["a", "a", ""]);
    vec![
        Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
        Arc::new(Float64Array::from(vec![Some(f64::NAN), None, Some(f64::MAX)])),
        Arc::new(texts.clone()),
        Arc::new(TimestampMillisecondArray::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
        Arc::new(texts.clone()),
        listed(Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(0)]))),
        listed(Arc::new(texts.clone())),
        structs(&list(Type::Record([("x".to_owned(), Type::Double)].into())), vec![Arc::new(doubles)]),
        structs(&Type::Map(Box::new(Type::Int)), vec![Arc::new(keys), Arc::new(Int64Array::from(vec![1, 2, 3]))]),
    ]
}

/// Three lists: one of two items, none, and one of the third.
fn listed(items: ArrayRef) -> ArrayRef {
    let nulls = NullBuffer::from(vec![true, false, true]);
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    Arc::new(ListArray::new(field, OffsetBuffer::from_lengths([2, 0, 1]), items, Some(nulls)))
}

fn structs(ty: &Type, parts: Vec<ArrayRef>) -> ArrayRef {
    let DataType::List(item) = ty.arrow() else { panic!("{ty} is no list") };
    let DataType::Struct(fields) = item.data_type() else { panic!("{ty} has no parts") };
    listed(Arc::new(StructArray::new(fields.clone(), parts, None)))
}

/// Compiles a source and evaluates the result. Checks that the place of an error is within the source.
fn compile_and_eval(source: &str) -> Result<(), TestCaseError> {
    let _ = Expr::paths(source);
    match Expr::compile(source, &scope()) {
        Ok(expr) => {
            let array = expr.eval(&columns(), 3).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(array.len(), 3);
            prop_assert_eq!(array.data_type(), &expr.ty().arrow());
        }
        Err(error) => {
            prop_assert!(
                error.line >= 1 && error.line <= source.split('\n').count().max(1),
                "{:?} {:?}",
                source,
                error
            );
            let characters = error.source_line.chars().count();
            prop_assert!(error.column >= 1 && error.column <= characters + 2, "{:?} {:?}", source, error);
            prop_assert_eq!(error.to_string().lines().count(), 3, "{:?}", error);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn any_source_compiles_or_errs(source in source()) {
        compile_and_eval(&source)?;
    }

    #[test]
    fn any_source_in_deep_brackets_compiles_or_errs(source in source(), depth in 0..70_usize) {
        compile_and_eval(&format!("{}{source}{}", "(".repeat(depth), ")".repeat(depth)))?;
    }
}

/// Runs a test in a thread with half of the usual stack.
fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

/// Long repetitions of one part, which may hide code from the limits, cause no deep recursion.
#[test]
fn repeated_tokens_do_not_overflow_the_stack() {
    let parts = [
        "+1.0",
        "-1",
        "*n",
        "/n",
        "%n",
        " in [n]",
        " in n",
        "in[1]",
        "1in",
        "==n",
        "!=n",
        "<n",
        "&&n",
        "||n",
        "?n:n",
        "?n:",
        ".a",
        ".a()",
        "[0]",
        "()",
        "(",
        "[",
        "{",
        "{1:",
        "f(",
        "a.f(",
        "!",
        "-",
        "!-",
        ")",
        "]",
        "}",
        ",",
        ",n",
        "'",
        "\"",
        "r'",
        "`",
        "`a`.",
        ".`a`",
        "l.map(n, ",
        ".map(n, n)",
        "has(",
        "size(",
        "// \n",
        "\u{e9}",
        "not ",
        "n ",
        "1 ",
        "'a' ",
        "\\",
        "1.",
        "0x",
    ];
    // Each opens a text for one lexer and closes it for another.
    let begins =
        ["", "n", "n in\"\".split('x')||n", "s in'x'+'", "1r\"\\\"", "n in\u{e9}", "R'\\'+n", "// '\n", "s.a`'`"];
    on_small_stack(move || {
        for begin in begins {
            for part in parts {
                for length in [10, 300, 900, 5000, 65_536] {
                    let source = format!("{begin}{}", part.repeat((length - begin.len().min(length)) / part.len()));
                    compile_and_eval(&source).unwrap();
                    compile_and_eval(&format!("{source}n||card in\"in\".split('x')")).unwrap();
                }
            }
        }
    });
}

#[test]
fn keywords_end_at_their_own_last_character() {
    for source in ["s in[\"DE\"]", "s in['a','b']", "s in k", "n in[1]&&s in[\"in\"]", "1in[1]", "s in(k)"] {
        assert!(Expr::compile(source, &scope()).is_ok(), "{source}: {:?}", Expr::compile(source, &scope()).err());
    }
    for source in ["s in\u{e9}", "in", "in\u{1f600}[", "s in", "s in\"", "s in[\"DE\"", "inn"] {
        assert!(Expr::compile(source, &scope()).is_err(), "{source}");
    }
    let hidden = format!("s in\"\".split('x')||n{}>0.0||s in\"in\".split('x')", "+1.0".repeat(900));
    let error = Expr::compile(&hidden, &scope()).unwrap_err();
    assert!(error.message.contains("operators in one chain"), "{error}");
}

/// The deepest nesting within the limits, in a thread with half of the usual stack.
#[test]
fn the_limits_protect_the_stack() {
    let sources = [
        format!("{}n{}", "(1 + ".repeat(64), ")".repeat(64)),
        format!("{}n{}", "(1 + 1 + 1 + 1 + ".repeat(64), ")".repeat(64)),
        format!("{}n{}", "abs(".repeat(64), ")".repeat(64)),
        format!("{}1{}", "[".repeat(64), "]".repeat(64)),
        format!("{}1{}", "{1: ".repeat(64), "}".repeat(64)),
        format!("{}n{}{}", "(".repeat(64), ")".repeat(64), " + n".repeat(250)),
        format!("{}n{}", "-(".repeat(64), ")".repeat(64)),
        format!("{}n", "n > 1 ? 1 : ".repeat(80)),
        format!("n{}", ".a".repeat(256)),
        format!("s{} > 1", ".lower()".repeat(120)),
        format!("{}n", "-".repeat(250)),
        format!("{}{}", "(n +".repeat(64), "n".repeat(3000)),
        format!("{}n{}", "n in [".repeat(64), "]".repeat(64)),
        format!("{}n{}", "timestamp(".repeat(64), ")".repeat(64)),
        format!("{}n{}", "size(".repeat(64), ")".repeat(64)),
        format!("l{} == l", ".filter(e, e > n)".repeat(120)),
        format!("{}l{}", "l.map(e, size(".repeat(4), "))".repeat(4)),
        format!("l{}", " + l".repeat(250)),
        format!("{}n in [n]{}", "(".repeat(60), ") in [n > 0]".repeat(60)),
        format!("{}true{}", "l.exists(e, ".repeat(64), ")".repeat(64)),
        format!("{}n > 1{}", "n > 1 && n > 1 || (".repeat(63), ")".repeat(63)),
        format!("{}n > 1{}", "(n > 1 && n > 1 && n > 1 && n > 1 && n > 1 && ".repeat(63), ")".repeat(63)),
    ];
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        for source in &sources {
            compile_and_eval(source).unwrap();
        }
    });
    thread.unwrap().join().unwrap();
}

/// A text that is doubled repeatedly becomes missing and does not exhaust the memory.
#[test]
fn texts_above_the_limit_become_missing() {
    let mut scope_source = "s".to_owned();
    for _ in 0..40 {
        scope_source = format!("{scope_source} + s");
    }
    let expr = Expr::compile(&scope_source, &scope()).unwrap();
    let long: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(2000)]));
    let fits: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1000)]));
    let eval = |text: ArrayRef| {
        let unread: ArrayRef = Arc::new(Int64Array::from(vec![0]));
        expr.eval(&[unread.clone(), unread, text], 1).unwrap()
    };
    assert!(eval(long).is_null(0));
    assert!(eval(fits).is_valid(0));
}
