//! Query parameters of a known shape, strictly read and validated.

use axum::extract::FromRequestParts;
use garde::Validate;
use http::request::Parts;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use crate::body::{absent_or_repeated, validate};
use crate::problem::Problem;

/// Query parameters: of a known shape with no unknown names, and valid.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<S, T> FromRequestParts<S> for Query<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let value = read(query)?;
        validate(&value, str::to_owned)?;
        Ok(Self(value))
    }
}

fn read<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        if let Some((name, what)) = absent_or_repeated(&message) {
            return Problem::invalid_field(name, what);
        }
        let field = if path == "." {
            "query".to_owned()
        } else {
            path
        };
        Problem::invalid_field(field, message)
    })
}

#[cfg(test)]
mod tests {
    use kernel::AgentId;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        agent_id: Option<AgentId>,
        order: String,
    }

    #[test]
    fn each_bad_parameter_is_named() {
        let id = AgentId::from_u128(1);
        let filter: Filter = read(&format!("agent_id={id}&order=new")).unwrap();
        assert_eq!((filter.agent_id, filter.order.as_str()), (Some(id), "new"));
        for (query, field) in [
            ("order=new&agent_id=x", "agent_id"),
            ("order=new&color=red", "color"),
            ("order=new&order=old", "order"),
            ("agent_id=", "agent_id"),
            ("order=new&agent_id=&agent_id=", "agent_id"),
            ("", "order"),
        ] {
            let problem = format!("{:?}", read::<Filter>(query).unwrap_err());
            assert!(
                problem.contains(&format!("field: \"{field}\"")),
                "{query}: {problem}"
            );
        }
    }
}
