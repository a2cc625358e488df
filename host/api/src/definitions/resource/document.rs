//! The description of the resource of a kind of definitions in the OpenAPI document.

use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{
    Content, ContentBuilder, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
};
use utoipa::{IntoParams, ToSchema};

use super::super::answer::{DefinitionJson, DefinitionList, PutAnswer};
use super::super::store::DryRun;
use super::Resource;

/// The check and the answer of a change.
const PUT_DESCRIPTION: &str = "\
The definition is checked whole against everything that is there; 422 names all problems, and nothing is changed
then. The answer comes when the new revision is in effect on all workers. The same definition again makes no new
revision. `If-Match: \"REVISION\"` changes it only if that revision is still the current one, else 412.";

/// The schemas that the operations refer to.
pub(super) fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let mut all = Vec::new();
    add_schema::<DefinitionJson>(&mut all);
    add_schema::<DefinitionList>(&mut all);
    add_schema::<PutAnswer>(&mut all);
    all
}

fn add_schema<T: ToSchema>(all: &mut Vec<(String, RefOr<Schema>)>) {
    all.push((T::name().into_owned(), T::schema()));
    T::schemas(all);
}

pub(super) fn list<T: Resource>() -> Operation {
    let plural = T::KIND.properties().plural;
    operation::<T>(format!("list_{plural}"), format!("All {plural}, or some."))
        .parameters(Some(T::Filter::into_params(|| Some(ParameterIn::Query))))
        .response("200", answer::<DefinitionList>("By name"))
        .build()
}

pub(super) fn get<T: Resource>() -> Operation {
    let kind = T::KIND;
    operation::<T>(format!("get_{kind}"), format!("A {kind}'s definition, revision, author and time."))
        .parameter(name_parameter::<T>())
        .response("200", answer::<DefinitionJson>("The revision in effect"))
        .build()
}

pub(super) fn put<T: Resource>() -> Operation {
    let kind = T::KIND;
    operation::<T>(format!("put_{kind}"), format!("Create or change a {kind}."))
        .description(Some(PUT_DESCRIPTION))
        .parameter(name_parameter::<T>())
        .parameters(Some(DryRun::into_params(|| Some(ParameterIn::Query))))
        .request_body(Some(definition_body::<T>()))
        .response("200", answer::<PutAnswer>("Changed, unchanged, or only checked"))
        .response("201", answer::<PutAnswer>("Created"))
        .build()
}

pub(super) fn delete<T: Resource>() -> Operation {
    let kind = T::KIND;
    operation::<T>(format!("delete_{kind}"), format!("Delete a {kind}; its revisions stay."))
        .parameter(name_parameter::<T>())
        .response("204", ResponseBuilder::new().description("Deleted").build())
        .build()
}

pub(super) fn revisions<T: Resource>() -> Operation {
    let kind = T::KIND;
    operation::<T>(format!("{kind}_revisions"), format!("All revisions of a {kind}, also of a deleted one."))
        .parameter(name_parameter::<T>())
        .response("200", answer::<DefinitionList>("The newest first"))
        .build()
}

fn operation<T: Resource>(id: String, summary: String) -> OperationBuilder {
    OperationBuilder::new().tag(T::KIND.properties().plural).summary(Some(summary)).operation_id(Some(id))
}

fn name_parameter<T: Resource>() -> Parameter {
    ParameterBuilder::new()
        .name("name")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(format!("The {}'s name", T::KIND)))
        .schema(Some(schema_of(Type::String)))
        .example(Some(T::EXAMPLE_NAME.into()))
        .build()
}

fn definition_body<T: Resource>() -> RequestBody {
    let json = ContentBuilder::new().schema(Some(schema_of(Type::Object))).example(Some(T::example())).build();
    RequestBodyBuilder::new()
        .content("application/json", json)
        .content("application/yaml", Content::new(Some(schema_of(Type::String))))
        .required(Some(Required::True))
        .description(Some("The definition, as JSON or YAML"))
        .build()
}

fn answer<T: ToSchema>(description: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name(T::name())));
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

fn schema_of(schema_type: Type) -> Schema {
    ObjectBuilder::new().schema_type(schema_type).build().into()
}
