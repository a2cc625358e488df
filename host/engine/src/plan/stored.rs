//! The plugins that a catalog holds, and which of them a rule's reference means.

use assay_core::names::Digest;
use assay_core::rule::PluginRef;

use super::compile::Problems;
use crate::definition::PluginDef;
use crate::ports::catalog::{Kind, Revision, Snapshot};

/// A plugin of the catalog. It is loaded when a rule uses it.
pub(crate) struct StoredPlugin {
    pub(crate) name: String,
    pub(crate) version: semver::Version,
    pub(crate) digest: Digest,
    /// Only a reference to exactly this version means it.
    pub(crate) is_yanked: bool,
}

impl StoredPlugin {
    /// A plugin of the catalog; none: its name has no version that can be read.
    pub(crate) fn new(name: &str, def: &PluginDef) -> Option<Result<Self, semver::Error>> {
        let (name, version) = name.split_once('@')?;
        let plugin = |version| Self { name: name.to_owned(), version, digest: def.digest, is_yanked: def.yanked };
        Some(version.parse::<semver::Version>().map(plugin))
    }

    /// Reads a plugin's definition; a damaged one is none, and a problem.
    fn read(revision: &Revision, problems: &mut Problems) -> Option<Self> {
        let name = &revision.name;
        let def = problems.ok_or_add(Kind::Plugin, name, "", revision.read())?;
        problems.ok_or_add(Kind::Plugin, name, "version", Self::new(name, def)?)
    }

    /// The reference that means this version and no other.
    pub(crate) fn exact_reference(&self) -> PluginRef {
        PluginRef::Version { name: self.name.clone(), version: self.version.to_string() }
    }
}

impl std::fmt::Display for StoredPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let yanked = if self.is_yanked { " (yanked)" } else { "" };
        write!(f, "{}@{}{yanked}", self.name, self.version)
    }
}

/// All plugins of a snapshot.
pub(super) fn stored_plugins(snapshot: &Snapshot, problems: &mut Problems) -> Vec<StoredPlugin> {
    snapshot.of(Kind::Plugin).filter_map(|revision| StoredPlugin::read(revision, problems)).collect()
}

/// All plugins of a snapshot that can be read. The others are refused when a plan is made of it.
pub(crate) fn readable_plugins(snapshot: &Snapshot) -> Vec<StoredPlugin> {
    stored_plugins(snapshot, &mut Problems::default())
}

/// The plugin that a reference means: the newest version that fits. A yanked one fits only a reference to exactly it.
pub(crate) fn resolve_plugin<'a>(reference: &PluginRef, stored: &'a [StoredPlugin]) -> Option<&'a StoredPlugin> {
    let fits = |plugin: &&StoredPlugin| {
        reference.matches(&plugin.name, &plugin.version, &plugin.digest) && (!plugin.is_yanked || reference.is_exact())
    };
    stored.iter().filter(fits).max_by(|a, b| a.version.cmp(&b.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(version: &str, is_yanked: bool) -> StoredPlugin {
        let digest = Digest::of(version.as_bytes());
        StoredPlugin { name: "velocity".into(), version: version.parse().unwrap(), digest, is_yanked }
    }

    #[test]
    fn a_yanked_version_is_meant_only_by_its_own_name() {
        let all = [stored("1.0.0", false), stored("1.2.0", true), stored("1.1.0", false)];
        let version = |reference: &str| {
            resolve_plugin(&reference.parse().unwrap(), &all).map(|plugin| plugin.version.to_string())
        };
        assert_eq!(version("velocity@1").as_deref(), Some("1.1.0"));
        assert_eq!(version("velocity@1.2.0").as_deref(), Some("1.2.0"));
        assert_eq!(version(&Digest::of(b"1.2.0").to_string()).as_deref(), Some("1.2.0"));
        assert_eq!(version("velocity@1.2"), None);
        assert_eq!(version("velocity@2"), None);
        assert_eq!(all[1].to_string(), "velocity@1.2.0 (yanked)");
    }
}
