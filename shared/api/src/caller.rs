//! Who is asking, and on behalf of which org.

use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, RawPathParams};
use domain::api_key::KeySecret;
use domain::event::{Actor, EventKind};
use domain::org::{Member, Role};
use domain::permission::Permission;
use domain::user::User;
use domain::viewer::Viewer;
use http::header::AUTHORIZATION;
use http::request::Parts;
use identity::ApiKey;
use kernel::OrgId;
use kernel::cursor::PageRequest;
use kernel::digest::sha256_hex;
use serde_json::json;
use store::identity::Presented;
use store::{Cause, Commit, Tenant};

use crate::app::App;
use crate::problem::Problem;
use crate::request::RequestContext;

/// The header that says which org a person acts for, where the path does not.
pub(crate) const ORG_HEADER: &str = "overglass-org";

/// How many memberships of a person are looked at to find the only org that they can mean.
const MEMBERSHIPS_WEIGHED: u32 = 25;

/// The path parameter that says which org is meant.
const ORG_PARAM: &str = "org_id";

/// Whoever sent valid credentials.
#[derive(Debug, Clone)]
pub enum Principal {
    /// A person.
    User(User),
    /// A machine.
    Key(KeySecret),
}

impl Principal {
    /// The principal as the actor of what it does.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::User(user) => Actor::User { id: user.id },
            Self::Key(secret) => Actor::ApiKey { id: secret.key },
        }
    }

    /// A name for the principal that no other has.
    pub(crate) fn scope(&self) -> String {
        match self {
            Self::User(user) => user.id.to_string(),
            Self::Key(secret) => secret.key.to_string(),
        }
    }

    /// Finds out whose credentials a request carries. The answer is kept with the request.
    pub(crate) async fn of(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let principal = authenticate(parts, app).await?;
        parts.extensions.insert(principal.clone());
        Ok(principal)
    }
}

async fn authenticate(parts: &Parts, app: &App) -> Result<Principal, Problem> {
    let header = parts.headers.get(AUTHORIZATION).ok_or_else(|| {
        Problem::unauthenticated(
            "unauthenticated",
            "Send a token or an API key: `Authorization: Bearer …`.",
        )
    })?;
    let credential = header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, credential)| credential.trim())
        .ok_or_else(|| {
            Problem::unauthenticated(
                "unauthenticated",
                "The Authorization header must have the form `Bearer …`.",
            )
        })?;
    if credential.starts_with("og_") {
        return recognise_key(app, credential).await.map(Principal::Key);
    }
    recognise_person(app, credential).await.map(Principal::User)
}

async fn recognise_key(app: &App, credential: &str) -> Result<KeySecret, Problem> {
    let refused = || Problem::unauthenticated("invalid_api_key", "The API key is not valid.");
    // The checksum and the environment are looked at before anything is read.
    let parsed = ApiKey::parse(credential)
        .and_then(|parsed| parsed.require_environment(app.environment()))
        .map_err(|_| refused())?;
    let hash = parsed.hash().to_owned();
    let known = match app.key_secrets().get(&hash) {
        Some(known) => known,
        None => {
            let found = find_key(app, &hash).await?;
            app.key_secrets().put(hash, found.clone());
            found
        }
    };
    known
        .filter(|secret| secret.is_usable(app.store().now()))
        .ok_or_else(refused)
}

async fn find_key(app: &App, hash: &str) -> Result<Option<KeySecret>, Problem> {
    let Some(secret) = app.store().identities().key_secret(hash).await? else {
        return Ok(None);
    };
    let tenant = Tenant::authorised(secret.org);
    if app.store().org(tenant).get().await?.is_none() {
        return Ok(None);
    }
    // Noted once for each instance and lifetime of its cache: near enough for "last used".
    if let Err(error) = app.store().api_keys(tenant).note_use(secret.key).await {
        tracing::warn!(key = %secret.key, %error, "the use of a key could not be noted");
    }
    Ok(Some(secret))
}

