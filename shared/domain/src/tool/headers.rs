//! Which headers a tool may set.

/// The most headers a tool may set.
pub const MAX_HEADERS: usize = 20;
/// The longest value of a header, in bytes.
pub const MAX_HEADER_VALUE_BYTES: usize = 1_024;

const MAX_HEADER_NAME_BYTES: usize = 64;

/// Headers that a tool may not set, in lower case, and why.
const REFUSED_HEADERS: &[(&str, &str)] = &[
    ("authorization", SECRET),
    ("cookie", SECRET),
    ("host", FRAMING),
    ("content-length", FRAMING),
    ("transfer-encoding", FRAMING),
    ("accept-encoding", FRAMING),
    ("connection", HOP),
    ("keep-alive", HOP),
    ("te", HOP),
    ("trailer", HOP),
    ("upgrade", HOP),
    ("http2-settings", HOP),
    ("expect", HOP),
    ("metadata", METADATA),
    ("metadata-flavor", METADATA),
    ("x-google-metadata-request", METADATA),
    ("x-metadata-token", METADATA),
];
const REFUSED_HEADER_PREFIXES: &[(&str, &str)] = &[
    ("proxy-", HOP),
    ("x-aws-ec2-metadata-", METADATA),
    ("lambda-runtime-", METADATA),
];

const SECRET: &str = "must not be set here: everyone who may see the tool would read it";
const FRAMING: &str = "is set by the platform, from the URL and the body";
const HOP: &str = "belongs to the connection and not to the request";
const METADATA: &str = "is meant for a cloud's internal services";

/// Why a tool may not set this header, if so.
#[must_use]
pub fn header_problem(name: &str, value: &str) -> Option<&'static str> {
    if let Some(reason) = name_problem(name) {
        return Some(reason);
    }
    let printable = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    if value.len() > MAX_HEADER_VALUE_BYTES
        || value.trim() != value
        || !value.bytes().all(printable)
    {
        return Some(
            "must have a value of at most 1,024 printable ASCII characters, with no space at its ends",
        );
    }
    None
}

/// Why a secret may not be sent as this header, if so: as above, but for the headers that are made
/// for secrets.
#[must_use]
pub fn secret_header_problem(name: &str) -> Option<&'static str> {
    name_problem(name).filter(|reason| *reason != SECRET)
}

fn name_problem(name: &str) -> Option<&'static str> {
    let is_token = (1..=MAX_HEADER_NAME_BYTES).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if !is_token {
        return Some("is not the name of a header");
    }
    let name = name.to_ascii_lowercase();
    let exact = REFUSED_HEADERS.iter().find(|(refused, _)| *refused == name);
    let prefixed = || {
        REFUSED_HEADER_PREFIXES
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))
    };
    exact.or_else(prefixed).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_secrets_of_the_connection_and_of_clouds_are_refused_in_any_case() {
        for name in [
            "Authorization",
            "COOKIE",
            "Host",
            "content-length",
            "Transfer-Encoding",
            "TE",
            "Proxy-Authorization",
            "proxy-x",
            "Metadata-Flavor",
            "X-aws-ec2-metadata-token",
        ] {
            assert!(header_problem(name, "x").is_some(), "{name}");
        }
        for name in [
            "Accept",
            "X-Plan",
            "Idempotency-Key",
            "Content-Type",
            "Host-Name",
        ] {
            assert_eq!(header_problem(name, "x"), None, "{name}");
        }
    }

    #[test]
    fn nothing_can_begin_another_header() {
        let long = "n".repeat(MAX_HEADER_NAME_BYTES + 1);
        for name in ["", "a b", "a:b", "a\r\nHost", "a/b", "é", &long] {
            assert!(header_problem(name, "x").is_some(), "{name:?}");
        }
        let long = "v".repeat(MAX_HEADER_VALUE_BYTES + 1);
        for value in ["a\r\nHost: b", "a\nb", "a\u{0}", " a", "a ", "é", &long] {
            assert!(header_problem("x-test", value).is_some(), "{value:?}");
        }
        assert_eq!(header_problem("x-test", "a\tb c"), None);
    }
}
