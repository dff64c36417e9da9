//! What a tool returns.

use serde_json::Value;

use crate::text::line;

const MAX_LABEL_CHARS: usize = 500;

/// A part of a tool's result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// Text, as the server sent it.
    Text(String),
    /// A picture.
    Image {
        /// Its media type, cleaned.
        mime_type: String,
        /// Its bytes in Base64, as the server sent them.
        data: String,
    },
    /// A sound.
    Audio {
        /// Its media type, cleaned.
        mime_type: String,
        /// Its bytes in Base64, as the server sent them.
        data: String,
    },
    /// The address of a resource. It may be of any scheme, and is not fetched.
    ResourceLink {
        /// The address, cleaned.
        uri: String,
        /// Its name, cleaned.
        name: String,
        /// What it holds, cleaned.
        description: Option<String>,
        /// Its media type, cleaned.
        mime_type: Option<String>,
    },
    /// A resource itself.
    Resource {
        /// The address, cleaned.
        uri: String,
        /// Its media type, cleaned.
        mime_type: Option<String>,
        /// What it holds.
        body: ResourceBody,
    },
    /// A kind that this client does not know.
    Unknown {
        /// The kind, cleaned.
        kind: String,
    },
}

/// What an embedded resource holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceBody {
    /// Text, as the server sent it.
    Text(String),
    /// Bytes in Base64, as the server sent them.
    Blob(String),
}

/// The result of a call that the server carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct CallResult {
    /// The parts, in the server's order.
    pub content: Vec<Content>,
    /// The result as data, if the tool returns such. It is not checked against the tool's schema.
    pub structured: Option<Value>,
    /// The tool failed; the content says why, for a model to read.
    pub is_error: bool,
}

impl CallResult {
    /// # Errors
    /// What is wrong with the result.
    pub(crate) fn read(mut result: Value) -> Result<Self, &'static str> {
        let content = match result.get_mut("content").map(Value::take) {
            Some(Value::Array(parts)) => parts
                .into_iter()
                .map(part)
                .collect::<Option<Vec<Content>>>()
                .ok_or("a part of a tool's result is not valid")?,
            None | Some(Value::Null) => Vec::new(),
            Some(_) => return Err("the content of a tool's result is not a list"),
        };
        let structured = result
            .get_mut("structuredContent")
            .map(Value::take)
            .filter(|structured| !structured.is_null());
        let is_error = match result.get("isError") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(is_error)) => *is_error,
            Some(_) => return Err("a tool's result does not say whether it is an error"),
        };
        if content.is_empty() && structured.is_none() && result.get("content").is_none() {
            return Err("a tool's result has no content");
        }
        Ok(Self {
            content,
            structured,
            is_error,
        })
    }

    /// The result for a model that reads text: texts as they are, a line in place of anything else.
    /// Structured data stands in only where there is no content, for servers repeat it there.
    #[must_use]
    pub fn text(&self) -> String {
        if let (true, Some(structured)) = (self.content.is_empty(), &self.structured) {
            return structured.to_string();
        }
        let parts: Vec<String> = self.content.iter().map(Content::text).collect();
        parts.join("\n")
    }
}

impl Content {
    /// This part for a model that reads text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Image { mime_type, data } => not_shown("image", mime_type, data),
            Self::Audio { mime_type, data } => not_shown("audio", mime_type, data),
            Self::ResourceLink {
                uri,
                name,
                description,
                ..
            } => match description {
                Some(description) => format!("[link: {name} <{uri}>: {description}]"),
                None => format!("[link: {name} <{uri}>]"),
            },
            Self::Resource {
                uri,
                mime_type,
                body,
            } => match body {
                ResourceBody::Text(text) => format!("[resource <{uri}>]\n{text}"),
                ResourceBody::Blob(data) => {
                    let kind = format!("resource <{uri}>");
                    not_shown(&kind, mime_type.as_deref().unwrap_or_default(), data)
                }
            },
            Self::Unknown { kind } => format!("[content of the unknown kind \"{kind}\"]"),
        }
    }
}

fn not_shown(kind: &str, mime_type: &str, data: &str) -> String {
    let bytes = data.trim_end_matches('=').len() * 3 / 4;
    let separator = if mime_type.is_empty() { "" } else { ", " };
    format!("[{kind}{separator}{mime_type}, {bytes} bytes, not shown]")
}

