//! Finding the sentences that answer a question.
//!
//! Each piece of the retrieved text is scored by how much of the question it covers, weighted by
//! how rare the words are among the pieces, and by whether it holds the kind of thing that was
//! asked for: a number with the right unit, a time, a person, a reason.

use std::collections::BTreeSet;

use super::evidence::Passage;
use super::expected::Expected;
use super::intent::Question;
use super::lexicon::{REQUESTS, is_stop_word, one_of, same_meaning, share_a_root};
use super::text::{Token, tokens, words};
use super::units::{Unit, sentences, units};

/// From this share of the question on, a sentence counts as an answer.
const ANSWERS: f64 = 0.45;

/// From this share on, it is worth showing as the closest thing there is.
const COMES_CLOSE: f64 = 0.2;

/// How much a word counts that no document has, against an average one. It is more than one: the
/// word may be what the question is about.
const MISSING_WEIGHT: f64 = 1.1;

/// How much a word counts that the talk was about before, against one of the question itself.
const TOPIC_WEIGHT: f64 = 0.4;

/// The most items of a list that are quoted.
const MAX_ITEMS: usize = 8;

/// A sentence with the passages that say it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quote {
    /// The words of the document.
    pub text: String,
    /// Positions in the list of passages, the best first.
    pub passages: Vec<usize>,
}

/// What was found for a question.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finding {
    /// Sentences that answer it, the best first.
    Answer(Vec<Quote>),
    /// The sentence that comes closest.
    Closest(Quote),
    /// Nothing.
    Nothing,
}

impl Finding {
    /// Its sentences.
    pub fn quotes(&self) -> &[Quote] {
        match self {
            Self::Answer(quotes) => quotes,
            Self::Closest(quote) => std::slice::from_ref(quote),
            Self::Nothing => &[],
        }
    }
}

/// All pieces of all passages, ready to be searched.
pub(super) struct Pool {
    pieces: Vec<Piece>,
}

struct Piece {
    unit: Unit,
    passage: usize,
    tokens: Vec<Token>,
    stems: BTreeSet<String>,
    /// The words of the question that the piece answers, as in a list of questions and answers.
    asked: BTreeSet<String>,
    /// The words of the two pieces before it: a subject is named once and then left out.
    before: BTreeSet<String>,
    /// The words of the headings above it.
    heading: BTreeSet<String>,
    /// The words of the document's name.
    document: BTreeSet<String>,
    search_score: f64,
}

/// A word that has to be met, with its weight.
struct Term {
    stem: String,
    weight: f64,
}

struct Scored {
    piece: usize,
    score: f64,
    coverage: f64,
    /// Whether two words of the question are met, or its only one.
    touches_enough: bool,
    satisfied: bool,
}

