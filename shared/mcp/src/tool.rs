//! The tools that a server lists.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::endpoint::Caps;
use crate::schema::{self, ParameterHeader};
use crate::text::{line, lines};

const MAX_NAME_BYTES: usize = 128;
const MAX_TITLE_CHARS: usize = 200;
const MAX_DESCRIPTION_CHARS: usize = 4000;
/// What is remembered of tools that are left out.
const MAX_SKIPPED: usize = 100;
/// A list is asked for again after a day at the latest, whatever its server says.
const MAX_FRESH_MS: u64 = 24 * 60 * 60 * 1000;

/// A tool of a server. Everything in it is the server's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolDescription {
    /// The name to call it by: 1 to 128 of `A-Z a-z 0-9 _ - .`, unique in its list. Model providers
    /// allow less (most of them 64 characters and no dot).
    pub name: String,
    /// A name for people, cleaned.
    #[serde(default)]
    pub title: Option<String>,
    /// What it does, for models; cleaned, at most 4,000 characters.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of the arguments: an object, without references to anything outside it.
    pub input_schema: Value,
    /// JSON Schema of the structured result, if the server gives one that can be used.
    #[serde(default)]
    pub output_schema: Option<Value>,
    /// How it behaves.
    #[serde(default)]
    pub annotations: Annotations,
    /// Arguments that a call has to repeat as headers: [`CallOptions::parameter_headers`].
    ///
    /// [`CallOptions::parameter_headers`]: crate::CallOptions::parameter_headers
    #[serde(default)]
    pub parameter_headers: Vec<ParameterHeader>,
}

/// How a server says that a tool behaves. These are hints: no permission may rest on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Annotations {
    /// It changes nothing. Unless said, false.
    pub read_only: bool,
    /// Calling it again with the same arguments changes nothing more. Unless said, false.
    pub idempotent: bool,
    /// It may destroy something. Unless said, true.
    pub destructive: bool,
    /// It deals with things outside the server. Unless said, true.
    pub open_world: bool,
}

impl Default for Annotations {
    fn default() -> Self {
        Self {
            read_only: false,
            idempotent: false,
            destructive: true,
            open_world: true,
        }
    }
}

impl Annotations {
    fn read(hints: Option<&Value>) -> Self {
        let unless_said = Self::default();
        let hint = |name: &str, default: bool| {
            let value = hints.and_then(|hints| hints.get(name));
            value.and_then(Value::as_bool).unwrap_or(default)
        };
        let read_only = hint("readOnlyHint", unless_said.read_only);
        Self {
            read_only,
            // The other two mean something only for a tool that changes something.
            idempotent: read_only || hint("idempotentHint", unless_said.idempotent),
            destructive: !read_only && hint("destructiveHint", unless_said.destructive),
            open_world: hint("openWorldHint", unless_said.open_world),
        }
    }
}

/// A tool that is not offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedTool {
    /// Its name, cleaned and shortened; empty if it has none.
    pub name: String,
    /// Why, to follow its name: "its name is …".
    pub reason: String,
}

/// What a server lists.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolList {
    /// The tools that can be called, in the server's order.
    pub tools: Vec<ToolDescription>,
    /// Tools that are left out, at most 100 of them.
    pub skipped: Vec<SkippedTool>,
    /// The server has more than [`Caps::tools`], [`Caps::pages`] or [`Caps::schemas_bytes`] allow.
    pub truncated: bool,
    /// How long the server says that the list holds, at most a day. `None` if it does not say.
    pub fresh_for: Option<Duration>,
}

