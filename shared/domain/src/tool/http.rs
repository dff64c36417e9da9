//! HTTP tools: what may be registered, and the request that a call becomes.

use serde_json::{Map, Value};

use super::headers::{MAX_HEADERS, header_problem};
use super::template::{encode_into, plain_text};
use super::{
    ArgumentError, HttpAction, HttpMethod, MAX_EXPANDED_URL_BYTES, MAX_TIMEOUT_SECONDS, McpAction,
    UrlTemplate,
};

/// What is wrong with one part of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionProblem {
    /// A JSON pointer within the action: `/url`, `/headers/accept`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// The request that one call of an HTTP tool becomes. Its headers and time limit are the action's.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpandedRequest {
    pub method: HttpMethod,
    pub url: String,
    /// The JSON object to send, for methods that send one.
    pub body: Option<Value>,
}

fn timeout_problem(seconds: u32) -> Option<ActionProblem> {
    (!(1..=MAX_TIMEOUT_SECONDS).contains(&seconds)).then(|| ActionProblem {
        field: "/timeout_seconds".to_owned(),
        message: format!("must be 1 to {MAX_TIMEOUT_SECONDS}"),
    })
}

impl McpAction {
    /// Everything that is wrong with the action.
    #[must_use]
    pub fn problems(&self) -> Vec<ActionProblem> {
        let url = match UrlTemplate::parse(&self.url) {
            Ok(template) if !template.parameters().is_empty() => {
                Some("must not have placeholders".to_owned())
            }
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        };
        let url = url.map(|message| ActionProblem {
            field: "/url".to_owned(),
            message,
        });
        url.into_iter()
            .chain(timeout_problem(self.timeout_seconds))
            .collect()
    }
}

impl HttpAction {
    /// Everything that is wrong with the action of a tool whose arguments `parameters` describes.
    #[must_use]
    pub fn problems(&self, parameters: &Value) -> Vec<ActionProblem> {
        let mut problems = Vec::new();
        let mut note = |field: String, message: String| {
            problems.push(ActionProblem { field, message });
        };
        match UrlTemplate::parse(&self.url) {
            Ok(template) => {
                for message in self.mismatches(&template, parameters) {
                    note("/url".to_owned(), message);
                }
            }
            Err(error) => note("/url".to_owned(), error.to_string()),
        }
        if self.headers.len() > MAX_HEADERS {
            note(
                "/headers".to_owned(),
                format!("must have at most {MAX_HEADERS} entries"),
            );
        }
        let mut names = Vec::new();
        for (name, value) in &self.headers {
            let lower = name.to_ascii_lowercase();
            let problem = header_problem(name, value)
                .or_else(|| names.contains(&lower).then_some("is named twice"));
            if let Some(message) = problem {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                note(format!("/headers/{escaped}"), message.to_owned());
            }
            names.push(lower);
        }
        problems.extend(timeout_problem(self.timeout_seconds));
        problems
    }

    /// Where the URL and the schema of the arguments do not fit together.
    fn mismatches(&self, template: &UrlTemplate, parameters: &Value) -> Vec<String> {
        let required = |name: &str| {
            parameters["required"]
                .as_array()
                .is_some_and(|names| names.iter().any(|known| known == name))
        };
        let mut messages = Vec::new();
        for name in template.arguments() {
            match parameters["properties"].get(name) {
                None => messages.push(format!("`{{{name}}}` is not among the parameters")),
                Some(_) if !required(name) => messages.push(format!(
                    "`{{{name}}}` must be among the required parameters, since the URL needs it"
                )),
                Some(schema) if !is_plain(schema) => messages.push(format!(
                    "`{{{name}}}` must be a string, integer, number or boolean"
                )),
                Some(_) => {}
            }
        }
        if !self.method.has_body() {
            let fixed = template.parameters();
            let placed: Vec<&str> = template.arguments().collect();
            let properties = parameters["properties"].as_object();
            for name in properties.into_iter().flat_map(Map::keys) {
                if !placed.contains(&name.as_str()) && overrides(&fixed, name) {
                    messages.push(format!(
                        "the query has a `{name}` already: a parameter of that name would come second"
                    ));
                }
            }
        }
        messages
    }

