//! What the API says to a request that it does not carry out.

use reqwest::{Response, StatusCode};
use serde_json::Value;

/// A problem document, or whatever came in its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} answered {status}: {detail}")]
pub struct Refusal {
    /// The path that was asked.
    pub path: String,
    pub status: StatusCode,
    /// The stable code of the problem; empty if the answer was none.
    pub code: String,
    /// For people: the detail, and which fields are wrong.
    pub detail: String,
}

impl Refusal {
    /// Reads it off an answer that tells of no success.
    pub(super) async fn of(response: Response) -> Self {
        let status = response.status();
        let path = response.url().path().to_owned();
        let body = response.text().await.unwrap_or_default();
        let problem: Value = serde_json::from_str(&body).unwrap_or_default();
        let detail = problem["detail"].as_str().map_or(body, str::to_owned);
        Self {
            path,
            status,
            code: problem["code"].as_str().unwrap_or_default().to_owned(),
            detail: detail + &fields(&problem),
        }
    }
}

/// What is wrong with which field, as the end of the detail.
fn fields(problem: &Value) -> String {
    let errors = problem["errors"].as_array().into_iter().flatten();
    let named: Vec<String> = errors
        .filter_map(|error| {
            let (field, message) = (error["field"].as_str()?, error["message"].as_str()?);
            Some(format!("{field} {message}"))
        })
        .collect();
    if named.is_empty() {
        return String::new();
    }
    format!(" ({})", named.join("; "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wrong_fields_are_named_behind_the_detail() {
        let problem = json!({ "errors": [
            { "field": "/name", "message": "must not be blank" },
            { "field": "/limit", "message": "greater than 100" },
        ] });
        let told = fields(&problem);
        assert_eq!(told, " (/name must not be blank; /limit greater than 100)");
        assert_eq!(fields(&json!({ "detail": "No." })), "");
    }
}
