//! Orgs, their members and invitations.
//!
//! The org's row counts its admins, and every change of a member that touches that number replaces
//! the row under its version: two admins who demote each other at the same moment cannot both win.

use domain::event::EventKind;
use domain::org::{
    INVITATION_LIFETIME, Invitation, Member, MembershipError, Org, Role, admins_after,
};
use domain::user::User;
use kernel::cursor::{Page, PageRequest};
use kernel::{InvitationId, OrgId, UserId};
use serde_json::json;

use crate::keys::{self, IndexKeys, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant, changes};

impl Record for Org {
    const NOUN: &'static str = "organization";

    fn key(&self) -> Key {
        keys::org(self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Record for Member {
    const NOUN: &'static str = "member";

    fn key(&self) -> Key {
        keys::member(self.org, self.user)
    }

    fn indexes(&self) -> IndexKeys {
        keys::member_indexes(self.org, self.user)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Record for Invitation {
    const NOUN: &'static str = "invitation";

    fn key(&self) -> Key {
        keys::invitation(self.org, self.id)
    }
}

/// Why a change of members did not happen.
#[derive(Debug, thiserror::Error)]
pub enum MemberChangeError {
    #[error(transparent)]
    Refused(#[from] MembershipError),
    #[error(transparent)]
    Store(#[from] Error),
}

/// One org, its members and invitations.
#[derive(Debug, Clone, Copy)]
pub struct Orgs<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// One org.
    #[must_use]
    pub fn org(&self, tenant: Tenant) -> Orgs<'_> {
        Orgs {
            store: self,
            tenant,
        }
    }

    /// Creates an org whose first admin is `founder`.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn create_org(
        &self,
        cause: &Cause,
        name: String,
        founder: &User,
    ) -> Result<Org, Error> {
        let now = self.now();
        let org = Org {
            id: OrgId::generate(now),
            name,
            admins: 1,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let member = new_member(org.id, founder, Role::Admin, now);
        let tenant = Tenant::authorised(org.id);
        let data = json!({ "name": org.name });
        let commit = Commit::new(tenant)
            .create(&org)
            .create(&member)
            .event(self.event(tenant, cause, EventKind::OrgCreated, org.id, data));
        self.commit(commit).await?;
        Ok(org)
    }

    /// The memberships of a user, in the order of the orgs' creation. May lag behind by moments.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn memberships(
        &self,
        user: UserId,
        page: &PageRequest,
    ) -> Result<Page<Member>, ReadError> {
        self.page(&keys::orgs_of_user(user), page, Order::Ascending)
            .await
    }

    /// Those of these orgs that exist.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn orgs(&self, memberships: &[Member]) -> Result<Vec<Org>, ReadError> {
        let keys: Vec<Key> = memberships
            .iter()
            .map(|member| keys::org(member.org))
            .collect();
        let mut orgs: Vec<Org> = self.get_batch(&keys).await?;
        orgs.sort_unstable_by_key(|org| org.id);
        Ok(orgs)
    }
}

impl Orgs<'_> {
    /// The org.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self) -> Result<Option<Org>, ReadError> {
        self.store.get(&keys::org(self.tenant.org())).await
    }

    /// Gives the org another name.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the org is no longer at `current`'s version.
    pub async fn rename(&self, cause: &Cause, current: &Org, name: String) -> Result<Org, Error> {
        let org = Org {
            name,
            version: current.version + 1,
            updated_at: self.store.now(),
            ..current.clone()
        };
        let data = changes(current, &org);
        let event = self
            .store
            .event(self.tenant, cause, EventKind::OrgUpdated, org.id, data);
        let commit = Commit::new(self.tenant)
            .replace(&org, current.version)
            .event(event);
        self.store.commit(commit).await?;
        Ok(org)
    }

    /// Ends the org: nobody gets in from now on, and its keys open nothing.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the org is no longer at `current`'s version.
    pub async fn delete(&self, cause: &Cause, current: &Org) -> Result<(), Error> {
        let data = json!({ "name": current.name });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::OrgDeleted, current.id, data);
        let commit = Commit::new(self.tenant)
            .delete(current, current.version)
            .event(event);
        Ok(self.store.commit(commit).await?)
    }

