//! The names of query parameters: one that an operation does not document is an error, and says which was meant.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::ApiError;

/// The parameters of some operations, as the document has them.
pub(crate) struct QueryNames(BTreeMap<(Method, String), Vec<String>>);

impl QueryNames {
    pub(crate) fn of(document: &OpenApi) -> Arc<Self> {
        let mut all = BTreeMap::new();
        for (path, item) in &document.paths.paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::PUT, &item.put),
                (Method::POST, &item.post),
                (Method::DELETE, &item.delete),
            ];
            for (method, operation) in operations {
                if let Some(operation) = operation {
                    all.insert((method, path.clone()), names(operation));
                }
            }
        }
        Arc::new(Self(all))
    }

    fn check(&self, request: &Request) -> Result<(), ApiError> {
        let Some(path) = request.extensions().get::<MatchedPath>() else { return Ok(()) };
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let Some(names) = self.0.get(&(method.clone(), path.as_str().to_owned())) else { return Ok(()) };
        // What cannot be read at all is told by the handler.
        let given =
            Query::<Vec<(String, String)>>::try_from_uri(request.uri()).map(|query| query.0).unwrap_or_default();
        match given.iter().find(|(name, _)| !names.contains(name)) {
            None => Ok(()),
            Some((unknown, _)) => Err(ApiError::bad_request(refusal(unknown, names))),
        }
    }
}

fn names(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
        _ => None,
    });
    parameters.collect()
}

fn refusal(unknown: &str, names: &[String]) -> String {
    if names.is_empty() {
        return format!("there is no parameter '{unknown}': none is taken here");
    }
    let nearest = nearest(unknown, names.iter().map(String::as_str));
    let hint = nearest.map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
    format!("there is no parameter '{unknown}'{hint} (taken here: {})", names.join(", "))
}

/// Refuses requests with a parameter that is not in the document.
pub(crate) async fn check_query(State(names): State<Arc<QueryNames>>, request: Request, next: Next) -> Response {
    match names.check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// The known name nearest to an unknown one. Half-typed names are near, others are not: a third of the letters may differ.
pub(crate) fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (unknown.chars().count() / 3).max(1);
    let distances = known.map(|known| (strsim::osa_distance(unknown, known), known));
    distances.min_by_key(|(distance, _)| *distance).filter(|(distance, _)| *distance <= allowed).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_nearest_parameter() {
        let names = ["rule", "limit"].map(str::to_owned);
        assert_eq!(
            refusal("limt", &names),
            "there is no parameter 'limt'; did you mean 'limit'? (taken here: rule, limit)"
        );
        assert_eq!(refusal("colour", &names), "there is no parameter 'colour' (taken here: rule, limit)");
        assert_eq!(refusal("x", &[]), "there is no parameter 'x': none is taken here");
    }
}
