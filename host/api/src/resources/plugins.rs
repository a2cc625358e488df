//! `/v1/plugins`: uploaded WebAssembly. A version never changes.

use std::sync::Arc;

use assay_engine::definition::PluginDef;
use assay_engine::now_ms;
use assay_engine::ports::catalog::{Kind, Revision, Snapshot};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::Caller;
use crate::definitions::{DryRun, EffectJson, effects_json};
use crate::http::{ApiError, Code, Path, Query, essence};

/// A plugin.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PluginInfo {
    /// Its name.
    #[schema(example = "velocity")]
    name: String,
    /// Its version.
    #[schema(example = "1.2.0")]
    version: String,
    /// SHA-256 of its bytes, as `sha256:` and hex digits.
    digest: Value,
    /// Its size in bytes.
    size: Value,
    /// True if only rules that name exactly this version use it.
    yanked: bool,
    /// The key that uploaded it.
    author: String,
    /// When, ms since 1970.
    at: i64,
    /// Its manifest: inputs, tags, the JSON Schema of its config, and more.
    #[schema(value_type = Object)]
    manifest: Value,
}

/// A plugin after a change, or with `dry_run` as it would be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PluginChanged {
    #[serde(flatten)]
    plugin: PluginInfo,
    /// True: only checked.
    dry_run: bool,
    /// The effects on rules.
    effects: Vec<EffectJson>,
}

/// The bytes of a `.wasm` file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct WasmFile(#[allow(dead_code, reason = "only its schema is used")] Vec<u8>);

/// The filter of plugins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PluginFilter {
    /// Only those whose name has this in it.
    #[param(example = "velocity")]
    name: Option<String>,
}

/// Plugins.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PluginList {
    /// By name, then the newest version first.
    items: Vec<PluginInfo>,
}

impl PluginInfo {
    fn from_revision(revision: &Revision, def: &PluginDef) -> Self {
        let (name, version) = revision.name.split_once('@').unwrap_or((&revision.name, ""));
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            digest: def.digest.to_string().into(),
            size: def.size.into(),
            yanked: def.yanked,
            author: revision.author.clone(),
            at: revision.at,
            manifest: def.manifest.clone(),
        }
    }

    /// The plugin of a name and version; none: the catalog has none.
    fn find(snapshot: &Snapshot, name: &str) -> Option<Self> {
        let revision = snapshot.get(Kind::Plugin, name)?;
        Some(Self::from_revision(revision, revision.read().ok()?))
    }
}

/// Upload a plugin: a WebAssembly module or component.
///
/// Name and version are those of its own manifest. The same bytes again are 200. Other bytes for an existing version are
/// 409. A plugin that does not fit the host, or a rule that would use it, is 422 with the reason. With `dry_run=true`
/// the plugin is checked and compiled, and nothing is kept.
#[utoipa::path(
    post,
    path = "/v1/plugins",
    tag = "plugins",
    params(DryRun),
    request_body(
        content((inline(WasmFile) = "application/wasm"), (inline(WasmFile) = "application/octet-stream")),
        description = "The bytes of the .wasm file"
    ),
    responses(
        (status = 200, description = "The same bytes were there already, or they were only checked", body = PluginChanged),
        (status = 201, description = "Uploaded", body = PluginChanged),
    )
)]
pub(crate) async fn post_plugin(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Query(query): Query<DryRun>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<PluginChanged>), ApiError> {
    let kind = essence(&headers).unwrap_or_default();
    if !matches!(kind.as_str(), "application/wasm" | "application/octet-stream") {
        let detail = format!("expected the content type application/wasm, got '{kind}'");
        return Err(ApiError::new(Code::UnsupportedMediaType, detail));
    }
    let limit = app.config.max_plugin_body;
    let wasm = app.read_body(&headers, body, limit, "build it with --release and strip it").await?;
    app.blocking(move |engine| {
        let uploaded = engine.catalog().upload_plugin(wasm.to_vec(), &caller.name, query.dry_run)?;
        let (plugin, version) = (uploaded.manifest.name.clone(), uploaded.manifest.version.to_string());
        let plan = engine.plan();
        let info = match PluginInfo::find(&plan.snapshot, &format!("{plugin}@{version}")) {
            Some(info) => info,
            // The plugin was only checked, or it was deleted meanwhile.
            None => PluginInfo {
                name: plugin,
                version,
                digest: uploaded.digest.to_string().into(),
                size: uploaded.size.into(),
                yanked: false,
                author: caller.name.clone(),
                at: now_ms(),
                manifest: serde_json::json!(uploaded.manifest),
            },
        };
        let status = if uploaded.created && !query.dry_run { StatusCode::CREATED } else { StatusCode::OK };
        let effects = effects_json(uploaded.effects);
        Ok((status, Json(PluginChanged { plugin: info, dry_run: query.dry_run, effects })))
    })
    .await
}

