use api::{App, Person, Problem, Problems, Versioned};
use axum::extract::State;
use domain::user::User;

/// Yourself, as the platform knows you.
#[utoipa::path(
    get, path = "/v1/users/me", tag = "users", operation_id = "get_me",
    security(("bearer" = [])),
    responses((status = 200, body = User), Problems),
)]
pub(crate) async fn get(
    State(app): State<App>,
    person: Person,
) -> Result<Versioned<User>, Problem> {
    let user = current(&app, &person).await?;
    Ok(Versioned::new(user.version, user))
}

/// The person as they stand: what was read to recognise them may be half a minute old, and its
/// version with it.
pub(crate) async fn current(app: &App, person: &Person) -> Result<User, Problem> {
    let user = app.store().identities().user(person.user.id).await?;
    user.ok_or_else(|| Problem::not_found("user"))
}
