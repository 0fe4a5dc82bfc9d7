//! One operation, in the words that all routes are described with.

use super::{headers, problems, streams};
use crate::problem::Kind;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{Ref, Schema};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{RefOr, Required, ResponseBuilder};

/// The name of the scheme of tokens.
pub(super) const BEARER: &str = "bearer";
/// The name of the scheme of guests.
pub(super) const DEVICE: &str = "device";

/// Examples: what each shows, and its value.
pub(super) type Examples<'a> = &'a [(&'a str, Value)];

/// An operation that is being described.
pub(super) struct Described {
    operation: OperationBuilder,
    responses: BTreeMap<u16, ResponseBuilder>,
    kinds: Vec<Kind>,
    /// Headers of every answer.
    headers: Vec<&'static str>,
}

impl Described {
    /// Anybody may call it, unless said otherwise.
    pub(super) fn new(tag: &str, id: &str, summary: &str) -> Self {
        let operation = OperationBuilder::new().tag(tag).operation_id(Some(id)).summary(Some(summary));
        let operation = operation.securities(Some([]));
        Self { operation, responses: BTreeMap::new(), kinds: Vec::new(), headers: vec![headers::REQUEST_ID] }
    }

    pub(super) fn about(self, text: &str) -> Self {
        Self { operation: self.operation.description(Some(text)), ..self }
    }

    /// Only somebody with a token may call it or, where there are guests, with a device.
    pub(super) fn with_caller(self, guests: bool) -> Self {
        self.with_one_of(callers(guests))
    }

    /// Likewise; but a guest's device may stand in the body, too, of which no scheme tells.
    pub(super) fn with_caller_or_body(self, guests: bool) -> Self {
        self.with_one_of(callers(guests).chain(guests.then(SecurityRequirement::default)))
    }

    fn with_one_of(self, schemes: impl Iterator<Item = SecurityRequirement>) -> Self {
        Self { operation: self.operation.securities(Some(schemes)), ..self }.problems(problems::CALLER)
    }

    pub(super) fn parameter(self, parameter: Parameter) -> Self {
        Self { operation: self.operation.parameter(parameter), ..self }
    }

    pub(super) fn parameters(self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        Self { operation: self.operation.parameters(Some(parameters)), ..self }
    }

    /// It takes JSON of this schema, at most so many bytes of it.
    pub(super) fn body(self, schema: &str, max: usize, examples: Examples<'_>) -> Self {
        let body = RequestBodyBuilder::new()
            .description(Some(format!("At most {max} bytes. A body without a `Content-Type` is taken for JSON.")))
            .required(Some(Required::True))
            .content("application/json", content(Some(Ref::from_schema_name(schema).into()), examples))
            .build();
        Self { operation: self.operation.request_body(Some(body)), ..self }.problems(problems::BODY)
    }

    /// An answer of this media type.
    pub(super) fn answers(
        mut self,
        (status, about): (u16, &str),
        (media_type, schema): (&str, Option<RefOr<Schema>>),
        examples: Examples<'_>,
    ) -> Self {
        let content = content(schema, examples);
        self.responses.insert(status, ResponseBuilder::new().description(about).content(media_type, content));
        self
    }

    /// The answer 200, as JSON.
    pub(super) fn gives(self, about: &str, schema: impl Into<RefOr<Schema>>, examples: Examples<'_>) -> Self {
        self.answers((200, about), ("application/json", Some(schema.into())), examples)
    }

    /// The answer 200, or another way to give it: as a stream.
    pub(super) fn streams(mut self, about: &str, stream: Content) -> Self {
        let response = self.responses.remove(&200).unwrap_or_else(|| ResponseBuilder::new().description(about));
        self.responses.insert(200, response.content(streams::MEDIA_TYPE, stream));
        self
    }

    /// An answer without content.
    pub(super) fn empty(mut self, status: u16, about: &str) -> Self {
        self.responses.insert(status, ResponseBuilder::new().description(about));
        self
    }

    /// A header of the answer 200.
    pub(super) fn with_header(self, name: &str) -> Self {
        self.on_success(|response| response.header_ref(name, headers::reference(name)))
    }

    /// What can be called next, with what the answer 200 told.
    pub(super) fn with_link(self, name: &str, link: Link) -> Self {
        self.on_success(|response| response.link(name, link))
    }

    fn on_success(mut self, change: impl FnOnce(ResponseBuilder) -> ResponseBuilder) -> Self {
        if let Some(response) = self.responses.remove(&200) {
            self.responses.insert(200, change(response));
        }
        self
    }

    /// Headers of every answer, problems too.
    pub(super) fn with_headers(mut self, names: &[&'static str]) -> Self {
        self.headers.extend(names);
        self
    }

    /// It can also give these problems. Each status is told once, with all its kinds.
    pub(super) fn problems(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.kinds.extend(kinds);
        self
    }

    pub(super) fn build(self) -> Operation {
        let headers = self.headers;
        let whole = |response: ResponseBuilder| {
            headers.iter().fold(response, |response, name| response.header_ref(*name, headers::reference(name))).build()
        };
        let responses = self.responses.into_iter().chain(problems::responses(self.kinds));
        responses
            .fold(self.operation, |operation, (status, response)| {
                operation.response(status.to_string(), whole(response))
            })
            .build()
    }
}

/// A schema among the components.
pub(super) fn schema(name: &str) -> Ref {
    Ref::from_schema_name(name)
}

fn content(schema: Option<RefOr<Schema>>, examples: Examples<'_>) -> Content {
    let named = examples.iter().map(|(summary, value)| {
        let name = summary.to_lowercase().replace(' ', "_");
        (name, ExampleBuilder::new().summary(*summary).value(Some(value.clone())).build())
    });
    ContentBuilder::new().schema(schema).examples_from_iter(named).build()
}

fn callers(guests: bool) -> impl Iterator<Item = SecurityRequirement> {
    let schemes = [BEARER].into_iter().chain(guests.then_some(DEVICE));
    schemes.map(|name| SecurityRequirement::new(name, [""; 0]))
}
