//! All routes, grouped by the role that they need. Routes outside of `open_routes` need a key.

use assay_core::rule::RuleDef;
use assay_core::stream::StreamDef;
use assay_core::view::ViewDef;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::{Role, alone, require};
use crate::definitions::*;
use crate::http::{
    Parameters, catch_panics, check_query, close_if_unread, compression, cors, log_requests, render_errors,
    skip_unchanged,
};
use crate::ingest::*;
use crate::openapi::{describe, document, serve_document};
use crate::registry;
use crate::resources::*;

/// The API's routes with all layers.
pub fn router(app: App) -> Router {
    let guard = |role: Role, routes: OpenApiRouter<App>| {
        let known = Parameters::of(routes.get_openapi());
        let checked = routes.route_layer(from_fn_with_state(known, check_query));
        checked.route_layer(from_fn_with_state((app.clone(), alone(role)), require))
    };
    let origins = app.config.cors_origins.clone();
    let (open, document) = group_routes(guard).split_for_parts();
    let document = serve_document(&document);
    // Not in the document: this protocol is documented by Confluent.
    let registry =
        registry::routes(|roles, routes| routes.route_layer(from_fn_with_state((app.clone(), roles), require)));
    let router = open
        .merge(registry)
        .route("/openapi.json", axum::routing::get(move || std::future::ready(document.clone())))
        .with_state(app.clone())
        .layer(from_fn(skip_unchanged))
        .layer(from_fn(catch_panics))
        .layer(from_fn(render_errors))
        .layer(from_fn(registry::render_errors))
        .layer(from_fn(close_if_unread))
        .layer(from_fn_with_state(app, log_requests))
        .layer(compression());
    if origins.is_empty() { router } else { router.layer(cors(&origins)) }
}

/// The routes of the listener for health, which need no key.
pub(crate) fn health_router(app: App) -> Router {
    use axum::routing::get;
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(app.clone())
        .layer(from_fn(catch_panics))
        .layer(from_fn(render_errors))
        .layer(from_fn(close_if_unread))
        .layer(from_fn_with_state(app, log_requests))
}

/// All routes. `guard` adds the check of the role to routes that need one.
pub(crate) fn group_routes(guard: impl Fn(Role, OpenApiRouter<App>) -> OpenApiRouter<App>) -> OpenApiRouter<App> {
    let guarded = |role, routes| guard(role, describe(Some(role), routes));
    OpenApiRouter::with_openapi(document())
        .merge(describe(None, open_routes()))
        .merge(guarded(Role::Ingest, ingest_routes()))
        .merge(guarded(Role::Read, read_routes()))
        .merge(guarded(Role::Author, author_routes()))
        .merge(guarded(Role::Admin, admin_routes()))
}

fn open_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(healthz)).routes(routes!(readyz))
}

fn ingest_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(post_events))
}

fn read_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .merge(definition_read_routes::<StreamDef>())
        .merge(definition_read_routes::<ViewDef>())
        .merge(definition_read_routes::<RuleDef>())
        .merge(definition_revision_routes::<RuleDef>())
        .routes(routes!(get_view_values))
        .routes(routes!(get_view_buckets))
        .routes(routes!(rule_status))
        .routes(routes!(list_plugins))
        .routes(routes!(get_plugin))
        .routes(routes!(get_plugin_version))
        .routes(routes!(get_entity))
        .routes(routes!(entity_events))
        .routes(routes!(entity_verdicts))
        .routes(routes!(explain_event))
        .routes(routes!(get_scores))
        .routes(routes!(follow_verdicts))
        .routes(routes!(get_node))
        .routes(routes!(list_dead_letters))
        .routes(routes!(get_dead_letter))
        .routes(routes!(metrics))
}

fn author_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .merge(definition_author_routes::<StreamDef>())
        .merge(definition_author_routes::<ViewDef>())
        .merge(definition_author_routes::<RuleDef>())
        .routes(routes!(pause_rule))
        .routes(routes!(rollback_rule))
        .routes(routes!(resume_rule))
        .routes(routes!(post_changes))
        .routes(routes!(post_plugin))
        .routes(routes!(yank_plugin))
        .routes(routes!(unyank_plugin))
}

fn admin_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(post_key, list_keys))
        .routes(routes!(delete_key))
        .routes(routes!(delete_entity))
}