async fn recognise_person(app: &App, token: &str) -> Result<User, Problem> {
    let now = app.store().now().as_seconds();
    let claims = app.verifier().verify(token, now).await.map_err(|error| {
        if error.is_transient() {
            Problem::unavailable(error)
        } else {
            Problem::unauthenticated("invalid_token", format!("Not accepted: {error}."))
        }
    })?;
    // One entry for each token: a newer token may say something new of its holder.
    let cache_key = sha256_hex(token.as_bytes());
    if let Some(user) = app.users().get(&cache_key) {
        return Ok(user);
    }
    let presented = Presented {
        issuer: &claims.issuer,
        subject: &claims.subject,
        email: claims.email.as_deref(),
        email_verified: claims.email_verified,
        name: claims.name.as_deref(),
    };
    let user = app.store().identities().recognise(&presented).await?;
    app.users().put(cache_key, user.clone());
    Ok(user)
}

/// A person, whatever their orgs: for what concerns themselves.
#[derive(Debug, Clone)]
pub struct Person {
    pub user: User,
    request: RequestContext,
}

impl Person {
    /// The person as the cause of a change.
    #[must_use]
    pub fn cause(&self) -> Cause {
        Cause {
            actor: Actor::User { id: self.user.id },
            correlation_id: self.request.request_id.clone(),
        }
    }
}

impl FromRequestParts<App> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let request = RequestContext::from_request_parts(parts, app).await?;
        match Principal::of(parts, app).await? {
            Principal::User(user) => Ok(Self { user, request }),
            Principal::Key(_) => Err(Problem::forbidden(
                "This is for people: an API key cannot do it, whatever its scopes.",
            )),
        }
    }
}

/// Somebody who acts for an org that they belong to.
#[derive(Debug, Clone)]
pub struct Caller {
    principal: Principal,
    membership: Option<Member>,
    tenant: Tenant,
    request: RequestContext,
}

impl Caller {
    /// The org the caller acts for.
    #[must_use]
    pub fn tenant(&self) -> Tenant {
        self.tenant
    }

    /// Who the caller is.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The caller as the cause of a change.
    #[must_use]
    pub fn cause(&self) -> Cause {
        Cause {
            actor: self.principal.actor(),
            correlation_id: self.request.request_id.clone(),
        }
    }

