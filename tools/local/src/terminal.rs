//! What the person sees. A terminal that has gone away is no error: the work goes on.

use std::borrow::Cow;
use std::io::Write as _;

use serde_json::Value;

use crate::client::StreamEvent;

/// Writes progress for a person, or nothing where only a result is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    quiet: bool,
}

impl Terminal {
    /// A terminal that a person reads.
    #[must_use]
    pub fn talkative() -> Self {
        Self { quiet: false }
    }

    /// A terminal that shows results only.
    #[must_use]
    pub fn quiet() -> Self {
        Self { quiet: true }
    }

    /// A line of progress.
    pub fn line(&self, text: impl AsRef<str>) {
        self.marked_line(printable(text.as_ref()));
    }

    /// A line whose own marks, such as bold letters, are meant for the terminal: whatever comes from
    /// outside has to be [`printable`] in it.
    pub fn marked_line(&self, text: impl AsRef<str>) {
        if !self.quiet {
            let _ = writeln!(std::io::stdout(), "{}", text.as_ref());
        }
    }

    /// A part of a line, shown at once.
    pub fn part(&self, text: impl AsRef<str>) {
        if !self.quiet {
            let mut out = std::io::stdout();
            let _ = write!(out, "{}", printable(text.as_ref()));
            let _ = out.flush();
        }
    }

    /// A result, which is shown to programs too.
    pub fn result(&self, value: &Value) {
        let _ = writeln!(std::io::stdout(), "{value:#}");
    }

    /// One event of an execution.
    pub fn event(&self, event: &StreamEvent) {
        let field = |name: &str| event.data[name].as_str().unwrap_or_default().to_owned();
        match event.kind.as_str() {
            "STEP_STARTED" => self.line(format!("  step {}", event.data["step"])),
            "TOOL_CALL_ARGS" => self.line(format!("    calls with {}", event.data["arguments"])),
            "TOOL_CALL_START" => self.line(format!("    tool  {}", field("name"))),
            "TOOL_CALL_RESULT" => self.line(format!("    gave  {}", summary(&field("content")))),
            "TEXT_MESSAGE_START" => self.part("\n"),
            "TEXT_MESSAGE_CONTENT" => self.part(field("delta")),
            "TEXT_MESSAGE_END" => self.line("\n"),
            "RUN_ERROR" => self.line(format!("  ended: {}", field("message"))),
            _ => {}
        }
    }
}

/// A text as a terminal may show it: names, documents and answers could hold what moves the cursor,
/// changes the title of the window, or turns the order of letters around.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    let commands = |letter: char| match letter {
        '\n' | '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => letter.is_control(),
    };
    if text.contains(commands) {
        Cow::Owned(text.replace(commands, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A tool's answer in one line.
fn summary(content: &str) -> String {
    let passages = serde_json::from_str::<Value>(content)
        .ok()
        .and_then(|content| content["passages"].as_array().map(Vec::len));
    if let Some(count) = passages {
        return format!("{count} passages");
    }
    let line: String = content.chars().take(100).collect();
    line.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_commands_the_terminal() {
        assert_eq!(printable("Öl\n\tund Wärme"), "Öl\n\tund Wärme");
        assert_eq!(
            printable("a\u{1b}[31mb\r\u{9b}c\u{7}"),
            "a\u{fffd}[31mb\u{fffd}\u{fffd}c\u{fffd}"
        );
        assert_eq!(printable("fdp.\u{202e}exe"), "fdp.\u{fffd}exe");
    }
}
