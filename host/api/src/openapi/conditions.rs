//! The conditional headers of all operations on definitions, described once instead of at every handler.

use assay_engine::definition::Kind;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Required, ResponseBuilder, Schema};

/// Adds the headers to the operations on definitions.
pub(super) fn add_conditions(path: &str, item: &mut PathItem) {
    let is_list_of_definitions = |path: &str| Kind::editable().any(|kind| kind.properties().path == path);
    let is_list = is_list_of_definitions(path);
    let is_one = path.strip_suffix("/{name}").is_some_and(is_list_of_definitions);
    if let Some(get) = item.get.as_mut().filter(|_| is_list || is_one) {
        add_header(get, "If-None-Match", "The `ETag` of an earlier answer: 304 if nothing has changed");
        let unchanged = ResponseBuilder::new().description("Nothing has changed");
        get.responses.responses.insert("304".to_owned(), unchanged.build().into());
    }
    for change in [&mut item.put, &mut item.delete].into_iter().flatten().filter(|_| is_one) {
        add_header(change, "If-Match", "The `ETag` of the current revision, else 412; `*`: any");
    }
    if let Some(put) = item.put.as_mut().filter(|_| is_one) {
        add_header(put, "If-None-Match", "`*`: the definition must not exist, else 412");
    }
}

fn add_header(operation: &mut Operation, name: &str, description: &str) {
    operation.parameters.get_or_insert_default().push(RefOr::T(header(name, description)));
}

fn header(name: &str, description: &str) -> Parameter {
    let text: Schema = ObjectBuilder::new().schema_type(Type::String).build().into();
    let header = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(Required::False);
    header.description(Some(description)).schema(Some(text)).build()
}