    /// The request for one call. The arguments are checked against the tool's schema before; here
    /// only what the URL cannot carry is refused.
    ///
    /// # Errors
    /// [`ArgumentError::Schema`] if the URL is no template, which registration refuses;
    /// [`ArgumentError::Arguments`] names each argument that cannot be sent.
    pub fn expand(&self, arguments: &Value) -> Result<ExpandedRequest, ArgumentError> {
        let refused = |problem: String| ArgumentError::Arguments(vec![problem]);
        let template = UrlTemplate::parse(&self.url)
            .map_err(|error| ArgumentError::Schema(format!("the URL {error}")))?;
        let arguments = arguments
            .as_object()
            .ok_or_else(|| refused("arguments: must be an object".to_owned()))?;
        let mut url = template
            .expand(arguments)
            .map_err(ArgumentError::Arguments)?;
        let placed: Vec<&str> = template.arguments().collect();
        let rest = arguments
            .iter()
            .filter(|(name, _)| !placed.contains(&name.as_str()));
        let body = if self.method.has_body() {
            Some(Value::Object(
                rest.map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
            ))
        } else {
            let fixed = template.parameters();
            let mut separator = if self.url.contains('?') { '&' } else { '?' };
            for (name, value) in rest {
                if overrides(&fixed, name) {
                    return Err(refused(format!(
                        "/{name}: the tool itself sets this parameter"
                    )));
                }
                for text in query_values(value) {
                    url.push(separator);
                    separator = '&';
                    encode_into(&mut url, name);
                    url.push('=');
                    encode_into(&mut url, &text);
                }
            }
            None
        };
        if url.len() > MAX_EXPANDED_URL_BYTES {
            return Err(refused(format!(
                "arguments: the URL would have more than {MAX_EXPANDED_URL_BYTES} bytes"
            )));
        }
        Ok(ExpandedRequest {
            method: self.method,
            url,
            body,
        })
    }
}

/// Whether an argument of this name would stand beside a parameter that the tool's author fixed.
/// Servers disagree about which of two counts, and some ignore case.
fn overrides(fixed: &[String], name: &str) -> bool {
    fixed.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a schema that names types names plain ones only.
fn is_plain(schema: &Value) -> bool {
    let plain = |kind: &Value| {
        matches!(
            kind.as_str(),
            Some("string" | "integer" | "number" | "boolean")
        )
    };
    match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().all(plain),
        kind => plain(kind),
    }
}

