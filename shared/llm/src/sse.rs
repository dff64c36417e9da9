//! Server-sent events, as far as model providers use them: `event` and `data` fields, comments,
//! and lines that end in LF or CRLF.

use bytes::{Buf, BytesMut};

use crate::error::ModelError;
use crate::stream::{Framer, MAX_FRAME_BYTES};

/// One event with data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// The event's name; empty when it has none.
    pub name: String,
    /// The data lines, joined by newlines.
    pub data: String,
}

/// Cuts bytes into events. Works on bytes, so that a character split across packets is whole
/// again by the time its line is.
#[derive(Debug, Default)]
pub(crate) struct SseFramer {
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end.
    scanned: usize,
    name: String,
    data: Option<String>,
}

impl Framer for SseFramer {
    type Frame = SseEvent;

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Result<Option<SseEvent>, ModelError> {
        while let Some(length) = self.line_length() {
            let line = self.buffer.split_to(length);
            self.buffer.advance(1);
            self.scanned = 0;
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if line.is_empty() {
                if let Some(event) = self.take() {
                    return Ok(Some(event));
                }
                continue;
            }
            let line = std::str::from_utf8(line)
                .map_err(|_| ModelError::malformed("it is not valid UTF-8"))?;
            let held = self.data.as_ref().map_or(0, String::len);
            if held + line.len() > MAX_FRAME_BYTES {
                return Err(too_large());
            }
            self.field(line.to_owned());
        }
        if self.buffer.len() > MAX_FRAME_BYTES {
            return Err(too_large());
        }
        Ok(None)
    }

    fn rest(&mut self) -> Option<SseEvent> {
        let line = self.buffer.split();
        self.scanned = 0;
        if let Ok(line) = std::str::from_utf8(&line)
            && !line.trim().is_empty()
        {
            self.field(line.trim_end().to_owned());
        }
        self.take()
    }
}

impl SseFramer {
    fn line_length(&mut self) -> Option<usize> {
        let found = self.buffer[self.scanned..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|offset| self.scanned + offset);
        if found.is_none() {
            self.scanned = self.buffer.len();
        }
        found
    }

    fn field(&mut self, line: String) {
        let line = line.strip_prefix('\u{feff}').unwrap_or(&line);
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = value.to_owned(),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // Comments have an empty field name; ids and retry times mean nothing here.
            _ => {}
        }
    }

    fn take(&mut self) -> Option<SseEvent> {
        let name = std::mem::take(&mut self.name);
        self.data.take().map(|data| SseEvent { name, data })
    }
}

fn too_large() -> ModelError {
    ModelError::malformed("one event is larger than 4 MiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(chunks: &[&[u8]]) -> Vec<SseEvent> {
        let mut framer = SseFramer::default();
        let mut events = Vec::new();
        for chunk in chunks {
            framer.push(chunk);
            while let Some(event) = framer.next().unwrap() {
                events.push(event);
            }
        }
        events.extend(framer.rest());
        events
    }

    #[test]
    fn fields_comments_and_line_ends() {
        let stream = "\u{feff}: hello\r\nevent: ping\r\ndata: {\"a\":\r\ndata:  1}\r\n\r\n\n\ndata:x\nid: 4\n\nevent: none\n\ndata: [DONE]";
        let found = events(&[stream.as_bytes()]);
        let expected = [("ping", "{\"a\":\n 1}"), ("", "x"), ("", "[DONE]")];
        let expected: Vec<SseEvent> = expected
            .iter()
            .map(|(name, data)| SseEvent {
                name: (*name).to_owned(),
                data: (*data).to_owned(),
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn endless_lines_and_broken_text_are_refused() {
        let mut framer = SseFramer::default();
        framer.push(&vec![b'x'; MAX_FRAME_BYTES + 1]);
        assert!(framer.next().is_err());

        let mut framer = SseFramer::default();
        for _ in 0..5 {
            framer.push(b"data: ");
            framer.push(&vec![b'x'; 1024 * 1024]);
            framer.push(b"\n");
        }
        assert!(framer.next().is_err());

        let mut framer = SseFramer::default();
        framer.push(b"data: \xff\xfe\n\n");
        assert!(framer.next().is_err());
    }

    proptest! {
        /// Where packets end changes nothing, even inside a character.
        #[test]
        fn packet_boundaries_do_not_matter(cuts in prop::collection::vec(0usize..120, 0..12)) {
            let stream = "event: a\ndata: {\"t\":\"Öl – 2 000 h 🛢\"}\n\ndata: zwei\r\n\r\ndata: drei\n\n".as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % stream.len()).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut start = 0;
            for cut in cuts {
                chunks.push(&stream[start..cut]);
                start = cut;
            }
            chunks.push(&stream[start..]);
            prop_assert_eq!(events(&chunks), events(&[stream]));
        }
    }
}
