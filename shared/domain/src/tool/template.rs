//! URLs with places for arguments.
//!
//! Whoever writes a tool decides where its requests go; whoever fills in the arguments (a model,
//! which may be repeating what a hostile document told it) must not. An argument stays within its
//! path segment or its query value: it cannot change scheme, host or port, add a segment, climb out
//! of its folder, or add or override a parameter.

use serde_json::{Map, Value};
use url::Url;

/// The longest URL template, in bytes.
pub const MAX_URL_BYTES: usize = 2_048;
/// The longest URL once its arguments are in it, in bytes.
pub const MAX_EXPANDED_URL_BYTES: usize = 8 * 1024;

const MAX_ARGUMENT_NAME: usize = 64;

/// A URL with places for arguments: `https://api.example.com/orders/{order_id}?lang={lang}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlTemplate {
    /// Scheme, host and port, as written.
    origin: String,
    /// The segments of the path after the first slash; empty if the URL has no path.
    path: Vec<Vec<Piece>>,
    query: Option<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Argument(String),
}

/// Why a text is not a usable URL template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("must have at most {MAX_URL_BYTES} characters")]
    TooLong,
    #[error("must begin with `https://` or `http://`")]
    Scheme,
    #[error("must name a host: {0}")]
    Host(String),
    #[error("must not hold a user name or password")]
    Credentials,
    #[error("arguments may stand in the path or the query only, never in the host or port")]
    ArgumentInHost,
    #[error("must not hold `{0}`: percent-encode it")]
    Character(char),
    #[error("has a `%` that two hexadecimal digits do not follow")]
    Percent,
    #[error("must not hold a fragment (`#…`), which is never sent")]
    Fragment,
    #[error("has a brace without its partner")]
    Brace,
    #[error("`{{{0}}}` is not an argument's name: use letters, digits and `_`")]
    Name(String),
    #[error("must not hold `.` or `..` as a segment of the path")]
    DotSegment,
    #[error("in the query, `{{{0}}}` must stand for a value: `name={{{0}}}`")]
    QueryName(String),
}

impl UrlTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_URL_BYTES {
            return Err(TemplateError::TooLong);
        }
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or(TemplateError::Scheme)?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        check_authority(authority)?;
        let (path, query) = match tail.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (tail, None),
        };
        let path = match path.strip_prefix('/') {
            Some(segments) => segments
                .split('/')
                .map(pieces)
                .collect::<Result<Vec<_>, _>>()?,
            None if path.is_empty() => Vec::new(),
            None => return Err(TemplateError::Fragment),
        };
        let query = query
            .map(|query| pieces(query).and_then(values_only))
            .transpose()?;
        let origin = text[..text.len() - tail.len()].to_owned();
        let template = Self {
            origin,
            path,
            query,
        };
        template.check_skeleton()?;
        Ok(template)
    }

    /// The names of the arguments, in the order of their places.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        let query = self.query.iter().flatten();
        self.path
            .iter()
            .flatten()
            .chain(query)
            .filter_map(|piece| match piece {
                Piece::Argument(name) => Some(name.as_str()),
                Piece::Text(_) => None,
            })
    }

    /// The names of the query's parameters, decoded.
    #[must_use]
    pub fn parameters(&self) -> Vec<String> {
        // Arguments are values only, so every name is in the skeleton.
        Url::parse(&self.skeleton())
            .map(|url| {
                url.query_pairs()
                    .map(|(name, _)| name.into_owned())
                    .collect()
            })
            .unwrap_or_default()
    }

    /// The URL with these arguments in their places.
    ///
    /// # Errors
    /// What is wrong with each argument, after its JSON pointer.
    pub fn expand(&self, arguments: &Map<String, Value>) -> Result<String, Vec<String>> {
        let mut problems = Vec::new();
        let mut url = self.origin.clone();
        for segment in &self.path {
            url.push('/');
            // What a server may take the segment for, once it has decoded it.
            let mut meaning = String::new();
            for piece in segment {
                match piece {
                    Piece::Text(text) => {
                        url.push_str(text);
                        meaning.push_str(&decoded(text));
                    }
                    Piece::Argument(name) => match path_value(name, arguments) {
                        Ok(value) => {
                            encode_into(&mut url, &value);
                            meaning.push_str(&value);
                        }
                        Err(problem) => problems.push(problem),
                    },
                }
            }
            if climbs(&meaning) {
                let name = segment.iter().find_map(|piece| match piece {
                    Piece::Argument(name) => Some(name.as_str()),
                    Piece::Text(_) => None,
                });
                problems.push(format!(
                    "/{}: must not hold `.` or `..` as a segment of a path",
                    name.unwrap_or_default()
                ));
            }
        }
        if let Some(query) = &self.query {
            url.push('?');
            for piece in query {
                match piece {
                    Piece::Text(text) => url.push_str(text),
                    Piece::Argument(name) => match plain_value(name, arguments) {
                        Ok(value) => encode_into(&mut url, &value),
                        Err(problem) => problems.push(problem),
                    },
                }
            }
        }
        if problems.is_empty() {
            Ok(url)
        } else {
            Err(problems)
        }
    }

    /// The URL with a harmless letter in each place.
    fn skeleton(&self) -> String {
        let text = |pieces: &[Piece]| -> String {
            pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.as_str(),
                    Piece::Argument(_) => "x",
                })
                .collect()
        };
        let mut url = self.origin.clone();
        for segment in &self.path {
            url.push('/');
            url.push_str(&text(segment));
        }
        if let Some(query) = &self.query {
            url.push('?');
            url.push_str(&text(query));
        }
        url
    }

    /// The host as written, without the port.
    fn host(&self) -> &str {
        let authority = self
            .origin
            .split_once("://")
            .map_or("", |(_, authority)| authority);
        let end = if authority.starts_with('[') {
            authority.find(']').map(|bracket| bracket + 1)
        } else {
            authority.find(':')
        };
        &authority[..end.unwrap_or(authority.len())]
    }

    /// A parser of URLs must read the template as it was written.
    fn check_skeleton(&self) -> Result<(), TemplateError> {
        let fixed_dots = self.path.iter().any(|segment| match segment.as_slice() {
            [Piece::Text(text)] => climbs(&decoded(text)),
            _ => false,
        });
        if fixed_dots {
            return Err(TemplateError::DotSegment);
        }
        let url =
            Url::parse(&self.skeleton()).map_err(|error| TemplateError::Host(error.to_string()))?;
        // `https:///x` and `https://0x7f.1` have a host to some parsers, and another to the rest.
        let read = url.host_str().unwrap_or_default();
        if read != self.host().to_ascii_lowercase() {
            return Err(TemplateError::Host(format!("it would be read as `{read}`")));
        }
        Ok(())
    }
}