/// Puts the pages of a list together.
pub(crate) struct Listing<'a> {
    caps: &'a Caps,
    with_headers: bool,
    list: ToolList,
    names: BTreeSet<String>,
    seen: usize,
    schemas_bytes: usize,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(caps: &'a Caps, with_headers: bool) -> Self {
        Self {
            caps,
            with_headers,
            list: ToolList::default(),
            names: BTreeSet::new(),
            seen: 0,
            schemas_bytes: 0,
        }
    }

    /// Takes a page and gives the cursor of the next, if there is one to ask for.
    ///
    /// # Errors
    /// What is wrong with the page.
    pub(crate) fn page(&mut self, mut page: Value) -> Result<Option<String>, &'static str> {
        let Some(Value::Array(tools)) = page.get_mut("tools").map(Value::take) else {
            return Err("a list of tools has no tools");
        };
        let fresh_ms = page.get("ttlMs").and_then(Value::as_u64);
        let fresh_for = fresh_ms.map(|ms| Duration::from_millis(ms.min(MAX_FRESH_MS)));
        self.list.fresh_for = match (self.list.fresh_for, fresh_for) {
            (Some(before), Some(now)) => Some(before.min(now)),
            (before, now) => before.or(now),
        };
        for tool in tools {
            let is_full = self.list.tools.len() >= self.caps.tools
                || self.schemas_bytes >= self.caps.schemas_bytes
                || self.seen >= self.caps.tools.saturating_mul(4);
            if is_full {
                self.list.truncated = true;
                return Ok(None);
            }
            self.seen += 1;
            let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
            let shown = line(name, 64);
            match self.tool(tool) {
                Ok(tool) => self.list.tools.push(tool),
                Err(_) if self.list.skipped.len() >= MAX_SKIPPED => {}
                Err(reason) => self.list.skipped.push(SkippedTool {
                    name: shown,
                    reason: reason.to_owned(),
                }),
            }
        }
        match page.get_mut("nextCursor").map(Value::take) {
            // An empty cursor is a cursor.
            Some(Value::String(cursor)) => Ok(Some(cursor)),
            None | Some(Value::Null) => Ok(None),
            Some(_) => Err("the cursor of a list is not a text"),
        }
    }

    /// The server has more pages than it may have.
    pub(crate) fn truncate(&mut self) {
        self.list.truncated = true;
    }

    pub(crate) fn finish(self) -> ToolList {
        self.list
    }

    fn tool(&mut self, mut tool: Value) -> Result<ToolDescription, &'static str> {
        let name = match tool.get("name") {
            Some(Value::String(name)) if is_tool_name(name) => name.clone(),
            Some(Value::String(_)) => {
                return Err("its name is not 1 to 128 of the characters A-Z a-z 0-9 _ - .");
            }
            _ => return Err("it has no name"),
        };
        if self.names.contains(&name) {
            return Err("another tool has the same name");
        }
        let Some(Value::Object(input)) = tool.get_mut("inputSchema").map(Value::take) else {
            return Err("the schema of its arguments is not an object");
        };
        match input.get("type") {
            None => {}
            Some(Value::String(kind)) if kind == "object" => {}
            Some(_) => return Err("its arguments are not an object"),
        }
        let parameter_headers = self.schema(&input, self.with_headers)?;
        // What the tool returns can be read without its schema.
        let output_schema = match tool.get_mut("outputSchema").map(Value::take) {
            Some(Value::Object(output)) if self.schema(&output, false).is_ok() => {
                Some(Value::Object(output))
            }
            _ => None,
        };
        let annotations = tool.get("annotations");
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let title = text(tool.get("title"))
            .or_else(|| text(annotations.and_then(|hints| hints.get("title"))))
            .map(|title| line(&title, MAX_TITLE_CHARS))
            .filter(|title| !title.is_empty());
        let description = tool.get("description").and_then(Value::as_str);
        self.names.insert(name.clone());
        Ok(ToolDescription {
            title,
            description: lines(description.unwrap_or_default(), MAX_DESCRIPTION_CHARS),
            input_schema: Value::Object(input),
            output_schema,
            annotations: Annotations::read(annotations),
            parameter_headers,
            name,
        })
    }

    fn schema(
        &mut self,
        schema: &Map<String, Value>,
        with_headers: bool,
    ) -> Result<Vec<ParameterHeader>, &'static str> {
        let bytes = serde_json::to_vec(schema).map_or(usize::MAX, |text| text.len());
        if bytes > self.caps.schema_bytes {
            return Err("its schema is too large");
        }
        self.schemas_bytes += bytes;
        schema::inspect(schema, with_headers)
    }
}

