//! The limits of a rule's plugin: those of the server, or lower ones of the rule.

use std::time::Duration;

use assay_core::rule::RuleDef;
use assay_core::size::Size;
use assay_core::span::Span;
use assay_runtime::Limits;

use super::compile::Problems;
use crate::ports::catalog::Kind;

/// The least memory that an instance can begin with: a page of Wasm.
const MIN_MEMORY: Size = Size(64 << 10);

/// A rule that asks for more than the server allows has what the server allows: a server whose limits were lowered still
/// starts.
pub(super) fn limits(def: &RuleDef, server: &Limits, problems: &mut Problems) -> Limits {
    let mut limits = server.clone();
    let mut refuse = |at: &str, message: String| problems.add(Kind::Rule, &def.rule, &format!("limits.{at}"), message);
    if let Some(time) = def.limits.time_per_event {
        if time == Span(0) {
            refuse("time_per_event", "expected at least 1ms, got 0s".to_owned());
        }
        limits.time_per_event = limits.time_per_event.min(Duration::from_millis(time.0));
    }
    let mut size = |at: &str, wanted: Option<Size>, least: Size, allowed: &mut usize| {
        let Some(wanted) = wanted else { return };
        if wanted < least {
            refuse(at, format!("expected at least {least}, got {wanted}"));
        }
        *allowed = usize::try_from(wanted.0).unwrap_or(usize::MAX).min(*allowed);
    };
    size("memory", def.limits.memory, MIN_MEMORY, &mut limits.memory_bytes);
    size("state", def.limits.state, Size(1), &mut limits.max_state_bytes_per_entity);
    limits
}
