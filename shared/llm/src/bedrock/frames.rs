//! AWS's binary event stream.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use bytes::BytesMut;
use serde_json::Value;

use crate::error::ModelError;
use crate::stream::{Framer, MAX_FRAME_BYTES};

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
    decoder: MessageFrameDecoder,
}

impl Framer for EventFramer {
    type Frame = Event;

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Result<Option<Event>, ModelError> {
        match self.decoder.decode_frame(&mut self.buffer) {
            Ok(DecodedFrame::Complete(message)) => event(&message).map(Some),
            Ok(DecodedFrame::Incomplete) if self.buffer.len() > MAX_FRAME_BYTES => {
                Err(ModelError::malformed("one event is larger than 4 MiB"))
            }
            Ok(DecodedFrame::Incomplete) => Ok(None),
            Err(_) => Err(ModelError::malformed("an event fails its checksum")),
        }
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
