//! Servers that speak the Model Context Protocol: what they offer, and calling it.

use std::time::Duration;

use domain::tool::Tool;
use mcp::{CallOptions, Client, Endpoint, Session, ToolDescription, ToolList};
use secrecy::SecretString;
use serde_json::Value;
use store::credentials::CredentialError;
use store::mcp_listings::McpListing;
use store::{ReadError, Tenant};

use crate::AgentRunner;
use crate::secrets::masked;
use crate::stop::Stop;

/// How long a list of tools is used before it is asked for again, unless its server says less.
const FRESH_FOR: Duration = Duration::from_secs(3_600);

/// What a server offers.
pub(crate) enum Listed {
    Tools(Vec<ToolDescription>),
    /// It wants a credential first.
    Locked,
    /// It does not answer, and never did.
    Unreachable,
}

/// The tools of a server, from the list that was kept or, if that is old, by asking.
pub(crate) async fn list(
    runner: &AgentRunner,
    tenant: Tenant,
    tool: &Tool,
) -> Result<Listed, Stop> {
    let listings = runner.store.mcp_listings(tenant);
    let kept = listings
        .get(tool.id)
        .await?
        .filter(|kept| kept.tool_version == tool.version);
    let now = runner.store.now();
    let read = kept.as_ref().and_then(read_list);
    if let (Some(kept), Some(list)) = (&kept, &read) {
        let fresh_for = list.fresh_for.unwrap_or(FRESH_FOR).min(FRESH_FOR);
        if kept.listed_at.plus(fresh_for) > now {
            return Ok(Listed::Tools(list.tools.clone()));
        }
    }
    let session = kept.as_ref().and_then(read_session);
    let client = match client(runner, tenant, tool, session).await? {
        Ok((client, _)) => client,
        Err(Unusable::Locked) => return Ok(Listed::Locked),
        Err(Unusable::Because(reason)) => {
            tracing::warn!(tool = %tool.id, reason, "a server cannot be called");
            return Ok(Listed::Unreachable);
        }
    };
    match client.list_tools().await {
        Ok(list) => {
            let listing = McpListing {
                org: tool.org,
                tool: tool.id,
                tool_version: tool.version,
                list: serde_json::to_value(&list).unwrap_or_default(),
                session: client
                    .session()
                    .await
                    .and_then(|session| serde_json::to_value(session).ok()),
                listed_at: now,
            };
            // A list too large to be kept is asked for each time.
            if let Err(error) = listings.keep(&listing).await {
                tracing::warn!(tool = %tool.id, %error, "a list of tools was not kept");
            }
            Ok(Listed::Tools(list.tools))
        }
        Err(error) if error.needs_authorization().is_some() => Ok(Listed::Locked),
        Err(error) => {
            tracing::warn!(tool = %tool.id, code = error.code(), "a server did not list its tools");
            Ok(read.map_or(Listed::Unreachable, |list| Listed::Tools(list.tools)))
        }
    }
}

fn read_list(kept: &McpListing) -> Option<ToolList> {
    serde_json::from_value(kept.list.clone()).ok()
}

fn read_session(kept: &McpListing) -> Option<Session> {
    serde_json::from_value(kept.session.clone()?).ok()
}

/// Why a server cannot be called.
enum Unusable {
    /// The credential that it has was set for another address.
    Locked,
    Because(String),
}

type Headers = Vec<(String, SecretString)>;

/// A client of a server, with the credential that it sends.
async fn client(
    runner: &AgentRunner,
    tenant: Tenant,
    tool: &Tool,
    session: Option<Session>,
) -> Result<Result<(Client, Headers), Unusable>, Stop> {
    let mut endpoint = Endpoint::new(tool.spec.action.url());
    endpoint.timeouts.call = tool.spec.action.timeout();
    let headers = match runner.store.credentials(tenant).headers_for(tool).await {
        Ok(headers) => headers,
        Err(error) if error.is_transient() => {
            return Err(ReadError::Unavailable(error.to_string()).into());
        }
        Err(CredentialError::OtherOrigin { .. }) => return Ok(Err(Unusable::Locked)),
        Err(error) => return Ok(Err(Unusable::Because(error.to_string()))),
    };
    for (name, value) in &headers {
        endpoint = endpoint.header(name, value.clone());
    }
    let outbound = runner.outbound.clone();
    let client = match session {
        Some(session) => Client::resume(outbound, endpoint, session),
        None => Client::new(outbound, endpoint),
    };
    Ok(client
        .map(|client| (client, headers))
        .map_err(|error| Unusable::Because(error.to_string())))
}

/// What came of a call to a server.
pub(crate) enum Called {
    /// The result as a model reads it, and whether the tool failed.
    Result { text: String, is_error: bool },
    /// Why there is none, in words.
    Failed(String),
    /// The server wants a credential, or another; it did nothing.
    Locked,
}

/// Calls one tool of a server.
pub(crate) async fn call(
    runner: &AgentRunner,
    tenant: Tenant,
    server: &Tool,
    description: &ToolDescription,
    arguments: &Value,
    idempotency_key: String,
    time: Duration,
) -> Result<Called, Stop> {
    let kept = runner.store.mcp_listings(tenant).get(server.id).await?;
    let session = kept
        .filter(|kept| kept.tool_version == server.version)
        .as_ref()
        .and_then(read_session);
    let (client, secrets) = match client(runner, tenant, server, session).await? {
        Ok(client) => client,
        Err(Unusable::Locked) => return Ok(Called::Locked),
        Err(Unusable::Because(reason)) => {
            return Ok(Called::Failed(format!(
                "The tool cannot be used: {reason}."
            )));
        }
    };
    let options = CallOptions {
        idempotency_key: Some(idempotency_key),
        timeout: Some(time),
        max_bytes: None,
        parameter_headers: description.parameter_headers.clone(),
    };
    let called = client
        .call_tool(&description.name, arguments, options)
        .await;
    Ok(match called {
        Ok(result) => Called::Result {
            text: masked(result.text(), &secrets),
            is_error: result.is_error,
        },
        Err(error) if error.needs_authorization().is_some() => Called::Locked,
        Err(error) => {
            let reason = format!("The call failed ({}): {error}.", error.code());
            Called::Failed(masked(reason, &secrets))
        }
    })
}
