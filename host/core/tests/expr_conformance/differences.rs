//! Cases whose result differs from the specification's on purpose.

use super::Case;

pub(crate) const CASES: &[Case] = &[
    // Evaluation never fails: where the specification has an error, the value is missing here.
    ("1 / 0", "-"),
    ("1 % 0", "-"),
    ("9223372036854775807 + 1", "-"),
    ("-9223372036854775808 - 1", "-"),
    ("9223372036854775807 * 2", "-"),
    ("-(-9223372036854775808)", "-"),
    ("2 / 0 > 4 ? 'baz' : 'quux'", "-"),
    ("[1, 2, 3][3]", "-"),
    ("m['absent']", "-"),
    ("m.absent", "-"),
    ("'tacocat'.charAt(30)", "-"),
    ("'tacocat'.indexOf('a', 30)", "-"),
    ("'tacocat'.lastIndexOf('a', -1)", "-"),
    ("'tacocat'.substring(40)", "-"),
    ("'tacocat'.substring(-1)", "-"),
    ("'tacocat'.substring(3, 1)", "-"),
    ("[1, 2, 3].exists(e, e / 0 == 17)", "-"),
    ("[1, 2, 3].all(e, e / 0 != 17)", "-"),
    ("[3, 2, 1, 0].exists_one(n, 12 / n > 1)", "-"),
    // An item whose body has no value is missing in map(), and does not pass filter().
    ("[2, 1, 0].map(n, 4 / n)", "[2, 4, -]"),
    ("[3, 2, 1, 0].filter(n, 12 / n > 4)", "[2, 1]"),
    // A comparison with a missing value is missing; null is the literal for a missing value.
    ("absent == 1", "-"),
    ("absent != 1", "-"),
    ("absent == null", "true"),
    ("absent in [1, null]", "true"),
    ("absent in [1]", "false"),
    ("size(absent)", "refused: size(): expected string, found int"),
    // Doubles have a remainder, and division by zero follows IEEE 754.
    ("47.5 % 5.5", "3.5"),
    ("15.75 / 0.0", "inf"),
    // Mixed types are refused at upload and not at run time.
    ("true ? 'cows' : 17", "refused: the values must have one type"),
    ("'cows' ? false : true", "refused: expected bool, found string"),
    ("false && 32", "refused: expected bool, found int"),
    ("'horses' || true", "refused: expected bool, found string"),
    ("[1, 'foo', 3].exists(e, e != '1')", "refused: expected int, found string"),
    ("x + 1.5", "refused: '+' does not take int and double"),
    ("{'a': 1}", "refused: maps cannot be written"),
    ("[[1]]", "refused: lists of lists"),
    ("[]", "refused: a list without a value has no type"),
    ("1u", "refused: unsigned ints are not supported"),
    ("uint(1)", "refused: uint() is not supported"),
    ("b'abc'", "refused: bytes are not supported"),
    ("bytes('abc')", "refused: bytes() is not supported"),
    ("type(1)", "refused: type() is not supported"),
    ("dyn(1)", "refused: dyn() is not supported"),
    ("'%d'.format([1])", "refused: format() is not supported"),
    ("duration('1d')", "86400000ms"),
    ("'''abc'''", "refused: texts in triple quotes"),
    ("m.filter(k, true)", "refused: filter() of a map is not supported"),
    // An int literal is a double where one is needed.
    ("1.5 + 1", "2.5"),
    ("true ? 1.5 : 1", "1.5"),
    // Times have a precision of milliseconds and the range of 64 bits of them.
    ("string(timestamp('9999-12-30T21:00:00.999999999Z'))", "'9999-12-30T21:00:00.999Z'"),
    ("timestamp('0000-01-01T00:00:00Z')", "@-62167219200000"),
    ("timestamp('9999-12-30T00:00:00Z') + duration('7d')", "@253402732800000"),
    ("duration('320000000000s')", "320000000000000ms"),
    ("timestamp('10000-01-01T00:00:00Z')", "refused: '10000-01-01T00:00:00Z' is no time"),
    // lower and upper know all letters; lowerAscii and upperAscii are those of the specification.
    ("lower('TacoCÆt')", "'tacocæt'"),
];
