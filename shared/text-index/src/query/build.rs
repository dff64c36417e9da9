//! From a question to a query of the search library.

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;

use domain::viewer::Viewer;
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, Occur,
    PhraseQuery, Query as Ask, RangeQuery, TermQuery, TermSetQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, Term};

use super::excluded::Excluded;
use super::expand;
use super::parse::{Parsed, Part};
use super::{Correction, Filter, Matching, Period, Scope};
use crate::analysis::Stems;
use crate::item::ItemKind;
use crate::schema::{Fields, audience};

/// How much more a word counts in a title, in a heading, by its stem only, …
const TITLE: f32 = 2.0;
const HEADING: f32 = 1.2;
const BODY: f32 = 1.0;
const TITLE_STEM: f32 = 1.5;
const STEM: f32 = 0.8;
const PREFIXED: f32 = 0.8;
/// Words written without a space between them are worth more together than apart.
const TOGETHER: f32 = 1.5;
const APART: f32 = 0.5;
/// What else of an item has a word adds this part of its score.
const TIE_BREAKER: f32 = 0.1;

/// A query of the search library, and what it looks for.
pub(crate) struct Built {
    pub query: Box<dyn Ask>,
    pub has_words: bool,
    pub terms: Terms,
    pub corrections: Vec<Correction>,
}

/// The words that a query looks for, to be shown in what was found.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    pub words: HashSet<String>,
    pub prefixes: Vec<String>,
    pub stems: HashSet<String>,
}

