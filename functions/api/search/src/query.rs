use std::time::Instant;

use api::{App, Json, Listing, Problem, Problems};
use axum::Extension;
use axum::extract::State;
use embedding::Embedders;
use kernel::OrgId;
use retrieval::Retriever;

use crate::Indexes;
use crate::access::Finder;
use crate::answer::Answer;
use crate::asked::Asked;
use crate::find::find;
use crate::pages::{Start, of_search};
use crate::request::SearchBody;
use crate::searched::{Searched, note};

/// Search documents and their chunks, agents, tasks, executions and messages: by words, by meaning,
/// or by both. Found is what the caller may see; what was changed is found within seconds. A scope
/// for one of the kinds is enough, and a kind that is asked for needs its own.
#[utoipa::path(
    post, path = "/v1/orgs/{org_id}/search", tag = "search", operation_id = "search",
    params(("org_id" = OrgId, Path)),
    request_body = SearchBody,
    security(
        ("bearer" = ["knowledge:read"]),
        ("bearer" = ["agents:read"]),
        ("bearer" = ["tasks:read"]),
        ("bearer" = ["executions:read"]),
    ),
    responses((status = 200, body = Answer), Problems),
)]
pub(crate) async fn search(
    State(app): State<App>,
    Extension(embedders): Extension<Embedders>,
    Extension(indexes): Extension<Indexes>,
    finder: Finder,
    Json(body): Json<SearchBody>,
) -> Result<axum::Json<Answer>, Problem> {
    let begun = Instant::now();
    let kinds = finder.kinds(&app, &body.named_kinds()).await?;
    let asked = Asked::read(&body, kinds)?;
    let list = asked.list();
    let (noted, start) = Start::read(&app, &finder.caller, &list, body.cursor.as_deref())?;
    let retriever = Retriever {
        store: app.store(),
        embedders: &embedders,
        index: indexes.over(app.store()),
        tenant: finder.caller.tenant(),
    };
    let (page, summary) = find(&retriever, &finder.scope(), &asked, &start).await?;
    let took = begun.elapsed();
    let search = match start {
        Start::First => {
            let searched = Searched {
                caller: &finder.caller,
                body: &body,
                kinds: &asked.query.filter.kinds,
                total: summary.total,
                shown: page.items.len(),
                took,
            };
            note(&app, &searched).await
        }
        Start::After(_) | Start::Shown(_) => noted,
    };
    let listing = Listing::new(&app, &finder.caller, &list, of_search(page, search));
    Ok(axum::Json(Answer::new(
        search, body.mode, summary, listing, took,
    )))
}
