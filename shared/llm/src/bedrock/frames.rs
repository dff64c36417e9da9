//! AWS's binary event stream.

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::Message;
use bytes::BytesMut;
use serde_json::Value;

use crate::error::ModelError;
use crate::stream::{Framer, MAX_FRAME_BYTES};

/// The least that a frame has: its prelude and its checksum.
const MIN_FRAME_BYTES: usize = 16;

/// One event, or one exception in an event's place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    /// `contentBlockDelta`, or the exception's name.
    pub name: String,
    /// Whether the service reports a failure.
    pub is_exception: bool,
    /// The event's document.
    pub payload: Value,
}

/// Cuts bytes into events; the checksums of each are verified.
#[derive(Debug, Default)]
pub(crate) struct EventFramer {
    buffer: BytesMut,
}

impl Framer for EventFramer {
    type Frame = Event;

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Result<Option<Event>, ModelError> {
        // A frame begins with its own length. It is checked before the frame is there, so that a
        // false one does not make us wait for what never comes.
        let Some(length) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if !(MIN_FRAME_BYTES..=MAX_FRAME_BYTES).contains(&length) {
            return Err(ModelError::malformed("an event has an impossible length"));
        }
        if self.buffer.len() < length {
            return Ok(None);
        }
        let frame = self.buffer.split_to(length).freeze();
        let message = read_message_from(frame)
            .map_err(|_| ModelError::malformed("an event fails its checksum"))?;
        event(&message).map(Some)
    }

    fn rest(&mut self) -> Option<Event> {
        None
    }
}

fn event(message: &Message) -> Result<Event, ModelError> {
    let header = |name: &str| {
        message
            .headers()
            .iter()
            .find(|header| header.name().as_str() == name)
            .and_then(|header| header.value().as_string().ok())
            .map(|value| value.as_str().to_owned())
    };
    let payload = match message.payload().is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(message.payload())
            .map_err(|_| ModelError::malformed("an event is not the JSON it should be"))?,
    };
    let kind = header(":message-type").unwrap_or_default();
    let event = match kind.as_str() {
        "exception" => Event {
            name: header(":exception-type").unwrap_or_default(),
            is_exception: true,
            payload,
        },
        "error" => Event {
            name: header(":error-code").unwrap_or_default(),
            is_exception: true,
            payload: serde_json::json!({ "message": header(":error-message") }),
        },
        _ => Event {
            name: header(":event-type").unwrap_or_default(),
            is_exception: false,
            payload,
        },
    };
    Ok(event)
}
