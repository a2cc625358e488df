//! Equal parts of expressions are evaluated once per batch, with the same values as alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at what it did not expect")]

mod expr_rows;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_select::filter::filter;
use assay_core::expr::{CommonSubexpressions, CseCache, Expr};
use expr_rows::{columns, scope};

/// The slot of `c`, whose column is taken to differ between expressions.
const OWN: usize = 7;

/// Compiled expressions, and the number of parts that they share.
fn compile_shared(sources: &[&str]) -> (Vec<Expr>, usize) {
    let mut exprs: Vec<Expr> = sources.iter().map(|source| Expr::compile(source, &scope()).unwrap()).collect();
    let mut subexpressions = CommonSubexpressions::new(&exprs, Some(OWN));
    exprs.iter_mut().for_each(|expr| subexpressions.mark(expr));
    (exprs, subexpressions.shared_count())
}

#[test]
fn a_part_that_occurs_several_times_is_computed_once() {
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
        // The column of `c` differs, so these are not equal parts.
        (&["!c", "!c", "c && b"], 0),
    ];
    for (sources, cells) in table {
        let (exprs, found) = compile_shared(sources);
        let cse_cache = CseCache::new(found);
        for (source, expr) in sources.iter().zip(&exprs) {
            let alone = Expr::compile(source, &scope()).unwrap().eval(&columns(), 4).unwrap();
            assert_eq!(&expr.eval_with(&columns(), 4, Some(&cse_cache)).unwrap(), &alone, "{source} of {sources:?}");
            assert_eq!(&expr.eval(&columns(), 4).unwrap(), &alone, "{source} without a cache");
        }
        assert_eq!((found, cse_cache.computed_count()), (*cells, *cells), "{sources:?}");
    }
}

#[test]
fn a_cache_of_some_rows_takes_values_of_the_whole_batch() {
    let (exprs, cells) = compile_shared(&["lower(s)", "lower(s) + '!'", "upper(s)", "upper(s) + '?'"]);
    let all = columns();
    let kept_rows = |kept: &[u32]| -> Vec<ArrayRef> {
        let mask: BooleanArray = (0..4).map(|row| Some(kept.contains(&row))).collect();
        all.iter().map(|column| filter(column, &mask).unwrap()).collect()
    };
    let few: &[u32] = &[3];
    let half: &[u32] = &[0, 3];
    let cse_cache = CseCache::new(cells);
    // One row of four is less than half, so only that row is computed.
    let cache_of_few = cse_cache.of_rows(&all, 4, few);
    let value = exprs[0].eval_with(&kept_rows(few), 1, Some(&cache_of_few)).unwrap();
    assert_eq!((value.len(), cse_cache.computed_count(), cache_of_few.computed_count()), (1, 0, 1));
    exprs[1].eval_with(&kept_rows(few), 1, Some(&cache_of_few)).unwrap();
    assert_eq!((cse_cache.computed_count(), cache_of_few.computed_count()), (0, 1), "the same rows share as well");
    // Two rows are half, so the whole batch is computed, and other rules find the value.
    let cache_of_half = cse_cache.of_rows(&all, 4, half);
    for expr in &exprs {
        let expected = expr.eval(&kept_rows(half), 2).unwrap();
        assert_eq!(&expr.eval_with(&kept_rows(half), 2, Some(&cache_of_half)).unwrap(), &expected);
    }
    assert_eq!((cse_cache.computed_count(), cache_of_half.computed_count()), (2, 0));
    let cache_of_few = cse_cache.of_rows(&all, 4, few);
    for expr in &exprs {
        let expected = expr.eval(&kept_rows(few), 1).unwrap();
        assert_eq!(&expr.eval_with(&kept_rows(few), 1, Some(&cache_of_few)).unwrap(), &expected);
    }
    assert_eq!(
        (cse_cache.computed_count(), cache_of_few.computed_count()),
        (2, 0),
        "values of the whole batch are taken"
    );
}
