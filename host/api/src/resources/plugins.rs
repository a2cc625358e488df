//! `/v1/plugins`: uploaded WebAssembly. A version never changes.

mod info;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::Caller;
use crate::definitions::{DryRun, EffectJson, effects_json};
use crate::http::{ApiError, Code, Path, Query, essence};
use info::list_plugin_infos;

pub(crate) use info::PluginInfo;

/// A plugin after a change, or with `dry_run` as it would be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PluginChanged {
    #[serde(flatten)]
    plugin: PluginInfo,
    /// Of an upload: false if these very bytes were there before. Missing otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<bool>,
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
        let name = format!("{}@{}", uploaded.manifest.name, uploaded.manifest.version);
        let info = match PluginInfo::find(engine, &name)? {
            Some(info) => info,
            // The plugin was only checked, or it was deleted meanwhile.
            None => PluginInfo::of_upload(&uploaded, &caller.name),
        };
        let status = if uploaded.created && !query.dry_run { StatusCode::CREATED } else { StatusCode::OK };
        let effects = effects_json(uploaded.effects);
        let created = Some(uploaded.created);
        Ok((status, Json(PluginChanged { plugin: info, created, dry_run: query.dry_run, effects })))
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
pub(crate) async fn list_plugins(
    State(app): State<App>,
    Query(filter): Query<PluginFilter>,
) -> Result<Json<PluginList>, ApiError> {
    app.blocking(move |engine| {
        let is_wanted = |name: &str| filter.name.as_deref().is_none_or(|part| name.contains(part));
        Ok(Json(PluginList { items: list_plugin_infos(engine, is_wanted)? }))
    })
    .await
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
    app.blocking(move |engine| {
        let items = list_plugin_infos(engine, |plugin| plugin == name)?;
        if items.is_empty() {
            return Err(ApiError::not_found(format!("there is no plugin '{name}'")));
        }
        Ok(Json(PluginList { items }))
    })
    .await
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
    app.blocking(move |engine| {
        let found = PluginInfo::find(engine, &format!("{name}@{version}"))?;
        found.map(Json).ok_or_else(|| ApiError::not_found(format!("there is no plugin '{name}@{version}'")))
    })
    .await
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
        let there = PluginInfo::find(engine, &name)?;
        let mut plugin = there.ok_or_else(|| ApiError::not_found(format!("there is no plugin '{name}'")))?;
        // With a dry run the catalog still has it as it was.
        plugin.yanked = is_yanked;
        if !is_yanked {
            (plugin.yanked_by, plugin.yanked_at) = (None, None);
        }
        Ok(Json(PluginChanged { plugin, created: None, dry_run, effects: effects_json(applied.effects) }))
    })
    .await
}
