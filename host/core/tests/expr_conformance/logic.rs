//! Bools: and, or, not, and the choice between two values.

use super::Case;

pub(crate) const CASES: &[Case] = &[
    ("true ? 1 : 2", "1"),
    ("false ? 'foo' : 'bar'", "'bar'"),
    ("true && true", "true"),
    ("false && false", "false"),
    ("false && true", "false"),
    ("true && false", "false"),
    ("false && (2 / 0 > 3 ? false : true)", "false"),
    ("(2 / 0 > 3 ? false : true) && false", "false"),
    ("true && 1/0 != 0", "-"),
    ("1/0 != 0 && true", "-"),
    ("true || true", "true"),
    ("false || false", "false"),
    ("false || true", "true"),
    ("true || false", "true"),
    ("true || (2 / 0 > 3 ? false : true)", "true"),
    ("(2 / 0 > 3 ? false : true) || true", "true"),
    ("false || 1/0 != 0", "-"),
    ("1/0 != 0 || false", "-"),
    ("!true", "false"),
    ("!false", "true"),
    ("!!true", "true"),
    ("true ? 1 : 1 / 0", "1"),
    ("true || false && false", "true"),
    ("(true || false) && false", "false"),
    ("false ? 1 : false ? 2 : 3", "3"),
    ("'less filling' && 'tastes great'", "refused: expected bool, found string"),
];
