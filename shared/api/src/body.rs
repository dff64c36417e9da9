//! Request bodies: JSON of a known shape, strictly read and validated, every bad field named.

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use garde::Validate;
use http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_path_to_error::Segment;

use crate::problem::{FieldProblem, Problem};
use crate::strict::Strict;

/// The largest request body, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How much of a text that a client sent is repeated to it.
const MAX_ECHO_CHARS: usize = 300;

/// A JSON body: of the right media type, of a known shape with no unknown fields, and valid.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "The body must be JSON: send it with `Content-Type: application/json`.",
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| {
                if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                    too_large()
                } else {
                    Problem::bad_request("incomplete_body", "The body did not arrive whole.")
                }
            })?;
        read(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

pub(crate) fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("The body is larger than {MAX_BODY_BYTES} bytes."),
    )
}

fn is_json(headers: &http::HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| {
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        })
        .is_some_and(|media_type| media_type == "application/json" || media_type.ends_with("+json"))
}

fn read<T: DeserializeOwned + Validate<Context = ()>>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let strict = Strict(&mut deserializer);
    let value: T = serde_path_to_error::deserialize(strict).map_err(|error| {
        let place = pointer_to(error.path());
        let cause = error.into_inner();
        match cause.classify() {
            serde_json::error::Category::Data => mistyped(&place, &cause.to_string()),
            _ if is_misplaced(&cause, bytes) => {
                mistyped(&place, "is none of the values that it may have")
            }
            _ => malformed(&cause),
        }
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    validate(&value, pointer)?;
    Ok(value)
}

/// Whether a text is JSON for all that the error says: where one of some names is expected, anything
/// but a text is taken for bad syntax.
fn is_misplaced(error: &serde_json::Error, bytes: &[u8]) -> bool {
    error.to_string().starts_with("expected value")
        && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// Checks a value; `name` makes the name of a field from its path in Rust.
pub(crate) fn validate<T: Validate<Context = ()>>(
    value: &T,
    name: impl Fn(&str) -> String,
) -> Result<(), Problem> {
    value.validate().map_err(|report| {
        let errors = report
            .iter()
            .map(|(path, error)| FieldProblem {
                field: name(&path.to_string()),
                message: error.message().to_owned(),
            })
            .collect();
        Problem::invalid(errors)
    })
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::bad_request("malformed_json", format!("The body is not JSON: {error}."))
}

/// A field that is not what it should be, is missing or stands twice.
fn mistyped(place: &str, message: &str) -> Problem {
    match absent_or_repeated(message) {
        Some((name, what)) => {
            let above = if place == "/" { "" } else { place };
            Problem::invalid_field(format!("{above}/{name}"), what)
        }
        None => Problem::invalid_field(clipped(place), clipped(without_position(message))),
    }
}

/// The field that is missing or stands twice, and what to say of it. Such an error is reported at
/// the object around the field, whose name is in the message alone.
pub(crate) fn absent_or_repeated(message: &str) -> Option<(&str, &'static str)> {
    [
        ("missing field `", "is missing"),
        ("duplicate field `", "stands twice"),
    ]
    .into_iter()
    .find_map(|(mark, what)| {
        let name = message.strip_prefix(mark)?.split('`').next()?;
        Some((name, what))
    })
}

/// `limits.steps[3]` as the JSON pointer `/limits/steps/3`; the whole body is the empty pointer,
/// shown as `/`.
fn pointer(path: &str) -> String {
    pointer_of(
        path.split(['.', '[', ']'])
            .filter(|segment| !segment.is_empty()),
    )
}

fn pointer_to(path: &serde_path_to_error::Path) -> String {
    pointer_of(path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        // The key of a map may hold anything.
        Segment::Map { key } => Some(key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    }))
}

fn pointer_of(segments: impl Iterator<Item = impl AsRef<str>>) -> String {
    let pointer: String = segments
        .map(|segment| format!("/{}", segment.as_ref()))
        .collect();
    if pointer.is_empty() {
        "/".to_owned()
    } else {
        pointer
    }
}

/// The place is named by its field; line and column of a document the client's library wrote help
/// nobody.
fn without_position(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}

/// A text that repeats what the client sent, which may be long, cut to what tells enough.
fn clipped(text: &str) -> String {
    match text.char_indices().nth(MAX_ECHO_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Reads a field that may be absent (leave it), `null` (clear it) or a value (set it). Use with
/// `#[serde(default, deserialize_with = "api::nullable")]` on an `Option<Option<T>>`.
///
/// # Errors
/// As `T` does.
pub fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Deserialize, Validate)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[garde(length(min = 1, max = 3))]
        name: String,
        #[garde(dive)]
        #[serde(default)]
        parts: Vec<Part>,
        #[garde(skip)]
        #[serde(default)]
        #[expect(dead_code, reason = "only whether it can be read matters")]
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {}

    #[derive(Debug, Deserialize, Validate)]
    #[serde(deny_unknown_fields)]
    struct Part {
        #[garde(range(min = 1))]
        size: u32,
    }

    fn refusal(text: &str) -> (u16, &'static str, Vec<String>) {
        let problem = read::<Body>(text.as_bytes()).unwrap_err();
        let response = (problem.status().as_u16(), problem.code());
        let fields = format!("{problem:?}");
        let fields = fields
            .split("field: \"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap_or_default().to_owned())
            .collect();
        (response.0, response.1, fields)
    }

    #[test]
    fn each_bad_field_is_named_by_its_pointer() {
        assert_eq!(refusal("{"), (400, "malformed_json", vec![]));
        assert_eq!(
            refusal(r#"{"name":"a"} x"#),
            (400, "malformed_json", vec![])
        );
        let invalid = |fields: &[&str]| {
            (
                422,
                "invalid_request",
                fields.iter().map(|field| (*field).to_owned()).collect(),
            )
        };
        assert_eq!(refusal(r#"{"name":7}"#), invalid(&["/name"]));
        assert_eq!(refusal(r#"{"nom":"a"}"#), invalid(&["/nom"]));
        assert_eq!(
            refusal(r#"{"name":"","parts":[{"size":1},{"size":0}]}"#),
            invalid(&["/name", "/parts/1/size"])
        );
        assert_eq!(
            refusal(r#"{"name":"a","parts":[{"size":-1}]}"#),
            invalid(&["/parts/0/size"])
        );
    }

    #[test]
    fn what_is_missing_stands_twice_or_is_a_list_is_named_too() {
        let named = |text: &str| refusal(text).2.join(" ");
        assert_eq!(named("{}"), "/name");
        assert_eq!(named(r#"{"name":"a","parts":[{}]}"#), "/parts/0/size");
        assert_eq!(named(r#"{"name":"a","name":"b"}"#), "/name");
        assert_eq!(named(r#"{"name":"a","kind":true}"#), "/kind");
        assert_eq!(named(r#"["a"]"#), "/");
        assert_eq!(named(r#"{"name":"a","parts":[[1]]}"#), "/parts/0");
    }

    #[test]
    fn the_key_of_a_map_is_one_part_of_a_pointer() {
        let text = r#"{"a/b.c~":"x"}"#;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let error = serde_path_to_error::deserialize::<_, std::collections::BTreeMap<String, u32>>(
            &mut deserializer,
        )
        .unwrap_err();
        assert_eq!(pointer_to(error.path()), "/a~1b.c~0");
    }

    #[test]
    fn a_long_text_is_not_sent_back_whole() {
        let text = format!("{{\"{}\":1}}", "x".repeat(10_000));
        let problem = read::<Body>(text.as_bytes()).unwrap_err();
        assert!(problem.into_document().len() < 2_000);
    }

    #[test]
    fn a_deeply_nested_body_is_refused_and_not_followed() {
        let text = "[".repeat(10_000);
        let problem = read::<Body>(text.as_bytes()).unwrap_err();
        assert!(matches!(problem.status().as_u16(), 400 | 422));
        let text = format!("{{\"kind\":{text}");
        assert_eq!(
            read::<Body>(text.as_bytes()).unwrap_err().code(),
            "malformed_json"
        );
    }

    proptest! {
        #[test]
        fn no_body_panics_the_reader(text in ".{0,200}") {
            let _ = read::<Body>(text.as_bytes());
        }
    }
}
