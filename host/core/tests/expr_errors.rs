//! Every mistake is named with its place, and with advice where there is one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

use assay_core::expr::{Columns, Expr, ExprError, LONGEST_CHAIN};
use assay_core::types::Type;

fn error(source: &str) -> ExprError {
    let scope = Columns::new([
        ("amount", Type::Double),
        ("count", Type::Int),
        ("country", Type::Text),
        ("time", Type::Timestamp),
        ("device.os", Type::Text),
        ("device.id", Type::Text),
        ("flag", Type::Bool),
        ("items", Type::List(Box::new(Type::Int))),
    ]);
    match Expr::compile(source, &scope) {
        Ok(expr) => panic!("{source} compiles to {expr:?}"),
        Err(error) => error,
    }
}

#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (source, expected) in table {
        let error = error(source);
        assert_eq!(format!("{}:{}: {}", error.line, error.column, error.message), *expected, "{source}");
    }
}

#[test]
fn the_display_form_marks_the_place() {
    let shown = |source: &str| format!("\n{}", error(source));
    assert_eq!(
        shown("flag && amout > 0.0"),
        "
1:9: unknown name 'amout'; did you mean 'amount'?
  flag && amout > 0.0
          ^^^^^"
    );
    assert_eq!(
        shown("flag\n\t&& amount"),
        "
2:5: expected bool, found double
   && amount
      ^^^^^^"
    );
    assert_eq!(
        shown("'é' + country == 'ü' && device.is == ''"),
        "
1:25: unknown name 'device.is'; did you mean 'device.id'?
  'é' + country == 'ü' && device.is == ''
                          ^^^^^^^^^"
    );
    let long = format!("{} amout", "flag && ".repeat(40));
    let marker = error(&long).to_string();
    let lines: Vec<&str> = marker.lines().collect();
    assert_eq!(lines[1].find("amout"), lines[2].find('^'));
    assert!(lines[1].len() <= 122);
}

#[test]
fn names() {
    check(&[
        (
            "price > 1",
            "1:1: unknown name 'price'; known are amount, count, country, device.id, device.os, flag, items, time",
        ),
        ("device == 'x'", "1:1: unknown name 'device'; it is a record with id, os"),
        ("has(device.so)", "1:5: unknown name 'device.so'; did you mean 'device.os'?"),
        ("lower(country).size", "1:1: only a name has fields"),
    ]);
}

#[test]
fn types() {
    check(&[
        ("amount + count", "1:8: '+' does not take double and int; write double(...) around the int"),
        ("amount + country", "1:8: '+' does not take double and string; write string(...) around the other"),
        ("-flag", "1:1: '-' does not take bool"),
        ("!amount", "1:1: '!' does not take double"),
        ("amount && flag", "1:1: expected bool, found double"),
        ("count == country", "1:7: '==' does not compare int with string"),
        ("count < null", "1:7: '<' does not compare int with null"),
        ("items < items", "1:7: '<' does not compare list(int) with list(int)"),
        ("time - 5", "1:6: '-' does not take timestamp and int"),
        (
            "flag ? amount : count",
            "1:1: the values must have one type, found double and int; write double(...) around the int",
        ),
        ("flag ? 'a' : 1", "1:1: the values must have one type, found string and int"),
        ("coalesce(items, null)", "1:1: choosing between values of type list(int) is not supported"),
        ("count in [1, 'a']", "1:14: expected int, found string"),
        ("count in [1, 1.5]", "1:14: expected int, found double; write int(...)"),
        ("count in amount", "1:7: 'in' does not look into double"),
        ("[1, 'a']", "1:5: expected int, found string"),
        ("{'a': 1}", "1:1: maps cannot be written"),
        ("items['a']", "1:7: expected int, found string"),
        ("null", "1:1: null alone has no type"),
        (
            "amount > 9007199254740993 + amount",
            "1:27: '+' does not take int and double; write double(...) around the int",
        ),
        ("1u", "1:1: unsigned ints are not supported; drop the 'u'"),
        ("b'a'", "1:1: bytes are not supported; write a string"),
    ]);
}

