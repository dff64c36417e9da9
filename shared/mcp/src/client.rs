//! Listing tools and calling them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use outbound::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::timeout_at;

use crate::endpoint::{Endpoint, Refusal};
use crate::error::{ErrorKind, McpError, RpcMethod};
use crate::exchange::{Deadline, Exchange, Outgoing, malformed};
use crate::result::CallResult;
use crate::schema::{ParameterHeader, header_value};
use crate::session::Session;
use crate::tool::{Listing, ToolList, is_tool_name};

/// Times that a server may answer "call again with this" (`requestState`) to one call.
const MAX_ROUNDS: usize = 4;
const HEADER_MISMATCH: i64 = -32020;

/// How one call is made.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// Sent as header `idempotency-key` and in `_meta` under the same name. Whether it keeps a
    /// repeated call from acting twice is up to the tool.
    pub idempotency_key: Option<String>,
    /// How long the call may take, instead of [`Timeouts::call`](crate::Timeouts::call).
    pub timeout: Option<Duration>,
    /// Bytes of the result, instead of [`Caps::call_bytes`](crate::Caps::call_bytes).
    pub max_bytes: Option<usize>,
    /// [`ToolDescription::parameter_headers`](crate::ToolDescription::parameter_headers). Without
    /// them a server that wants them refuses the call, and the list of tools has to be asked for.
    pub parameter_headers: Vec<ParameterHeader>,
}

/// A client of one server. Clones share the session.
///
/// A session is opened by the first request, and again if the server has forgotten it. Calls can be
/// made at the same time. A call that is dropped closes its connection and nothing else; to have it
/// cancelled, let its time pass.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    outbound: outbound::Client,
    endpoint: Endpoint,
    session: Mutex<Option<Arc<Session>>>,
    ids: AtomicU64,
}

impl Client {
    /// A client that has yet to find out how to speak with the server. Nothing is sent.
    ///
    /// The endpoint's timeouts and caps replace the limits of `outbound`, except for its limit on
    /// connecting; its reach is what counts here.
    ///
    /// # Errors
    /// [`ErrorKind::Outbound`] for an address that may not be called or a header that may not be
    /// set, [`ErrorKind::InvalidRequest`] for a header that the protocol uses itself.
    pub fn new(outbound: outbound::Client, endpoint: Endpoint) -> Result<Self, McpError> {
        Self::start(outbound, endpoint, None)
    }

