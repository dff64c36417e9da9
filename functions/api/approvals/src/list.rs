use api::{Granted, Listing, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::approval::{Approval, ApprovalState};
use garde::Validate;
use kernel::ExecutionId;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which approvals to list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ApprovalQuery {
    /// Only those that stand so.
    #[garde(skip)]
    state: Option<ApprovalState>,
    /// Only those of this execution.
    #[garde(skip)]
    execution_id: Option<ExecutionId>,
    /// The most items of a page, 1 to 100.
    #[garde(custom(api::limit_in_range))]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 25)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[garde(length(max = api::MAX_CURSOR_CHARS))]
    cursor: Option<String>,
}

/// Approvals of the organization, newest first. Filtered lists may lag behind by moments.
#[utoipa::path(
    get, path = "/v1/approvals", tag = "approvals", operation_id = "list_approvals",
    params(ApprovalQuery),
    security(("bearer" = ["executions:read"])),
    responses((status = 200, body = Listing<Approval>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    caller: Granted<Approval, Read>,
    Query(query): Query<ApprovalQuery>,
) -> Result<Json<Listing<Approval>>, Problem> {
    let list = name(query.execution_id, query.state);
    let limit = query.limit.as_deref().and_then(|limit| limit.parse().ok());
    let page = Paging::new(limit, query.cursor).request(&app, &caller, &list)?;
    let approvals = app.store().approvals(caller.tenant());
    let mut found = match query.execution_id {
        Some(execution) => approvals.page_of_execution(execution, &page).await?,
        None => approvals.page(query.state, &page).await?,
    };
    if let Some(state) = query.state {
        found.items.retain(|approval| approval.state == state);
    }
    Ok(Json(Listing::new(&app, &caller, &list, found)))
}

/// The name of the list that the filters make: a cursor of one list is none of another.
fn name(execution: Option<ExecutionId>, state: Option<ApprovalState>) -> String {
    let of = execution.map_or_else(|| "all".to_owned(), |execution| execution.to_string());
    let state = state.map_or("any", ApprovalState::name);
    format!("approvals/{of}/{state}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_pair_of_filters_has_a_list_of_its_own() {
        let executions = [
            None,
            Some(ExecutionId::from_u128(1)),
            Some(ExecutionId::from_u128(2)),
        ];
        let states = ApprovalState::ALL.iter().copied().map(Some);
        let states: Vec<_> = states.chain([None]).collect();
        let mut names = BTreeSet::new();
        for execution in executions {
            for state in &states {
                names.insert(name(execution, *state));
            }
        }
        assert_eq!(names.len(), executions.len() * states.len());
    }
}
