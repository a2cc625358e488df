//! Concatenation of lists, their items, and their sizes.

use super::Case;

pub(crate) const CASES: &[Case] = &[
    ("[0, 1, 2]+[3, 4, 5]==[0, 1, 2, 3, 4, 5]", "true"),
    ("[0, 1, 2]+[3, 4, 5]==[3, 4, 5, 0, 1, 2]", "false"),
    ("[2]+[2]==[2, 2]", "true"),
    ("none + [1] == [1]", "true"),
    ("[1] + none + none", "[1]"),
    ("[7, 8, 9][0]", "7"),
    ("[7, 8, 9][2]", "9"),
    ("[7, 8, 9][-1]", "-"),
    ("['a', 'b'][1]", "'b'"),
    ("[x][0] == 123", "true"),
    ("size([1, 2, 3, 4])", "4"),
    ("size(none)", "0"),
    ("[1, 2].size()", "2"),
    ("1 in [] + [1]", "refused: a list without a value has no type"),
    ("2 in [1, 2] + none", "true"),
    ("x in [x]", "true"),
];
