//! Finds what the expressions of a stream's views and rules have in common, so that a batch computes it once.

use assay_core::expr::{CommonSubexpressions, Expr};

use super::{RulePlan, ViewPlan};

/// Marks what is shared, and returns how many values that are. The score that a rule has just given is in
/// `score_slot`, and no other rule's.
pub(super) fn mark_common_subexpressions(views: &mut [ViewPlan], rules: &mut [RulePlan], score_slot: usize) -> usize {
    let mut exprs: Vec<&mut Expr> =
        views.iter_mut().flat_map(of_view).chain(rules.iter_mut().flat_map(RulePlan::all_exprs_mut)).collect();
    let mut subexpressions = CommonSubexpressions::new(exprs.iter().map(|expr| &**expr), Some(score_slot));
    for expr in &mut exprs {
        subexpressions.mark(expr);
    }
    subexpressions.shared_count()
}

fn of_view(view: &mut ViewPlan) -> impl Iterator<Item = &mut Expr> {
    view.when.iter_mut().chain(view.arguments.iter_mut().flatten())
}