fn part(mut part: Value) -> Option<Content> {
    let take = |part: &mut Value, key: &str| match part.get_mut(key).map(Value::take) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let label = |text: String| line(&text, MAX_LABEL_CHARS);
    let kind = take(&mut part, "type")?;
    let mime_type = take(&mut part, "mimeType").map(label);
    Some(match kind.as_str() {
        "text" => Content::Text(take(&mut part, "text")?),
        "image" => Content::Image {
            mime_type: mime_type.unwrap_or_default(),
            data: take(&mut part, "data")?,
        },
        "audio" => Content::Audio {
            mime_type: mime_type.unwrap_or_default(),
            data: take(&mut part, "data")?,
        },
        "resource_link" => Content::ResourceLink {
            uri: label(take(&mut part, "uri")?),
            name: label(take(&mut part, "name").unwrap_or_default()),
            description: take(&mut part, "description").map(label),
            mime_type,
        },
        "resource" => {
            let resource = part.get_mut("resource")?;
            let body = match (take(resource, "text"), take(resource, "blob")) {
                (Some(text), _) => ResourceBody::Text(text),
                (None, Some(blob)) => ResourceBody::Blob(blob),
                (None, None) => return None,
            };
            Content::Resource {
                uri: label(take(resource, "uri")?),
                mime_type: take(resource, "mimeType").map(label),
                body,
            }
        }
        _ => Content::Unknown { kind: label(kind) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_content() {
        let result = CallResult::read(json!({
            "content": [
                { "type": "text", "text": "22 °C\n", "annotations": { "audience": ["user"] } },
                { "type": "image", "data": "aGVsbG8=", "mimeType": "image/png" },
                { "type": "audio", "data": "aGVsbG8h", "mimeType": "audio/wav" },
                { "type": "resource_link", "uri": "file:///a.rs", "name": "a.rs", "description": "Main\nfile" },
                { "type": "resource_link", "uri": "https://example.com/" , "name": "x" },
                { "type": "resource", "resource": { "uri": "note:1", "text": "A note." } },
                { "type": "resource", "resource": { "uri": "note:2", "blob": "aGVsbG8=", "mimeType": "application/pdf" } },
                { "type": "hologram", "data": [1] },
            ],
            "structuredContent": { "celsius": 22 },
        }))
        .expect("a result");
        assert!(!result.is_error);
        assert_eq!(result.structured, Some(json!({ "celsius": 22 })));
        assert_eq!(
            result.text(),
            "22 °C\n\n[image, image/png, 5 bytes, not shown]\n[audio, audio/wav, 6 bytes, not shown]\n[link: a.rs <file:///a.rs>: Main file]\n[link: x <https://example.com/>]\n[resource <note:1>]\nA note.\n[resource <note:2>, application/pdf, 5 bytes, not shown]\n[content of the unknown kind \"hologram\"]"
        );
        assert!(matches!(&result.content[1], Content::Image { data, .. } if data == "aGVsbG8="));
    }

    #[test]
    fn structured_data_speaks_where_nothing_else_does() {
        for result in [
            json!({ "structuredContent": [1, 2] }),
            json!({ "content": [], "structuredContent": [1, 2], "isError": null }),
        ] {
            assert_eq!(CallResult::read(result).expect("a result").text(), "[1,2]");
        }
        let empty = CallResult::read(json!({ "content": [], "isError": true })).expect("a result");
        assert_eq!((empty.text().as_str(), empty.is_error), ("", true));
    }

    #[test]
    fn results_that_are_none() {
        for broken in [
            json!({}),
            json!({ "content": "text" }),
            json!({ "content": [5] }),
            json!({ "content": [{ "text": "a" }] }),
            json!({ "content": [{ "type": "text" }] }),
            json!({ "content": [{ "type": "text", "text": 5 }] }),
            json!({ "content": [{ "type": "image" }] }),
            json!({ "content": [{ "type": "resource" }] }),
            json!({ "content": [{ "type": "resource", "resource": { "uri": "a:b" } }] }),
            json!({ "content": [], "isError": "yes" }),
            json!([]),
            json!("done"),
        ] {
            assert!(CallResult::read(broken.clone()).is_err(), "{broken}");
        }
    }
}