/// All plugins with all their versions, or some.
#[utoipa::path(
    get,
    path = "/v1/plugins",
    tag = "plugins",
    params(PluginFilter),
    responses((status = 200, description = "By name, then the newest version first", body = PluginList))
)]
pub(crate) async fn list_plugins(State(app): State<App>, Query(filter): Query<PluginFilter>) -> Json<PluginList> {
    let is_wanted = |info: &PluginInfo| filter.name.as_deref().is_none_or(|name| info.name.contains(name));
    Json(PluginList { items: list_plugin_infos(&app, is_wanted) })
}

/// All versions of a plugin.
#[utoipa::path(
    get,
    path = "/v1/plugins/{name}",
    tag = "plugins",
    params(("name" = String, Path, description = "The plugin's name", example = "velocity")),
    responses((status = 200, description = "The newest version first", body = PluginList))
)]
pub(crate) async fn get_plugin(State(app): State<App>, Path(name): Path<String>) -> Result<Json<PluginList>, ApiError> {
    let items = list_plugin_infos(&app, |info| info.name == name);
    if items.is_empty() {
        return Err(ApiError::not_found(format!("there is no plugin '{name}'")));
    }
    Ok(Json(PluginList { items }))
}

/// One version of a plugin.
#[utoipa::path(
    get,
    path = "/v1/plugins/{name}/{version}",
    tag = "plugins",
    params(
        ("name" = String, Path, description = "The plugin's name", example = "velocity"),
        ("version" = String, Path, description = "Its version", example = "1.2.0"),
    ),
    responses((status = 200, description = "The version", body = PluginInfo))
)]
pub(crate) async fn get_plugin_version(
    State(app): State<App>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<PluginInfo>, ApiError> {
    let found = PluginInfo::find(&app.engine.plan().snapshot, &format!("{name}@{version}"));
    found.map(Json).ok_or_else(|| ApiError::not_found(format!("there is no plugin '{name}@{version}'")))
}

/// Yank a version: only rules that name exactly this version still use it.
///
/// Other rules (`velocity@1`) switch to the newest version that is not yanked, each by a new revision. If a rule would
/// have no version left, the answer is 422 and nothing changes.
#[utoipa::path(
    post,
    path = "/v1/plugins/{name}/{version}/yank",
    tag = "plugins",
    params(
        ("name" = String, Path, description = "The plugin's name", example = "velocity"),
        ("version" = String, Path, description = "Its version", example = "1.2.0"),
        DryRun,
    ),
    responses((status = 200, description = "In effect on all workers, or only checked", body = PluginChanged))
)]
pub(crate) async fn yank_plugin(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(plugin): Path<(String, String)>,
    Query(query): Query<DryRun>,
) -> Result<Json<PluginChanged>, ApiError> {
    set_yanked(app, caller, plugin, true, query.dry_run).await
}

/// Unyank a version: rules such as those with `velocity@1` may switch to it.
#[utoipa::path(
    post,
    path = "/v1/plugins/{name}/{version}/unyank",
    tag = "plugins",
    params(
        ("name" = String, Path, description = "The plugin's name", example = "velocity"),
        ("version" = String, Path, description = "Its version", example = "1.2.0"),
        DryRun,
    ),
    responses((status = 200, description = "In effect on all workers, or only checked", body = PluginChanged))
)]
pub(crate) async fn unyank_plugin(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(plugin): Path<(String, String)>,
    Query(query): Query<DryRun>,
) -> Result<Json<PluginChanged>, ApiError> {
    set_yanked(app, caller, plugin, false, query.dry_run).await
}

async fn set_yanked(
    app: App,
    caller: Arc<Caller>,
    (name, version): (String, String),
    is_yanked: bool,
    dry_run: bool,
) -> Result<Json<PluginChanged>, ApiError> {
    app.blocking(move |engine| {
        let name = format!("{name}@{version}");
        let applied = engine.catalog().yank_plugin(&name, is_yanked, &caller.name, dry_run)?;
        let there = PluginInfo::find(&engine.plan().snapshot, &name);
        let there = there.ok_or_else(|| ApiError::not_found(format!("there is no plugin '{name}'")))?;
        let plugin = PluginInfo { yanked: is_yanked, ..there };
        Ok(Json(PluginChanged { plugin, dry_run, effects: effects_json(applied.effects) }))
    })
    .await
}

fn list_plugin_infos(app: &App, is_wanted: impl Fn(&PluginInfo) -> bool) -> Vec<PluginInfo> {
    let plan = app.engine.plan();
    let all = plan.snapshot.all().map(|(revision, def)| PluginInfo::from_revision(revision, def));
    let mut found: Vec<PluginInfo> = all.filter(is_wanted).collect();
    sort_by_name_and_version(&mut found);
    found
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
            PluginInfo::from_revision(&revision, revision.read().unwrap())
        };
        let mut all = ["b@1.0.0", "a@1.9.0", "a@1.10.0", "a@1.10.0-beta.1"].map(info);
        sort_by_name_and_version(&mut all);
        let order: Vec<_> = all.iter().map(|info| format!("{}@{}", info.name, info.version)).collect();
        assert_eq!(order, ["a@1.10.0", "a@1.10.0-beta.1", "a@1.9.0", "b@1.0.0"]);
    }
}