#[test]
fn functions() {
    let functions = "abs, all, bool, ceil, charAt, coalesce, contains, day, double, duration, endsWith, exists, \
         exists_one, exp, filter, floor, getDate, getDayOfMonth, getDayOfWeek, getDayOfYear, getFullYear, \
         getHours, getMilliseconds, getMinutes, getMonth, getSeconds, grid, h3, has, hash, haversine, hour, \
         indexOf, int, join, lastIndexOf, log, lower, lowerAscii, map, matches, max, min, month, replace, \
         reverse, round, size, split, sqrt, startsWith, string, substring, sum, timestamp, trim, upper, \
         upperAscii";
    check(&[
        (
            "1 < flor(amount)",
            &format!("1:5: unknown function 'flor'; did you mean 'floor'? The functions are {functions}"),
        ),
        ("frobnicate()", &format!("1:1: unknown function 'frobnicate'; the functions are {functions}")),
        ("country.format([1])", &format!("1:9: format() is not supported; the functions are {functions}")),
        ("substring(country)", "1:1: substring() takes 2 or 3 arguments, found 1"),
        ("items.exists(i, i)", "1:17: expected bool, found int"),
        ("floor(count)", "1:7: floor(): expected double, found int; write double(...)"),
        ("floor()", "1:1: floor() takes 1 argument, found 0"),
        ("country.contains()", "1:9: contains() takes 2 arguments, found 1"),
        (
            "min(amount, country)",
            "1:1: min() does not take (double, string); it takes (int, int) or (double, double) or (timestamp, timestamp) or (duration, duration)",
        ),
        ("lower(null)", "1:7: null has no type here; test with == null, or replace with coalesce()"),
        ("has(1)", "1:5: has() takes a name such as device.os, or an item such as list[0]"),
        ("has()", "1:1: has() takes 1 argument, found 0"),
        ("coalesce(1)", "1:1: coalesce() takes 2 arguments, found 1"),
        ("country.matches(country)", "1:17: the pattern of matches() must be a constant string"),
        ("country.matches('(')", "1:17: this is no regular expression: unclosed group"),
        (
            "country.matches('(a{1000}){1000}')",
            "1:17: this is no regular expression: Compiled regex exceeds size limit of 1048576 bytes.",
        ),
        ("time > timestamp('today')", "1:18: 'today' is no time; write one as \"2025-01-31T12:00:00Z\""),
        (
            "duration('1 hour') > duration('1h')",
            "1:10: '1 hour' is no duration; write one as \"1h30m\", \"90s\" or \"250ms\"",
        ),
        ("duration(country)", "1:10: duration() takes a constant string such as \"1h30m\""),
        (
            "time.getHours('Europe/Berlan')",
            "1:15: 'Europe/Berlan' is no time zone; write one as \"Europe/Berlin\" or \"+02:00\"",
        ),
        ("time.getHours(country)", "1:15: the time zone must be a constant string such as \"Europe/Berlin\""),
    ]);
}

#[test]
fn syntax() {
    check(&[
        ("", "1:1: the expression is empty"),
        (" \n ", "1:1: the expression is empty"),
        ("amount >", "1:9: the expression ends too early"),
        ("amount > > 1", "1:10: unexpected '>'"),
        ("flag and flag", "1:6: unexpected 'and'; write '&&'"),
        ("amount = 1", "1:8: '=' is no operator; to compare, write '=='"),
        ("flag & flag", "1:6: '&' is no operator; write '&&'"),
        ("flag | flag", "1:6: '|' is no operator; write '||'"),
        ("flag # flag", "1:6: unexpected character '#'"),
        ("prix€ > 1", "1:5: unexpected character '€'"),
        ("(flag", "1:1: this bracket is never closed with ')'"),
        ("flag)", "1:5: ')' closes no bracket"),
        ("(flag]", "1:6: expected ')', found ']'"),
        ("country == 'US", "1:12: this string is never closed"),
        ("country == 'US\n'", "1:12: this string is never closed"),
        ("country == '\\q'", "1:13: unknown escape in a string; a backslash itself is written \\\\"),
        (
            "country == '''US'''",
            "1:12: texts in triple quotes are not supported; write one quote and \\n for a new line",
        ),
        ("if + 1", "1:1: 'if' is a reserved word"),
        ("count > 9223372036854775808", "1:9: this int is out of the range of 64 bits"),
        ("amount > 1e999", "1:10: this double is out of range"),
        ("flag ? 1", "1:9: the expression ends too early"),
        ("flag // a comment\n && fleg", "2:5: unknown name 'fleg'; did you mean 'flag'?"),
    ]);
}

#[test]
fn limits() {
    let deep = |depth: usize| format!("{}flag{}", "(".repeat(depth), ")".repeat(depth));
    let scope = Columns::new([("flag", Type::Bool), ("n", Type::Int)]);
    assert!(Expr::compile(&deep(64), &scope).is_ok());
    assert_eq!(error(&deep(65)).message, "nested too deeply: at most 64 brackets may be open");
    assert_eq!(error(&"(".repeat(4000)).message, "nested too deeply: at most 64 brackets may be open");

    let sum = |terms: usize| format!("n{}", " + n".repeat(terms));
    assert!(Expr::compile(&sum(LONGEST_CHAIN), &scope).is_ok());
    let message = format!("more than {LONGEST_CHAIN} operators in one chain; split the expression");
    assert_eq!(error(&sum(LONGEST_CHAIN + 1)).message, message);
    // The parser balances these, so only the length of the source limits them.
    assert!(Expr::compile(&format!("n > 1{}", " || n > 1".repeat(400)), &scope).is_ok());
    assert!(Expr::compile(&format!("n in [{}1]", "1, ".repeat(1300)), &scope).is_ok());

    let long = format!("flag {}", " ".repeat(4096));
    assert_eq!(error(&long).message, "the expression is 4101 bytes long, at most 4096 are allowed");
}
