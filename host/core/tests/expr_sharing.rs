//! Equal parts of expressions are evaluated once a batch, and give what they give by themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at what it did not expect")]

mod expr_rows;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_select::filter::filter;
use assay_core::expr::{Expr, Memo, Sharing};
use expr_rows::{columns, scope};

/// The slot of `c`, which in these tests is another column for each expression.
const OWN: usize = 7;

/// Compiled expressions, and how many values they share.
fn shared(sources: &[&str]) -> (Vec<Expr>, usize) {
    let mut exprs: Vec<Expr> = sources.iter().map(|source| Expr::compile(source, &scope()).unwrap()).collect();
    let mut sharing = Sharing::new(&exprs, Some(OWN));
    exprs.iter_mut().for_each(|expr| sharing.mark(expr));
    (exprs, sharing.cells())
}

#[test]
fn what_occurs_more_than_once_is_computed_once() {
    let table: &[(&[&str], usize)] = &[
        (&["n + 1", "n + 2"], 0),
        (&["n + 1", "n + 1"], 1),
        (&["n + 1 > 3", "(n + 1) * 2", "x > 0.0"], 1),
        (&["lower(s) == 'ab'", "lower(s) == 'x'", "size(lower(s))"], 1),
        // The whole twice, and a part of it once more.
        (&["lower(s) == 'ab'", "lower(s) == 'ab'", "lower(s)"], 2),
        (&["(n + 1) * (n + 1)"], 1),
        (&["s.matches('^A')", "s.matches('^A') && b", "s.matches('^B')"], 1),
        (&["s in ['a', 'b']", "b || s in ['a', 'b']"], 1),
        (&["items.exists(i, i > 1)", "items.exists(j, j > 1) && b"], 1),
        (&["items.exists(i, i > size(s))", "size(s)"], 1),
        (&["items.filter(i, i > 1).size()", "sum(items.filter(i, i > 1))"], 1),
        (&["min(n, 3)", "max(n, 3)"], 0),
        // Its column differs, so it is not the same.
        (&["!c", "!c", "c && b"], 0),
    ];
    for (sources, cells) in table {
        let (exprs, found) = shared(sources);
        let memo = Memo::new(found);
        for (source, expr) in sources.iter().zip(&exprs) {
            let alone = Expr::compile(source, &scope()).unwrap().eval(&columns(), 4).unwrap();
            assert_eq!(&expr.eval_with(&columns(), 4, Some(&memo)).unwrap(), &alone, "{source} of {sources:?}");
            assert_eq!(&expr.eval(&columns(), 4).unwrap(), &alone, "{source} without a memo");
        }
        assert_eq!((found, memo.computed()), (*cells, *cells), "{sources:?}");
    }
}

#[test]
fn some_rows_take_what_is_there_for_all() {
    let (exprs, cells) = shared(&["lower(s)", "lower(s) + '!'", "upper(s)", "upper(s) + '?'"]);
    let all = columns();
    let kept_rows = |kept: &[u32]| -> Vec<ArrayRef> {
        let mask: BooleanArray = (0..4).map(|row| Some(kept.contains(&row))).collect();
        all.iter().map(|column| filter(column, &mask).unwrap()).collect()
    };
    let few: &[u32] = &[3];
    let half: &[u32] = &[0, 3];
    let memo = Memo::new(cells);
    // One row of four is too few to compute all four.
    let memo_of_few = memo.of_rows(&all, 4, few);
    let value = exprs[0].eval_with(&kept_rows(few), 1, Some(&memo_of_few)).unwrap();
    assert_eq!((value.len(), memo.computed(), memo_of_few.computed()), (1, 0, 1));
    exprs[1].eval_with(&kept_rows(few), 1, Some(&memo_of_few)).unwrap();
    assert_eq!((memo.computed(), memo_of_few.computed()), (0, 1), "the same rows share as well");
    // Two are not; another rule finds it.
    let memo_of_half = memo.of_rows(&all, 4, half);
    for expr in &exprs {
        let expected = expr.eval(&kept_rows(half), 2).unwrap();
        assert_eq!(&expr.eval_with(&kept_rows(half), 2, Some(&memo_of_half)).unwrap(), &expected);
    }
    assert_eq!((memo.computed(), memo_of_half.computed()), (2, 0));
    let memo_of_few = memo.of_rows(&all, 4, few);
    for expr in &exprs {
        let expected = expr.eval(&kept_rows(few), 1).unwrap();
        assert_eq!(&expr.eval_with(&kept_rows(few), 1, Some(&memo_of_few)).unwrap(), &expected);
    }
    assert_eq!((memo.computed(), memo_of_few.computed()), (2, 0), "what is there is taken");
}
