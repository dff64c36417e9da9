//! Which headers a caller may set.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{OutboundError, shorten};

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Names that a caller may not set.
const REFUSED: &[(&str, &str)] = &[
    // The client decides where a request goes and how its body is framed; a second opinion in the
    // headers is how requests are smuggled.
    ("host", FRAMING),
    ("content-length", FRAMING),
    ("transfer-encoding", FRAMING),
    ("connection", HOP),
    ("keep-alive", HOP),
    ("te", HOP),
    ("trailer", HOP),
    ("upgrade", HOP),
    ("http2-settings", HOP),
    ("expect", HOP),
    // Bodies are read as they come, so that their size is known.
    (
        "accept-encoding",
        "responses are read without decompression",
    ),
    // What metadata services ask for as proof of intent. Their addresses are refused already; a
    // proof of intent has no other use.
    ("metadata", METADATA),
    ("metadata-flavor", METADATA),
    ("x-google-metadata-request", METADATA),
    ("x-metadata-token", METADATA),
];
const REFUSED_PREFIXES: &[(&str, &str)] = &[
    ("proxy-", HOP),
    ("x-aws-ec2-metadata-", METADATA),
    ("lambda-runtime-", METADATA),
];

const FRAMING: &str = "the client sets it from the URL and body";
const HOP: &str = "it belongs to the connection, not to the request";
const METADATA: &str = "it is meant for a cloud's internal services";

/// Adds one header after checking its name, value and the totals.
pub(crate) fn append(
    headers: &mut HeaderMap,
    name: &str,
    value: &str,
) -> Result<(), OutboundError> {
    let refuse = |reason| OutboundError::HeaderNotAllowed {
        name: shorten(name),
        reason,
    };
    let checked_name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| refuse("the name is not valid HTTP"))?;
    if let Some(reason) = refusal(checked_name.as_str()) {
        return Err(refuse(reason));
    }
    // No CR, LF, NUL or other control characters (the type sees to it), and no bytes that two
    // servers would decode differently (the type lets those pass).
    let mut checked_value = Some(value)
        .filter(|value| value.is_ascii())
        .and_then(|value| HeaderValue::from_str(value).ok())
        .ok_or_else(|| refuse("the value has characters outside visible ASCII"))?;
    checked_value.set_sensitive(true);
    if headers.len() >= MAX_HEADERS {
        return Err(refuse("there are too many headers"));
    }
    let used: usize = headers
        .iter()
        .map(|(n, v)| n.as_str().len() + v.len())
        .sum();
    if used + name.len() + value.len() > MAX_HEADER_BYTES {
        return Err(refuse("the headers together are too large"));
    }
    headers.append(checked_name, checked_value);
    Ok(())
}

/// Why a name in lower case may not be set, if so.
fn refusal(name: &str) -> Option<&'static str> {
    let exact = REFUSED.iter().find(|(refused, _)| *refused == name);
    let by_prefix = || {
        REFUSED_PREFIXES
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))
    };
    exact.or_else(by_prefix).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, value: &str) -> bool {
        let outcome = append(&mut HeaderMap::new(), name, value);
        matches!(outcome, Err(OutboundError::HeaderNotAllowed { .. }))
    }

    #[test]
    fn headers_of_the_client_and_the_connection_are_refused_in_any_case() {
        for name in [
            "Host",
            "HOST",
            "host",
            "Content-Length",
            "Transfer-Encoding",
            "transfer-ENCODING",
            "Connection",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Upgrade",
            "HTTP2-Settings",
            "Expect",
            "Accept-Encoding",
            "Proxy-Authorization",
            "Proxy-Connection",
            "proxy-anything",
            "Metadata-Flavor",
            "Metadata",
            "X-aws-ec2-metadata-token",
            "X-aws-ec2-metadata-token-ttl-seconds",
            "Lambda-Runtime-Aws-Request-Id",
        ] {
            assert!(refused(name, "x"), "{name}");
        }
    }

    #[test]
    fn nothing_can_start_a_new_line_or_a_new_header() {
        for name in [
            "",
            "a b",
            "a:b",
            "a\r\nHost",
            "a\n",
            "a\0",
            " host",
            "host ",
            "ho\u{017f}t",
            "é",
        ] {
            assert!(refused(name, "x"), "{name:?}");
        }
        for value in [
            "a\r\nHost: b",
            "a\nb",
            "a\rb",
            "\r\n\r\n",
            "a\0b",
            "a\u{7f}b",
            "a\u{85}b",
            "a\u{2028}b",
            "é",
        ] {
            assert!(refused("x-test", value), "{value:?}");
        }
    }

    #[test]
    fn ordinary_headers_pass_and_do_not_print() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("Authorization", "Bearer canary-7f3a"),
            ("accept", "application/json"),
            ("X-Request-Id", "req 1\ttab"),
            ("Idempotency-Key", ""),
            ("Host-Name", "fine"),
        ] {
            append(&mut headers, name, value).expect(name);
        }
        assert_eq!(headers.len(), 5);
        assert!(!format!("{headers:?}").contains("canary-7f3a"));
    }

    #[test]
    fn count_and_size_are_capped() {
        let mut headers = HeaderMap::new();
        for index in 0..MAX_HEADERS {
            append(&mut headers, &format!("x-{index}"), "v").expect("under the cap");
        }
        assert!(append(&mut headers, "x-more", "v").is_err());
        assert!(refused("x-large", &"v".repeat(MAX_HEADER_BYTES)));
    }
}
