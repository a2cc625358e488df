//! The circuit breaker: a rule whose plugin keeps failing is paused, by a change of the catalog like any other. So all
//! processes hear of it, recovery knows by which rules each event was judged, and its author lets it go on.

use assay_core::rule::{Mode, OnError, RuleDef};
use serde_json::json;

use super::Engine;
use crate::plan::RulePlan;
use crate::ports::catalog::{Change, Kind};
use crate::problem::ChangeError;
use crate::standing::Standing;

/// Who pauses rules that keep failing, as revisions name it.
pub const BREAKER: &str = "circuit-breaker";
/// It opens when the plugin has failed on at least this share of what the rule was asked of late.
const SHARE: f64 = 0.9;

impl Engine {
    /// How a rule is doing in this process; none if it has judged nothing here.
    pub fn standing(&self, rule: &str) -> Option<Standing> {
        self.inner.shared.standings.get(rule)
    }

    /// Pauses the rules whose plugins keep failing.
    pub(super) fn open_breakers(&self) -> Result<(), ChangeError> {
        let least = self.inner.shared.config.breaker_failures;
        if least == 0 {
            return Ok(());
        }
        for (by, recent) in self.inner.shared.standings.recent() {
            if recent.of_plugin < least || (recent.of_plugin as f64) < SHARE * recent.judged as f64 {
                continue;
            }
            let plan = self.plan();
            let is_it = |rule: &&RulePlan| (&rule.stamp.rule, rule.stamp.revision) == (&by.rule, by.revision);
            let running = plan.streams.values().flat_map(|stream| &stream.rules).find(is_it);
            // A rule that was changed, or has another plugin now, has not failed yet; one that halts has stopped its
            // partition by itself.
            let has_failed = running.is_some_and(|now| now.stamp.plugin == by.plugin && now.on_error != OnError::Halt);
            let revision = plan.snapshot.get(Kind::Rule, &by.rule).filter(|_| has_failed);
            let Some((revision, body)) = revision.and_then(|now| Some((now.revision, now.body.clone()?))) else {
                continue;
            };
            let Ok(mut def) = serde_json::from_value::<RuleDef>(body) else { continue };
            let failed = recent.of_plugin;
            tracing::error!(rule = by.rule, failed, "its plugin keeps failing: the rule is paused; see its status");
            def.mode = Mode::Paused;
            let change = Change { kind: Kind::Rule, name: by.rule.clone(), body: Some(json!(def)) };
            match self.change(vec![change], BREAKER, Some(revision), false) {
                // Somebody else has changed it in this moment.
                Ok(_) | Err(ChangeError::Conflict(_)) => {}
                Err(ChangeError::Invalid(problems)) => {
                    let why = problems.first().map(ToString::to_string);
                    tracing::error!(why, "the rule cannot be paused");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
