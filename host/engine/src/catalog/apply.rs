//! Changes to the catalog: validated whole, committed whole, in effect on all workers on return.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::CatalogService;
use super::derived_streams::complete_derived_streams;
use super::plugin_versions::resolve_plugins;
use crate::plan::{Effect, Plan, plan_effects};
use crate::ports::catalog::{Change, CommitError, Definition, Revision, Snapshot};
use crate::problem::ChangeError;
use crate::worker::{Answers, Request};

/// How long a change waits for workers to take it up. It is committed by then and takes effect in any case.
const SWITCH_PLAN_TIMEOUT: Duration = Duration::from_secs(30);

/// A change that was carried out, or would be.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The version of the catalog that holds it.
    pub version: u64,
    /// The new revisions. Definitions that say what they said before have none.
    pub revisions: Vec<Revision>,
    /// How many definitions say what they said before.
    pub unchanged: usize,
    /// What the change does beside what it says.
    pub effects: Vec<Effect>,
}

/// What is to be changed, all or nothing.
pub(super) struct ChangeSet<'a> {
    /// The definitions.
    pub(super) changes: Vec<Change>,
    /// The bytes of the plugins among them.
    pub(super) artifacts: Vec<Vec<u8>>,
    /// Who asks for it.
    pub(super) author: &'a str,
    /// For a single change: the revision that it is based on.
    pub(super) expected_revision: Option<u32>,
    /// Check everything and change nothing.
    pub(super) dry_run: bool,
}

impl CatalogService {
    /// Changes definitions, all or none; on return the change is durable and in effect on all workers. Blocks.
    ///
    /// `expected_revision` is for a single change: the revision it is based on. With `dry_run` nothing is changed.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed then.
    pub fn change(
        &self,
        changes: Vec<Change>,
        author: &str,
        expected_revision: Option<u32>,
        dry_run: bool,
    ) -> Result<Applied, ChangeError> {
        self.apply_changes(&ChangeSet { changes, artifacts: Vec::new(), author, expected_revision, dry_run })
    }

    /// Carries a set of changes out, once more for as long as other processes are faster.
    pub(super) fn apply_changes(&self, set: &ChangeSet<'_>) -> Result<Applied, ChangeError> {
        // A panic while changing leaves no half-made change: the commit is the last step.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &self.shared;
        let mut now = shared.ports.catalog.snapshot(None)?;
        loop {
            if let Some(applied) = self.try_apply(set, &now)? {
                return Ok(applied);
            }
            // Another process committed between reading and writing. What it changed may have nothing to do with this.
            let later = shared.ports.catalog.snapshot(None)?;
            for change in &set.changes {
                let revision = |snapshot: &Snapshot| snapshot.get(change.kind, &change.name).map(|have| have.version);
                if revision(&now) != revision(&later) {
                    let what = format!("{} '{}'", change.kind, change.name);
                    return Err(ChangeError::Conflict(format!("{what} was changed by somebody else at the same time")));
                }
            }
            now = later;
        }
    }

    /// One attempt to make changes to a catalog that is as it is now; none: another process was faster.
    fn try_apply(&self, set: &ChangeSet<'_>, now: &Snapshot) -> Result<Option<Applied>, ChangeError> {
        let shared = &self.shared;
        let author = set.author;
        let complete = self.complete_definitions(set.changes.clone(), now)?;
        check_expected(&set.changes, now, set.expected_revision)?;
        let total = complete.len();
        let (mut changes, followed) = resolve_plugins(complete, now);
        changes.retain(|change| is_news(change, now));
        let unchanged = total - changes.len();
        changes.extend(followed);
        if changes.is_empty() {
            let (revisions, effects) = (Vec::new(), Vec::new());
            return Ok(Some(Applied { version: now.version, revisions, unchanged, effects }));
        }
        let then = Arc::new(self.preview(now, &changes, author)?);
        let plan = shared.compile(then.clone()).map_err(ChangeError::Invalid)?;
        let effects = plan_effects(&shared.plan(), &plan);
        if set.dry_run {
            let revisions = changed(&then, now.version + 1);
            return Ok(Some(Applied { version: now.version, revisions, unchanged, effects }));
        }
        for stream in plan.streams.values() {
            shared.ports.log.create(&stream.def)?;
        }
        for wasm in &set.artifacts {
            shared.ports.catalog.put_artifact(wasm)?;
        }
        let committed = match shared.ports.catalog.commit(now.version, changes, author, shared.config.clock.now_ms()) {
            Ok(committed) => committed,
            Err(CommitError::Conflict { .. }) => return Ok(None),
            Err(CommitError::Store(error)) => return Err(error.into()),
        };
        let revisions = changed(&committed, committed.version);
        let before = shared.plan().snapshot.clone();
        self.activate_plan(&before, Plan { snapshot: Arc::new(committed), streams: plan.streams });
        Ok(Some(Applied { version: now.version + 1, revisions, unchanged, effects }))
    }