/// Whether a tool may have this name.
pub(crate) fn is_tool_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn list(tools: Value) -> ToolList {
        let caps = Caps::default();
        let mut listing = Listing::new(&caps, true);
        listing.page(json!({ "tools": tools })).expect("a page");
        listing.finish()
    }

    #[test]
    fn a_whole_description() {
        let found = list(json!([{
            "name": "admin.tools-list_2",
            "title": "List\u{202e}\n tools",
            "description": " Lists\n\tall. ",
            "icons": [{ "src": "https://example.com/x.png" }],
            "inputSchema": { "type": "object", "properties": { "a": { "type": "string", "x-mcp-header": "A" } } },
            "outputSchema": { "type": "array" },
            "annotations": { "idempotentHint": true, "destructiveHint": false, "openWorldHint": "no" },
        }]));
        assert!(found.skipped.is_empty() && !found.truncated && found.fresh_for.is_none());
        let tool = &found.tools[0];
        assert_eq!(tool.name, "admin.tools-list_2");
        assert_eq!(tool.title.as_deref(), Some("List  tools"));
        assert_eq!(tool.description, "Lists\n\tall.");
        assert_eq!(tool.output_schema, Some(json!({ "type": "array" })));
        assert_eq!(
            tool.annotations,
            Annotations {
                read_only: false,
                idempotent: true,
                destructive: false,
                open_world: true
            }
        );
        assert_eq!(tool.parameter_headers[0].name, "A");
        let kept = serde_json::to_value(tool).expect("JSON");
        assert_eq!(
            serde_json::from_value::<ToolDescription>(kept).expect("it back"),
            *tool
        );
    }

    #[test]
    fn what_is_not_said_is_the_cautious_thing() {
        let found = list(json!([
            { "name": "a", "inputSchema": {}, "description": 5, "title": "", "outputSchema": { "$ref": "https://example.com/" } },
            { "name": "b", "inputSchema": { "type": "object" }, "annotations": { "title": "B", "readOnlyHint": true } },
        ]));
        let [a, b] = &found.tools[..] else {
            panic!("{found:?}")
        };
        assert_eq!((a.title.as_deref(), a.description.as_str()), (None, ""));
        assert_eq!(a.annotations, Annotations::default());
        assert!(a.annotations.destructive && a.annotations.open_world);
        assert_eq!(a.output_schema, None);
        assert_eq!(b.title.as_deref(), Some("B"));
        assert!(b.annotations.read_only && b.annotations.idempotent && !b.annotations.destructive);
    }

    #[test]
    fn tools_that_cannot_be_called_are_left_out_with_the_reason() {
        let schema = json!({ "type": "object" });
        let found = list(json!([
            { "name": "good", "inputSchema": schema },
            { "name": "good", "inputSchema": schema },
            { "name": "Good", "inputSchema": schema },
            { "name": "", "inputSchema": schema },
            { "name": "two words", "inputSchema": schema },
            { "name": "a\r\nb", "inputSchema": schema },
            { "name": "goоd", "inputSchema": schema },
            { "name": "../../etc", "inputSchema": schema },
            { "name": "x".repeat(129), "inputSchema": schema },
            { "name": 7, "inputSchema": schema },
            { "inputSchema": schema },
            { "name": "none" },
            { "name": "null", "inputSchema": null },
            { "name": "list", "inputSchema": [schema] },
            { "name": "array", "inputSchema": { "type": "array" } },
            { "name": "large", "inputSchema": { "description": "x".repeat(70_000) } },
            { "name": "outside", "inputSchema": { "$ref": "https://example.com/" } },
            { "name": "header", "inputSchema": { "properties": { "a": { "x-mcp-header": "" } } } },
            "text",
            null,
        ]));
        let names: Vec<&str> = found.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["good", "Good"]);
        assert_eq!(found.skipped.len(), 18);
        assert_eq!(found.skipped[0].reason, "another tool has the same name");
        assert!(
            found
                .skipped
                .iter()
                .all(|skipped| skipped.name.chars().count() <= 65
                    && !skipped.name.contains(['\r', '\n']))
        );
    }

    #[test]
    fn pages_and_cursors() {
        let caps = Caps {
            tools: 3,
            ..Caps::default()
        };
        let tool = |name: &str| json!({ "name": name, "inputSchema": {} });
        let mut listing = Listing::new(&caps, false);
        let page = json!({ "tools": [tool("a"), tool("b")], "nextCursor": "", "ttlMs": 5000 });
        assert_eq!(listing.page(page), Ok(Some(String::new())));
        let page = json!({ "tools": [], "nextCursor": "c", "ttlMs": 90_000_000_000_u64 });
        assert_eq!(listing.page(page), Ok(Some("c".to_owned())));
        let page = json!({ "tools": [tool("c"), tool("d")], "nextCursor": "d", "ttlMs": -1 });
        assert_eq!(listing.page(page), Ok(None));
        let list = listing.finish();
        assert_eq!((list.tools.len(), list.truncated), (3, true));
        assert_eq!(list.fresh_for, Some(Duration::from_secs(5)));
        for broken in [
            json!({}),
            json!({ "tools": null }),
            json!({ "tools": {} }),
            json!({ "tools": [], "nextCursor": 5 }),
        ] {
            assert!(
                Listing::new(&caps, false).page(broken.clone()).is_err(),
                "{broken}"
            );
        }
    }
}
