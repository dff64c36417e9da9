//! What a search means: a question to the index and the rankings that answer it.

use api::{FieldProblem, Problem};
use kernel::Timestamp;
use kernel::digest::sha256_hex;
use retrieval::hybrid::suits_chunks;
use text_index::{Filter, ItemKind, Period, Query};

use crate::request::{Filters, Mode, SearchBody, SortBy};

/// The most values of one filter.
const MAX_VALUES: usize = 50;

/// Which rankings answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rankings {
    Words,
    Meaning,
    Both,
}

/// A search, as it is carried out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) rankings: Rankings,
    /// Without a position: that is in the cursor.
    pub(crate) query: Query,
}

impl Asked {
    /// What `body` asks for, of `kinds`.
    ///
    /// # Errors
    /// 422 with every field that is wrong.
    pub(crate) fn read(body: &SearchBody, kinds: Vec<ItemKind>) -> Result<Self, Problem> {
        let mut errors = too_many_values(&body.filters);
        errors.extend(backward_periods(&body.filters));
        if let Err(error) = text_index::check_length(&body.query) {
            errors.push(field("/query", &error.to_string()));
        }
        let query = query(body, kinds);
        let has_words = !text_index::plain_text(&body.query).is_empty();
        if body.mode == Mode::Semantic {
            errors.extend(beyond_meaning(body, has_words));
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        let by_relevance = body.sort == SortBy::Relevance;
        let rankings = match body.mode {
            Mode::Text => Rankings::Words,
            Mode::Semantic => Rankings::Meaning,
            Mode::Hybrid if has_words && by_relevance && suits_chunks(&query.filter) => {
                Rankings::Both
            }
            Mode::Hybrid => Rankings::Words,
        };
        Ok(Self { rankings, query })
    }

    /// The list that this search is, whatever its pages and what is shown of them: a cursor of one
    /// search is none of another.
    pub(crate) fn list(&self) -> String {
        let whole = Query {
            limit: 1,
            highlight: false,
            after: None,
            ..self.query.clone()
        };
        let named = format!("{:?} {whole:?}", self.rankings);
        format!("search/{}", sha256_hex(named.as_bytes()))
    }
}

fn query(body: &SearchBody, kinds: Vec<ItemKind>) -> Query {
    let filters = &body.filters;
    let texts = |values: &[crate::request::FilterValue]| values.iter().map(String::from).collect();
    let mut facets: Vec<_> = body.facets.iter().map(|facet| (*facet).into()).collect();
    facets.sort_unstable();
    facets.dedup();
    Query {
        text: body.query.clone(),
        matching: body.matching.into(),
        typos: body.typos,
        last_word_is_prefix: false,
        filter: Filter {
            kinds,
            knowledge_bases: filters.knowledge_base.clone(),
            files: filters.file.clone(),
            agents: filters.agent.clone(),
            tasks: filters.task.clone(),
            executions: filters.execution.clone(),
            conversations: filters.conversation.clone(),
            authors: texts(&filters.author),
            statuses: texts(&filters.status),
            types: texts(&filters.r#type),
            languages: texts(&filters.language),
            created: Period {
                from: filters.created_from,
                before: filters.created_before,
            },
            updated: Period {
                from: filters.updated_from,
                before: filters.updated_before,
            },
        },
        facets,
        sort: body.sort.into(),
        limit: body.limit as usize,
        after: None,
        highlight: body.highlight,
    }
}

fn field(place: &str, message: &str) -> FieldProblem {
    FieldProblem {
        field: place.to_owned(),
        message: message.to_owned(),
    }
}

/// How many values each filter has.
fn lengths(filters: &Filters) -> [(&'static str, usize); 10] {
    [
        ("status", filters.status.len()),
        ("author", filters.author.len()),
        ("type", filters.r#type.len()),
        ("language", filters.language.len()),
        ("knowledge_base", filters.knowledge_base.len()),
        ("file", filters.file.len()),
        ("agent", filters.agent.len()),
        ("task", filters.task.len()),
        ("execution", filters.execution.len()),
        ("conversation", filters.conversation.len()),
    ]
}

fn too_many_values(filters: &Filters) -> Vec<FieldProblem> {
    let too_many = lengths(filters).into_iter();
    too_many
        .filter(|(_, values)| *values > MAX_VALUES)
        .map(|(name, _)| {
            let message = format!("must have at most {MAX_VALUES} values");
            field(&format!("/filters/{name}"), &message)
        })
        .collect()
}

fn backward_periods(filters: &Filters) -> Vec<FieldProblem> {
    let later = |from: Option<Timestamp>, before: Option<Timestamp>, name: &str| {
        let is_empty = from
            .zip(before)
            .is_some_and(|(from, before)| from >= before);
        let place = format!("/filters/{name}_before");
        is_empty.then(|| field(&place, &format!("must be later than `{name}_from`")))
    };
    [
        later(filters.created_from, filters.created_before, "created"),
        later(filters.updated_from, filters.updated_before, "updated"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What a search by meaning alone cannot obey: it finds chunks, by words and in one order.
fn beyond_meaning(body: &SearchBody, has_words: bool) -> Vec<FieldProblem> {
    let mut errors = Vec::new();
    if !has_words {
        errors.push(field("/query", "must have a word in the mode `semantic`"));
    }
    let others = body.kinds.iter().enumerate();
    for (number, _) in others.filter(|(_, kind)| ItemKind::from(**kind) != ItemKind::Chunk) {
        let message = "must be `chunk` in the mode `semantic`, which finds nothing else";
        errors.push(field(&format!("/kinds/{number}"), message));
    }
    for (name, values) in lengths(&body.filters) {
        let lacked = ["status", "agent", "task", "execution", "conversation"];
        if values > 0 && lacked.contains(&name) {
            let message =
                "cannot be given in the mode `semantic`: it finds chunks, which have none";
            errors.push(field(&format!("/filters/{name}"), message));
        }
    }
    if !body.facets.is_empty() {
        let message =
            "cannot be given in the mode `semantic`: it gives the nearest, and counts none";
        errors.push(field("/facets", message));
    }
    if body.sort != SortBy::Relevance {
        errors.push(field("/sort", "must be `relevance` in the mode `semantic`"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(body: Value) -> Result<Asked, Vec<String>> {
        let body: SearchBody = serde_json::from_value(body).expect("a body");
        let kinds: Vec<ItemKind> = match body.kinds.as_slice() {
            [] => ItemKind::ALL.to_vec(),
            kinds => kinds.iter().map(|kind| (*kind).into()).collect(),
        };
        Asked::read(&body, kinds).map_err(|problem| {
            let said = format!("{problem:?}");
            let fields = said.split("field: \"").skip(1);
            fields
                .filter_map(|rest| rest.split('"').next().map(str::to_owned))
                .collect()
        })
    }

    fn rankings(body: Value) -> Rankings {
        asked(body).expect("a search").rankings
    }

    #[test]
    fn both_rankings_answer_unless_only_words_can() {
        assert_eq!(rankings(json!({ "query": "oil" })), Rankings::Both);
        for body in [
            json!({ "query": "oil", "mode": "text" }),
            json!({}),
            json!({ "query": "-oil" }),
            json!({ "query": "oil", "sort": "-created_at" }),
            json!({ "query": "oil", "kinds": ["task"] }),
            json!({ "query": "oil", "filters": { "status": ["todo"] } }),
        ] {
            assert_eq!(rankings(body.clone()), Rankings::Words, "{body}");
        }
        let chunks = json!({
            "query": "oil", "mode": "semantic", "kinds": ["chunk"],
            "filters": { "type": ["pdf"], "language": ["eng"], "author": ["x"] },
        });
        assert_eq!(rankings(chunks), Rankings::Meaning);
    }

    #[test]
    fn what_meaning_alone_cannot_obey_is_named() {
        let body = json!({
            "query": "-oil", "mode": "semantic", "kinds": ["chunk", "task"],
            "filters": { "status": ["todo"] }, "facets": ["kind"], "sort": "created_at",
        });
        let fields = asked(body).expect_err("refused");
        let expected = ["/query", "/kinds/1", "/filters/status", "/facets", "/sort"];
        assert_eq!(fields, expected);
    }

    #[test]
    fn too_much_and_backward_periods_are_named() {
        let many = vec!["x"; MAX_VALUES + 1];
        let at = "2026-01-01T00:00:00Z";
        let body = json!({
            "query": "a ".repeat(65),
            "filters": { "type": many, "created_from": at, "created_before": at },
        });
        let fields = asked(body).expect_err("refused");
        assert_eq!(
            fields,
            ["/filters/type", "/filters/created_before", "/query"]
        );
    }

    #[test]
    fn a_list_is_one_search_whatever_its_pages() {
        let list = |body| asked(body).expect("a search").list();
        let plain = list(json!({ "query": "oil" }));
        let page = json!({ "query": "oil", "limit": 3, "cursor": "x", "highlight": false });
        assert_eq!(list(page), plain);
        for other in [
            json!({ "query": "oils" }),
            json!({ "query": "oil", "mode": "text" }),
            json!({ "query": "oil", "kinds": ["chunk"] }),
            json!({ "query": "oil", "matching": "all" }),
            json!({ "query": "oil", "typos": false }),
            json!({ "query": "oil", "facets": ["kind"] }),
            json!({ "query": "oil", "filters": { "type": ["pdf"] } }),
            json!({ "query": "oil", "filters": { "language": ["pdf"] } }),
        ] {
            assert_ne!(list(other.clone()), plain, "{other}");
        }
    }
}
