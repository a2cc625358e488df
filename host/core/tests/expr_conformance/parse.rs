//! Parsing: precedence, spaces, comments, brackets.

use super::Case;

pub(crate) const CASES: &[Case] = &[
    ("1 + 2 == 3 && 2 * 3 == 6 || false", "true"),
    ("!false && !(true && false)", "true"),
    ("-x + 1", "-122"),
    ("- 1", "-1"),
    ("((((x))))", "123"),
    ("[1, 2, ]", "[1, 2]"),
    ("1 +\n 2", "3"),
    ("1 + // one\n 2", "3"),
    ("\t7\r\n", "7"),
    ("x in [1, 123] ? 'a' : 'b'", "'a'"),
    ("1 < 2 == true", "true"),
    ("'a' + 'b' in ['ab']", "true"),
    ("true ? (false ? 1 : 2) : 3", "2"),
    ("-(-(-1))", "-1"),
    ("x.size", "refused: unknown name 'x.size'"),
    ("while", "refused: 'while' is a reserved word"),
    ("1 = 1", "refused: '=' is no operator"),
    ("(1", "refused: this bracket is never closed"),
    ("1 +", "refused: the expression ends too early"),
    ("'\\q'", "refused: unknown escape"),
];
