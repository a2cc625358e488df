//! Plugins in the catalog: uploads, yanked versions, and which version each rule's reference means.
//!
//! A rule's revision records the version that its reference meant (`resolved_plugin`). When an upload or a yank changes
//! that, the rule gets a new revision in the same commit, so that a rollback can leave it.

use assay_core::names::Digest;
use assay_core::rule::{Mode, PluginRef, RuleDef};
use assay_runtime::{Manifest, ManifestError, PluginError};
use serde_json::{Value, json};

use super::Engine;
use super::change::{Applied, ChangeSet};
use crate::plan::{Effect, StoredPlugin, compile_schema, plugin_name, readable_plugins, resolve_plugin};
use crate::ports::catalog::{Change, Kind, Revision, Snapshot};
use crate::problem::ChangeError;

/// A plugin that was uploaded.
#[derive(Clone, Debug)]
pub struct UploadedPlugin {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Their number.
    pub size: usize,
    /// What it says of itself.
    pub manifest: Manifest,
    /// False: these very bytes were there before.
    pub created: bool,
    /// What that does to rules.
    pub effects: Vec<Effect>,
}

/// Uploads that the runtime takes.
#[derive(Default)]
pub(super) struct Uploads {
    /// Those that are not there yet.
    pub(super) new: Vec<Upload>,
    /// All of them.
    pub(super) all: Vec<UploadedPlugin>,
}

/// A plugin that is not in the catalog yet.
pub(super) struct Upload {
    pub(super) wasm: Vec<u8>,
    pub(super) change: Change,
}

impl Engine {
    /// Keeps a plugin and names it in the catalog, if all rules work with it. Blocks while it compiles. With `dry_run`
    /// nothing is changed.
    ///
    /// # Errors
    /// The plugin is refused, its version is taken by other bytes, or a rule that would use it does not fit it.
    pub fn upload_plugin(&self, wasm: Vec<u8>, author: &str, dry_run: bool) -> Result<UploadedPlugin, ChangeError> {
        let (applied, mut uploaded) = self.change_with_plugins(Vec::new(), vec![wasm], author, dry_run)?;
        let uploaded = uploaded.pop().ok_or_else(|| ChangeError::Conflict("the plugin was not read".to_owned()))?;
        Ok(UploadedPlugin { effects: applied.effects, ..uploaded })
    }

    /// Takes a version (`name@version`) back, or, with `is_yanked` false, offers it again. Rules that name exactly this
    /// version keep it; those that follow newer versions go over to the newest one that is not yanked. With `dry_run`
    /// nothing is changed.
    ///
    /// # Errors
    /// There is no such version, or a rule would be left without a plugin.
    pub fn yank_plugin(
        &self,
        name: &str,
        is_yanked: bool,
        author: &str,
        dry_run: bool,
    ) -> Result<Applied, ChangeError> {
        let plan = self.plan();
        let there = plan.snapshot.get(Kind::Plugin, name).and_then(|revision| revision.body.clone());
        let mut body = there.ok_or_else(|| ChangeError::NotFound(format!("there is no plugin '{name}'")))?;
        if let Value::Object(fields) = &mut body {
            fields.remove("yanked");
            if is_yanked {
                fields.insert("yanked".to_owned(), Value::Bool(true));
            }
        }
        self.change(vec![Change { kind: Kind::Plugin, name: name.to_owned(), body: Some(body) }], author, None, dry_run)
    }

    /// The version that a reference means now; none: no uploaded plugin fits it.
    pub fn resolve_plugin(&self, reference: &PluginRef) -> Option<PluginRef> {
        let stored = readable_plugins(&self.plan().snapshot);
        resolve_plugin(reference, &stored).map(StoredPlugin::exact_reference)
    }

    /// Uploads plugins and changes definitions, all or nothing: rules are checked against the new plugins, and workers
    /// take up both at once. Blocks while plugins compile. With `dry_run` nothing is changed.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed then.
    pub fn change_with_plugins(
        &self,
        changes: Vec<Change>,
        plugins: Vec<Vec<u8>>,
        author: &str,
        dry_run: bool,
    ) -> Result<(Applied, Vec<UploadedPlugin>), ChangeError> {
        let uploads = self.check_uploads(plugins)?;
        let (artifacts, named): (Vec<_>, Vec<_>) =
            uploads.new.into_iter().map(|upload| (upload.wasm, upload.change)).unzip();
        let changes = named.into_iter().chain(changes).collect();
        let set = ChangeSet { changes, artifacts, author, expected_revision: None, dry_run };
        Ok((self.apply_changes(&set)?, uploads.all))
    }

    /// Compiles uploads and finds those that are not there yet.
    fn check_uploads(&self, plugins: Vec<Vec<u8>>) -> Result<Uploads, ChangeError> {
        let mut uploads = Uploads::default();
        for wasm in plugins {
            let plugin = self.inner.shared.plugin_cache.load(&wasm)?;
            let (digest, size, manifest) = (plugin.digest(), wasm.len(), plugin.manifest().clone());
            let name = plugin_name(&manifest);
            let there = self.plan().snapshot.get(Kind::Plugin, &name).and_then(|revision| revision.body.clone());
            let there = there.and_then(|body| body.get("digest").cloned());
            let sent = uploads.new.iter().find(|upload| upload.change.name == name);
            let sent = sent.map(|upload| json!(Digest::of(&upload.wasm)));
            let created = match there.or(sent) {
                None => true,
                Some(have) if have == json!(digest) => false,
                Some(_) => {
                    let advice = "a version never changes its bytes: raise the version in the plugin's Cargo.toml and \
                                  build again";
                    let message = format!("{name} was uploaded before with other bytes; {advice}");
                    return Err(ChangeError::Conflict(message));
                }
            };
            if created {
                let bounded = compile_schema(&manifest.config_schema);
                bounded.map_err(|why| PluginError::Manifest(ManifestError::Schema(why)))?;
                let body = json!({ "digest": digest, "size": size, "manifest": manifest });
                let change = Change { kind: Kind::Plugin, name, body: Some(body) };
                uploads.new.push(Upload { wasm, change });
            }
            uploads.all.push(UploadedPlugin { digest, size, manifest, created, effects: Vec::new() });
        }
        Ok(uploads)
    }
}

