//! The plugins' instances of a worker: one per rule, shared by all partitions of the rule's stream that the worker owns.

use std::collections::HashMap;

use assay_runtime::{Instance, Interrupt, PluginError};

use crate::plan::{RulePlan, Scorer, StreamPlan};

/// The instances of a worker: one per rule, shared by all partitions that the worker owns.
#[derive(Default)]
pub struct Instances {
    by_rule: HashMap<String, Instance>,
    interrupt: Interrupt,
    is_bounded: bool,
}

impl Instances {
    /// None yet; calls of those to come are stopped by a flag.
    pub fn interruptible(interrupt: &Interrupt) -> Self {
        Self { interrupt: interrupt.clone(), ..Self::default() }
    }

    /// The same for a thread with other work to do: batches that take too long are given up.
    pub fn bounded(interrupt: &Interrupt) -> Self {
        Self { is_bounded: true, ..Self::interruptible(interrupt) }
    }

    /// Makes an instance for each rule of a stream that has a plugin, replacing what is there.
    ///
    /// # Errors
    /// A plugin refuses its config; it took the same one when the plan was made.
    pub fn instantiate_plugins(&mut self, plan: &StreamPlan) -> Result<(), PluginError> {
        self.remove_stream(&plan.def.stream);
        for rule in &plan.rules {
            if let Scorer::Plugin(scorer) = &rule.scorer {
                let instance = scorer.plugin.instance(&scorer.config, scorer.limits.clone())?;
                let instance = instance.with_interrupt(&self.interrupt);
                let instance = if self.is_bounded { instance.with_batch_limit() } else { instance };
                self.by_rule.insert(key_of(plan, rule), instance);
            }
        }
        Ok(())
    }

    /// Drops the instances of a stream's rules.
    pub fn remove_stream(&mut self, stream: &str) {
        self.by_rule.retain(|key, _| key.split_once('/').is_none_or(|(of_stream, _)| of_stream != stream));
    }

    pub(super) fn get(&mut self, plan: &StreamPlan, rule: &RulePlan) -> Option<&mut Instance> {
        self.by_rule.get_mut(&key_of(plan, rule))
    }
}

fn key_of(plan: &StreamPlan, rule: &RulePlan) -> String {
    format!("{}/{}", plan.def.stream, rule.stamp.rule)
}
