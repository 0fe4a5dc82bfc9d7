//! What stands in paths, queries and headers of requests.

use crate::routes::query::{LIMIT, MAX_LIMIT};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat};
use utoipa::openapi::{ObjectBuilder, Required, Type};

pub(super) fn parameter(name: &str, place: ParameterIn, schema: ObjectBuilder, about: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .schema(Some(schema))
        .description(Some(about))
        .build()
}

pub(super) fn limit() -> Parameter {
    let entries = whole().minimum(Some(1)).maximum(Some(MAX_LIMIT)).default(Some(LIMIT.into()));
    parameter("limit", ParameterIn::Query, entries, "How many entries the page has at most.")
}

pub(super) fn whole() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
}

/// A parameter of a path, which is always there.
pub(super) fn path(name: &str, schema: ObjectBuilder, about: &str) -> Parameter {
    let mut parameter = parameter(name, ParameterIn::Path, schema, about);
    parameter.required = Required::True;
    parameter
}
