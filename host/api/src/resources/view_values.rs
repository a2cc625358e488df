//! `GET /v1/views/{name}/values`: the values of a view for one key.

use assay_engine::ViewValues;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::existence::check_view_entity;
use crate::app::App;
use crate::http::{ApiError, Path, Query, Time};

/// The key and the time of the values.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewQuery {
    /// The key: an entity of the view's stream.
    #[param(example = "card-1")]
    key: String,
    /// The end of a sliding window, or a time in the bucket of a tumbling view: RFC 3339 or ms since 1970. Without it: the
    /// time of the entity's newest event.
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
    /// The bucket of a tumbling view's values. Missing if nothing was counted and the request has no time.
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<BucketSpan>,
    /// Measure's name -> value; null: no value.
    #[schema(value_type = Object, example = json!({"payments": 3, "spent": 41.5}))]
    measures: Map<String, Value>,
}

/// The times of a bucket of a tumbling view.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BucketSpan {
    /// Its start, ms since 1970.
    #[schema(example = 1_767_225_600_000_i64)]
    pub(super) from: i64,
    /// Its exclusive end, ms since 1970.
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

/// The values of a view for one key.
#[utoipa::path(
    get,
    path = "/v1/views/{name}/values",
    tag = "views",
    params(("name" = String, Path, description = "The view's name", example = "card_spend"), ViewQuery),
    responses((
        status = 200,
        description = "The values, from the worker that owns the partition; 409 (not-kept) if not all tiles of that time are kept: `from` and `to` are the possible times",
        body = ViewValuesJson
    ))
)]
pub(crate) async fn get_view_values(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<ViewQuery>,
) -> Result<Json<ViewValuesJson>, ApiError> {
    app.blocking(move |engine| {
        let values = engine.queries().view(&name, &query.key, query.at.map(|at| at.0))?;
        if values.as_of.is_none() {
            check_view_entity(engine, &name, &query.key)?;
        }
        let (view, key) = (values.view.clone(), values.key.clone());
        Ok(Json(ViewValuesJson { view, key, measured: values.into() }))
    })
    .await
}
