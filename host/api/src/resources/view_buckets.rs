//! `GET /v1/views/{name}/buckets`: the buckets of a tumbling view for one key.

use assay_engine::ViewBuckets;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::BucketSpan;
use super::existence::check_view_entity;
use crate::app::App;
use crate::http::{ApiError, Path, Query, Time, time_range};

/// The key and the times of the buckets.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct BucketsQuery {
    /// The key: an entity of the view's stream.
    #[param(example = "card-1")]
    key: String,
    /// A time in the first bucket: RFC 3339 or ms since 1970. Without it: the oldest kept bucket.
    #[param(value_type = Option<String>, example = "2026-01-31T00:00:00Z")]
    from: Option<Time>,
    /// The exclusive end: buckets that begin then or later are left out.
    #[param(value_type = Option<String>, example = "2026-02-01T00:00:00Z")]
    to: Option<Time>,
}

/// The buckets of a tumbling view for one key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ViewBucketsJson {
    /// The view.
    #[schema(example = "card_hours")]
    view: String,
    /// The key.
    #[schema(example = "card-1")]
    key: String,
    /// The time of the newest event that was counted, ms since 1970; null: nothing was counted yet.
    as_of: Option<i64>,
    /// Oldest first, at most 1440; buckets without events are left out.
    buckets: Vec<BucketJson>,
}

/// One bucket of a tumbling view.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BucketJson {
    #[serde(flatten)]
    span: BucketSpan,
    /// Measure's name -> value; null: no value.
    #[schema(value_type = Object, example = json!({"payments": 3, "spent": 41.5}))]
    measures: Map<String, Value>,
}

impl From<ViewBuckets> for ViewBucketsJson {
    fn from(kept: ViewBuckets) -> Self {
        let buckets = kept.buckets.into_iter().map(|bucket| BucketJson {
            span: BucketSpan { from: bucket.from, to: bucket.to },
            measures: kept.measures.iter().cloned().zip(bucket.values.iter().map(|value| value.to_json())).collect(),
        });
        Self { buckets: buckets.collect(), view: kept.view, key: kept.key, as_of: kept.as_of }
    }
}

/// The buckets of a tumbling view for one key.
#[utoipa::path(
    get,
    path = "/v1/views/{name}/buckets",
    tag = "views",
    params(("name" = String, Path, description = "The view's name", example = "card_hours"), BucketsQuery),
    responses((
        status = 200,
        description = "The buckets, from the worker that owns the partition; 400 if the view does not tumble",
        body = ViewBucketsJson
    ))
)]
pub(crate) async fn get_view_buckets(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<BucketsQuery>,
) -> Result<Json<ViewBucketsJson>, ApiError> {
    let times = time_range(query.from, query.to);
    app.blocking(move |engine| {
        let buckets = engine.queries().buckets(&name, &query.key, times)?;
        if buckets.as_of.is_none() {
            check_view_entity(engine, &name, &query.key)?;
        }
        Ok(Json(buckets.into()))
    })
    .await
}