    /// The membership by which a user gets into the org: `None` where the org is gone or the user
    /// is not in it.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn admission(&self, user: UserId) -> Result<Option<Member>, ReadError> {
        let (org, member) = tokio::try_join!(self.get(), self.member(user))?;
        Ok(member.filter(|_| org.is_some()))
    }

    /// A member of the org.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn member(&self, user: UserId) -> Result<Option<Member>, ReadError> {
        self.store.get(&keys::member(self.tenant.org(), user)).await
    }

    /// The members, by the order of their ids.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn members(&self, page: &PageRequest) -> Result<Page<Member>, ReadError> {
        self.store
            .page(&keys::members(self.tenant.org()), page, Order::Ascending)
            .await
    }

    /// Gives a member another role.
    ///
    /// # Errors
    /// [`MembershipError::LastAdmin`]; [`Error::Commit`] as `Changed` if org or member were
    /// changed meanwhile.
    pub async fn change_role(
        &self,
        cause: &Cause,
        current: &Member,
        role: Role,
    ) -> Result<Member, MemberChangeError> {
        let member = Member {
            role,
            version: current.version + 1,
            ..current.clone()
        };
        let data = changes(current, &member);
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::MemberRoleChanged,
            member.user,
            data,
        );
        let commit = Commit::new(self.tenant)
            .replace(&member, current.version)
            .event(event);
        let commit = self
            .count_admins(commit, Some(current.role), Some(role))
            .await?;
        self.store.commit(commit).await.map_err(Error::from)?;
        Ok(member)
    }

    /// Removes a member.
    ///
    /// # Errors
    /// [`MembershipError::LastAdmin`]; [`Error::Commit`] as `Changed` if org or member were
    /// changed meanwhile.
    pub async fn remove(&self, cause: &Cause, current: &Member) -> Result<(), MemberChangeError> {
        let data = json!({ "role": current.role });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::MemberRemoved,
            current.user,
            data,
        );
        let commit = Commit::new(self.tenant)
            .delete(current, current.version)
            .event(event);
        let commit = self.count_admins(commit, Some(current.role), None).await?;
        self.store.commit(commit).await.map_err(Error::from)?;
        Ok(())
    }

    /// An invitation of the org.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>, ReadError> {
        self.store
            .get(&keys::invitation(self.tenant.org(), id))
            .await
    }

    /// The open invitations, newest first, expired ones included.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn invitations(&self, page: &PageRequest) -> Result<Page<Invitation>, ReadError> {
        self.store
            .page(
                &keys::invitations(self.tenant.org()),
                page,
                Order::Descending,
            )
            .await
    }

    /// Invites somebody by mail address.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn invite(
        &self,
        cause: &Cause,
        email: String,
        role: Role,
    ) -> Result<Invitation, Error> {
        let now = self.store.now();
        let invitation = Invitation {
            id: InvitationId::generate(now),
            org: self.tenant.org(),
            email: email.to_lowercase(),
            role,
            invited_by: cause.actor,
            created_at: now,
            expires_at: now.plus(INVITATION_LIFETIME),
        };
        let data = json!({ "role": role });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::InvitationCreated,
            invitation.id,
            data,
        );
        let commit = Commit::new(self.tenant).create(&invitation).event(event);
        self.store.commit(commit).await?;
        Ok(invitation)
    }

    /// Takes an invitation back.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if it was accepted or revoked meanwhile.
    pub async fn revoke_invitation(
        &self,
        cause: &Cause,
        invitation: &Invitation,
    ) -> Result<(), Error> {
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::InvitationRevoked,
            invitation.id,
            json!({}),
        );
        let commit = Commit::new(self.tenant)
            .delete_existing(invitation)
            .event(event);
        Ok(self.store.commit(commit).await?)
    }

    /// Makes `user` a member by an invitation, which is used up.
    ///
    /// # Errors
    /// [`Error::Commit`]: `Exists` if the user is a member already, `Changed` if the invitation
    /// was used or revoked meanwhile.
    pub async fn accept(
        &self,
        cause: &Cause,
        invitation: &Invitation,
        user: &User,
    ) -> Result<Member, MemberChangeError> {
        let member = new_member(self.tenant.org(), user, invitation.role, self.store.now());
        let data = json!({ "role": member.role, "invitation": invitation.id });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::MemberJoined, user.id, data);
        let commit = Commit::new(self.tenant)
            .delete_existing(invitation)
            .create(&member)
            .event(event);
        let commit = self.count_admins(commit, None, Some(member.role)).await?;
        self.store.commit(commit).await.map_err(Error::from)?;
        Ok(member)
    }

    /// Adds the change of the number of admins to `commit`, if there is one.
    async fn count_admins(
        &self,
        commit: Commit,
        from: Option<Role>,
        to: Option<Role>,
    ) -> Result<Commit, MemberChangeError> {
        let touches_admins = (from == Some(Role::Admin)) != (to == Some(Role::Admin));
        if !touches_admins {
            return Ok(commit);
        }
        let org = self.get().await.map_err(Error::from)?.ok_or_else(|| {
            Error::from(crate::CommitError::Changed {
                noun: <Org as Record>::NOUN,
            })
        })?;
        let admins = admins_after(org.admins, from, to)?;
        let counted = Org {
            admins,
            version: org.version + 1,
            ..org.clone()
        };
        Ok(commit.replace(&counted, org.version))
    }
}

fn new_member(org: OrgId, user: &User, role: Role, now: kernel::Timestamp) -> Member {
    Member {
        org,
        user: user.id,
        role,
        email: user.email.clone(),
        name: user.name.clone(),
        joined_at: now,
        version: 1,
    }
}
