//! Plugins in the catalog: uploads, yanked versions, and which version each rule's reference means.
//!
//! A rule's revision records the version that its reference meant (`resolved_plugin`). When an upload or a yank changes
//! that, the rule gets a new revision in the same commit, so that a rollback can leave it.

use assay_core::names::Digest;
use assay_core::rule::{Mode, RuleDef};
use assay_runtime::{Manifest, ManifestError, PluginError};

use super::CatalogService;
use super::apply::{Applied, ChangeSet};
use crate::definition::PluginDef;
use crate::plan::{Effect, StoredPlugin, compile_schema, plugin_name, resolve_plugin};
use crate::ports::catalog::{Change, Definition, Kind, Snapshot};
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

impl CatalogService {
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
        let there = plan.snapshot.find::<PluginDef>(name);
        let there = there.ok_or_else(|| ChangeError::NotFound(format!("there is no plugin '{name}'")))?;
        let changed = PluginDef { yanked: is_yanked, ..there.clone() };
        self.change(vec![Change::set(name, changed)], author, None, dry_run)
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
            let plugin = self.shared.plugin_cache.load(&wasm)?;
            let (digest, size, manifest) = (plugin.digest(), wasm.len(), plugin.manifest().clone());
            let name = plugin_name(&manifest);
            let there = self.plan().snapshot.find::<PluginDef>(&name).map(|plugin| plugin.digest);
            let sent = uploads.new.iter().find(|upload| upload.change.name == name);
            let created = match there.or(sent.map(|upload| Digest::of(&upload.wasm))) {
                None => true,
                Some(have) if have == digest => false,
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
                let change = Change::set(name, PluginDef::new(digest, size, &manifest));
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
    let stored = plugins_after(&changes, now);
    for change in &mut changes {
        if let Some(Definition::Rule(rule)) = &mut change.definition {
            resolve_rule(rule, &stored);
        }
    }
    let mut followed = Vec::new();
    if changes.iter().any(|change| change.kind == Kind::Plugin) {
        for (revision, rule) in now.all::<RuleDef>() {
            let is_changed = changes.iter().any(|change| change.is_of(Kind::Rule, &revision.name));
            let mut resolved = rule.clone();
            resolve_rule(&mut resolved, &stored);
            // The version alone is compared: a definition that was written otherwise is no other one.
            if !is_changed && resolved.resolved_plugin != rule.resolved_plugin {
                followed.push(Change::set(&revision.name, resolved));
            }
        }
    }
    (changes, followed)
}

/// The plugins that can be read, as they would be. The others are refused when the plan is made.
fn plugins_after(changes: &[Change], now: &Snapshot) -> Vec<StoredPlugin> {
    let is_changed = |name: &str| changes.iter().any(|change| change.is_of(Kind::Plugin, name));
    let kept = now.all::<PluginDef>().filter(|(revision, _)| !is_changed(&revision.name));
    let kept = kept.map(|(revision, def)| (&revision.name, def));
    let changed = changes.iter().filter_map(|change| match &change.definition {
        Some(Definition::Plugin(def)) => Some((&change.name, &**def)),
        _ => None,
    });
    kept.chain(changed).filter_map(|(name, def)| StoredPlugin::new(name, def)?.ok()).collect()
}

/// Fills in which version a rule's reference means.
fn resolve_rule(rule: &mut RuleDef, stored: &[StoredPlugin]) {
    let resolved = rule.plugin.as_ref().and_then(|reference| resolve_plugin(reference, stored));
    rule.resolved_plugin = resolved.map(StoredPlugin::exact_reference);
    rule.resume_mode = rule.resume_mode.filter(|_| rule.mode == Mode::Paused);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ports::catalog::Revision;

    fn plugin(name: &str) -> Change {
        Change::from_json(Kind::Plugin, name, json!({ "digest": Digest::of(name.as_bytes()) }))
    }

    fn rule(name: &str, reference: &str, resolved: &str) -> Change {
        let body = json!({"rule": name, "stream": "s", "plugin": reference, "resolved_plugin": resolved});
        Change::from_json(Kind::Rule, name, body)
    }

    #[test]
    fn rules_that_take_up_another_version_get_a_revision() {
        let expression = json!({"rule": "expression", "stream": "s", "score": "1.0"});
        let there = [
            plugin("p@1.0.0"),
            rule("follows", "p@1", "p@1.0.0"),
            rule("pinned", "p@1.0.0", "p@1.0.0"),
            Change::from_json(Kind::Rule, "expression", expression),
        ];
        let now =
            Snapshot { version: 7, revisions: there.map(|change| Revision::after(None, change, 1, "", 0)).into() };
        let (changes, followed) = resolve_plugins(vec![plugin("p@1.1.0")], &now);
        assert_eq!(changes, [plugin("p@1.1.0")]);
        assert_eq!(followed, [rule("follows", "p@1", "p@1.1.0")]);
        // What a definition says of it is not believed.
        let (changes, followed) = resolve_plugins(vec![rule("new", "p@1", "p@9.0.0")], &now);
        assert_eq!(changes, [rule("new", "p@1", "p@1.0.0")]);
        assert!(followed.is_empty());
    }
}
