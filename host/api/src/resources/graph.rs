//! `GET /v1/graph/{node}`: the edges of a node.

use assay_core::verdict::Facets;
use assay_engine::ports::graph::GraphEdge;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::{ApiError, Listing, PageQuery, Path, Query, page_limit};

/// An edge between two nodes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GraphEdgeJson {
    /// The node where it begins.
    source: String,
    /// Its name.
    #[schema(example = "paid")]
    name: String,
    /// The node where it ends.
    target: String,
    /// The score of the verdict that made it, or null.
    score: Option<f64>,
    /// The time of its latest event, ms since 1970.
    time: i64,
    /// The rule that made it.
    rule: String,
    /// Further values that the rule keeps with it, by name.
    #[serde(skip_serializing_if = "Facets::is_empty")]
    #[schema(value_type = Object)]
    facets: Facets,
}

impl From<GraphEdge> for GraphEdgeJson {
    fn from(edge: GraphEdge) -> Self {
        let GraphEdge { source, name, target, score, time, rule, facets } = edge;
        Self { source, name, target, score, time, rule, facets }
    }
}

/// The edges of a node.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GraphPage {
    /// By name, then by the other end.
    items: Vec<GraphEdgeJson>,
    /// Send it back as `cursor` for the next page; null on the last page.
    cursor: Option<String>,
}

/// The edges that begin or end at a node.
#[utoipa::path(
    get,
    path = "/v1/graph/{node}",
    tag = "graph",
    params(("node" = String, Path, description = "The node, percent-encoded", example = "card-1"), PageQuery),
    responses((status = 200, description = "Its edges; 404 for a node that has none", body = GraphPage))
)]
pub(crate) async fn get_node(
    State(app): State<App>,
    Path(node): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<GraphPage>, ApiError> {
    let limit = page_limit(query.limit)?;
    app.blocking(move |engine| {
        let listing = Listing::new("graph", &[&node]);
        let cursor = listing.open(query.cursor)?;
        let page = engine.queries().neighbours(&node, limit, cursor.as_deref())?;
        if page.items.is_empty() && cursor.is_none() {
            return Err(ApiError::entity_not_found(format!("no edge begins or ends at '{node}'")));
        }
        let items = page.items.into_iter().map(GraphEdgeJson::from).collect();
        Ok(Json(GraphPage { items, cursor: listing.seal(page.cursor) }))
    })
    .await
}
