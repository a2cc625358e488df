//! The circuit breaker: a rule whose plugin keeps failing, or takes more than its share of a worker's time, is paused, by
//! a change of the catalog like any other. So all processes hear of it, recovery knows by which rules each event was
//! judged, and its author lets it go on.

use std::sync::Arc;
use std::time::Duration;

use assay_core::rule::{Mode, OnError, RuleDef};
use assay_core::verdict::RuleStamp;

use super::CatalogService;
use crate::plan::{Plan, RulePlan, Scorer};
use crate::ports::catalog::{Change, Kind, Revision};
use crate::problem::ChangeError;
use crate::rule_stats::{BudgetOverrun, OverrunKind};

/// Who pauses rules, as revisions name it; the reason follows.
const BREAKER_AUTHOR_PREFIX: &str = "circuit-breaker: ";
/// It opens when the plugin has failed on at least this share of what the rule was asked of late.
const MIN_FAILURE_SHARE: f64 = 0.9;

/// Why the circuit breaker made a revision; none: somebody else did.
pub fn breaker_reason(revision: &Revision) -> Option<&str> {
    revision.author.strip_prefix(BREAKER_AUTHOR_PREFIX)
}

/// A rule to be paused, and why.
struct RuleToPause {
    by: Arc<RuleStamp>,
    reason: String,
}

impl CatalogService {
    /// Pauses the rules whose plugins keep failing or take more than their share.
    pub(super) fn open_breakers(&self) -> Result<(), ChangeError> {
        for rule in self.find_failing_rules().into_iter().chain(self.find_overrunning_rules()) {
            self.pause(&rule)?;
        }
        Ok(())
    }

    fn find_failing_rules(&self) -> Vec<RuleToPause> {
        let least = self.shared.config.breaker_failures;
        if least == 0 {
            return Vec::new();
        }
        let recent = self.shared.rule_stats.recent().into_iter();
        let failing = recent.filter(|(_, recent)| {
            recent.of_plugin >= least && recent.of_plugin as f64 >= MIN_FAILURE_SHARE * recent.judged as f64
        });
        let rules = failing.map(|(by, recent)| {
            let reason = format!("failed on {} of {} events within a minute", recent.of_plugin, recent.judged);
            RuleToPause { by, reason }
        });
        rules.collect()
    }

    fn find_overrunning_rules(&self) -> Vec<RuleToPause> {
        let share = self.shared.config.breaker_share;
        if share <= 0.0 {
            return Vec::new();
        }
        let (plan, rule_stats) = (self.plan(), &self.shared.rule_stats);
        let rules_exhausting_limits = rule_stats.rules_exhausting_limits(share, |by| running(&plan, by).is_some());
        let all = rules_exhausting_limits.into_iter().chain(rule_stats.rules_holding_up(share));
        all.filter_map(|BudgetOverrun { by, how }| Some(RuleToPause { reason: describe_overrun(&plan, &by, how)?, by }))
            .collect()
    }

    /// Pauses a rule, unless it was changed meanwhile.
    fn pause(&self, RuleToPause { by, reason }: &RuleToPause) -> Result<(), ChangeError> {
        let plan = self.plan();
        // One that halts has stopped its partition by itself.
        let can_pause = running(&plan, by).is_some_and(|rule| rule.on_error != OnError::Halt);
        let revision = plan.snapshot.get(Kind::Rule, &by.rule).filter(|_| can_pause);
        let Some((revision, def)) = revision.and_then(|now| Some((now.revision, now.read::<RuleDef>().ok()?))) else {
            return Ok(());
        };
        tracing::error!(rule = by.rule, reason, "the rule is paused: its plugin {reason}");
        let change = Change::set(&by.rule, RuleDef { mode: Mode::Paused, ..def.clone() });
        match self.change(vec![change], &format!("{BREAKER_AUTHOR_PREFIX}{reason}"), Some(revision), false) {
            // Somebody else has changed it in this moment.
            Ok(_) | Err(ChangeError::Conflict(_)) => Ok(()),
            Err(ChangeError::Invalid(problems)) => {
                let why = problems.first().map(ToString::to_string);
                tracing::error!(why, "the rule cannot be paused");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// The rule as it runs now, if it is still the one of a stamp: one that was changed, or has another plugin now, has not
/// failed yet.
fn running<'p>(plan: &'p Plan, by: &RuleStamp) -> Option<&'p RulePlan> {
    let mut rules = plan.streams.values().flat_map(|stream| &stream.rules);
    rules.find(|rule| {
        let now = &rule.stamp;
        (&now.rule, now.revision, &now.plugin) == (&by.rule, by.revision, &by.plugin)
    })
}

/// How a rule takes more than its share, in words; none: it does not.
fn describe_overrun(plan: &Plan, by: &RuleStamp, how: OverrunKind) -> Option<String> {
    match how {
        OverrunKind::Exhausted { share } => {
            Some(format!("took {:.0}% of a worker's time in calls that ran out of time or memory", share * 100.0))
        }
        OverrunKind::Slow { per_event, behind } => {
            let Scorer::Plugin(scorer) = &running(plan, by)?.scorer else { return None };
            let most = scorer.limits.time_per_event;
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            (per_event > most).then(|| {
                let (per_event, most, behind) = (ms(per_event), ms(most), behind.as_secs());
                format!(
                    "took {per_event:.1} ms an event, where {most:.1} ms are allowed, while events waited {behind} s"
                )
            })
        }
    }
}
