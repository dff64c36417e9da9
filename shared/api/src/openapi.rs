//! What the OpenAPI document says of every operation alike.

use std::collections::BTreeMap;

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response,
    ResponseBuilder,
};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::problem::{FieldProblem, ProblemDocument};

/// The problems that any operation may answer with.
#[derive(Debug, Clone, Copy)]
pub struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            ("400", "The request cannot be understood."),
            ("401", "Nobody is known to be asking."),
            ("403", "The caller lacks the permission."),
            (
                "404",
                "There is no such thing in the caller's organization.",
            ),
            ("409", "The request contradicts the state of things."),
            ("412", "Somebody changed it meanwhile."),
            ("413", "The request is too large."),
            ("415", "The body is not of the right media type."),
            ("422", "Fields of the request are not valid."),
            ("500", "Something went wrong inside."),
            ("503", "Something that is needed does not answer."),
        ]
        .into_iter()
        .map(|(status, description)| (status.to_owned(), problem(description).into()))
        .collect()
    }
}

fn problem(description: &str) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content(
            "application/problem+json",
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build(),
        )
        .build()
}

/// The document that a function's operations are added to: title, security scheme and the schemas
/// of problems.
#[must_use]
pub fn base() -> OpenApi {
    let mut components = Components::new();
    components
        .schemas
        .insert("Problem".to_owned(), ProblemDocument::schema());
    components
        .schemas
        .insert(FieldProblem::name().into_owned(), FieldProblem::schema());
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(
                    "A JWT of the configured OIDC issuer, or an API key (`og_…`). The scopes of an \
                     operation name the permission that it needs.",
                ))
                .build(),
        ),
    );
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Overglass")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "The serverless backend for AI agents: tenancy, runs, knowledge and audit.",
                ))
                .build(),
        )
        .components(Some(components))
        .build()
}
