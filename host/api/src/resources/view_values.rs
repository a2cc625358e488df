//! `GET /v1/views/{name}/values`: what a view has counted for one key.

use assay_engine::ViewValues;
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::http::{ApiError, Time};

/// Which values are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewQuery {
    /// The key: an entity of the view's stream.
    #[param(example = "card-1")]
    key: String,
    /// At which time a sliding window ends: RFC 3339 or ms since 1970. Without it: at the entity's newest event.
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
    /// The time at which the window ends, ms since 1970; null: nothing was counted yet.
    as_of: Option<i64>,
    /// Measure's name -> value; null: no value.
    #[schema(value_type = Object, example = json!({"payments": 3, "spent": 41.5}))]
    measures: Map<String, Value>,
}

impl From<ViewValues> for Measured {
    fn from(values: ViewValues) -> Self {
        let measures = values.measures.into_iter().map(|(name, value)| (name, value.to_json())).collect();
        Self { as_of: values.as_of, measures }
    }
}

/// What a view has counted for one key.
#[utoipa::path(
    get,
    path = "/v1/views/{name}/values",
    tag = "views",
    params(("name" = String, Path, description = "The view's name", example = "card_spend"), ViewQuery),
    responses((status = 200, description = "The values, from the worker that keeps them", body = ViewValuesJson))
)]
pub(crate) async fn get_view_values(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<ViewQuery>,
) -> Result<Json<ViewValuesJson>, ApiError> {
    app.blocking(move |engine| {
        let values = engine.view(&name, &query.key, query.at.map(|at| at.0))?;
        let (view, key) = (values.view.clone(), values.key.clone());
        Ok(Json(ViewValuesJson { view, key, measured: values.into() }))
    })
    .await
}
