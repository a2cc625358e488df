//! The OpenAPI document. It is generated from the handlers; the security scheme and the errors are added to every
//! operation.

mod conditions;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::auth::Role;
use crate::http::ProblemBody;
use crate::router::group_routes;

/// The name of the security scheme in the document.
const KEY_SCHEME: &str = "key";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Assay",
        version = "1.0.0",
        description = "Scores and tags streams of events with sandboxed WebAssembly plugins. Times are milliseconds since 1970-01-01T00:00:00Z. Errors are problem details (RFC 9457). /registry, which is not described here, has the protocol of Confluent's schema registry.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ProblemBody)),
    tags(
        (name = "events", description = "Events in, explanations out"),
        (name = "streams", description = "Logs of events of one schema"),
        (name = "views", description = "Aggregates of a stream's events by entity"),
        (name = "rules", description = "Rules that score the events of a stream"),
        (name = "plugins", description = "WebAssembly that scores"),
        (name = "changes", description = "Several definitions in one step"),
        (name = "entities", description = "Profiles and histories"),
        (name = "scores", description = "The highest scores"),
        (name = "graph", description = "Edges between entities"),
        (name = "dead letters", description = "Events that could not be scored"),
        (name = "keys", description = "API keys"),
        (name = "health", description = "For operators"),
    )
)]
struct Document;

/// The document without any path.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    let scheme = Http::builder().scheme(HttpAuthScheme::Bearer).description(Some(
        "An API key. Roles: ingest (send events), read, author (change definitions; implies read), admin (all). The scheme Basic is accepted too, with the key as password and any user name.",
    ));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(KEY_SCHEME, SecurityScheme::Http(scheme.build()));
    document
}

/// The whole document, as `/openapi.json` serves it.
pub fn openapi() -> utoipa::openapi::OpenApi {
    group_routes(|_, routes| routes).into_openapi()
}

/// Adds to every operation its role, its conditional headers and its errors.
pub(crate) fn describe(role: Option<Role>, mut routes: OpenApiRouter<App>) -> OpenApiRouter<App> {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new()
        .description("An error, as problem details")
        .content("application/problem+json", problem)
        .build();
    for (path, item) in &mut routes.get_openapi_mut().paths.paths {
        conditions::add_conditions(path, item);
        for operation in operations(item) {
            operation.security = Some(match role {
                Some(role) => vec![SecurityRequirement::new(KEY_SCHEME, [role.as_str()])],
                None => Vec::new(),
            });
            operation.responses.responses.insert("default".to_owned(), response.clone().into());
        }
    }
    routes
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten()
}

/// The document as an answer, rendered once.
pub(crate) fn serve_document(document: &utoipa::openapi::OpenApi) -> Rendered {
    // The document is made of texts and maps with text keys, which always serialize.
    Rendered(document.to_json().unwrap_or_default().into())
}

/// The rendered document.
#[derive(Clone)]
pub(crate) struct Rendered(std::sync::Arc<str>);

impl IntoResponse for Rendered {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, kind)], self.0.to_string()).into_response()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_is_as_published() {
        insta::assert_snapshot!(super::openapi().to_pretty_json().unwrap());
    }
}