    /// A client that goes on where another was, for the same endpoint with the same credentials.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn resume(
        outbound: outbound::Client,
        endpoint: Endpoint,
        session: Session,
    ) -> Result<Self, McpError> {
        Self::start(outbound, endpoint, Some(session))
    }

    fn start(
        outbound: outbound::Client,
        endpoint: Endpoint,
        session: Option<Session>,
    ) -> Result<Self, McpError> {
        endpoint.check(outbound.policy()).map_err(|refusal| {
            let kind = match refusal {
                Refusal::Outbound(error) => ErrorKind::Outbound(error),
                Refusal::ReservedHeader(name) => ErrorKind::InvalidRequest {
                    reason: format!("the header `{name}` is set by the protocol"),
                },
            };
            McpError::without_effect(RpcMethod::Initialize, kind)
        })?;
        // A session may be used by several clients, and no id twice in it.
        let first_id = u64::from(rand::random::<u32>()) << 16;
        Ok(Self {
            shared: Arc::new(Shared {
                outbound,
                endpoint,
                session: Mutex::new(session.map(Arc::new)),
                ids: AtomicU64::new(first_id),
            }),
        })
    }

    /// What has been agreed on with the server, to be kept for [`Client::resume`]. `None` before the
    /// first request.
    pub async fn session(&self) -> Option<Session> {
        let session = self.shared.session.lock().await;
        session.as_deref().cloned()
    }

    /// Finds out how to speak with the server, if that is not known yet.
    ///
    /// # Errors
    /// Whatever keeps the two from speaking.
    pub async fn connect(&self) -> Result<Session, McpError> {
        let deadline = Deadline::after(self.shared.endpoint.timeouts.handshake);
        let session = self.agreed(deadline).await?;
        Ok(Session::clone(&session))
    }

    /// The tools of the server, over all pages.
    ///
    /// # Errors
    /// [`McpError`]; listing has no effect, so it can be tried again.
    pub async fn list_tools(&self) -> Result<ToolList, McpError> {
        self.list(Deadline::after(self.shared.endpoint.timeouts.list))
            .await
    }

    async fn list(&self, deadline: Deadline) -> Result<ToolList, McpError> {
        let mut is_restarted = false;
        loop {
            let session = self.agreed(deadline).await?;
            match self.pages(&session, deadline).await {
                Err(error) if error.is_session_lost() && !is_restarted => {
                    is_restarted = true;
                    self.forget(&session).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn pages(&self, session: &Session, deadline: Deadline) -> Result<ToolList, McpError> {
        let caps = &self.shared.endpoint.caps;
        let mut listing = Listing::new(caps, session.protocol_version.is_stateless());
        let mut cursor: Option<String> = None;
        for _ in 0..caps.pages {
            let params = match &cursor {
                Some(cursor) => json!({ "cursor": cursor }),
                None => json!({}),
            };
            let method = RpcMethod::ListTools;
            let outgoing = Outgoing {
                method,
                params,
                session: Some(session),
                headers: protocol_headers(session, method, None),
                deadline,
                max_bytes: caps.list_bytes,
            };
            let page = self.exchange().request(&outgoing).await?.result;
            cursor = listing
                .page(page)
                .map_err(|reason| outgoing.failed(malformed(reason)))?;
            if cursor.is_none() {
                return Ok(listing.finish());
            }
        }
        listing.truncate();
        Ok(listing.finish())
    }

    /// Calls a tool by its name. `arguments` is an object; it is not checked against the tool's
    /// schema.
    ///
    /// A failure of the tool is a result with [`CallResult::is_error`].
    ///
    /// # Errors
    /// [`McpError`]; [`McpError::is_retry_safe`] says whether the call can have had an effect.
    pub async fn call_tool(
        &self,
        name: &str,
        arguments: &Value,
        options: CallOptions,
    ) -> Result<CallResult, McpError> {
        let method = RpcMethod::CallTool;
        let endpoint = &self.shared.endpoint;
        let refuse = |reason: &str| {
            let reason = reason.to_owned();
            McpError::without_effect(method, ErrorKind::InvalidRequest { reason })
        };
        if !is_tool_name(name) {
            return Err(refuse("the name of the tool is not valid"));
        }
        if !arguments.is_object() {
            return Err(refuse("the arguments of a tool are an object"));
        }
        let deadline = Deadline::after(options.timeout.unwrap_or(endpoint.timeouts.call));
        let mut call = Call {
            name,
            arguments,
            max_bytes: options.max_bytes.unwrap_or(endpoint.caps.call_bytes),
            options,
            request_state: None,
            deadline,
        };
        let (mut is_restarted, mut is_relisted) = (false, false);
        let mut rounds = 0;
        loop {
            let session = self.agreed(deadline).await.map_err(|error| {
                // A server that has begun a call may act on what it has of it.
                if rounds > 0 { error.into_call() } else { error }
            })?;
            let outgoing = call.outgoing(&session);
            let error = match self.exchange().request(&outgoing).await {
                Ok(reply) => match Answer::read(reply.result) {
                    Ok(Answer::Done(result)) => return Ok(result),
                    Ok(Answer::Again(state)) if rounds < MAX_ROUNDS => {
                        rounds += 1;
                        call.request_state = Some(state);
                        continue;
                    }
                    Ok(Answer::Again(_) | Answer::NeedsInput) => {
                        return Err(outgoing.failed(ErrorKind::InputRequired));
                    }
                    Err(reason) => return Err(outgoing.failed(malformed(reason))),
                },
                Err(error) if rounds > 0 => error.may_have_acted(),
                Err(error) => error,
            };
            if error.is_session_lost() && !is_restarted {
                is_restarted = true;
                self.forget(&session).await;
            } else if is_header_mismatch(&error) && !is_relisted {
                is_relisted = true;
                let wanted = self.list(deadline).await?;
                let tool = wanted.tools.into_iter().find(|tool| tool.name == name);
                match tool {
                    Some(tool) if tool.parameter_headers != call.options.parameter_headers => {
                        call.options.parameter_headers = tool.parameter_headers;
                    }
                    _ => return Err(error),
                }
            } else {
                return Err(error);
            }
        }
    }

    /// Ends the session, if the server keeps one. A server that cannot be told will find out.
    pub async fn close(self) {
        let session = self.shared.session.lock().await.take();
        let Some(session) = session else { return };
        let exchange = self.exchange();
        if let Some(id) = &session.id
            && let Ok(request) =
                exchange.bare(Method::DELETE, Some(session.protocol_version), Some(id))
        {
            exchange.send_aside(request).await;
        }
    }

    fn exchange(&self) -> Exchange<'_> {
        Exchange {
            outbound: &self.shared.outbound,
            endpoint: &self.shared.endpoint,
            ids: &self.shared.ids,
        }
    }

    /// The session, opened if there is none. Calls that come meanwhile wait for it.
    async fn agreed(&self, deadline: Deadline) -> Result<Arc<Session>, McpError> {
        let waiting = timeout_at(deadline.at(), self.shared.session.lock()).await;
        let mut session = waiting
            .map_err(|_| McpError::without_effect(RpcMethod::Initialize, deadline.passed()))?;
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        let deadline = deadline.at_most(self.shared.endpoint.timeouts.handshake);
        let opened = Arc::new(self.exchange().connect(deadline).await?);
        *session = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Forgets a session, unless another call has replaced it already.
    async fn forget(&self, lost: &Arc<Session>) {
        let mut session = self.shared.session.lock().await;
        if session.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, lost)) {
            *session = None;
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.shared.endpoint)
            .finish_non_exhaustive()
    }
}

/// A call on its way.
struct Call<'a> {
    name: &'a str,
    arguments: &'a Value,
    options: CallOptions,
    max_bytes: usize,
    request_state: Option<String>,
    deadline: Deadline,
}