fn query_values(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items
            .iter()
            .filter(|item| !item.is_null())
            .map(|item| plain_text(item).unwrap_or_else(|| item.to_string()))
            .collect(),
        other => vec![plain_text(other).unwrap_or_else(|| other.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;
    use url::Url;

    use super::*;

    fn action(method: HttpMethod, url: &str) -> HttpAction {
        HttpAction {
            method,
            url: url.to_owned(),
            headers: BTreeMap::new(),
            timeout_seconds: 20,
        }
    }

    fn parameters() -> Value {
        json!({
            "type": "object",
            "properties": {
                "id": { "type": "string" },
                "page": { "type": "integer" },
                "list": { "type": "array" },
                "either": { "type": ["string", "null"] },
                "any": {}
            },
            "required": ["id", "list", "either", "any"]
        })
    }

    fn fields(action: &HttpAction) -> Vec<String> {
        action
            .problems(&parameters())
            .into_iter()
            .map(|problem| problem.field)
            .collect()
    }

    #[test]
    fn every_place_in_the_url_needs_a_required_plain_parameter() {
        let problems = |url: &str| fields(&action(HttpMethod::Get, url)).len();
        assert_eq!(problems("https://a.example/{id}/{any}"), 0);
        for url in [
            "https://a.example/{unknown}",
            "https://a.example/{page}",
            "https://a.example/{list}",
            "https://a.example/{either}",
            "https://a.example/#x",
            "https://a.example/?page=1",
            "https://a.example/?PAGE=1",
        ] {
            assert_eq!(problems(url), 1, "{url}");
        }
        assert!(fields(&action(HttpMethod::Post, "https://a.example/?page=1")).is_empty());
    }

    #[test]
    fn headers_and_time_limit_are_judged_one_by_one() {
        let mut action = action(HttpMethod::Post, "https://a.example/");
        action.timeout_seconds = 0;
        for (name, value) in [
            ("Accept", "application/json"),
            ("accept", "text/plain"),
            ("X-Plan", "pro"),
            ("Authorization", "Bearer x"),
            ("COOKIE", "a=b"),
            ("Host", "b.example"),
            ("content-length", "1"),
            ("Proxy-Connection", "close"),
            ("a/b", "x"),
            ("x-split", "a\r\nHost: b"),
            ("x-blank", " a"),
            ("x-é", "a"),
            ("x-long", &"v".repeat(1_025)),
        ] {
            action.headers.insert(name.to_owned(), value.to_owned());
        }
        assert_eq!(
            fields(&action),
            [
                "/headers/Authorization",
                "/headers/COOKIE",
                "/headers/Host",
                "/headers/Proxy-Connection",
                "/headers/a~1b",
                "/headers/accept",
                "/headers/content-length",
                "/headers/x-blank",
                "/headers/x-long",
                "/headers/x-split",
                "/headers/x-é",
                "/timeout_seconds",
            ]
        );
        action.timeout_seconds = MAX_TIMEOUT_SECONDS;
        action.headers = (0..=MAX_HEADERS)
            .map(|n| (format!("x-{n}"), "v".to_owned()))
            .collect();
        assert_eq!(fields(&action), ["/headers"]);
    }

    #[test]
    fn arguments_that_the_url_does_not_name_travel_in_query_or_body() {
        let arguments = json!({ "id": "7", "tags": ["a", 2, null, [3]], "skip": null, "on": true, "o": { "k": 1 } });
        let get = action(HttpMethod::Get, "https://a.example/{id}?v=1")
            .expand(&arguments)
            .unwrap();
        assert_eq!(
            get.url,
            "https://a.example/7?v=1&o=%7B%22k%22%3A1%7D&on=true&tags=a&tags=2&tags=%5B3%5D"
        );
        assert_eq!(get.body, None);
        let put = action(HttpMethod::Put, "https://a.example/{id}?v=1")
            .expand(&arguments)
            .unwrap();
        assert_eq!(put.url, "https://a.example/7?v=1");
        let rest =
            json!({ "tags": ["a", 2, null, [3]], "skip": null, "on": true, "o": { "k": 1 } });
        assert_eq!(put.body, Some(rest));
        let bare = action(HttpMethod::Post, "https://a.example")
            .expand(&json!({}))
            .unwrap();
        assert_eq!(
            (bare.url.as_str(), bare.body),
            ("https://a.example", Some(json!({})))
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let get = action(HttpMethod::Get, "https://a.example/{id}?admin=false");
        for arguments in [
            json!([]),
            json!({}),
            json!({ "id": "..", }),
            json!({ "id": "1", "admin": true }),
            json!({ "id": "1", "Admin": true }),
            json!({ "id": "1", "q": "x".repeat(MAX_EXPANDED_URL_BYTES) }),
        ] {
            let refused = get.expand(&arguments);
            assert!(
                matches!(refused, Err(ArgumentError::Arguments(_))),
                "{arguments}"
            );
        }
        let broken = action(HttpMethod::Get, "https://{id}/").expand(&json!({ "id": "a" }));
        assert!(matches!(broken, Err(ArgumentError::Schema(_))));
    }

    proptest! {
        #[test]
        fn query_arguments_add_parameters_of_their_own_name_only(
            arguments in prop::collection::btree_map("[a-z&=#/?%é \\[\\]]{1,6}", ".{0,8}", 0..5)
        ) {
            let get = action(HttpMethod::Get, "https://a.example/x?fixed=1");
            let Ok(request) = get.expand(&json!(arguments)) else {
                return Err(TestCaseError::fail("every text can be sent"));
            };
            let url = Url::parse(&request.url).unwrap();
            prop_assert_eq!((url.host_str(), url.path(), url.fragment()), (Some("a.example"), "/x", None));
            let seen: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            let expected: Vec<(String, String)> =
                std::iter::once(("fixed".to_owned(), "1".to_owned())).chain(arguments).collect();
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn whatever_the_action_judging_it_does_not_panic(
            url in ".{0,40}", name in ".{0,10}", value in ".{0,10}", properties in "[a-z{}]{0,6}"
        ) {
            let mut action = action(HttpMethod::Get, &url);
            action.headers.insert(name, value);
            let _ = action.problems(&json!({ "properties": properties }));
            let _ = action.problems(&json!(null));
            let _ = action.expand(&json!({ properties: url }));
        }
    }
}
