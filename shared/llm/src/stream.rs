//! From bytes to deltas: the part that every provider shares.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::error::ModelError;
use crate::http::Timeouts;
use crate::model::DeltaStream;
use crate::reply::Delta;

/// A frame larger than this is an attack or an accident.
pub(crate) const MAX_FRAME_BYTES: usize = 4 * 1024 * 1024;

/// The same for a whole reply.
const MAX_REPLY_BYTES: usize = 32 * 1024 * 1024;

/// The most tool calls in one reply.
pub(crate) const MAX_TOOL_CALLS: usize = 128;

/// Cuts a stream of bytes into a protocol's frames.
pub(crate) trait Framer: Send + 'static {
    type Frame;

    /// Takes in bytes as they came.
    fn push(&mut self, bytes: &[u8]);

    /// The next whole frame.
    fn next(&mut self) -> Result<Option<Self::Frame>, ModelError>;

    /// What is left when the stream has ended, if it may still be a frame.
    fn rest(&mut self) -> Option<Self::Frame>;
}

/// Understands a protocol's frames.
pub(crate) trait Decoder: Send + 'static {
    type Frame;

    /// Appends what a frame says. [`Delta::Finished`] ends the reply.
    fn frame(&mut self, frame: Self::Frame, deltas: &mut VecDeque<Delta>)
    -> Result<(), ModelError>;

    /// Called when the connection ended before [`Delta::Finished`]: appends it if the reply was
    /// complete all the same, and otherwise leaves it out.
    fn end(&mut self, deltas: &mut VecDeque<Delta>);
}

/// Decodes a reply.
pub(crate) fn decode<F, D>(
    bytes: BoxStream<'static, Result<Bytes, ModelError>>,
    framer: F,
    decoder: D,
    timeouts: Timeouts,
) -> DeltaStream
where
    F: Framer,
    D: Decoder<Frame = F::Frame>,
{
    let driver = Driver {
        bytes,
        framer,
        decoder,
        timeouts,
        queue: VecDeque::new(),
        received_bytes: 0,
        handed_on: false,
        input_over: false,
        over: false,
    };
    stream::unfold(driver, |mut driver| async move {
        let item = driver.next().await?;
        Some((item, driver))
    })
    .boxed()
}

struct Driver<F, D> {
    bytes: BoxStream<'static, Result<Bytes, ModelError>>,
    framer: F,
    decoder: D,
    timeouts: Timeouts,
    queue: VecDeque<Delta>,
    received_bytes: usize,
    /// Whether the caller has a part of the reply itself. A report of usage is not one: nobody
    /// acts on it, so a second try contradicts nothing.
    handed_on: bool,
    input_over: bool,
    over: bool,
}

