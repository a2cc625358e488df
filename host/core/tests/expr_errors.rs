//! Every mistake has a message with its place and, where there is one, with advice.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

use assay_core::expr::{Columns, Expr, ExprError, MAX_CHAIN};
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
fn unknown_names_are_refused_with_the_known_ones() {
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
fn wrong_types_are_refused_with_the_expected_ones() {
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
fn unknown_functions_and_wrong_arguments_are_refused_with_advice() {
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
fn syntax_errors_have_a_place_and_a_message() {
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
        ("if + 1", "1:1: 'if' is a reserved word; a choice is written condition ? a : b"),
        ("count > 9223372036854775808", "1:9: this int is out of the range of 64 bits"),
        ("amount > 1e999", "1:10: this double is out of range"),
        ("flag ? 1", "1:9: the expression ends too early"),
        ("flag // a comment\n && fleg", "2:5: unknown name 'fleg'; did you mean 'flag'?"),
    ]);
}

#[test]
fn syntax_of_other_languages_gets_advice() {
    check(&[
        ("flag AND flag", "1:6: unexpected 'AND'; write '&&'"),
        ("flag OR flag", "1:6: unexpected 'OR'; write '||'"),
        ("not flag", "1:1: unexpected 'not'; write '!', as in !(a && b)"),
        ("flag && NOT flag", "1:9: unexpected 'NOT'; write '!', as in !(a && b)"),
        ("NOT(flag)", "1:1: unknown function 'NOT'; write '!'"),
        ("country not in ['DE']", "1:9: unexpected 'not in'; write !(country in [...])"),
        ("country NOT IN ('DE')", "1:9: unexpected 'NOT IN'; write !(country in [...])"),
        ("country IN ['DE']", "1:9: unexpected 'IN'; write it in small letters"),
        ("country is null", "1:9: unexpected 'is null'; write country == null"),
        ("country IS NOT NULL", "1:9: unexpected 'IS NOT NULL'; write country != null"),
        ("country is 'DE'", "1:9: unexpected 'is'; write '=='"),
        (
            "country like 'D%'",
            "1:9: unexpected 'like'; write startsWith(), endsWith(), contains() or matches(), as in name.startsWith(\"a\")",
        ),
        ("country not like 'D%'", "1:9: unexpected 'not like'; write !(...) around the opposite"),
        ("count between 1 and 5", "1:7: unexpected 'between'; write x >= low && x <= high"),
        ("count <> 1", "1:7: '<>' is no operator; write '!='"),
        ("count === 1", "1:7: '===' is no operator; to compare, write '=='"),
        ("count ** 2", "1:7: '**' is no operator; there are no powers: multiply, as in x * x"),
        ("count ?? 2", "1:7: '??' is no operator; write coalesce(a, b)"),
        ("country == 'it''s'", "1:16: a quote within a string is written \\', not ''"),
        ("count > 1_000", "1:10: unexpected '_000' in a number; digits are not grouped with '_'"),
        ("count > 5m", "1:10: unexpected 'm' in a number; a number has digits alone"),
        ("if flag then 1 else 2", "1:1: unexpected 'if'; a choice is written condition ? a : b"),
        ("country == NULL", "1:12: unknown name 'NULL'; write null, in small letters"),
        ("flag == True", "1:9: unknown name 'True'; write true, in small letters"),
        ("len(country)", "1:1: unknown function 'len'; write size()"),
        ("country == \u{201c}DE\u{201d}", "1:12: strings stand in straight quotes, \" or '"),
        ("country country", "1:9: unexpected 'country'; an operator is missing before it"),
        ("count 5", "1:7: unexpected 5; an operator is missing before it"),
        ("device.?os", "1:7: '.?' is not supported: what a missing field gives is missing, as it is; test with has()"),
    ]);
}

#[test]
fn keywords_in_backquotes_are_names() {
    let fields = ["event.in", "event.true", "event.null", "event.namespace", "views.card-spend.spent", "p.in"];
    let scope = Columns::new(fields.map(|field| (field, Type::Text)));
    for source in [
        "event.`in`",
        "event.`true`",
        "event.`null`",
        "event.`namespace`",
        "event.namespace",
        "views.`card-spend`.spent",
        "p.`in`",
        "p . `in`",
    ] {
        assert!(Expr::compile(source, &scope).is_ok(), "{source}: {:?}", Expr::compile(source, &scope));
    }
    check(&[
        (
            "event.in == 'x'",
            "1:7: 'in' is a word of the language; a field of this name is written in backquotes: .`in`",
        ),
        ("event.true", "1:7: 'true' is a word of the language; a field of this name is written in backquotes: .`true`"),
        (
            "in == 'x'",
            "1:1: 'in' needs a value before it, as in country in [\"DE\"]; a field of this name is event.`in`",
        ),
        ("`in` == 'x'", "1:1: a name in backquotes follows a dot, as in event.`in`"),
        ("namespace == 'x'", "1:1: 'namespace' is a reserved word; a field of this name is event.namespace"),
        ("device.`os", "1:8: between backquotes stands one name of letters, digits, '_' and '-', as in event.`in`"),
        ("device.`o.s`", "1:8: between backquotes stands one name of letters, digits, '_' and '-', as in event.`in`"),
    ]);
}

#[test]
fn sources_above_the_limits_are_refused() {
    let deep = |depth: usize| format!("{}flag{}", "(".repeat(depth), ")".repeat(depth));
    let scope = Columns::new([("flag", Type::Bool), ("n", Type::Int)]);
    assert!(Expr::compile(&deep(64), &scope).is_ok());
    assert_eq!(error(&deep(65)).message, "nested too deeply: at most 64 brackets may be open");
    assert_eq!(error(&"(".repeat(4000)).message, "nested too deeply: at most 64 brackets may be open");

    let sum = |terms: usize| format!("n{}", " + n".repeat(terms));
    assert!(Expr::compile(&sum(MAX_CHAIN), &scope).is_ok());
    let message = format!("more than {MAX_CHAIN} operators in one chain; split the expression");
    assert_eq!(error(&sum(MAX_CHAIN + 1)).message, message);
    // The parser balances chains of `||`, so only the length of the source limits them.
    assert!(Expr::compile(&format!("n > 1{}", " || n > 1".repeat(400)), &scope).is_ok());
    assert!(Expr::compile(&format!("n in [{}1]", "1, ".repeat(1300)), &scope).is_ok());

    let list = |entries: usize| format!("country in ['400000'{}]", ", '400007'".repeat(entries));
    assert!(Expr::compile(&list(5000), &Columns::new([("country", Type::Text)])).is_ok());
    let long = format!("flag {}", " ".repeat(65_536));
    assert_eq!(error(&long).message, "the expression is 65541 bytes long, at most 65536 are allowed");
}
