//! Finding out how to speak with a server.
//!
//! `server/discover` is asked first. It has no effect, and every server of version 2026-07-28 or
//! later knows it; one that does not is spoken to as versions before that want it, with a
//! handshake. What was found is kept in a [`Session`], so that it is asked once.

use secrecy::SecretString;
use serde_json::{Value, json};

use crate::error::{ErrorKind, McpError, RpcMethod};
use crate::exchange::{Deadline, Exchange, Outgoing, client_info, malformed};
use crate::message;
use crate::session::{ProtocolVersion, ServerInfo, Session, is_session_id};
use crate::text::line;

const MAX_REPLY_BYTES: usize = 256 << 10;
const MAX_OFFERED: usize = 20;

impl Exchange<'_> {
    /// Agrees on a version and, where there are sessions, opens one.
    pub(crate) async fn connect(&self, deadline: Deadline) -> Result<Session, McpError> {
        // Some servers say nothing to what they do not know; the handshake needs time after that.
        let half = deadline.at_most(deadline.left() / 2);
        match self.discover(half).await? {
            Some(session) => Ok(session),
            None => self.initialize(deadline).await,
        }
    }

    /// `None`: the server wants a handshake.
    async fn discover(&self, deadline: Deadline) -> Result<Option<Session>, McpError> {
        let outgoing = outgoing(RpcMethod::Discover, json!({}), deadline);
        let result = match self.request(&outgoing).await {
            Ok(reply) => reply.result,
            Err(error) => {
                return match error.kind() {
                    ErrorKind::Rpc {
                        code: -32022, data, ..
                    } => {
                        let supported = data.as_ref().and_then(|data| data.get("supported"));
                        match choose(supported) {
                            // It has just been refused.
                            Some(version) if !version.is_stateless() => Ok(None),
                            _ => Err(unsupported(RpcMethod::Discover, supported)),
                        }
                    }
                    kind if is_without_discovery(kind) => Ok(None),
                    _ => Err(error),
                };
            }
        };
        let Some(supported) = result.get("supportedVersions") else {
            return Ok(None);
        };
        match choose(Some(supported)) {
            Some(version) if version.is_stateless() => {
                let meta = result.get("_meta");
                let info = meta.and_then(|meta| meta.get("io.modelcontextprotocol/serverInfo"));
                Ok(Some(Session {
                    protocol_version: version,
                    id: None,
                    server: ServerInfo::read(info.or_else(|| result.get("serverInfo"))),
                }))
            }
            Some(_) => Ok(None),
            None => Err(unsupported(RpcMethod::Discover, Some(supported))),
        }
    }

    async fn initialize(&self, deadline: Deadline) -> Result<Session, McpError> {
        let params = json!({
            "protocolVersion": ProtocolVersion::LATEST_WITH_HANDSHAKE.as_str(),
            "capabilities": {},
            "clientInfo": client_info(),
        });
        let outgoing = outgoing(RpcMethod::Initialize, params, deadline);
        let reply = self.request(&outgoing).await?;
        let version = reply.result.get("protocolVersion");
        let protocol_version = version
            .and_then(Value::as_str)
            .and_then(ProtocolVersion::parse)
            .filter(|version| !version.is_stateless())
            .ok_or_else(|| unsupported(RpcMethod::Initialize, version))?;
        if let Some(id) = &reply.session_id
            && !is_session_id(id)
        {
            return Err(outgoing.failed(malformed("the id of its session is not valid")));
        }
        let session = Session {
            protocol_version,
            id: reply.session_id.map(SecretString::from),
            server: ServerInfo::read(reply.result.get("serverInfo")),
        };
        self.confirm(&session, &outgoing).await?;
        Ok(session)
    }

    /// Says that the handshake is over.
    async fn confirm(&self, session: &Session, outgoing: &Outgoing<'_>) -> Result<(), McpError> {
        let body = message::notification("notifications/initialized", None);
        let left = outgoing.deadline.left();
        let version = Some(session.protocol_version);
        let request = self
            .post(version, session.id.as_ref(), body)
            .map_err(|error| outgoing.broken(error))?;
        let response = self
            .outbound
            .with_limits(self.endpoint.limits(left, MAX_REPLY_BYTES))
            .send(request)
            .await
            .map_err(|error| outgoing.broken(error))?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(self
                .refusal(RpcMethod::Initialize, None, None, response)
                .await)
        }
    }
}

fn outgoing<'a>(method: RpcMethod, params: Value, deadline: Deadline) -> Outgoing<'a> {
    let headers = match method {
        RpcMethod::Discover => vec![("mcp-method".to_owned(), method.as_str().to_owned())],
        _ => Vec::new(),
    };
    Outgoing {
        method,
        params,
        session: None,
        headers,
        deadline,
        max_bytes: MAX_REPLY_BYTES,
    }
}

/// Whether a failure of `server/discover` is that of a server which does not know it. Of servers
/// that do, the codes -32020 to -32022 are known. What says nothing about the protocol, such as a
/// wish for credentials or an overload, is none of both.
fn is_without_discovery(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::Rpc { code, .. } => !matches!(code, -32022..=-32020),
        ErrorKind::Status { status, .. } => {
            matches!(status, 400..=499 if !matches!(status, 408 | 429))
                || matches!(status, 500 | 501)
        }
        ErrorKind::Malformed { .. } | ErrorKind::StreamEnded | ErrorKind::TimedOut { .. } => true,
        _ => false,
    }
}

/// The latest version among those that a server speaks.
fn choose(supported: Option<&Value>) -> Option<ProtocolVersion> {
    let supported = supported?.as_array()?;
    supported
        .iter()
        .filter_map(Value::as_str)
        .filter_map(ProtocolVersion::parse)
        .max()
}

fn unsupported(method: RpcMethod, offered: Option<&Value>) -> McpError {
    let names: Vec<&str> = match offered {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(Value::as_str)
            .take(MAX_OFFERED)
            .collect(),
        _ => Vec::new(),
    };
    let offered = if names.is_empty() {
        "none named".to_owned()
    } else {
        line(&names.join(", "), 200)
    };
    McpError::without_effect(method, ErrorKind::UnsupportedVersion { offered })
}
