//! Masks what must not be in a log: credentials and mail addresses, by their form.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::LazyLock;

use regex_lite::Regex;

const MASK: &str = "[redacted]";

/// What is masked. A form that is no secret by itself, such as a scheme, is kept.
static SECRETS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // API keys of the product.
        (r"og_[a-z0-9]{1,16}_[0-9A-Za-z]{20,}", MASK),
        // JSON Web Tokens.
        (r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)?", MASK),
        // Authorization headers.
        (r"(?i)(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", "$1 [redacted]"),
        // Keys of model providers.
        (r"\b(?:sk|rk|pk)-[A-Za-z0-9_-]{16,}", MASK),
        // AWS access keys, and what signs and opens a presigned URL.
        (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", MASK),
        (r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s]+", "$1[redacted]"),
        // Secrets by the name of their field.
        (
            r#"(?i)("(?:[a-z_-]*(?:password|secret|token|api_?key|authorization))"\s*:\s*")(?:[^"\\]|\\.)*""#,
            "$1[redacted]\"",
        ),
        // Mail addresses.
        (r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+", "[mail address]"),
    ]
    .into_iter()
    .filter_map(|(pattern, mask)| Regex::new(pattern).ok().map(|regex| (regex, mask)))
    .collect()
});

/// `text` without anything that looks like a credential or a mail address.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    for (secret, mask) in SECRETS.iter() {
        if secret.is_match(&clean) {
            clean = Cow::Owned(secret.replace_all(&clean, *mask).into_owned());
        }
    }
    clean
}

/// A writer of log lines that masks secrets in each. Takes whole lines, as a subscriber writes
/// them.
#[derive(Debug)]
pub struct Redacting<W>(W);

impl<W> Redacting<W> {
    /// Writes to `inner`.
    pub fn new(inner: W) -> Self {
        Self(inner)
    }
}

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0
            .write_all(redact(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    const CANARIES: &[&str] = &[
        "og_prod_0123456789abcdefghijABCDEFGHIJ012345",
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
        "sk-proj-abcdefghijklmnop1234",
        "sk-ant-api03-abcdefghijklmnop",
        "AKIAOVERGLASSTEST999",
        "ada.lovelace+test@mail.example.co.uk",
    ];

    #[test]
    fn no_canary_survives_in_any_place() {
        for canary in CANARIES {
            for text in [
                format!("{{\"message\":\"got {canary} today\"}}"),
                format!("{{\"detail\":\"x={canary}&y=1\"}}"),
                format!("{{\"header\":\"Bearer {canary}\"}}"),
                canary.to_string(),
            ] {
                assert!(!redact(&text).contains(canary), "{text}");
            }
        }
        let named = r#"{"client_secret":"hunter2 \" quoted","password":"p","note":"kept"}"#;
        let clean = redact(named);
        assert!(
            !clean.contains("hunter2") && !clean.contains("quoted"),
            "{clean}"
        );
        assert!(clean.contains("kept"));
        let url = "https://b.s3/k?X-Amz-Credential=AK%2F2026&X-Amz-Signature=0a1b2c&x=1";
        let clean = redact(url);
        assert!(
            !clean.contains("0a1b2c") && clean.contains("x=1"),
            "{clean}"
        );
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        let text =
            r#"{"message":"request served","org":"org_01jbst9de6fp79y0938nkrkayd","status":200}"#;
        assert!(matches!(redact(text), Cow::Borrowed(kept) if kept == text));
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_secret_in_a_field_of_a_span_or_a_message_is_masked_in_the_line() {
        let lines = Lines::default();
        let writer = Mutex::new(Redacting::new(lines.clone()));
        let _ = writer.make_writer();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_writer(writer)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("request", correlation_id = "req_1", who = CANARIES[5]);
            let _entered = span.enter();
            tracing::info!(key = CANARIES[0], error = ?CANARIES[1], "saw {}", CANARIES[2]);
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        for canary in CANARIES {
            assert!(!text.contains(canary), "{text}");
        }
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["span"]["correlation_id"], "req_1");
        for field in ["timestamp", "level", "message", "target"] {
            assert!(line.get(field).is_some(), "{field} is missing in {line}");
        }
    }
}
