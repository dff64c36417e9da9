//! Versions as ETags: `If-Match` makes a change conditional on what the caller has seen.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::problem::Problem;

/// The version that a change is conditional on, if the request names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(Option<u64>);

impl IfMatch {
    /// Refuses the change if the request named another version than `current`.
    ///
    /// # Errors
    /// 412 with the noun in words.
    pub fn check(self, current: u64, noun: &str) -> Result<(), Problem> {
        match self.0 {
            Some(expected) if expected != current => Err(Problem::changed(noun)),
            _ => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(Self(None));
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        text.strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .and_then(|version| version.parse().ok())
            .map(|version| Self(Some(version)))
            .ok_or_else(|| {
                Problem::invalid_field("If-Match", "must be the ETag of an earlier answer")
            })
    }
}

/// An answer whose version is its ETag.
#[derive(Debug, Clone)]
pub struct Versioned<T> {
    version: u64,
    body: T,
}

impl<T> Versioned<T> {
    /// `body` at `version`.
    #[must_use]
    pub fn new(version: u64, body: T) -> Self {
        Self { version, body }
    }
}

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        let mut response = axum::Json(self.body).into_response();
        if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", self.version)) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }
}

/// 201 with the place of what was created.
pub fn created(location: &str, body: impl IntoResponse) -> Response {
    let mut response = (StatusCode::CREATED, body).into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
