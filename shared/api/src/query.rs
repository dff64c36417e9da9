//! Query parameters of a known shape, strictly read and validated.

use axum::extract::FromRequestParts;
use garde::Validate;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::body::validate;
use crate::problem::Problem;

/// Query parameters: of a known shape with no unknown names, and valid.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<S, T> FromRequestParts<S> for Query<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let value: T = serde_urlencoded::from_str(query)
            .map_err(|error| Problem::invalid_field("query", error.to_string()))?;
        validate(&value)?;
        Ok(Self(value))
    }
}
