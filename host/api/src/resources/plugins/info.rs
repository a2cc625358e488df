//! A version of a plugin as the API shows it.

use assay_engine::definition::PluginDef;
use assay_engine::ports::catalog::{Kind, Revision};
use assay_engine::{Engine, UploadedPlugin, now_ms};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::ApiError;

/// A plugin.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PluginInfo {
    /// Its name.
    #[schema(example = "velocity")]
    pub(super) name: String,
    /// Its version.
    #[schema(example = "1.2.0")]
    pub(super) version: String,
    /// SHA-256 of its bytes, as `sha256:` and hex digits.
    pub(super) digest: Value,
    /// Its size in bytes.
    pub(super) size: Value,
    /// True if only rules that name exactly this version use it.
    pub(super) yanked: bool,
    /// The key that uploaded it.
    pub(super) author: String,
    /// When it was uploaded, ms since 1970.
    pub(super) at: i64,
    /// The key that yanked it; missing: it is not yanked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) yanked_by: Option<String>,
    /// When it was yanked, ms since 1970; missing: it is not yanked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) yanked_at: Option<i64>,
    /// Its manifest: inputs, tags, the JSON Schema of its config, and more.
    #[schema(value_type = Object)]
    pub(super) manifest: Value,
}

impl PluginInfo {
    /// `current` is the revision in effect, `upload` the one that the upload made.
    fn new(current: &Revision, upload: &Revision, def: &PluginDef) -> Self {
        let (name, version) = current.name.split_once('@').unwrap_or((&current.name, ""));
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            digest: def.digest.to_string().into(),
            size: def.size.into(),
            yanked: def.yanked,
            author: upload.author.clone(),
            at: upload.at,
            yanked_by: def.yanked.then(|| current.author.clone()),
            yanked_at: def.yanked.then_some(current.at),
            manifest: def.manifest.clone(),
        }
    }

    /// The plugin of a revision in effect. A yank and its end are revisions after that of the upload.
    pub(super) fn read(engine: &Engine, current: &Revision, def: &PluginDef) -> Result<Self, ApiError> {
        if current.version == current.created_at_version {
            return Ok(Self::new(current, current, def));
        }
        let revisions = engine.catalog().revisions(Kind::Plugin, &current.name)?;
        let upload = revisions.iter().find(|one| one.version == current.created_at_version);
        Ok(Self::new(current, upload.unwrap_or(current), def))
    }

    /// The plugin of a name and version; none: the catalog has none.
    pub(super) fn find(engine: &Engine, name: &str) -> Result<Option<Self>, ApiError> {
        let snapshot = engine.catalog().snapshot();
        let Some(revision) = snapshot.get(Kind::Plugin, name) else { return Ok(None) };
        revision.read().ok().map(|def| Self::read(engine, revision, def)).transpose()
    }

    /// The plugin of an upload that was only checked.
    pub(super) fn of_upload(uploaded: &UploadedPlugin, author: &str) -> Self {
        Self {
            name: uploaded.manifest.name.clone(),
            version: uploaded.manifest.version.to_string(),
            digest: uploaded.digest.to_string().into(),
            size: uploaded.size.into(),
            yanked: false,
            author: author.to_owned(),
            at: now_ms(),
            yanked_by: None,
            yanked_at: None,
            manifest: serde_json::json!(uploaded.manifest),
        }
    }
}

/// The versions of the plugins whose name is wanted.
pub(super) fn list_plugin_infos(
    engine: &Engine,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<PluginInfo>, ApiError> {
    let snapshot = engine.catalog().snapshot();
    let is_wanted = |revision: &Revision| is_wanted(revision.name.split('@').next().unwrap_or_default());
    let all = snapshot.all::<PluginDef>().filter(|(revision, _)| is_wanted(revision));
    let found = all.map(|(revision, def)| PluginInfo::read(engine, revision, def));
    let mut found = found.collect::<Result<Vec<_>, _>>()?;
    sort_by_name_and_version(&mut found);
    Ok(found)
}

/// By name, then the newest version first, as semantic versions compare.
fn sort_by_name_and_version(plugins: &mut [PluginInfo]) {
    plugins.sort_by(|a, b| {
        let versions = |info: &PluginInfo| info.version.parse::<semver::Version>().ok();
        a.name.cmp(&b.name).then_with(|| versions(b).cmp(&versions(a)))
    });
}

#[cfg(test)]
mod tests {
    use assay_core::names::Digest;
    use assay_engine::ports::catalog::Change;

    use super::*;

    #[test]
    fn the_newest_version_comes_first() {
        let info = |name: &str| {
            let body = serde_json::json!({"digest": Digest::of(b"ab"), "size": 3, "manifest": {}});
            let revision = Revision::after(None, Change::from_json(Kind::Plugin, name, body), 1, "a", 0);
            PluginInfo::new(&revision, &revision, revision.read().unwrap())
        };
        let mut all = ["b@1.0.0", "a@1.9.0", "a@1.10.0", "a@1.10.0-beta.1"].map(info);
        sort_by_name_and_version(&mut all);
        let order: Vec<_> = all.iter().map(|info| format!("{}@{}", info.name, info.version)).collect();
        assert_eq!(order, ["a@1.10.0", "a@1.10.0-beta.1", "a@1.9.0", "b@1.0.0"]);
    }
}
