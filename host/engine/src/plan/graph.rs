//! Compiles the edges that a rule makes.

use assay_core::expr::Expr;
use assay_core::rule::{EdgeDef, RuleDef};
use assay_core::types::Type;

use super::EdgePlan;
use super::compile::Problems;
use super::scope::{NameVisibility, Slots};
use super::view::compile_filter;
use crate::ports::catalog::Kind;

/// The most edges of a rule, and the most facets of an edge.
const MAX_EDGES_OR_FACETS: usize = 16;
/// The longest name of an edge or of a facet.
const MAX_NAME_BYTES: usize = 64;
/// The facets that every edge has.
const BUILT_IN_FACETS: [&str; 3] = ["score", "time", "rule"];

/// The edges; names that the stamp lacks are added to `names`.
pub(super) fn edges(
    def: &RuleDef,
    slots: &Slots<'_>,
    names: &mut Vec<String>,
    problems: &mut Problems,
) -> Vec<EdgePlan> {
    if def.graph.len() > MAX_EDGES_OR_FACETS {
        problems.add(
            Kind::Rule,
            &def.rule,
            "graph",
            format!("a rule makes at most {MAX_EDGES_OR_FACETS} edges of an event"),
        );
    }
    let all = def.graph.iter().enumerate();
    all.filter_map(|(index, edge)| self::edge(def, &format!("graph[{index}]"), edge, slots, names, problems)).collect()
}

fn edge(
    def: &RuleDef,
    at: &str,
    edge: &EdgeDef,
    slots: &Slots<'_>,
    names: &mut Vec<String>,
    problems: &mut Problems,
) -> Option<EdgePlan> {
    if edge.edge.is_empty() || edge.edge.len() > MAX_NAME_BYTES {
        let message = format!("the name of an edge has 1 to {MAX_NAME_BYTES} bytes");
        problems.add(Kind::Rule, &def.rule, &format!("{at}.edge"), message);
    }
    if edge.facets.len() > MAX_EDGES_OR_FACETS {
        problems.add(
            Kind::Rule,
            &def.rule,
            &format!("{at}.facets"),
            format!("an edge has at most {MAX_EDGES_OR_FACETS} facets"),
        );
    }
    let scope = slots.scope(NameVisibility::Tag);
    let mut node = |part: &str, source: &str| {
        let at = format!("{at}.{part}");
        let expr = problems.ok_or_add(Kind::Rule, &def.rule, &at, Expr::compile(source, &scope))?;
        if !matches!(expr.ty(), Type::Text | Type::Int) {
            let message = format!("a node is of type string or int, this one is of type {}: {source}", expr.ty());
            problems.add(Kind::Rule, &def.rule, &at, message);
        }
        Some(expr)
    };
    let (from, to) = (node("from", &edge.from), node("to", &edge.to));
    let when = match &edge.when {
        Some(source) => {
            Some(problems.ok_or_add(Kind::Rule, &def.rule, &format!("{at}.when"), compile_filter(source, &scope))?)
        }
        None => None,
    };
    let mut facets = Vec::with_capacity(edge.facets.len());
    for (name, source) in &edge.facets {
        let at = format!("{at}.facets.{name}");
        if BUILT_IN_FACETS.contains(&name.as_str()) {
            problems.add(Kind::Rule, &def.rule, &at, "every edge has the facets score, time and rule by itself");
        } else if !is_name(name) {
            let message =
                format!("the name of a facet is a letter a-z, then up to {} of a-z, 0-9 and _", MAX_NAME_BYTES - 1);
            problems.add(Kind::Rule, &def.rule, &at, message);
        }
        let expr = problems.ok_or_add(Kind::Rule, &def.rule, &at, Expr::compile(source, &scope))?;
        if !matches!(expr.ty(), Type::Text | Type::Int | Type::Double | Type::Bool | Type::Timestamp) {
            let message = format!("a facet is a string, int, double, bool or timestamp, this one is a {}", expr.ty());
            problems.add(Kind::Rule, &def.rule, &at, message);
        }
        facets.push((name.clone(), expr));
    }
    let name = names.iter().position(|have| *have == edge.edge).unwrap_or_else(|| {
        names.push(edge.edge.clone());
        names.len() - 1
    });
    // A manifest and a definition are far smaller than a u32.
    Some(EdgePlan { name: name as u32, from: from?, to: to?, when, facets })
}

fn is_name(name: &str) -> bool {
    let is_inside = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    name.len() <= MAX_NAME_BYTES && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(is_inside)
}