impl Call<'_> {
    fn outgoing<'s>(&self, session: &'s Session) -> Outgoing<'s> {
        let method = RpcMethod::CallTool;
        let mut params = json!({ "name": self.name, "arguments": self.arguments });
        let mut headers = protocol_headers(session, method, Some(self.name));
        if let Some(key) = &self.options.idempotency_key {
            params["_meta"]["idempotency-key"] = json!(key);
            headers.push(("idempotency-key".to_owned(), key.clone()));
        }
        if let Some(state) = &self.request_state {
            params["requestState"] = json!(state);
        }
        if session.protocol_version.is_stateless() {
            let wanted = &self.options.parameter_headers;
            headers.extend(wanted.iter().filter_map(|header| header.of(self.arguments)));
        }
        Outgoing {
            method,
            params,
            session: Some(session),
            headers,
            deadline: self.deadline,
            max_bytes: self.max_bytes,
        }
    }
}

/// What a server says to a call.
enum Answer {
    Done(CallResult),
    /// It wants the same call again, with this.
    Again(String),
    /// It wants something that this client does not offer.
    NeedsInput,
}

impl Answer {
    fn read(result: Value) -> Result<Self, &'static str> {
        match result.get("resultType").map(Value::as_str) {
            None | Some(Some("complete")) => CallResult::read(result).map(Self::Done),
            Some(Some("input_required")) => {
                let state = result.get("requestState").and_then(Value::as_str);
                let asks = result
                    .get("inputRequests")
                    .and_then(Value::as_object)
                    .is_some_and(|requests| !requests.is_empty());
                match state {
                    Some(state) if !asks => Ok(Self::Again(state.to_owned())),
                    _ => Ok(Self::NeedsInput),
                }
            }
            Some(_) => Err("a tool's result is of an unknown type"),
        }
    }
}

/// What versions without sessions repeat in headers.
fn protocol_headers(
    session: &Session,
    method: RpcMethod,
    name: Option<&str>,
) -> Vec<(String, String)> {
    if !session.protocol_version.is_stateless() {
        return Vec::new();
    }
    let mut headers = vec![("mcp-method".to_owned(), method.as_str().to_owned())];
    if let Some(name) = name {
        headers.push(("mcp-name".to_owned(), header_value(name)));
    }
    headers
}

fn is_header_mismatch(error: &McpError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Rpc {
            code: HEADER_MISMATCH,
            ..
        }
    )
}
