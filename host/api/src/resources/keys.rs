//! `/v1/keys`: API keys. A secret is shown once, when its key is made; the catalog has only its hash.

use std::sync::Arc;

use assay_core::names::check_name;
use assay_engine::definition::ApiKey;
use assay_engine::ports::catalog::{Change, Kind, Snapshot};
use assay_engine::{Engine, now_ms};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::secret::hex;
use crate::auth::{Caller, Role, RoleSchema, Secret};
use crate::http::{ApiError, Code, Path, read_json};

/// How many keys there may be, because every request compares all of them.
const MAX_KEYS: usize = 1000;

/// A request for a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// Its name, which becomes the author of changes.
    #[schema(example = "payments-gateway")]
    name: String,
    /// The roles of its bearer.
    #[schema(value_type = Vec<RoleSchema>, example = json!(["ingest"]))]
    roles: Vec<Role>,
}

/// A key without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyJson {
    /// Its name.
    name: String,
    /// The roles of its bearer.
    #[schema(value_type = Vec<RoleSchema>)]
    roles: Vec<Role>,
    /// When it was made, ms since 1970.
    created: i64,
    /// The key that made it.
    author: String,
}

/// A new key with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeKey {
    /// Its name.
    name: String,
    /// The roles of its bearer.
    #[schema(value_type = Vec<RoleSchema>)]
    roles: Vec<Role>,
    /// The secret: send it as `Authorization: Bearer KEY`. It cannot be read again.
    #[schema(example = "assay_5f1c...")]
    key: String,
}

/// All keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyList {
    /// By name.
    items: Vec<KeyJson>,
}

/// Make a key. Only this answer contains its secret.
#[utoipa::path(
    post,
    path = "/v1/keys",
    tag = "keys",
    request_body(content = NewKey),
    responses((status = 201, description = "Made", body = MadeKey))
)]
pub(crate) async fn post_key(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<MadeKey>), ApiError> {
    let text = app.read_body(&headers, body, 1 << 16, "a key is smaller").await?;
    let mut requested: NewKey = read_json(&text, "{\"name\": \"...\", \"roles\": [\"ingest\", ...]}")?;
    check_name(&requested.name).map_err(|error| ApiError::bad_request(error.to_string()))?;
    requested.roles.sort();
    requested.roles.dedup();
    if requested.roles.is_empty() {
        return Err(ApiError::bad_request("roles: expected at least one of ingest, read, author, admin"));
    }
    let _guard = app.keys.changes.lock().await;
    app.blocking(move |engine| create_key(engine, requested, &caller.name))
        .await
        .map(|made| (StatusCode::CREATED, Json(made)))
}

fn create_key(engine: &Engine, requested: NewKey, author: &str) -> Result<MadeKey, ApiError> {
    let NewKey { name, roles } = requested;
    let plan = engine.plan();
    if plan.snapshot.get(Kind::Key, &name).is_some() {
        let detail = format!("there is a key '{name}' already; delete it first, or take another name");
        return Err(ApiError::new(Code::Conflict, detail));
    }
    if plan.snapshot.of(Kind::Key).count() >= MAX_KEYS {
        return Err(ApiError::new(Code::Conflict, format!("there are {MAX_KEYS} keys already, which is the limit")));
    }
    let secret = Secret::generate().map_err(|error| {
        tracing::error!(%error, "no randomness for a new key");
        ApiError::internal()
    })?;
    let key = ApiKey { hash: hex(&secret.hash()), roles: roles.clone(), created: now_ms() };
    engine.catalog().change(vec![Change::set(&name, key)], author, None, false)?;
    Ok(MadeKey { name, roles, key: secret.reveal() })
}

/// All keys, without their secrets.
#[utoipa::path(get, path = "/v1/keys", tag = "keys", responses((status = 200, description = "By name", body = KeyList)))]
pub(crate) async fn list_keys(State(app): State<App>) -> Json<KeyList> {
    let plan = app.engine.plan();
    let items = plan.snapshot.all::<ApiKey>().map(|(revision, key)| {
        let (name, author) = (revision.name.clone(), revision.author.clone());
        KeyJson { name, roles: key.roles.clone(), created: key.created, author }
    });
    Json(KeyList { items: items.collect() })
}

/// Delete a key. The last key with the role admin cannot be deleted.
#[utoipa::path(
    delete,
    path = "/v1/keys/{name}",
    tag = "keys",
    params(("name" = String, Path, description = "The key's name", example = "payments-gateway")),
    responses((status = 204, description = "Deleted"))
)]
pub(crate) async fn delete_key(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let _guard = app.keys.changes.lock().await;
    app.blocking(move |engine| {
        let plan = engine.plan();
        if plan.snapshot.get(Kind::Key, &name).is_none() {
            return Err(ApiError::not_found(format!("there is no key '{name}'")));
        }
        if !has_other_admin(&plan.snapshot, &name) {
            let detail = format!("'{name}' is the last key with the role admin; make another one first");
            return Err(ApiError::new(Code::Conflict, detail));
        }
        engine.catalog().change(vec![Change::delete(Kind::Key, name)], &caller.name, None, false)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

fn has_other_admin(snapshot: &Snapshot, name: &str) -> bool {
    snapshot.all::<ApiKey>().any(|(revision, key)| revision.name != name && key.allows(Role::Admin))
}