/// Fills in which version each changed rule's reference means. The second list has the other rules whose reference means
/// another version from now on, because of the plugins among the changes.
pub(super) fn resolve_plugins(mut changes: Vec<Change>, now: &Snapshot) -> (Vec<Change>, Vec<Change>) {
    let stored = readable_plugins(&with_plugins(&changes, now));
    for change in changes.iter_mut().filter(|change| change.kind == Kind::Rule) {
        if let Some(resolved) = change.body.as_ref().and_then(|body| resolved_rule(body, &stored)) {
            change.body = Some(resolved);
        }
    }
    let mut followed = Vec::new();
    if changes.iter().any(|change| change.kind == Kind::Plugin) {
        for rule in now.of(Kind::Rule) {
            let is_changed = changes.iter().any(|change| change.kind == Kind::Rule && change.name == rule.name);
            let resolved = rule.body.as_ref().and_then(|body| resolved_rule(body, &stored));
            // The version alone is compared: a body that was written otherwise is no other definition.
            let version = |body: &Option<Value>| body.as_ref().and_then(|body| body.get("resolved_plugin")).cloned();
            if !is_changed && resolved.is_some() && version(&resolved) != version(&rule.body) {
                followed.push(Change { kind: Kind::Rule, name: rule.name.clone(), body: resolved });
            }
        }
    }
    (changes, followed)
}

/// The plugins as they would be.
fn with_plugins(changes: &[Change], now: &Snapshot) -> Snapshot {
    let is_changed = |name: &str| changes.iter().any(|change| change.kind == Kind::Plugin && change.name == name);
    let mut revisions: Vec<Revision> = now.of(Kind::Plugin).filter(|have| !is_changed(&have.name)).cloned().collect();
    let changed = changes.iter().filter(|change| change.kind == Kind::Plugin && change.body.is_some());
    revisions.extend(changed.map(|change| Revision {
        kind: change.kind,
        name: change.name.clone(),
        revision: 0,
        version: now.version,
        created_at_version: now.version,
        author: String::new(),
        at: 0,
        body: change.body.clone(),
    }));
    Snapshot { version: now.version, revisions }
}

/// A rule's definition with the version that its reference means; none: it cannot be read, which is refused with all its
/// problems when the plan is made.
fn resolved_rule(body: &Value, stored: &[StoredPlugin]) -> Option<Value> {
    let mut rule: RuleDef = serde_json::from_value(body.clone()).ok()?;
    let resolved = rule.plugin.as_ref().and_then(|reference| resolve_plugin(reference, stored));
    rule.resolved_plugin = resolved.map(StoredPlugin::exact_reference);
    rule.resume_mode = rule.resume_mode.filter(|_| rule.mode == Mode::Paused);
    serde_json::to_value(&rule).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(kind: Kind, name: &str, body: Value) -> Revision {
        let (name, author) = (name.to_owned(), String::new());
        Revision { kind, name, revision: 1, version: 1, created_at_version: 1, author, at: 0, body: Some(body) }
    }

    fn plugin(version: &str) -> Value {
        json!({ "digest": Digest::of(version.as_bytes()) })
    }

    fn rule(name: &str, reference: &str, resolved: &str) -> Value {
        json!({"rule": name, "stream": "s", "plugin": reference, "resolved_plugin": resolved, "mode": "active"})
    }

    #[test]
    fn rules_that_take_up_another_version_get_a_revision() {
        let now = Snapshot {
            version: 7,
            revisions: vec![
                revision(Kind::Plugin, "p@1.0.0", plugin("1.0.0")),
                revision(Kind::Rule, "follows", rule("follows", "p@1", "p@1.0.0")),
                revision(Kind::Rule, "pinned", rule("pinned", "p@1.0.0", "p@1.0.0")),
                revision(Kind::Rule, "expression", json!({"rule": "expression", "stream": "s", "score": "1.0"})),
            ],
        };
        let change = |kind, name: &str, body| Change { kind, name: name.to_owned(), body: Some(body) };
        let upload = change(Kind::Plugin, "p@1.1.0", plugin("1.1.0"));
        let (changes, followed) = resolve_plugins(vec![upload.clone()], &now);
        assert_eq!(changes, [upload]);
        assert_eq!(followed, [change(Kind::Rule, "follows", rule("follows", "p@1", "p@1.1.0"))]);
        // What a definition says of it is not believed.
        let sent = change(Kind::Rule, "new", rule("new", "p@1", "p@9.0.0"));
        let (changes, followed) = resolve_plugins(vec![sent], &now);
        assert_eq!(changes, [change(Kind::Rule, "new", rule("new", "p@1", "p@1.0.0"))]);
        assert!(followed.is_empty());
    }
}
