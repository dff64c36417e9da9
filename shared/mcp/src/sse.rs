//! Server-sent events: bytes in any pieces to events.

use bytes::{Buf, BytesMut};

/// One event. An event without data moves the place from which a stream can be resumed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// The event's name; empty for the usual one.
    pub name: String,
    /// The data lines, joined by newlines.
    pub data: String,
    /// The place in the stream after this event, if the event has one.
    pub id: Option<String>,
    /// How many milliseconds to wait before resuming.
    pub retry_ms: Option<u64>,
}

/// Why no event can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventError {
    /// An event is over the limit.
    TooLarge,
    /// A line is not UTF-8.
    NotText,
}

/// Cuts bytes into events. Lines are found in bytes, so that a character split across pieces is
/// whole again by the time its line is.
#[derive(Debug)]
pub(crate) struct EventReader {
    longest: usize,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end.
    scanned: usize,
    /// The last line ended in CR, so that an LF which follows belongs to it.
    after_cr: bool,
    at_start: bool,
    event: Event,
    has_field: bool,
}

impl EventReader {
    /// A reader of events of at most `longest` bytes.
    pub(crate) fn new(longest: usize) -> Self {
        Self {
            longest,
            buffer: BytesMut::new(),
            scanned: 0,
            after_cr: false,
            at_start: true,
            event: Event::default(),
            has_field: false,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event, or `None` until there are more bytes.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, EventError> {
        while let Some(line) = self.line() {
            if line.is_empty() {
                if let Some(event) = self.take() {
                    return Ok(Some(event));
                }
                continue;
            }
            self.field(&line)?;
        }
        if self.buffer.len() > self.longest {
            return Err(EventError::TooLarge);
        }
        Ok(None)
    }

    /// The event that a stream broke off in, without its closing line. It counts only if what it
    /// says is whole.
    pub(crate) fn rest(&mut self) -> Option<Event> {
        let line = self.buffer.split();
        if !line.is_empty() {
            self.field(&line).ok()?;
        }
        self.take()
    }

    fn line(&mut self) -> Option<BytesMut> {
        if self.after_cr && !self.buffer.is_empty() {
            if self.buffer[0] == b'\n' {
                self.buffer.advance(1);
            }
            self.after_cr = false;
        }
        let end = self.buffer[self.scanned..]
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r'));
        let Some(end) = end else {
            self.scanned = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.scanned + end);
        self.after_cr = self.buffer[0] == b'\r';
        self.buffer.advance(1);
        self.scanned = 0;
        Some(line)
    }

    fn field(&mut self, line: &[u8]) -> Result<(), EventError> {
        let line = std::str::from_utf8(line).map_err(|_| EventError::NotText)?;
        let line = if std::mem::take(&mut self.at_start) {
            line.strip_prefix('\u{feff}').unwrap_or(line)
        } else {
            line
        };
        if self.event.data.len() + line.len() > self.longest {
            return Err(EventError::TooLarge);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.name),
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.event.retry_ms = value.parse().ok().or(self.event.retry_ms);
            }
            // A comment, or a field that means nothing.
            _ => return Ok(()),
        }
        self.has_field = true;
        Ok(())
    }

    fn take(&mut self) -> Option<Event> {
        let event = std::mem::take(&mut self.event);
        std::mem::take(&mut self.has_field).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pieces: &[&[u8]]) -> Vec<Event> {
        let mut reader = EventReader::new(1024);
        let mut events = Vec::new();
        for piece in pieces {
            reader.push(piece);
            while let Some(event) = reader.next().expect("events") {
                events.push(event);
            }
        }
        events.extend(reader.rest());
        events
    }

    fn event(name: &str, data: &str, id: Option<&str>, retry_ms: Option<u64>) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
            id: id.map(str::to_owned),
            retry_ms,
        }
    }

    #[test]
    fn fields_comments_and_every_line_end() {
        let stream = "\u{feff}: hello\r\nevent: ping\r\ndata: {\"a\":\r\ndata:  1}\r\n\r\n\n\n:\n\nid: 7\nretry: 250\ndata:\n\nid:a\0b\nretry: soon\nretry: 9999999999999999999999\ndata:x\rdata\r\revent: none\n\ndata: last";
        assert_eq!(
            read(&[stream.as_bytes()]),
            [
                event("ping", "{\"a\":\n 1}", None, None),
                event("", "", Some("7"), Some(250)),
                event("", "x\n", None, None),
                event("none", "", None, None),
                event("", "last", None, None),
            ]
        );
    }

    #[test]
    fn endless_lines_endless_events_and_bytes_that_are_no_text() {
        let mut reader = EventReader::new(1024);
        reader.push(&[b'x'; 1025]);
        assert_eq!(reader.next(), Err(EventError::TooLarge));

        let mut reader = EventReader::new(1024);
        for _ in 0..3 {
            reader.push(b"data: ");
            reader.push(&[b'x'; 500]);
            reader.push(b"\n");
        }
        assert_eq!(reader.next(), Err(EventError::TooLarge));

        let mut reader = EventReader::new(1024);
        reader.push(b"data: \xff\xfe\n\n");
        assert_eq!(reader.next(), Err(EventError::NotText));
    }

    proptest! {
        /// Where pieces end changes nothing, even inside a character or between CR and LF.
        #[test]
        fn pieces_do_not_matter(cuts in prop::collection::vec(0_usize..120, 0..12)) {
            let stream = "event: a\r\ndata: {\"t\":\"Öl – 2 000 h 🛢\"}\r\n\r\nid: 4\rdata: zwei\r\r: c\ndata: drei\n\nretry: 5\n\n".as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % stream.len()).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut start = 0;
            for cut in cuts {
                pieces.push(&stream[start..cut]);
                start = cut;
            }
            pieces.push(&stream[start..]);
            prop_assert_eq!(read(&pieces), read(&[stream]));
        }

        /// Whatever the bytes, reading ends and holds no more than its limit.
        #[test]
        fn garbage_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            let mut reader = EventReader::new(64);
            for piece in bytes.chunks(100) {
                reader.push(piece);
                loop {
                    match reader.next() {
                        Ok(Some(event)) => prop_assert!(event.data.len() <= 64 + 1),
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
                prop_assert!(reader.buffer.len() <= 64);
            }
        }
    }
}