    /// The caller's role in the org, for people who are members of it.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.membership.as_ref().map(|member| member.role)
    }

    /// What of people's own things the caller sees: machines, managers and whoever stands above
    /// orgs, everything; other members, their own.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        match (&self.principal, &self.membership) {
            (Principal::User(user), Some(member)) if user.platform_role.is_none() => {
                Viewer::of_role(member.role, self.principal.actor())
            }
            _ => Viewer::Everything,
        }
    }

    /// Whether the caller has a permission in the org.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        match &self.principal {
            Principal::Key(secret) => secret.scopes.contains(&permission),
            Principal::User(user) => {
                let by_role = self
                    .membership
                    .as_ref()
                    .is_some_and(|member| permission.granted_to_role(member.role));
                by_role
                    || user
                        .platform_role
                        .is_some_and(|role| permission.granted_to_platform_role(role))
            }
        }
    }

    /// Refuses the request unless the caller has a permission. The refusal is an event.
    ///
    /// # Errors
    /// 403 with the permission in words.
    pub async fn require(&self, permission: Permission, app: &App) -> Result<(), Problem> {
        if self.may(permission) {
            return Ok(());
        }
        let event = app.store().event(
            self.tenant,
            &self.cause(),
            EventKind::PermissionDenied,
            permission,
            json!({ "permission": permission }),
        );
        if let Err(error) = app
            .store()
            .commit(Commit::new(self.tenant).event(event))
            .await
        {
            tracing::warn!(%error, %permission, "a refused permission could not be noted");
        }
        Err(Problem::forbidden(format!(
            "This needs the permission `{permission}`."
        )))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let request = RequestContext::from_request_parts(parts, app).await?;
        let principal = Principal::of(parts, app).await?;
        let named = named_org(parts, app).await?;
        let caller = match principal {
            Principal::Key(secret) => {
                if named.is_some_and(|org| org != secret.org) {
                    return Err(Problem::not_found("organization"));
                }
                let tenant = Tenant::authorised(secret.org);
                Self {
                    principal: Principal::Key(secret),
                    membership: None,
                    tenant,
                    request,
                }
            }
            Principal::User(user) => {
                let org = match named {
                    Some(org) => org,
                    None => only_org(app, &user).await?,
                };
                let membership = admitted(app, &user, org).await?;
                let tenant = Tenant::authorised(org);
                Self {
                    principal: Principal::User(user),
                    membership,
                    tenant,
                    request,
                }
            }
        };
        tracing::Span::current().record("org", tracing::field::display(caller.tenant.org()));
        if let Some(acted) = parts.extensions.get::<ActedIn>() {
            acted.note(caller.tenant.org());
        }
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

/// Which org a request turned out to act in, for what wraps its handler.
#[derive(Debug, Clone, Default)]
pub(crate) struct ActedIn(Arc<OnceLock<OrgId>>);

impl ActedIn {
    fn note(&self, org: OrgId) {
        self.0.get_or_init(|| org);
    }

    /// The org, once the handler has found out for whom it acts.
    pub(crate) fn org(&self) -> Option<OrgId> {
        self.0.get().copied()
    }
}

/// Refuses whoever may no longer act for an org that they acted for before, in the words in which
/// they would be refused if they asked for the first time.
///
/// # Errors
/// 404, or 503 if the store does not answer.
pub(crate) async fn require_still_admitted(
    principal: &Principal,
    org: OrgId,
    app: &App,
) -> Result<(), Problem> {
    match principal {
        // A key belongs to one org for as long as it works.
        Principal::Key(_) => Ok(()),
        Principal::User(user) => admitted(app, user, org).await.map(|_| ()),
    }
}

/// A person's membership of an org; none for the platform's staff, who act without one.
async fn admitted(app: &App, user: &User, org: OrgId) -> Result<Option<Member>, Problem> {
    let membership = membership(app, user, org).await?;
    if membership.is_none() && user.platform_role.is_none() {
        return Err(Problem::not_found("organization"));
    }
    Ok(membership)
}

/// The org that the path or the header names. A text that is no org's id names no org, which is
/// said in the same words as for another's.
async fn named_org(parts: &mut Parts, app: &App) -> Result<Option<OrgId>, Problem> {
    let params = RawPathParams::from_request_parts(parts, app)
        .await
        .map_err(|_| Problem::not_found("organization"))?;
    let in_path = params
        .iter()
        .find(|(name, _)| *name == ORG_PARAM)
        .map(|(_, id)| id.to_owned());
    let named = match in_path {
        Some(id) => Some(id),
        None => parts
            .headers
            .get(ORG_HEADER)
            .map(|value| value.to_str().unwrap_or_default().to_owned()),
    };
    named
        .map(|id| {
            id.parse::<OrgId>()
                .map_err(|_| Problem::not_found("organization"))
        })
        .transpose()
}

async fn only_org(app: &App, user: &User) -> Result<OrgId, Problem> {
    let page = PageRequest::first(MEMBERSHIPS_WEIGHED);
    let memberships = app.store().memberships(user.id, &page).await?.items;
    let orgs: Vec<OrgId> = match memberships.as_slice() {
        // Whether this one still exists is found out with the membership.
        [one] => vec![one.org],
        // The membership of a deleted org outlives it and is no choice to be made.
        many => app
            .store()
            .orgs(many)
            .await?
            .iter()
            .map(|org| org.id)
            .collect(),
    };
    match orgs.as_slice() {
        [one] => Ok(*one),
        [] => Err(Problem::new(
            http::StatusCode::FORBIDDEN,
            "no_organization",
            "You belong to no organization yet: create one, or accept an invitation.",
        )),
        _ => Err(Problem::bad_request(
            "organization_required",
            "You belong to several organizations: name one in the `Overglass-Org` header.",
        )),
    }
}

async fn membership(app: &App, user: &User, org: OrgId) -> Result<Option<Member>, Problem> {
    let cache_key = (user.id, org);
    if let Some(known) = app.members().get(&cache_key) {
        return Ok(known);
    }
    let found = app
        .store()
        .org(Tenant::authorised(org))
        .admission(user.id)
        .await?;
    // Only members are kept: somebody who was just let in should not wait.
    if found.is_some() {
        app.members().put(cache_key, found.clone());
    }
    Ok(found)
}