/// Builds queries over one state of an index.
pub(crate) struct Builder<'a> {
    pub searcher: &'a Searcher,
    pub fields: &'a Fields,
    pub scope: &'a Scope,
    languages: Vec<Option<String>>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        searcher: &'a Searcher,
        fields: &'a Fields,
        scope: &'a Scope,
    ) -> tantivy::Result<Self> {
        Ok(Self {
            searcher,
            fields,
            scope,
            languages: languages(searcher, fields.language)?,
        })
    }

    /// What the viewer may see, without effect on the score.
    pub(crate) fn visible(&self) -> Box<dyn Ask> {
        if self.scope.kinds.is_empty() {
            return Box::new(EmptyQuery);
        }
        let kinds = self.scope.kinds.iter();
        let kinds = kinds.map(|kind| Term::from_field_text(self.fields.kind, kind.name()));
        let mut both: Vec<Box<dyn Ask>> = vec![Box::new(TermSetQuery::new(kinds))];
        if let Viewer::Own(actor) = self.scope.viewer {
            let names = [audience(None), audience(Some(actor))];
            let field = self.fields.visible_to;
            let audiences = names.iter().map(|name| Term::from_field_text(field, name));
            both.push(Box::new(TermSetQuery::new(audiences)));
        }
        unscored(Box::new(BooleanQuery::intersection(both)))
    }

    /// Everything that the viewer may see of a query.
    pub(crate) fn seen(&self, query: Box<dyn Ask>) -> Box<dyn Ask> {
        Box::new(BooleanQuery::intersection(vec![self.visible(), query]))
    }

    /// The whole query.
    pub(crate) fn build(
        &self,
        parsed: &Parsed,
        matching: Matching,
        typos: bool,
        filter: &Filter,
    ) -> tantivy::Result<Built> {
        let mut built = Built {
            query: Box::new(EmptyQuery),
            has_words: !parsed.wanted.is_empty(),
            terms: Terms::default(),
            corrections: Vec::new(),
        };
        let mut clauses = self.conditions(parsed, filter)?;
        let mut wanted = Vec::new();
        for part in self.telling(&parsed.wanted) {
            wanted.push(self.part(part, typos, &mut built)?);
        }
        match matching {
            Matching::Any if !wanted.is_empty() => {
                clauses.push((Occur::Must, Box::new(BooleanQuery::union(wanted))));
            }
            Matching::Most if !wanted.is_empty() => {
                let half = wanted.len().div_ceil(2);
                let most = BooleanQuery::union_with_minimum_required_clauses(wanted, half);
                clauses.push((Occur::Must, Box::new(most)));
            }
            Matching::Any | Matching::Most => {}
            Matching::All => clauses.extend(wanted.into_iter().map(|part| (Occur::Must, part))),
        }
        built.query = Box::new(BooleanQuery::new(clauses));
        Ok(built)
    }

    /// What holds of every hit, whichever words it has: that the viewer may see it, that the filter
    /// lets it through, and that it has nothing that is not wanted.
    fn conditions(
        &self,
        parsed: &Parsed,
        filter: &Filter,
    ) -> tantivy::Result<Vec<(Occur, Box<dyn Ask>)>> {
        let mut clauses = vec![(Occur::Must, self.visible())];
        clauses.extend(self.filters(filter).into_iter().map(|f| (Occur::Must, f)));
        for part in &parsed.unwanted {
            let mut ignored = Built {
                query: Box::new(AllQuery),
                has_words: false,
                terms: Terms::default(),
                corrections: Vec::new(),
            };
            let part = self.part(part, false, &mut ignored)?;
            clauses.push((Occur::MustNot, Box::new(Excluded(part))));
        }
        Ok(clauses)
    }

    /// The chunks of some documents of which all this holds, whether they have a word of the query or
    /// not.
    pub(crate) fn chunks_of(
        &self,
        sources: &BTreeSet<String>,
        parsed: &Parsed,
        filter: &Filter,
    ) -> tantivy::Result<Box<dyn Ask>> {
        let mut clauses = self.conditions(parsed, filter)?;
        let chunk = Term::from_field_text(self.fields.kind, ItemKind::Chunk.name());
        clauses.push((Occur::Must, unscored(Box::new(TermSetQuery::new([chunk])))));
        let sources = sources
            .iter()
            .map(|source| Term::from_field_text(self.fields.source, source));
        clauses.push((Occur::Must, unscored(Box::new(TermSetQuery::new(sources)))));
        Ok(Box::new(BooleanQuery::new(clauses)))
    }

    /// What the viewer may see whose title has all the words.
    pub(crate) fn titled(&self, parsed: &Parsed) -> tantivy::Result<Box<dyn Ask>> {
        let title = self.fields.title;
        let mut clauses = vec![self.visible()];
        for part in &parsed.wanted {
            clauses.push(match part {
                Part::Word(word) => term(title, word),
                Part::Prefix(prefix) => {
                    let words = expand::prefixed(self.searcher, &[title], prefix)?;
                    best_of(words.iter().map(|word| term(title, word)).collect())
                }
                Part::Phrase(words) | Part::Compound(words) => {
                    let words = words.iter().map(|word| term(title, word)).collect();
                    Box::new(BooleanQuery::intersection(words))
                }
            });
        }
        Ok(Box::new(BooleanQuery::intersection(clauses)))
    }

    /// The parts that say something: without words that every text has, unless there are no others.
    fn telling<'p>(&self, parts: &'p [Part]) -> Vec<&'p Part> {
        let mut english = Stems::of(None);
        let mut tells = |part: &&Part| match part {
            Part::Word(word) => english.of_word(word).is_some(),
            _ => true,
        };
        let telling: Vec<&Part> = parts.iter().filter(&mut tells).collect();
        if telling.is_empty() {
            parts.iter().collect()
        } else {
            telling
        }
    }

    fn part(&self, part: &Part, typos: bool, built: &mut Built) -> tantivy::Result<Box<dyn Ask>> {
        Ok(match part {
            Part::Word(word) => {
                let (mut either, stems) = self.word(word);
                built.terms.words.insert(word.clone());
                built.terms.stems.extend(stems);
                if typos && expand::typos_allowed(word) > 0 && !self.shows(word)? {
                    either.extend(self.near(word, built)?);
                }
                best_of(either)
            }
            Part::Prefix(prefix) => {
                let fields = self.plain_fields().map(|(field, _)| field);
                let words = expand::prefixed(self.searcher, &fields, prefix)?;
                built.terms.prefixes.push(prefix.clone());
                let mut either = self.exact(prefix, 1.0);
                for word in words.iter().filter(|word| *word != prefix) {
                    either.extend(self.exact(word, PREFIXED));
                }
                best_of(either)
            }
            Part::Phrase(words) => {
                built.terms.words.extend(words.iter().cloned());
                best_of(self.phrase(words, 1.0))
            }
            Part::Compound(words) => {
                built.terms.words.extend(words.iter().cloned());
                let mut either = self.phrase(words, TOGETHER);
                let apart = words.iter().map(|word| best_of(self.exact(word, APART)));
                either.push(Box::new(BooleanQuery::intersection(apart.collect())));
                best_of(either)
            }
        })
    }

    /// An item that has this word, or another of the same stem.
    fn word(&self, word: &str) -> (Vec<Box<dyn Ask>>, BTreeSet<String>) {
        let mut either = self.exact(word, 1.0);
        let mut stems = BTreeSet::new();
        for language in &self.languages {
            stems.extend(Stems::of(language.as_deref()).of_any_word(word));
        }
        for stem in &stems {
            for (field, weight) in [
                (self.fields.title_stems, TITLE_STEM),
                (self.fields.stems, STEM),
            ] {
                either.push(weighted(term(field, stem), weight));
            }
        }
        (either, stems)
    }

    fn plain_fields(&self) -> [(Field, f32); 3] {
        [
            (self.fields.title, TITLE),
            (self.fields.heading, HEADING),
            (self.fields.body, BODY),
        ]
    }

    fn exact(&self, word: &str, weight: f32) -> Vec<Box<dyn Ask>> {
        let fields = self.plain_fields().into_iter();
        fields
            .map(|(field, boost)| weighted(term(field, word), boost * weight))
            .collect()
    }

    fn phrase(&self, words: &[String], weight: f32) -> Vec<Box<dyn Ask>> {
        if let [word] = words {
            return self.exact(word, weight);
        }
        let fields = self.plain_fields().into_iter();
        fields
            .map(|(field, boost)| {
                let terms = words.iter().map(|word| Term::from_field_text(field, word));
                weighted(Box::new(PhraseQuery::new(terms.collect())), boost * weight)
            })
            .collect()
    }

    /// Whether anything that the viewer may see has a word. What others have must not tell.
    pub(crate) fn shows(&self, word: &str) -> tantivy::Result<bool> {
        let query = self.seen(best_of(self.word(word).0));
        expand::finds_any(self.searcher, query.as_ref())
    }

    fn near(&self, word: &str, built: &mut Built) -> tantivy::Result<Vec<Box<dyn Ask>>> {
        let fields = self.plain_fields().map(|(field, _)| field);
        let near = expand::near(self.searcher, &fields, word, |near| self.shows(near))?;
        let mut either = Vec::new();
        for (near, distance) in &near {
            let (asks, stems) = self.word(near);
            let weight = 1.0 / f32::from(1 + distance);
            either.extend(asks.into_iter().map(|ask| weighted(ask, weight)));
            built.terms.words.insert(near.clone());
            built.terms.stems.extend(stems);
        }
        if !near.is_empty() {
            built.corrections.push(Correction {
                word: word.to_owned(),
                instead: near.into_iter().map(|(near, _)| near).collect(),
            });
        }
        Ok(either)
    }

    fn filters(&self, filter: &Filter) -> Vec<Box<dyn Ask>> {
        fn texts<T: ToString>(values: &[T]) -> Vec<String> {
            values.iter().map(ToString::to_string).collect()
        }
        let fields = self.fields;
        let sets = [
            (fields.kind, texts(&filter.kinds)),
            (fields.knowledge_base, texts(&filter.knowledge_bases)),
            (fields.file, texts(&filter.files)),
            (fields.agent, texts(&filter.agents)),
            (fields.task, texts(&filter.tasks)),
            (fields.execution, texts(&filter.executions)),
            (fields.conversation, texts(&filter.conversations)),
            (fields.author, filter.authors.clone()),
            (fields.status, filter.statuses.clone()),
            (fields.type_, filter.types.clone()),
            (fields.language, filter.languages.clone()),
        ];
        let mut filters: Vec<Box<dyn Ask>> = Vec::new();
        for (field, values) in sets {
            if !values.is_empty() {
                let terms = values
                    .iter()
                    .map(|value| Term::from_field_text(field, value));
                filters.push(unscored(Box::new(TermSetQuery::new(terms))));
            }
        }
        let periods = [
            (fields.created_at, filter.created),
            (fields.updated_at, filter.updated),
        ];
        for (field, period) in periods {
            filters.extend(within(field, period));
        }
        filters
    }
}