impl<F, D> Driver<F, D>
where
    F: Framer,
    D: Decoder<Frame = F::Frame>,
{
    async fn next(&mut self) -> Option<Result<Delta, ModelError>> {
        loop {
            if self.over {
                return None;
            }
            if let Some(delta) = self.queue.pop_front() {
                self.over = matches!(delta, Delta::Finished { .. });
                self.handed_on |= !matches!(delta, Delta::Usage { .. });
                return Some(Ok(delta));
            }
            if let Err(error) = self.advance().await {
                self.over = true;
                return Some(Err(match self.handed_on {
                    true => error.after_output(),
                    false => error,
                }));
            }
        }
    }

    /// Decodes one frame, or reads more bytes when no frame is complete.
    async fn advance(&mut self) -> Result<(), ModelError> {
        if let Some(frame) = self.framer.next()? {
            return self.decoder.frame(frame, &mut self.queue);
        }
        if self.input_over {
            return Err(ModelError::ConnectionLost {
                received_any: false,
            });
        }
        match self.read().await? {
            Some(bytes) => {
                self.received_bytes += bytes.len();
                if self.received_bytes > MAX_REPLY_BYTES {
                    return Err(ModelError::malformed("it is larger than 32 MiB"));
                }
                self.framer.push(&bytes);
            }
            None => self.end_of_input(),
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<Option<Bytes>, ModelError> {
        let after: Duration = match self.received_bytes {
            0 => self.timeouts.first_byte,
            _ => self.timeouts.idle,
        };
        match tokio::time::timeout(after, self.bytes.next()).await {
            Ok(item) => item.transpose(),
            Err(_) => Err(ModelError::Timeout {
                after,
                received_any: false,
            }),
        }
    }

    /// A clean end of the connection is not an end of the reply: proxies cut streams politely.
    fn end_of_input(&mut self) {
        self.input_over = true;
        if let Some(frame) = self.framer.rest() {
            // A cut-off frame cannot be decoded. That is the cut showing, not a second fault.
            if self.decoder.frame(frame, &mut self.queue).is_err() {
                return;
            }
        }
        if !matches!(self.queue.back(), Some(Delta::Finished { .. })) {
            self.decoder.end(&mut self.queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::collect;

    /// Words of the five protocols, whole, broken and out of order.
    fn noise() -> impl Strategy<Value = Vec<u8>> {
        let words = prop::sample::select(vec![
            "data: ",
            "\n\n",
            "\r\n",
            "event: error\n",
            "[DONE]",
            "{",
            "}",
            "{}",
            "null",
            "\u{fffd}",
            r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":3,"function":{"arguments":"{"}}]},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"t","arguments":7}}]}}]}"#,
            r#"{"error":{"code":429}}"#,
            r#"{"type":"message_start","message":{"usage":{"input_tokens":18446744073709551615,"cache_read_input_tokens":9}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"t"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
            r#"{"type":"message_stop"}"#,
            r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"text":"a"}]},{"type":"text","text":"b"}]}}]}"#,
            r#"{"object":"error","message":"x","type":"invalid_request_error","code":"3230"}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"a","thoughtSignature":"s"}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"t","args":{"a":1}}}]},"finishReason":"STOP"}]}"#,
            r#"{"candidates":[{"finishReason":"SAFETY"}],"usageMetadata":{"promptTokenCount":18446744073709551615,"thoughtsTokenCount":9}}"#,
            r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"t("}]}"#,
            r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#,
            "\0\0\0\u{10}",
            "\0\0\0\u{10}\0\0\0\0",
        ]);
        prop::collection::vec(words, 0..24).prop_map(|words| words.concat().into_bytes())
    }

    fn outcome<F, D>(bytes: &[u8], framer: F, decoder: D)
    where
        F: Framer,
        D: Decoder<Frame = F::Frame>,
    {
        let chunks: Vec<Result<Bytes, ModelError>> = bytes
            .chunks(5)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let bytes = stream::iter(chunks).boxed();
            let deltas = decode(bytes, framer, decoder, Timeouts::default());
            let items: Vec<Result<Delta, ModelError>> = deltas.collect().await;
            // Whatever comes, the order that deltas promise is kept, and the end is one of two.
            let (last, rest) = items
                .split_last()
                .expect("a stream says at least how it ended");
            assert!(matches!(last, Ok(Delta::Finished { .. }) | Err(_)));
            assert!(rest.iter().all(Result::is_ok));
            let whole = last.is_ok();
            let collected = collect(stream::iter(items).boxed()).await;
            assert_eq!(collected.is_ok(), whole);
        });
    }

    proptest! {
        #[test]
        fn no_bytes_break_a_decoder(bytes in noise()) {
            outcome(&bytes, crate::sse::SseFramer::default(), crate::openai::decoder());
            outcome(&bytes, crate::sse::SseFramer::default(), crate::anthropic::decoder());
            outcome(&bytes, crate::sse::SseFramer::default(), crate::gemini::decoder());
            outcome(&bytes, crate::sse::SseFramer::default(), crate::mistral::decoder());
            outcome(&bytes, crate::bedrock::EventFramer::default(), crate::bedrock::decoder());
        }
    }
}
