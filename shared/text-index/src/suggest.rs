//! How a beginning can go on, by what its viewer may see: a word that only others have is not
//! suggested.

use std::collections::BTreeSet;

use tantivy::TantivyDocument;

use crate::query::build::Builder;
use crate::query::collect::{Order, PageCollector};
use crate::query::parse::{Parsed, Part};
use crate::query::{Sort, Suggestion, expand};

/// Of how many hits titles are taken: several may have the same.
const TITLES_LOOKED_AT: usize = 50;

pub(crate) fn suggest(
    builder: &Builder<'_>,
    parsed: &Parsed,
    limit: usize,
) -> tantivy::Result<Vec<Suggestion>> {
    let Some(last) = parsed.wanted.last() else {
        return Ok(Vec::new());
    };
    let mut suggestions = titles(builder, parsed, limit)?;
    if let Part::Prefix(prefix) = last {
        let fields = [
            builder.fields.title,
            builder.fields.heading,
            builder.fields.body,
        ];
        for word in expand::prefixed(builder.searcher, &fields, prefix)? {
            if suggestions.len() >= limit {
                break;
            }
            if word != *prefix && builder.shows(&word)? {
                suggestions.push(Suggestion::Word { text: word });
            }
        }
    }
    Ok(suggestions)
}

/// Different titles that have all the words.
fn titles(
    builder: &Builder<'_>,
    parsed: &Parsed,
    limit: usize,
) -> tantivy::Result<Vec<Suggestion>> {
    let query = builder.titled(parsed)?;
    let order = Order::of(Sort::Relevance, true);
    let page = PageCollector::new(order, None, TITLES_LOOKED_AT);
    let mut seen = BTreeSet::new();
    let mut suggestions = Vec::new();
    for hit in builder.searcher.search(query.as_ref(), &page)? {
        if suggestions.len() >= limit {
            break;
        }
        let document: TantivyDocument = builder.searcher.doc(hit.address)?;
        let Some(item) = builder.fields.item(&document) else {
            continue;
        };
        if seen.insert(item.title.to_lowercase()) {
            suggestions.push(Suggestion::Title {
                text: item.title,
                kind: item.kind,
                id: item.id,
            });
        }
    }
    Ok(suggestions)
}