impl Pool {
    /// Cuts the passages into pieces.
    pub fn new(passages: &[Passage]) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for (number, passage) in passages.iter().enumerate() {
            let first = pieces.len();
            for unit in units(&passage.text) {
                let tokens = tokens(&unit.text);
                let heading = format!(
                    "{} {}",
                    unit.heading,
                    passage.source.heading.as_deref().unwrap_or_default()
                );
                let earlier = &pieces[first..];
                let asked = earlier
                    .last()
                    .filter(|question| question.unit.text.ends_with('?'))
                    .map(|question| question.stems.clone());
                let before = earlier.iter().rev().take(2);
                pieces.push(Piece {
                    asked: asked.unwrap_or_default(),
                    before: before.flat_map(|piece| piece.stems.clone()).collect(),
                    heading: stems(&heading),
                    document: stems(&passage.source.document),
                    search_score: passage.score,
                    passage: number,
                    stems: tokens.iter().map(|token| token.stem.clone()).collect(),
                    unit,
                    tokens,
                });
            }
        }
        Self { pieces }
    }

    /// The best passage for a question: where to read on.
    pub fn best_passage(&self, question: &Question) -> Option<usize> {
        let best = self.scored(question).into_iter().next()?;
        (best.coverage >= COMES_CLOSE).then(|| self.pieces[best.piece].passage)
    }

    /// Answers a question.
    pub fn find(&self, question: &Question) -> Finding {
        let scored = self.scored(question);
        let Some(best) = scored.first() else {
            return Finding::Nothing;
        };
        let broad = is_broad(&question.text);
        if best.coverage < COMES_CLOSE {
            return Finding::Nothing;
        }
        if best.coverage < ANSWERS || !best.touches_enough {
            return Finding::Closest(self.extended(best.piece, broad));
        }
        let (most, share) = match broad {
            true => (4, 0.55),
            false => (2, 0.85),
        };
        let mut quotes = vec![self.extended(best.piece, broad)];
        for other in &scored[1..] {
            if other.score < best.score * share
                || other.coverage < ANSWERS * 0.8
                || (best.satisfied && !other.satisfied && !broad)
            {
                continue;
            }
            let piece = &self.pieces[other.piece];
            // The same sentence elsewhere is a second source for it.
            let known = quotes
                .iter()
                .position(|quote| says(&quote.text, &piece.unit.text));
            if let Some(known) = known {
                let sources = &mut quotes[known].passages;
                if !sources.contains(&piece.passage) && sources.len() < 3 {
                    sources.push(piece.passage);
                }
            } else if quotes.len() < most {
                quotes.push(self.extended(other.piece, broad));
            }
        }
        Finding::Answer(quotes)
    }

    /// All pieces, the best first.
    fn scored(&self, question: &Question) -> Vec<Scored> {
        let terms = self.terms(question);
        let total: f64 = terms.iter().map(|term| term.weight).sum();
        if terms.is_empty() {
            return Vec::new();
        }
        let expected = Expected::of(&question.text);
        let mut scored: Vec<Scored> = self
            .pieces
            .iter()
            .enumerate()
            .map(|(position, piece)| {
                let matches: Vec<f64> =
                    terms.iter().map(|term| piece.matches(&term.stem)).collect();
                let covered: f64 = matches
                    .iter()
                    .zip(&terms)
                    .map(|(met, term)| met * term.weight)
                    .sum();
                let coverage = covered / total;
                let touched = matches.iter().filter(|met| **met >= 0.4).count();
                let satisfied = expected.satisfied_by(&piece.unit.text);
                let kind = match (&expected, satisfied) {
                    (Expected::Anything, _) => 0.0,
                    (_, true) => 0.3,
                    (_, false) => -0.15,
                };
                Scored {
                    piece: position,
                    score: coverage
                        + kind
                        + 0.15 * piece.adjacency(&terms)
                        + 0.1 * piece.search_score
                        - piece.unfitness(&expected),
                    coverage,
                    touches_enough: touched >= terms.len().min(2),
                    satisfied,
                }
            })
            .collect();
        // Equal scores keep the order of the search, so the outcome never depends on chance.
        scored.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.piece.cmp(&b.piece)));
        scored
    }

    /// The words of a question that have to be met. Rare ones count more. One that no piece has
    /// does not count as the rarest: it may be a name for something that the documents call
    /// differently.
    fn terms(&self, question: &Question) -> Vec<Term> {
        let mut terms: Vec<Term> = Vec::new();
        // "Summarise …" is what to do, not what about.
        let own = words(&question.text)
            .into_iter()
            .enumerate()
            .filter(|(position, word)| *position > 0 || !one_of(REQUESTS, word))
            .map(|(_, word)| (word, 1.0));
        let topic = question.topic.iter().cloned();
        for (word, weight) in own.chain(topic.map(|word| (word, TOPIC_WEIGHT))) {
            let token = tokens(&word).into_iter().next();
            let Some(stem) = token.map(|token| token.stem) else {
                continue;
            };
            if !is_stop_word(&word) && !terms.iter().any(|term| term.stem == stem) {
                terms.push(Term { stem, weight });
            }
        }
        let rarity: Vec<Option<f64>> = terms.iter().map(|term| self.rarity(&term.stem)).collect();
        let known: Vec<f64> = rarity.iter().flatten().copied().collect();
        let average = match known.is_empty() {
            true => 1.0,
            false => known.iter().sum::<f64>() / known.len() as f64,
        };
        for (term, rarity) in terms.iter_mut().zip(rarity) {
            term.weight *= rarity.unwrap_or(average * MISSING_WEIGHT);
        }
        terms
    }

    fn rarity(&self, stem: &str) -> Option<f64> {
        let holding = self
            .pieces
            .iter()
            .filter(|piece| piece.matches(stem) >= 0.6)
            .count() as f64;
        let all = self.pieces.len() as f64;
        (holding > 0.0).then(|| (1.0 + (all + 1.0) / (holding + 0.5)).ln())
    }

    /// A piece with what belongs to it: the list it introduces or stands in, and a following
    /// sentence that limits it.
    fn extended(&self, position: usize, broad: bool) -> Quote {
        let piece = &self.pieces[position];
        let text = self
            .list_around(position, broad)
            .or_else(|| {
                let next = self.pieces.get(position + 1)?;
                let limits = next.passage == piece.passage
                    && !next.unit.item
                    && next.tokens.len() <= 40
                    && limits(&next.unit.text);
                limits.then(|| format!("{} {}", with_end(&piece.unit.text), next.unit.text))
            })
            .unwrap_or_else(|| piece.unit.text.clone());
        Quote {
            text,
            passages: vec![piece.passage],
        }
    }

    fn list_around(&self, position: usize, broad: bool) -> Option<String> {
        let piece = &self.pieces[position];
        let introduces = |at: usize| {
            let other = &self.pieces[at];
            other.unit.text.ends_with(':') && other.passage == piece.passage
        };
        let intro = match piece.unit.item && broad {
            true => self.pieces[..position]
                .iter()
                .rposition(|earlier| !earlier.unit.item)?,
            false => position,
        };
        if !introduces(intro) {
            return None;
        }
        let items: Vec<&str> = self.pieces[intro + 1..]
            .iter()
            .take_while(|item| item.unit.item && item.passage == piece.passage)
            .take(MAX_ITEMS)
            .map(|item| item.unit.text.trim_end_matches(['.', ';', ',']))
            .collect();
        let intro = &self.pieces[intro].unit.text;
        (!items.is_empty()).then(|| format!("{intro} {}", items.join("; ")))
    }
}