/// The languages whose rules words of a query are stemmed by: English, and those of items.
fn languages(searcher: &Searcher, field: Field) -> tantivy::Result<Vec<Option<String>>> {
    let mut found = BTreeSet::new();
    for segment in searcher.segment_readers() {
        let inverted = segment.inverted_index(field)?;
        let mut stream = inverted.terms().stream()?;
        while stream.advance() {
            found.extend(std::str::from_utf8(stream.key()).ok().map(str::to_owned));
        }
    }
    for english in ["en", "eng"] {
        found.remove(english);
    }
    Ok(std::iter::once(None)
        .chain(found.into_iter().map(Some))
        .collect())
}

fn within(field: Field, period: Period) -> Option<Box<dyn Ask>> {
    let bound = |at: kernel::Timestamp| Term::from_field_i64(field, at.as_millis());
    if period == Period::default() {
        return None;
    }
    let from = period
        .from
        .map_or(Bound::Unbounded, |at| Bound::Included(bound(at)));
    let before = period
        .before
        .map_or(Bound::Unbounded, |at| Bound::Excluded(bound(at)));
    Some(unscored(Box::new(RangeQuery::new(from, before))))
}

fn term(field: Field, text: &str) -> Box<dyn Ask> {
    let term = Term::from_field_text(field, text);
    Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
}

fn weighted(query: Box<dyn Ask>, weight: f32) -> Box<dyn Ask> {
    Box::new(BoostQuery::new(query, weight))
}

fn unscored(query: Box<dyn Ask>) -> Box<dyn Ask> {
    Box::new(ConstScoreQuery::new(query, 0.0))
}

fn best_of(queries: Vec<Box<dyn Ask>>) -> Box<dyn Ask> {
    Box::new(DisjunctionMaxQuery::with_tie_breaker(queries, TIE_BREAKER))
}