    /// Fills in what a definition leaves to the server, and refuses what would break what the log holds.
    fn complete_definitions(&self, mut changes: Vec<Change>, now: &Snapshot) -> Result<Vec<Change>, ChangeError> {
        let problems = complete_derived_streams(&mut changes, now);
        if !problems.is_empty() {
            return Err(ChangeError::Invalid(problems));
        }
        let mut complete = Vec::with_capacity(changes.len());
        for mut change in changes {
            let before = now.get(change.kind, &change.name);
            if change.definition.is_none() && before.is_none() {
                return Err(ChangeError::NotFound(format!("there is no {} '{}'", change.kind, change.name)));
            }
            if let Some(Definition::Stream(def)) = change.definition {
                change.definition = Some(self.complete_stream(*def)?.into());
            }
            complete.push(change);
        }
        Ok(complete)
    }

    /// The catalog as it would be.
    fn preview(&self, now: &Snapshot, changes: &[Change], author: &str) -> Result<Snapshot, ChangeError> {
        let version = now.version + 1;
        let mut then = Snapshot { version, revisions: now.revisions.clone() };
        for change in changes {
            let position = then.revisions.iter().position(|have| change.is_of(have.kind, &have.name));
            let revisions = self.shared.ports.catalog.revisions(change.kind, &change.name)?;
            let revision =
                Revision::after(revisions.first(), change.clone(), version, author, self.shared.config.clock.now_ms());
            match (position, change.definition.is_some()) {
                (Some(position), true) => then.revisions[position] = revision,
                (Some(position), false) => drop(then.revisions.remove(position)),
                (None, _) => then.revisions.push(revision),
            }
        }
        Ok(then)
    }

    /// Hands a plan to all workers and waits until each has taken it up.
    pub(super) fn switch_workers(&self, plan: &Arc<Plan>) {
        let mut answers = Answers::new(&self.shared.config.clock);
        for worker in self.ownership.workers() {
            answers.request(worker, |done| Request::SwitchPlan(plan.clone(), done));
        }
        if !answers.wait(SWITCH_PLAN_TIMEOUT) && !self.shared.is_stopping() {
            tracing::warn!(version = plan.snapshot.version, "a worker has not taken up the change yet");
        }
    }
}

fn check_expected(changes: &[Change], now: &Snapshot, expected: Option<u32>) -> Result<(), ChangeError> {
    let (Some(expected), [change]) = (expected, changes) else { return Ok(()) };
    let have = now.get(change.kind, &change.name).map_or(0, |revision| revision.revision);
    if have == expected {
        return Ok(());
    }
    let what = format!("{} '{}'", change.kind, change.name);
    Err(ChangeError::Conflict(format!("{what} is at revision {have}, not at {expected}: somebody else changed it")))
}

fn is_news(change: &Change, now: &Snapshot) -> bool {
    let have = now.get(change.kind, &change.name).and_then(|revision| revision.definition.as_ref());
    match (have, &change.definition) {
        (Some(have), Some(wanted)) => !have.says_the_same_as(wanted),
        (have, wanted) => have.is_some() || wanted.is_some(),
    }
}

/// The revisions that a version brought. Deletions leave nothing to show.
fn changed(snapshot: &Snapshot, version: u64) -> Vec<Revision> {
    snapshot.revisions.iter().filter(|revision| revision.version == version).cloned().collect()
}