impl Piece {
    /// How well a word of the question is met, from 0 to 1.
    fn matches(&self, term: &str) -> f64 {
        let related = same_meaning(term);
        let within = |words: &BTreeSet<String>| {
            words.contains(term) || related.iter().any(|other| words.contains(other))
        };
        if self.stems.contains(term) {
            1.0
        } else if self.asked.contains(term) {
            0.9
        } else if within(&self.stems) {
            0.85
        } else if self.stems.iter().any(|stem| share_a_root(stem, term)) {
            0.65
        } else if within(&self.heading) {
            0.6
        } else if within(&self.before) {
            0.4
        } else if within(&self.document) {
            0.3
        } else {
            0.0
        }
    }

    /// The share of neighbours in the question that are neighbours here.
    fn adjacency(&self, terms: &[Term]) -> f64 {
        if terms.len() < 2 {
            return 0.0;
        }
        let near = |pair: &[Term]| {
            self.tokens.iter().enumerate().any(|(at, token)| {
                let mut next = self.tokens[at + 1..].iter().take(2);
                token.stem == pair[0].stem && next.any(|next| next.stem == pair[1].stem)
            })
        };
        let met = terms.windows(2).filter(|pair| near(pair)).count();
        met as f64 / (terms.len() - 1) as f64
    }

    /// What speaks against quoting it, whatever it says.
    fn unfitness(&self, expected: &Expected) -> f64 {
        let question = match self.unit.text.ends_with('?') {
            true => 0.5,
            false => 0.0,
        };
        let introduction = match self.unit.text.ends_with(':') && *expected != Expected::Anything {
            true => 0.2,
            false => 0.0,
        };
        let length = match self.tokens.len() > 60 {
            true => 0.1,
            false => 0.0,
        };
        question + introduction + length
    }
}

fn stems(text: &str) -> BTreeSet<String> {
    tokens(text).into_iter().map(|token| token.stem).collect()
}

/// Whether a question wants several sentences rather than one fact.
fn is_broad(question: &str) -> bool {
    const BROAD: [&str; 12] = [
        "list",
        "summarise",
        "summarize",
        "describe",
        "explain",
        "steps",
        "what are",
        "how do",
        "how to",
        "how can",
        "how should",
        "tell me about",
    ];
    let words = format!(" {} ", words(question).join(" "));
    BROAD
        .iter()
        .any(|phrase| words.contains(&format!(" {phrase} ")))
}

/// Whether a sentence takes back or narrows the one before it, so that quoting one without the
/// other would mislead.
fn limits(sentence: &str) -> bool {
    let first = words(sentence).into_iter().next().unwrap_or_default();
    match first.as_str() {
        "however" | "except" | "unless" | "otherwise" | "but" | "if" | "exception" | "never" => {
            true
        }
        // "In dusty rooms, …"
        "in" => sentence.contains(','),
        _ => false,
    }
}

/// Whether a quote begins with this sentence, or with one much like it.
fn says(quote: &str, sentence: &str) -> bool {
    let first = sentences(quote).into_iter().next().unwrap_or_default();
    let (a, b) = (stems(&first), stems(sentence));
    let shared = a.intersection(&b).count();
    let all = a.union(&b).count();
    all > 0 && shared * 10 >= all * 8
}

/// The sentence with a full stop, if it has no end of its own.
pub(super) fn with_end(text: &str) -> String {
    let text = text.trim_end_matches([' ', ',', ';']);
    match text.ends_with(['.', '!', '?', '…', ':', '"', '”', ')']) {
        true => text.to_owned(),
        false => format!("{text}."),
    }
}