fn check_authority(authority: &str) -> Result<(), TemplateError> {
    if authority.contains(['{', '}']) {
        return Err(TemplateError::ArgumentInHost);
    }
    if authority.contains('@') {
        return Err(TemplateError::Credentials);
    }
    // Letters of other scripts are written in their ASCII form, so that people see which host it is.
    let odd = authority
        .chars()
        .find(|letter| !letter.is_ascii_alphanumeric() && !"-._:[]".contains(*letter));
    odd.map_or(Ok(()), |letter| Err(TemplateError::Character(letter)))
}

/// Splits one segment of a path, or a query, into text and arguments.
fn pieces(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        push_text(&mut pieces, before)?;
        let (name, behind) = after[1..].split_once('}').ok_or(TemplateError::Brace)?;
        if !is_argument_name(name) {
            return Err(TemplateError::Name(
                name.chars().take(MAX_ARGUMENT_NAME).collect(),
            ));
        }
        pieces.push(Piece::Argument(name.to_owned()));
        rest = behind;
    }
    push_text(&mut pieces, rest)?;
    Ok(pieces)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) -> Result<(), TemplateError> {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => {
                let hex = |digit: Option<char>| digit.is_some_and(|d| d.is_ascii_hexdigit());
                if !hex(letters.next()) || !hex(letters.next()) {
                    return Err(TemplateError::Percent);
                }
            }
            '}' => return Err(TemplateError::Brace),
            '#' => return Err(TemplateError::Fragment),
            _ if letter.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?".contains(letter) => {}
            _ => return Err(TemplateError::Character(letter)),
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
    Ok(())
}

/// An argument may be a value of the query and not a name in it.
fn values_only(query: Vec<Piece>) -> Result<Vec<Piece>, TemplateError> {
    let mut in_value = false;
    for piece in &query {
        match piece {
            Piece::Text(text) => {
                let parameter = text.rsplit_once('&').map(|(_, last)| last);
                in_value = parameter.map_or(in_value || text.contains('='), |p| p.contains('='));
            }
            Piece::Argument(name) if !in_value => {
                return Err(TemplateError::QueryName(name.clone()));
            }
            Piece::Argument(_) => {}
        }
    }
    Ok(query)
}

fn is_argument_name(name: &str) -> bool {
    (1..=MAX_ARGUMENT_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn plain_value(name: &str, arguments: &Map<String, Value>) -> Result<String, String> {
    arguments.get(name).and_then(plain_text).ok_or_else(|| {
        format!("/{name}: must be a text, number or boolean, since the URL needs it")
    })
}

fn path_value(name: &str, arguments: &Map<String, Value>) -> Result<String, String> {
    let value = plain_value(name, arguments)?;
    // An empty segment names another place: often the whole collection.
    if value.is_empty() {
        return Err(format!(
            "/{name}: must not be empty, since it is part of a path"
        ));
    }
    if value.chars().any(char::is_control) {
        return Err(format!(
            "/{name}: must not hold control characters, since it is part of a path"
        ));
    }
    Ok(value)
}

/// A plain value as the text that a URL holds.
pub(super) fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Appends `text`, percent-encoded so far that nothing in it means anything to a URL.
pub(super) fn encode_into(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(byte as char);
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Whether a server that decodes before it splits could climb up a folder here. Encoding does not
/// help: `%2e%2e` is `..` to every parser, and some proxies decode `%2F` before they look for it.
fn climbs(segment: &str) -> bool {
    segment
        .split(['/', '\\'])
        .any(|part| part == "." || part == "..")
}

/// `text` with its valid percent-escapes decoded.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let escaped = behind
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
