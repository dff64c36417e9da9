use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use api::{Problem, Problems, Query};
use axum::extract::State;
use axum::{Extension, Json};
use domain::search::{Search, normal};
use garde::Validate;
use kernel::OrgId;
use serde::{Deserialize, Serialize};
use text_index::Suggestion;
use utoipa::{IntoParams, ToSchema};

use crate::Indexes;
use crate::access::Finder;
use crate::find::index_problem;
use crate::request::Kind;

const MAX_BEGINNING: usize = 200;
const USUAL_SUGGESTIONS: usize = 8;
/// Among how many of their newest searches somebody's own are looked for.
const OWN_LOOKED_AT: u32 = 100;

/// What was typed so far.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Typed {
    /// The beginning of a query; of nothing, your newest queries.
    #[garde(length(chars, max = MAX_BEGINNING))]
    #[param(max_length = 200)]
    #[serde(default)]
    q: String,
    /// The most suggestions, 1 to 20.
    #[garde(custom(few))]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 20, default = 8)]
    limit: Option<String>,
}

fn few(limit: &Option<String>, (): &()) -> garde::Result {
    match limit.as_deref().map(str::parse::<u32>) {
        None | Some(Ok(1..=20)) => Ok(()),
        Some(_) => Err(garde::Error::new("must be a whole number from 1 to 20")),
    }
}

/// How what was typed can go on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SearchSuggestions)]
pub(crate) struct Suggestions {
    /// The best first: your own queries, then titles, then words.
    items: Vec<Suggested>,
}

/// A query that may be meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "from", rename_all = "snake_case")]
#[schema(as = SearchSuggestion)]
pub(crate) enum Suggested {
    /// You have asked it before, and something was found.
    Query { text: String },
    /// It is the title of something.
    Title {
        text: String,
        kind: Kind,
        /// Its id, as in the hits of a search.
        id: String,
    },
    /// Its last word is in something.
    Word { text: String },
}

impl Suggested {
    fn text(&self) -> &str {
        match self {
            Self::Query { text } | Self::Title { text, .. } | Self::Word { text } => text,
        }
    }
}

/// Suggest how a query can go on: with queries of your own, and with titles and words of what you may
/// see. Nobody is told what others have searched for.
#[utoipa::path(
    get, path = "/v1/orgs/{org_id}/search/suggest", tag = "search",
    operation_id = "suggest_searches",
    params(("org_id" = OrgId, Path), Typed),
    security(
        ("bearer" = ["knowledge:read"]),
        ("bearer" = ["agents:read"]),
        ("bearer" = ["tasks:read"]),
        ("bearer" = ["executions:read"]),
    ),
    responses((status = 200, body = Suggestions), Problems),
)]
pub(crate) async fn suggest(
    State(app): State<api::App>,
    Extension(indexes): Extension<Indexes>,
    finder: Finder,
    Query(typed): Query<Typed>,
) -> Result<Json<Suggestions>, Problem> {
    let limit = typed.limit.as_deref().and_then(|limit| limit.parse().ok());
    let limit = limit.unwrap_or(USUAL_SUGGESTIONS);
    let (store, caller) = (app.store(), &finder.caller);
    let (tenant, scope) = (caller.tenant(), finder.scope());
    let searches = store.searches(tenant);
    let index = indexes.over(store);
    let (own, found) = tokio::join!(
        searches.newest(caller.cause().actor, OWN_LOOKED_AT),
        index.suggest(tenant, &scope, &typed.q, limit),
    );
    let own = own_queries(&typed.q, own?);
    let found = found.map_err(index_problem)?;
    let found = found.into_iter().map(|one| suggested(&typed.q, one));
    Ok(Json(Suggestions {
        items: merged(&typed.q, own, found.collect(), limit),
    }))
}

/// Somebody's own queries that go on so, those before all others that begin so, and then by how often
/// and how lately they were asked.
fn own_queries(typed: &str, newest_first: Vec<Search>) -> Vec<Suggested> {
    let beginning = normal(typed);
    let mut asked: BTreeMap<String, (usize, usize, String)> = BTreeMap::new();
    for (age, search) in newest_first.into_iter().enumerate() {
        let text = normal(&search.asked.text);
        if search.asked.is_without_hits() || text.is_empty() {
            continue;
        }
        let (times, _, _) = asked.entry(text).or_insert((0, age, search.asked.text));
        *times += 1;
    }
    let within = format!(" {beginning}");
    let mut matching: Vec<_> = asked
        .into_iter()
        .filter_map(|(text, (times, age, written))| {
            let begins = text.starts_with(&beginning);
            let is_meant = begins || text.contains(&within);
            is_meant.then_some((!begins, Reverse(times), age, written))
        })
        .collect();
    matching.sort();
    matching
        .into_iter()
        .map(|(.., text)| Suggested::Query { text })
        .collect()
}

