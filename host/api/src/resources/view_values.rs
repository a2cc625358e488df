//! `GET /v1/views/{name}/values`: what a view has counted for one key.

use assay_engine::ViewValues;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::known::check_view_entity;
use crate::app::App;
use crate::http::{ApiError, Path, Query, Time};

/// Which values are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewQuery {
    /// The key: an entity of the view's stream.
    #[param(example = "card-1")]
    key: String,
    /// At which time a sliding window ends, or a time in the bucket of a tumbling view: RFC 3339 or ms since 1970.
    /// Without it: that of the entity's newest event.
    #[param(value_type = Option<String>, example = "2026-01-31T12:00:00Z")]
    at: Option<Time>,
}

/// A view's values for one key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ViewValuesJson {
    /// The view.
    #[schema(example = "card_spend")]
    view: String,
    /// The key.
    #[schema(example = "card-1")]
    key: String,
    #[serde(flatten)]
    measured: Measured,
}

/// Values of a view's measures.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Measured {
    /// The time of the newest event that was counted, ms since 1970; null: nothing was counted yet.
    as_of: Option<i64>,
    /// Of a tumbling view: the bucket that the values are of. Missing if nothing was counted and no time was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<BucketSpan>,
    /// Measure's name -> value; null: no value.
    #[schema(value_type = Object, example = json!({"payments": 3, "spent": 41.5}))]
    measures: Map<String, Value>,
}

/// When a bucket of a tumbling view begins and ends.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BucketSpan {
    /// Its begin, ms since 1970.
    #[schema(example = 1_767_225_600_000_i64)]
    pub(super) from: i64,
    /// Its end, ms since 1970: the first time that is not in it.
    #[schema(example = 1_767_229_200_000_i64)]
    pub(super) to: i64,
}

impl From<ViewValues> for Measured {
    fn from(values: ViewValues) -> Self {
        let measures = values.measures.into_iter().map(|(name, value)| (name, value.to_json())).collect();
        let bucket = values.bucket.map(|bucket| BucketSpan { from: bucket.start, to: bucket.end });
        Self { as_of: values.as_of, bucket, measures }
    }
}

/// What a view has counted for one key.
#[utoipa::path(
    get,
    path = "/v1/views/{name}/values",
    tag = "views",
    params(("name" = String, Path, description = "The view's name", example = "card_spend"), ViewQuery),
    responses((
        status = 200,
        description = "The values, from the worker that keeps them; 409 (not-kept) if some of what they cover at that time is not kept any more: `from` and `to` are the times that can be answered",
        body = ViewValuesJson
    ))
)]
pub(crate) async fn get_view_values(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<ViewQuery>,
) -> Result<Json<ViewValuesJson>, ApiError> {
    app.blocking(move |engine| {
        let values = engine.view(&name, &query.key, query.at.map(|at| at.0))?;
        if values.as_of.is_none() {
            check_view_entity(engine, &name, &query.key)?;
        }
        let (view, key) = (values.view.clone(), values.key.clone());
        Ok(Json(ViewValuesJson { view, key, measured: values.into() }))
    })
    .await
}
