//! Snapshots without what differs from run to run: ids, moments, ports.

use kernel::Timestamp;
use serde_json::Value;

/// The same value, with each id as its prefix and each moment as `[moment]`.
pub fn redacted(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(redacted_text(text)),
        Value::Array(items) => items.iter().map(redacted).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), redacted(value)))
            .collect(),
        other => other.clone(),
    }
}

fn redacted_text(text: &str) -> String {
    if text.len() > 20 && text.parse::<Timestamp>().is_ok() {
        return "[moment]".to_owned();
    }
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut redacted = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        let (before, word) = rest.split_at(start);
        let (word, after) = word.split_at(word.find(|c| !is_word(c)).unwrap_or(word.len()));
        redacted.push_str(before);
        match word.split_once('_') {
            Some((prefix, digits)) if digits.len() == 26 => {
                redacted.push_str(&format!("[{prefix}]"));
            }
            _ if redacted.ends_with("127.0.0.1:") => redacted.push_str("[port]"),
            _ => redacted.push_str(word),
        }
        rest = after;
    }
    redacted + rest
}

#[test]
fn ids_moments_and_ports_are_taken_out_and_nothing_else() {
    let value = serde_json::json!({
        "id": "agt_01jbst9de6fp79y0938nkrkayd", "at": "2026-01-01T00:00:00.000Z", "n": 1,
        "url": "http://127.0.0.1:8700/v1/executions/exe_01jbst9de6fp79y0938nkrkayd/stream",
        "text": "It is changed every 500 hours, on the 2026-01-01.",
    });
    let expected = serde_json::json!({
        "id": "[agt]", "at": "[moment]", "n": 1,
        "url": "http://127.0.0.1:[port]/v1/executions/[exe]/stream",
        "text": "It is changed every 500 hours, on the 2026-01-01.",
    });
    assert_eq!(redacted(&value), expected);
}