fn suggested(typed: &str, found: Suggestion) -> Suggested {
    match found {
        Suggestion::Title { text, kind, id } => Suggested::Title {
            kind: kind.into(),
            text,
            id,
        },
        Suggestion::Word { text } => Suggested::Word {
            text: completed(typed, &text),
        },
    }
}

/// What was typed, with this in place of its last word.
fn completed(typed: &str, word: &str) -> String {
    let before = typed.trim_end_matches(|letter: char| !letter.is_whitespace());
    format!("{before}{word}")
}

/// At most `limit` different ones, none of which is what was typed already. Own queries take more than
/// half of the places only where there is nothing else.
fn merged(typed: &str, own: Vec<Suggested>, found: Vec<Suggested>, limit: usize) -> Vec<Suggested> {
    let places = limit.saturating_sub(found.len()).max(limit.div_ceil(2));
    let mut seen = BTreeSet::from([normal(typed)]);
    let mut is_new = |one: &Suggested| seen.insert(normal(one.text()));
    let own: Vec<Suggested> = own.into_iter().filter(&mut is_new).take(places).collect();
    let found = found.into_iter().filter(&mut is_new);
    let mut items = own;
    items.extend(found);
    items.truncate(limit);
    items
}

#[cfg(test)]
mod tests {
    use domain::event::Actor;
    use domain::search::{Asked, SearchMode};
    use kernel::{SearchId, Timestamp};

    use super::*;

    fn asked(text: &str, shown: u32) -> Search {
        let asked = Asked {
            mode: SearchMode::Text,
            text: text.to_owned(),
            kinds: Vec::new(),
            filters: Vec::new(),
            total: None,
            shown,
            took_ms: 1,
        };
        let at = Timestamp::from_millis(0);
        let org = OrgId::from_u128(1);
        Search::new(SearchId::from_u128(2), org, Actor::System, asked, at)
    }

    fn texts(items: &[Suggested]) -> Vec<&str> {
        items.iter().map(Suggested::text).collect()
    }

    fn word(text: &str) -> Suggested {
        Suggested::Word {
            text: text.to_owned(),
        }
    }

    fn query(text: &str) -> Suggested {
        Suggested::Query {
            text: text.to_owned(),
        }
    }

    #[test]
    fn own_queries_come_by_how_they_match_then_how_often_then_how_lately() {
        let newest_first = vec![
            asked("gear oil", 1),
            asked("Gearbox", 1),
            asked("worn gear", 1),
            asked("gearbox ", 1),
            asked("gear wheel", 0),
            asked("winch", 1),
            asked("landing gears", 1),
            asked("bygear", 1),
        ];
        let own = own_queries(" GEAR", newest_first);
        assert_eq!(
            texts(&own),
            ["Gearbox", "gear oil", "worn gear", "landing gears"]
        );
    }

    #[test]
    fn of_nothing_typed_all_own_queries_go_on() {
        let own = own_queries("", vec![asked("b", 1), asked("a", 1), asked("", 5)]);
        assert_eq!(texts(&own), ["b", "a"]);
    }

    #[test]
    fn a_word_stands_for_the_last_one_typed() {
        assert_eq!(completed("gear b", "box"), "gear box");
        assert_eq!(completed("ge", "gear"), "gear");
        assert_eq!(completed("gear\u{3000}ö", "öl"), "gear\u{3000}öl");
    }

    #[test]
    fn nothing_is_suggested_twice_and_nothing_that_was_typed() {
        let own = vec![query("Oil filter"), query("oil")];
        let found = vec![word("oil  filter"), word("oilcan"), word("Oilcan")];
        let items = merged("OIL", own, found, 8);
        assert_eq!(texts(&items), ["Oil filter", "oilcan"]);
    }

    #[test]
    fn own_queries_leave_half_of_the_places_to_others() {
        let many = |name: &str| (0..9).map(|n| format!("{name}{n}")).collect::<Vec<_>>();
        let own: Vec<_> = many("own").iter().map(|text| query(text)).collect();
        let found: Vec<_> = many("word").iter().map(|text| word(text)).collect();
        let items = merged("", own.clone(), found, 5);
        assert_eq!(texts(&items), ["own0", "own1", "own2", "word0", "word1"]);
        assert_eq!(merged("", own, vec![word("w")], 5).len(), 5);
    }
}
