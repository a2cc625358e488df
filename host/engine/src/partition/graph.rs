//! The edges that a rule makes of its verdicts.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef};
use assay_core::expr::{CseCache, EvalError, Expr};
use assay_core::value::Value;
use assay_core::verdict::{EdgeRow, Facets, RuleRows};

use crate::plan::EdgePlan;

/// Adds the edges of judged rows to the answer, behind the plugin's own of the same row. A row without a verdict, or
/// without one of the two nodes, makes none.
pub(super) fn add_edges(
    edges: &[EdgePlan],
    columns: &[ArrayRef],
    rows: usize,
    answer: &mut RuleRows,
    cse_cache: &CseCache<'_>,
) -> Result<(), EvalError> {
    let before = answer.edges.len();
    for edge in edges {
        let eval = |expr: &Expr| expr.eval_with(columns, rows, Some(cse_cache));
        let holds = edge.when.as_ref().map(|when| when.filter_with(columns, rows, Some(cse_cache))).transpose()?;
        let (from, to) = (eval(&edge.from)?, eval(&edge.to)?);
        let facets = edge.facets.iter().map(|(name, expr)| Ok((name.as_str(), eval(expr)?)));
        let facets: Vec<(&str, ArrayRef)> = facets.collect::<Result<_, EvalError>>()?;
        for row in (0..rows).filter(|row| holds.as_ref().is_none_or(|holds| holds.value(*row))) {
            let has_failed = answer.failures.binary_search_by_key(&(row as u32), |failure| failure.row).is_ok();
            let (Some(source), Some(target), false) = (node(&from, row), node(&to, row), has_failed) else { continue };
            answer.edges.push(EdgeRow {
                row: row as u32,
                name: edge.name,
                source: source.into_owned(),
                target: target.into_owned(),
                facets: facets_json(&facets, row),
            });
        }
    }
    if answer.edges.len() > before {
        // Stable: edges of a row stay in the order of the definition.
        answer.edges.sort_by_key(|edge| edge.row);
    }
    Ok(())
}

fn node(column: &ArrayRef, row: usize) -> Option<Cow<'_, str>> {
    if column.is_null(row) {
        return None;
    }
    let name = match column.as_primitive_opt::<Int64Type>() {
        Some(ints) => Cow::Owned(ints.value(row).to_string()),
        None => Cow::Borrowed(column.as_string::<i32>().value(row)),
    };
    Some(name).filter(|name| !name.is_empty())
}

/// The facets that a row has, as a JSON object; empty: none. JSON has no NaN and nothing infinite: such a facet is
/// missing.
fn facets_json(facets: &[(&str, ArrayRef)], row: usize) -> String {
    let values = facets.iter().map(|(name, column)| ((*name).to_owned(), Value::from_array(column, row).to_json()));
    let facets: Facets = values.filter(|(_, value)| !value.is_null()).collect();
    if facets.is_empty() { String::new() } else { serde_json::to_string(&facets).unwrap_or_default() }
}
