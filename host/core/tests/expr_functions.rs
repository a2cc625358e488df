//! The values of each function and conversion, row by row, also for missing values.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at what it did not expect")]

mod expr_rows;

use expr_rows::check;

#[test]
fn conversions_are_missing_where_there_is_no_counterpart() {
    check(&[
        ("int(x)", "1 -2 - -"),
        ("int(9223372036854775807.0)", "- - - -"),
        ("int(-9223372036854775808.0)", "- - - -"),
        ("int('12') + int(n)", "19 5 - -"),
        ("int(s)", "- - - -"),
        ("int(t)", "1709214330 -1 - 0"),
        ("double(n)", "7 -7 - 9223372036854776000"),
        ("double('2.5')", "2.5 2.5 2.5 2.5"),
        ("double(s)", "- - - -"),
        ("string(n)", "'7' '-7' - '9223372036854775807'"),
        ("string(x)", "'1.5' '-2.5' - 'NaN'"),
        ("string(b)", "'true' 'false' - 'true'"),
        ("string(s)", "'Ab' '' - 'Straße'"),
        ("bool('true') && bool('t') && !bool('0')", "true true true true"),
        ("bool(s)", "- - - -"),
        ("timestamp(n)", "@7000 @-7000 - -"),
        ("timestamp(s)", "- - - -"),
    ]);
}

#[test]
fn functions_of_texts_give_values_per_row() {
    check(&[
        ("size(s)", "2 0 - 6"),
        ("s.size()", "2 0 - 6"),
        ("size(items)", "2 0 - 1"),
        ("s.contains('b')", "true false - false"),
        ("s.startsWith('Str')", "false false - true"),
        ("s.endsWith('')", "true true - true"),
        ("s.matches('^[A-Z].$')", "true false - false"),
        ("matches(s, r'\\w+ß')", "false false - true"),
        ("lower(s)", "'ab' '' - 'straße'"),
        ("s.upper()", "'AB' '' - 'STRASSE'"),
        ("upper(device.os)", "- 'IOS' 'ANDROID' 'IOS'"),
        ("hash(s) == hash('Ab')", "true false - false"),
        ("hash('')", "3244421341483603138 3244421341483603138 3244421341483603138 3244421341483603138"),
    ]);
}

#[test]
fn functions_of_numbers_give_values_per_row() {
    check(&[
        ("abs(n)", "7 7 - 9223372036854775807"),
        ("abs(-9223372036854775808)", "- - - -"),
        ("abs(x)", "1.5 2.5 - NaN"),
        ("floor(x)", "1 -3 - NaN"),
        ("ceil(x)", "2 -2 - NaN"),
        ("round(x)", "2 -3 - NaN"),
        ("sqrt(4)", "2 2 2 2"),
        ("exp(0) + log(1)", "1 1 1 1"),
        ("min(n, 3)", "3 -7 - 3"),
        ("max(x, 0)", "1.5 0 - NaN"),
        ("min(t, t) == max(t, t)", "true true - true"),
        ("grid(x, 0.5)", "1.5 -2.5 - NaN"),
        ("grid(x, 2)", "0 -4 - NaN"),
        // Berlin to Paris, and half of the earth's circumference.
        ("round(haversine(52.52, 13.405, 48.8566, 2.3522))", "877 877 877 877"),
        ("round(haversine(0, 0, 0, 180))", "20015 20015 20015 20015"),
        ("haversine(x, x, x, x)", "0 0 - NaN"),
        // Cells with the names of H3's own tools. Without a place the cell is missing.
        ("h3(37.3615593, -122.0553238, 7)", "'87283472bffffff' '87283472bffffff' '87283472bffffff' '87283472bffffff'"),
        ("h3(x, x, 0)", "'8075fffffffffff' '8075fffffffffff' - -"),
        ("h3(90.1, 0, 5)", "- - - -"),
        ("h3(0, -180.5, 5)", "- - - -"),
        ("h3(0, 0, 16)", "- - - -"),
        ("h3(0, 0, n - 8)", "- - - -"),
    ]);
}

#[test]
fn functions_of_time_give_values_per_row() {
    check(&[
        ("hour(t)", "13 23 - 0"),
        ("day(t)", "29 31 - 1"),
        ("month(t)", "2 12 - 1"),
        ("t.getFullYear()", "2024 1969 - 1970"),
        ("t.getMonth()", "1 11 - 0"),
        ("t.getDate()", "29 31 - 1"),
        ("t.getDayOfMonth()", "28 30 - 0"),
        ("t.getDayOfYear()", "59 364 - 0"),
        ("t.getDayOfWeek()", "4 3 - 4"),
        ("t.getHours() * 60 + t.getMinutes()", "825 1439 - 0"),
        ("t.getSeconds()", "30 59 - 0"),
        ("t.getMilliseconds()", "250 999 - 0"),
        ("t.getHours('Asia/Kathmandu') * 60 + getMinutes(t, 'Asia/Kathmandu')", "1170 329 - 330"),
        ("hour(t, '-01:00')", "12 22 - 23"),
        ("day(t, 'America/New_York')", "29 31 - 31"),
        ("timestamp(9223372036854775).getFullYear('Europe/Berlin')", "- - - -"),
        ("string(t)", "'2024-02-29T13:45:30.25Z' '1969-12-31T23:59:59.999Z' - '1970-01-01T00:00:00Z'"),
        ("string(t - t + duration('1500ms'))", "'1.5s' '1.5s' - '1.5s'"),
        ("string(duration('-50ms'))", "'-0.05s' '-0.05s' '-0.05s' '-0.05s'"),
        ("t - timestamp('2024-02-29T00:00:00Z')", "49530250ms -1709164800001ms - -1709164800000ms"),
        ("t + duration('1h30m')", "@1709219730250 @5399999 - @5400000"),
        ("duration('1s') + t - duration('1s') == t", "true true - true"),
        ("(t - t + duration('90m')).getHours()", "1 1 - 1"),
        ("duration('90m').getMinutes()", "90 90 90 90"),
        ("duration('1500ms').getSeconds()", "1 1 1 1"),
        ("duration('1500ms').getMilliseconds()", "500 500 500 500"),
        ("-duration('1s')", "-1000ms -1000ms -1000ms -1000ms"),
        ("timestamp('2024-02-29T14:45:30.2509+01:00')", "@1709214330250 @1709214330250 @1709214330250 @1709214330250"),
        ("timestamp('1969-12-31T23:59:59.9999Z')", "@-1 @-1 @-1 @-1"),
        ("t + duration('2562047788015h')", "- @9223372036853999999 - @9223372036854000000"),
    ]);
}
