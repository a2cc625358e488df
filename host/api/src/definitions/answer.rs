//! How definitions and their revisions look in JSON.

use assay_engine::plan::Effect;
use assay_engine::ports::catalog::{Kind, Revision};
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// One revision of a definition.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DefinitionJson {
    /// `stream`, `view` or `rule`.
    #[schema(value_type = String, example = "rule")]
    pub(super) kind: Kind,
    /// Its name.
    #[schema(example = "card-velocity")]
    pub(super) name: String,
    /// Counted from 1.
    #[schema(example = 3)]
    pub(super) revision: u32,
    /// The catalog's version since which it holds.
    #[schema(example = 17)]
    pub(super) version: u64,
    /// The key that made it.
    #[schema(example = "admin")]
    pub(super) author: String,
    /// When, ms since 1970.
    #[schema(example = 1_767_225_600_000_i64)]
    pub(super) at: i64,
    /// The definition; null: this revision deleted it.
    #[schema(value_type = Option<Object>)]
    pub(super) definition: Option<Value>,
}

impl From<Revision> for DefinitionJson {
    fn from(revision: Revision) -> Self {
        Self {
            kind: revision.kind,
            name: revision.name,
            revision: revision.revision,
            version: revision.version,
            author: revision.author,
            at: revision.at,
            definition: revision.definition.map(|definition| definition.to_json()),
        }
    }
}

/// A list of definitions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DefinitionList {
    /// By name; of revisions: the newest first.
    pub(super) items: Vec<DefinitionJson>,
}

/// What a change has done, or with `dry_run` would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PutAnswer {
    #[serde(flatten)]
    pub(super) definition: DefinitionJson,
    /// False: the definition was the same before, and there is no new revision.
    pub(super) changed: bool,
    /// True: only checked.
    pub(super) dry_run: bool,
    /// What else the change does, or would do.
    pub(super) effects: Vec<EffectJson>,
}

/// Something that a change does beside what it says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EffectJson {
    /// `view` or `rule`.
    #[schema(value_type = String, example = "view")]
    kind: Kind,
    /// Its name.
    #[schema(example = "card_spend")]
    name: String,
    /// What becomes of it.
    #[schema(example = "it begins anew, with empty windows")]
    effect: String,
}

/// Effects as JSON.
pub(crate) fn effects_json(effects: Vec<Effect>) -> Vec<EffectJson> {
    effects.into_iter().map(|Effect { kind, name, effect }| EffectJson { kind, name, effect }).collect()
}

/// An answer with a revision as the entity tag.
pub(super) fn with_tag(status: StatusCode, revision: impl std::fmt::Display, body: impl Serialize) -> Response {
    let tag = [(header::ETAG, format!("\"{revision}\""))];
    (status, tag, Json(body)).into_response()
}
