//! Server-sent events, as they come.

use std::collections::VecDeque;

use futures::StreamExt;
use reqwest::Response;
use serde_json::Value;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamEvent {
    /// Its number, to go on from.
    pub id: u64,
    /// Its AG-UI name.
    pub kind: String,
    pub data: Value,
}

/// Reads server-sent events off a response.
pub(super) struct Events {
    bytes: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: Vec<u8>,
    ready: VecDeque<StreamEvent>,
}

impl Events {
    pub(super) fn new(response: Response) -> Self {
        Self {
            bytes: response.bytes_stream().boxed(),
            buffer: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next event; `None` where the connection ends.
    pub(super) async fn next(&mut self) -> Option<StreamEvent> {
        while self.ready.is_empty() {
            let chunk = self.bytes.next().await?.ok()?;
            self.buffer.extend_from_slice(&chunk);
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let frame: Vec<u8> = self.buffer.drain(..end + 2).collect();
                self.ready.extend(parse(&String::from_utf8_lossy(&frame)));
            }
        }
        self.ready.pop_front()
    }
}

fn parse(frame: &str) -> Option<StreamEvent> {
    let field = |name: &str| {
        frame
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    Some(StreamEvent {
        id: field("id")?.parse().ok()?,
        kind: field("event")?.to_owned(),
        data: serde_json::from_str(field("data")?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_an_event_and_a_comment_is_none() {
        let event = parse("id: 7\nevent: RUN_STARTED\ndata: {\"a\":1}\nretry: 1000\n\n").unwrap();
        assert_eq!((event.id, event.kind.as_str()), (7, "RUN_STARTED"));
        assert_eq!(event.data["a"], 1);
        assert_eq!(parse(": heartbeat\n\n"), None);
    }
}
