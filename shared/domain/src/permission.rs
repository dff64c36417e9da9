//! Who may do what: one table of permissions, the scope that names each and the role it needs.

use std::fmt;
use std::str::FromStr;

use crate::org::Role;
use crate::user::PlatformRole;

macro_rules! permissions {
    ($($(#[$doc:meta])* $variant:ident, $scope:literal, $role:ident;)*) => {
        /// Something a caller may be allowed to do within one org.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission {
            $($(#[$doc])* $variant,)*
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The scope that grants this permission to an API key.
            #[must_use]
            pub const fn scope(self) -> &'static str {
                match self { $(Self::$variant => $scope,)* }
            }

            /// The least role that has this permission.
            #[must_use]
            pub const fn least_role(self) -> Role {
                match self { $(Self::$variant => Role::$role,)* }
            }
        }
    };
}

permissions! {
    /// See the org and its members.
    OrgRead, "orgs:read", Member;
    /// Change the org, its members and invitations.
    OrgWrite, "orgs:write", Admin;
    /// See API keys, never their secrets.
    ApiKeyRead, "api-keys:read", Admin;
    /// Create, rotate and revoke API keys.
    ApiKeyWrite, "api-keys:write", Admin;
    /// See agents, their versions, statistics and memories, and swarms.
    AgentRead, "agents:read", Member;
    /// Create, change and delete agents, their memories, and swarms.
    AgentWrite, "agents:write", Manager;
    /// See tools.
    ToolRead, "tools:read", Member;
    /// Create, change and delete tools.
    ToolWrite, "tools:write", Manager;
    /// See tasks.
    TaskRead, "tasks:read", Member;
    /// Create, change, assign and delete tasks.
    TaskWrite, "tasks:write", Member;
    /// See executions, their traces and streams.
    ExecutionRead, "executions:read", Member;
    /// Start and cancel executions.
    ExecutionWrite, "executions:write", Member;
    /// See and download files.
    FileRead, "files:read", Member;
    /// Upload and delete files.
    FileWrite, "files:write", Member;
    /// See and search knowledge bases.
    KnowledgeRead, "knowledge:read", Member;
    /// Create, fill, change and delete knowledge bases.
    KnowledgeWrite, "knowledge:write", Manager;
    /// See what the searches of the org tell together.
    SearchAnalyticsRead, "search-analytics:read", Manager;
    /// See budgets and their ledgers.
    BudgetRead, "budgets:read", Manager;
    /// Set, raise, lower and remove budgets.
    BudgetWrite, "budgets:write", Admin;
    /// Read, search and verify the audit chain.
    AuditRead, "audit:read", Admin;
}

impl Permission {
    /// Whether this permission changes nothing.
    #[must_use]
    pub fn is_read(self) -> bool {
        self.scope().ends_with(":read")
    }

    /// Whether a member with `role` has this permission.
    #[must_use]
    pub fn granted_to_role(self, role: Role) -> bool {
        role >= self.least_role()
    }

    /// Whether a person with this platform role has the permission in every org.
    #[must_use]
    pub fn granted_to_platform_role(self, role: PlatformRole) -> bool {
        match role {
            PlatformRole::Support => self.is_read(),
            PlatformRole::SuperAdmin => true,
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scope())
    }
}

/// A scope that no permission has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope")]
pub struct UnknownScope(pub String);

impl FromStr for Permission {
    type Err = UnknownScope;

    fn from_str(scope: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .iter()
            .copied()
            .find(|permission| permission.scope() == scope)
            .ok_or_else(|| UnknownScope(scope.to_owned()))
    }
}

impl serde::Serialize for Permission {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.scope())
    }
}

impl<'de> serde::Deserialize<'de> for Permission {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scope = std::borrow::Cow::<str>::deserialize(deserializer)?;
        scope.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Permission {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .enum_values(Some(Self::ALL.iter().map(|permission| permission.scope())))
            .description(Some("A permission, as a scope of API keys."))
            .into()
    }
}

impl utoipa::ToSchema for Permission {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_the_permission_table_is_as_decided() {
        let table: Vec<String> = Permission::ALL
            .iter()
            .map(|permission| {
                let cell = |granted: bool| if granted { "x" } else { "-" };
                format!(
                    "{:<16} {} {} {} {} {}",
                    permission.scope(),
                    cell(permission.granted_to_role(Role::Member)),
                    cell(permission.granted_to_role(Role::Manager)),
                    cell(permission.granted_to_role(Role::Admin)),
                    cell(permission.granted_to_platform_role(PlatformRole::Support)),
                    cell(permission.granted_to_platform_role(PlatformRole::SuperAdmin)),
                )
            })
            .collect();
        let expected = "\
orgs:read        x x x x x
orgs:write       - - x - x
api-keys:read    - - x x x
api-keys:write   - - x - x
agents:read      x x x x x
agents:write     - x x - x
tools:read       x x x x x
tools:write      - x x - x
tasks:read       x x x x x
tasks:write      x x x - x
executions:read  x x x x x
executions:write x x x - x
files:read       x x x x x
files:write      x x x - x
knowledge:read   x x x x x
knowledge:write  - x x - x
search-analytics:read - x x x x
budgets:read     - x x x x
budgets:write    - - x - x
audit:read       - - x x x";
        assert_eq!(table.join("\n"), expected);
    }

    #[test]
    fn scopes_are_distinct_and_read_back() {
        for permission in Permission::ALL {
            assert_eq!(
                permission.scope().parse::<Permission>().as_ref(),
                Ok(permission)
            );
        }
        assert!("agents:fly".parse::<Permission>().is_err());
    }
}
