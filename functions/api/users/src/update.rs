use api::{IfMatch, Json, Person, Problem, Problems, Versioned};
use axum::extract::State;
use domain::user::{Preferences, User};
use garde::Validate;
use kernel::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::get::current;
use crate::preferences;

/// Changes to yourself. What is absent stays as it is.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChanges {
    /// What people call you; `null` takes the name away. Organizations that you are in keep the
    /// name under which you joined.
    #[garde(custom(name_or_null))]
    #[serde(default, deserialize_with = "api::nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    name: Option<Option<String>>,
    #[garde(dive)]
    preferences: Option<PreferenceChanges>,
}

/// Changes to what you have chosen. What is absent stays as it is, `null` takes it back.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreferenceChanges {
    /// A language tag (BCP 47).
    #[garde(custom(language_or_null))]
    #[serde(default, deserialize_with = "api::nullable")]
    #[schema(value_type = Option<String>, max_length = 35, example = "pt-BR")]
    language: Option<Option<String>>,
    /// A time zone of the IANA database.
    #[garde(custom(time_zone_or_null))]
    #[serde(default, deserialize_with = "api::nullable")]
    #[schema(value_type = Option<String>, max_length = 64, example = "Europe/Lisbon")]
    time_zone: Option<Option<String>>,
}

fn name_or_null(name: &Option<Option<String>>, context: &()) -> garde::Result {
    given(name).map_or(Ok(()), |name| api::text::name(name, context))
}

fn language_or_null(tag: &Option<Option<String>>, (): &()) -> garde::Result {
    given(tag).map_or(Ok(()), preferences::check_language)
}

fn time_zone_or_null(name: &Option<Option<String>>, (): &()) -> garde::Result {
    given(name).map_or(Ok(()), preferences::check_time_zone)
}

fn given(change: &Option<Option<String>>) -> Option<&str> {
    change.as_ref().and_then(Option::as_deref)
}

impl UserChanges {
    /// The user after these changes, or `None` if they change nothing.
    fn apply(self, old: &User, now: Timestamp) -> Option<User> {
        let chosen = &old.preferences;
        let preferences = match self.preferences {
            None => chosen.clone(),
            Some(changes) => Preferences {
                language: changes.language.unwrap_or_else(|| chosen.language.clone()),
                time_zone: match changes.time_zone {
                    None => chosen.time_zone.clone(),
                    Some(name) => name
                        .and_then(|name| preferences::time_zone(&name))
                        .map(str::to_owned),
                },
            },
        };
        let name = self.name.unwrap_or_else(|| old.name.clone());
        if name == old.name && preferences == *chosen {
            return None;
        }
        let version = old.version + 1;
        Some(User {
            name,
            preferences,
            version,
            updated_at: now,
            ..old.clone()
        })
    }
}

/// Change your name and preferences. Your mail address is your identity provider's to change.
#[utoipa::path(
    patch, path = "/v1/users/me", tag = "users", operation_id = "update_me",
    params(
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = UserChanges,
    security(("bearer" = [])),
    responses((status = 200, body = User), Problems),
)]
pub(crate) async fn update(
    State(app): State<api::App>,
    person: Person,
    if_match: IfMatch,
    Json(changes): Json<UserChanges>,
) -> Result<Versioned<User>, Problem> {
    let old = current(&app, &person).await?;
    if_match.check(old.version, "user")?;
    let Some(user) = changes.apply(&old, app.store().now()) else {
        return Ok(Versioned::new(old.version, old));
    };
    app.store().identities().update(&user, old.version).await?;
    app.forget_user(user.id);
    Ok(Versioned::new(user.version, user))
}

#[cfg(test)]
mod tests {
    use kernel::UserId;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(7);

    fn user() -> User {
        User {
            id: UserId::from_u128(1),
            email: Some("ada@example.com".to_owned()),
            email_verified: true,
            name: Some("Ada".to_owned()),
            platform_role: None,
            preferences: Preferences {
                language: Some("en".to_owned()),
                time_zone: Some("Europe/Lisbon".to_owned()),
            },
            version: 3,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
        }
    }

    fn changes() -> UserChanges {
        UserChanges {
            name: None,
            preferences: None,
        }
    }

    #[test]
    fn what_is_absent_stays_and_null_clears() {
        let preferences = PreferenceChanges {
            language: Some(None),
            time_zone: None,
        };
        let changed = UserChanges {
            preferences: Some(preferences),
            ..changes()
        }
        .apply(&user(), NOW)
        .unwrap();
        let expected = User {
            preferences: Preferences {
                language: None,
                ..user().preferences
            },
            version: 4,
            updated_at: NOW,
            ..user()
        };
        assert_eq!(changed, expected);
        let cleared = UserChanges {
            name: Some(None),
            ..changes()
        }
        .apply(&user(), NOW)
        .unwrap();
        assert_eq!(
            (cleared.name, cleared.preferences),
            (None, user().preferences)
        );
    }

    #[test]
    fn a_change_to_what_is_there_already_changes_nothing() {
        assert_eq!(changes().apply(&user(), NOW), None);
        let time_zone = Some(Some("europe/lisbon".to_owned()));
        let same = UserChanges {
            name: Some(Some("Ada".to_owned())),
            preferences: Some(PreferenceChanges {
                language: None,
                time_zone,
            }),
        };
        assert_eq!(same.apply(&user(), NOW), None);
    }
}
