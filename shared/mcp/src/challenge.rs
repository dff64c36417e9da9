//! What a server asks for when it answers 401 or 403.

use outbound::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::text::line;

const MAX_HEADER_BYTES: usize = 4096;
const MAX_VALUE_CHARS: usize = 1024;
/// More than a server has reason to send; a list of them is not a reason to work.
const MAX_PARAMETERS: usize = 32;

/// The parts of `WWW-Authenticate` (RFC 9110, RFC 6750, RFC 9728) that say how to get credentials.
///
/// Every value is the server's word. `resource_metadata` in particular is an address that may be
/// called only by the client for addresses that tenants name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Challenge {
    /// `Bearer`, `Basic`, …; empty if the server did not say.
    pub scheme: String,
    /// The protected space.
    pub realm: Option<String>,
    /// The scopes that are needed, separated by spaces.
    pub scope: Option<String>,
    /// A code: `invalid_token`, `insufficient_scope`, ….
    pub error: Option<String>,
    /// The code in words.
    pub error_description: Option<String>,
    /// URL of the OAuth 2.0 protected resource metadata.
    pub resource_metadata: Option<String>,
}

impl Challenge {
    /// The challenge of a response: its Bearer challenge if it has one, else its first.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut first = None;
        for value in headers.get_all("www-authenticate") {
            let Ok(value) = value.to_str() else { continue };
            for challenge in parse(value) {
                if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    return Some(challenge);
                }
                first = first.or(Some(challenge));
            }
        }
        first
    }

    fn set(&mut self, name: &str, value: &str) {
        let value = Some(line(value, MAX_VALUE_CHARS));
        match name.to_ascii_lowercase().as_str() {
            "realm" => self.realm = value,
            "scope" => self.scope = value,
            "error" => self.error = value,
            "error_description" => self.error_description = value,
            "resource_metadata" => self.resource_metadata = value,
            _ => {}
        }
    }
}

/// The challenges of one header value. What does not parse ends the list: the header steers a
/// person to a login, and a guess is worse than nothing.
fn parse(value: &str) -> Vec<Challenge> {
    if value.len() > MAX_HEADER_BYTES {
        return Vec::new();
    }
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = value;
    for _ in 0..MAX_PARAMETERS {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (token, after) = split_token(rest);
        if token.is_empty() {
            break;
        }
        let after_space = after.trim_start_matches([' ', '\t']);
        match (after_space.strip_prefix('='), challenges.last_mut()) {
            // `name = value`, with a challenge that it belongs to.
            (Some(given), Some(challenge)) if !given.starts_with('=') => {
                let given = given.trim_start_matches([' ', '\t']);
                let Some((value, after)) = split_value(given) else {
                    break;
                };
                challenge.set(token, &value);
                rest = after;
            }
            (Some(_), _) => break,
            (None, _) => {
                challenges.push(Challenge {
                    scheme: line(token, 32),
                    ..Challenge::default()
                });
                rest = skip_token68(after_space);
            }
        }
    }
    challenges
}

fn split_token(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A token or a quoted string, and what follows it.
fn split_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// `Basic dGVzdA==`: what follows a scheme may be one value without a name.
fn skip_token68(text: &str) -> &str {
    let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    let is_parameter = word
        .split_once('=')
        .is_some_and(|(_, value)| !value.trim_matches('=').is_empty())
        || after.trim_start_matches([' ', '\t']).starts_with('=');
    let is_scheme = !word.contains('=') && !after.starts_with(',') && !after.is_empty();
    if is_parameter || is_scheme {
        text
    } else {
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("www-authenticate", value.parse().expect("a value"));
        }
        Challenge::of(&headers)
    }

    fn bearer() -> Challenge {
        Challenge {
            scheme: "Bearer".to_owned(),
            ..Challenge::default()
        }
    }

    #[test]
    fn a_bearer_challenge_is_found_wherever_it_stands() {
        let full = Challenge {
            realm: Some("a, b=\"c\"".to_owned()),
            scope: Some("files:read files:write".to_owned()),
            error: Some("insufficient_scope".to_owned()),
            error_description: Some("more".to_owned()),
            resource_metadata: Some("https://example.com/.well-known/x?a=b,c".to_owned()),
            ..bearer()
        };
        let written = r#"Bearer realm="a, b=\"c\"", scope="files:read files:write",error=insufficient_scope , error_description = "more", resource_metadata="https://example.com/.well-known/x?a=b,c""#;
        assert_eq!(of(&[written]), Some(full.clone()));
        assert_eq!(of(&["Basic realm=\"x\"", written]), Some(full.clone()));
        assert_eq!(
            of(&[&format!("Basic realm=\"x\", {written}")]),
            Some(full.clone())
        );
        assert_eq!(
            of(&[&format!("Negotiate dGVzdA==, {written}")]),
            Some(full.clone())
        );
        assert_eq!(of(&[&format!("Negotiate, {written}")]), Some(full));
        assert_eq!(of(&["Bearer"]), Some(bearer()));
        assert_eq!(
            of(&["Digest realm=\"x\", nonce=\"y\""]).map(|found| (found.scheme, found.realm)),
            Some(("Digest".to_owned(), Some("x".to_owned())))
        );
    }

    #[test]
    fn nonsense_is_nothing_or_little() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["", ",,,", "\"", "=", "a=b"]), None);
        assert_eq!(of(&["Bearer realm=\"open"]), Some(bearer()));
        assert_eq!(of(&[&format!("Bearer {}", "x".repeat(5000))]), None);
        let many = format!("Bearer {}", "a=b,".repeat(1000));
        assert_eq!(of(&[&many]), Some(bearer()));
    }
}
