use api::{Granted, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::search::analytics::{MAX_DAYS, SearchAnalytics};
use garde::Validate;
use kernel::{Day, OrgId};
use serde::Deserialize;
use utoipa::IntoParams;

/// How many days are looked at where none are named.
const USUAL_DAYS: u32 = 30;
const USUAL_QUERIES: usize = 10;

/// Which days to look at, and how many queries to name.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AnalyticsQuery {
    /// The first day, in UTC; if absent, 30 days before `before`.
    #[garde(skip)]
    from: Option<Day>,
    /// The day after the last one; tomorrow, if absent. At most 31 days after `from`.
    #[garde(skip)]
    before: Option<Day>,
    /// The most queries of each list, 1 to 50.
    #[garde(custom(some))]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 50, default = 10)]
    limit: Option<String>,
}

fn some(limit: &Option<String>, (): &()) -> garde::Result {
    match limit.as_deref().map(str::parse::<u32>) {
        None | Some(Ok(1..=50)) => Ok(()),
        Some(_) => Err(garde::Error::new("must be a whole number from 1 to 50")),
    }
}

impl AnalyticsQuery {
    /// The first day, and the one after the last.
    fn days(&self, today: Day) -> Result<(Day, Day), Problem> {
        let before = self.before.unwrap_or_else(|| today.plus_days(1));
        let from = self.from.unwrap_or_else(|| before.minus_days(USUAL_DAYS));
        if from >= before {
            return Err(Problem::invalid_field("before", "must be after `from`"));
        }
        if from.days_until(before) > MAX_DAYS {
            let message = format!("must be at most {MAX_DAYS} days after `from`");
            return Err(Problem::invalid_field("before", message));
        }
        Ok((from, before))
    }
}

/// What the searches of an organization tell together: how many there were by day and mode, how fast
/// they were, what was clicked, and the queries that enough people have asked for none of them to be
/// known by it.
#[utoipa::path(
    get, path = "/v1/orgs/{org_id}/search/analytics", tag = "search",
    operation_id = "get_search_analytics",
    params(("org_id" = OrgId, Path), AnalyticsQuery),
    security(("bearer" = ["search-analytics:read"])),
    responses((status = 200, body = SearchAnalytics), Problems),
)]
pub(crate) async fn analytics(
    State(app): State<api::App>,
    caller: Granted<SearchAnalytics, Read>,
    Query(query): Query<AnalyticsQuery>,
) -> Result<Json<SearchAnalytics>, Problem> {
    let (from, before) = query.days(Day::of(app.store().now()))?;
    let limit = query.limit.and_then(|limit| limit.parse().ok());
    let searches = app.store().searches(caller.tenant());
    let told = searches.analytics(from, before, limit.unwrap_or(USUAL_QUERIES));
    Ok(Json(told.await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Option<Day> {
        Some(text.parse().expect("a day"))
    }

    fn days(from: Option<Day>, before: Option<Day>) -> Result<(String, String), Problem> {
        let query = AnalyticsQuery {
            from,
            before,
            limit: None,
        };
        let (from, before) = query.days("2026-03-15".parse().expect("a day"))?;
        Ok((from.to_string(), before.to_string()))
    }

    #[test]
    fn the_last_thirty_days_are_looked_at_where_none_are_named() {
        let named = |from: &str, before: &str| (from.to_owned(), before.to_owned());
        assert_eq!(
            days(None, None).expect("days"),
            named("2026-02-14", "2026-03-16")
        );
        assert_eq!(
            days(None, day("2026-01-31")).expect("days"),
            named("2026-01-01", "2026-01-31")
        );
        assert_eq!(
            days(day("2026-03-15"), None).expect("days"),
            named("2026-03-15", "2026-03-16")
        );
    }

    #[test]
    fn days_are_in_their_order_and_not_too_many() {
        for (from, before) in [
            ("2026-03-02", "2026-03-02"),
            ("2026-03-02", "2026-03-01"),
            ("2026-01-01", "2026-02-02"),
        ] {
            let problem = format!("{:?}", days(day(from), day(before)).expect_err("refused"));
            assert!(problem.contains("field: \"before\""), "{problem}");
        }
        assert!(days(day("2026-01-01"), day("2026-02-01")).is_ok());
    }
}
