//! A reply that comes as server-sent events: what is said before it, and how a stream that breaks
//! is taken up again.

use bytes::Bytes;
use outbound::{Method, OutboundError, Response};
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::sleep;

use crate::error::{ErrorKind, McpError};
use crate::exchange::{Exchange, Outgoing, content_type, malformed};
use crate::message::{self, Incoming};
use crate::sse::{Event, EventError, EventReader};

const MAX_EVENT_ID_BYTES: usize = 1024;

/// Where a stream stands, over all connections that it takes.
struct Progress {
    reader: EventReader,
    received_bytes: usize,
    messages: usize,
    server_requests: usize,
    resumes: usize,
    last_event_id: Option<String>,
    pause: std::time::Duration,
    /// The session, for answers to the server: in a handshake its id is as new as the stream.
    session_id: Option<SecretString>,
}

impl Exchange<'_> {
    /// Reads a stream until the reply to request `id`.
    pub(crate) async fn follow(
        &self,
        outgoing: &Outgoing<'_>,
        id: u64,
        mut response: Response,
        new_session_id: Option<&str>,
    ) -> Result<Value, McpError> {
        let agreed = outgoing.session.and_then(|session| session.id.clone());
        let mut progress = Progress {
            reader: EventReader::new(outgoing.max_bytes),
            received_bytes: 0,
            messages: 0,
            server_requests: 0,
            resumes: 0,
            last_event_id: None,
            pause: self.endpoint.timeouts.resume,
            session_id: agreed.or_else(|| new_session_id.map(SecretString::from)),
        };
        loop {
            let ended = match response.chunk().await {
                Ok(Some(bytes)) => {
                    if let Some(reply) = self.read(outgoing, id, &mut progress, &bytes).await? {
                        return Ok(reply);
                    }
                    continue;
                }
                Ok(None) => None,
                Err(error @ OutboundError::Protocol { .. }) => Some(error),
                Err(error) => return Err(outgoing.broken(error)),
            };
            if let Some(event) = progress.reader.rest()
                && let Some(reply) = self.last_words(outgoing, id, &event)?
            {
                return Ok(reply);
            }
            response = match self.resume(outgoing, &mut progress).await? {
                Some(response) => response,
                None => {
                    return Err(match ended {
                        Some(error) => outgoing.broken(error),
                        None => outgoing.failed(ErrorKind::StreamEnded),
                    });
                }
            };
        }
    }

    async fn read(
        &self,
        outgoing: &Outgoing<'_>,
        id: u64,
        progress: &mut Progress,
        bytes: &Bytes,
    ) -> Result<Option<Value>, McpError> {
        progress.received_bytes += bytes.len();
        progress.reader.push(bytes);
        loop {
            let event = progress.reader.next().map_err(|error| match error {
                EventError::TooLarge => outgoing.failed(ErrorKind::TooLarge {
                    limit_bytes: outgoing.max_bytes,
                }),
                EventError::NotText => outgoing.failed(malformed("an event is not UTF-8")),
            })?;
            let Some(event) = event else { return Ok(None) };
            let limit = self.endpoint.caps.messages;
            progress.messages += 1;
            if progress.messages > limit {
                return Err(outgoing.failed(ErrorKind::TooManyMessages { limit }));
            }
            if let Some(event_id) = &event.id {
                progress.last_event_id = Some(event_id.clone()).filter(|id| can_be_sent(id));
            }
            if let Some(retry_ms) = event.retry_ms {
                progress.pause = std::time::Duration::from_millis(retry_ms);
            }
            if let Some(reply) = self.event(outgoing, id, progress, &event).await? {
                return Ok(Some(reply));
            }
        }
    }

    async fn event(
        &self,
        outgoing: &Outgoing<'_>,
        id: u64,
        progress: &mut Progress,
        event: &Event,
    ) -> Result<Option<Value>, McpError> {
        let is_message = matches!(event.name.as_str(), "" | "message") && !event.data.is_empty();
        if !is_message {
            return Ok(None);
        }
        let messages = message::read(event.data.as_bytes())
            .ok_or_else(|| outgoing.failed(malformed("an event is not a message of JSON-RPC")))?;
        for message in messages {
            match message {
                Incoming::Reply {
                    id: answered,
                    outcome,
                } if message::answers(answered.as_ref(), id) => {
                    let reply = outcome.map_err(|error| self.rpc_error(outgoing, error))?;
                    return Ok(Some(reply));
                }
                // A reply to nothing that was asked.
                Incoming::Reply { .. } => {}
                Incoming::Request { id, method } => {
                    self.answer(outgoing, progress, &id, &method).await;
                }
                Incoming::Notification => {}
            }
        }
        Ok(None)
    }

    /// The event that a stream ended in counts if it is the whole reply.
    fn last_words(
        &self,
        outgoing: &Outgoing<'_>,
        id: u64,
        event: &Event,
    ) -> Result<Option<Value>, McpError> {
        let messages = message::read(event.data.as_bytes()).unwrap_or_default();
        for message in messages {
            if let Incoming::Reply {
                id: answered,
                outcome,
            } = message
                && message::answers(answered.as_ref(), id)
            {
                return outcome
                    .map(Some)
                    .map_err(|error| self.rpc_error(outgoing, error));
            }
        }
        Ok(None)
    }

    /// Answers a request of the server, as versions before 2026-07-28 have them.
    async fn answer(
        &self,
        outgoing: &Outgoing<'_>,
        progress: &mut Progress,
        id: &Value,
        method: &str,
    ) {
        let is_worth_it = !outgoing.is_stateless()
            && progress.server_requests < self.endpoint.caps.server_requests
            && !outgoing.deadline.left().is_zero();
        if is_worth_it && let Some(answer) = message::answer(id, method) {
            progress.server_requests += 1;
            let session_id = progress.session_id.as_ref();
            self.aside(answer, outgoing.version(), session_id).await;
        }
    }

    /// Asks for the rest of a stream. `None` if there is no way to get it.
    async fn resume(
        &self,
        outgoing: &Outgoing<'_>,
        progress: &mut Progress,
    ) -> Result<Option<Response>, McpError> {
        let caps = &self.endpoint.caps;
        let whole = caps.stream_bytes.max(outgoing.max_bytes);
        progress.reader = EventReader::new(outgoing.max_bytes);
        while let Some(last_event_id) = progress.last_event_id.clone() {
            let left = outgoing.deadline.left();
            if outgoing.is_stateless() || progress.resumes >= caps.resumes || left <= progress.pause
            {
                return Ok(None);
            }
            progress.resumes += 1;
            sleep(progress.pause).await;
            let bytes = whole.saturating_sub(progress.received_bytes);
            let limits = self.endpoint.limits(outgoing.deadline.left(), bytes);
            let request = self
                .bare(
                    Method::GET,
                    outgoing.version(),
                    progress.session_id.as_ref(),
                )
                .and_then(|request| request.header("accept", "text/event-stream"))
                .and_then(|request| request.header("last-event-id", &last_event_id))
                .map_err(|error| outgoing.broken(error).may_have_acted())?;
            match self.outbound.with_limits(limits).send(request).await {
                Ok(response) if response.status().as_u16() == 200 => {
                    let is_stream = content_type(response.headers()) == "text/event-stream";
                    return Ok(is_stream.then_some(response));
                }
                Ok(response) if matches!(response.status().as_u16(), 502..=504) => {}
                Ok(response) if response.status().as_u16() == 401 => {
                    let refusal = self.refusal(outgoing.method, None, None, response).await;
                    return Err(refusal.may_have_acted());
                }
                Ok(_) => return Ok(None),
                Err(
                    OutboundError::Protocol { .. }
                    | OutboundError::ConnectFailed { .. }
                    | OutboundError::NameNotResolved { .. },
                ) => {}
                Err(error) => return Err(outgoing.broken(error).may_have_acted()),
            }
        }
        Ok(None)
    }
}

/// Whether an event's id can be given back in a header. An empty one means none.
fn can_be_sent(id: &str) -> bool {
    (1..=MAX_EVENT_ID_BYTES).contains(&id.len())
        && id.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}
