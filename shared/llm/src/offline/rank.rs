//! Finding the sentences that answer a question.
//!
//! Each piece of the retrieved text is scored by how much of the question it covers, weighted by
//! how rare the words are among the pieces, and by whether it holds the kind of thing that was
//! asked for: a number with the right unit, a time, a person, a reason.

use std::collections::{BTreeSet, HashMap};

use super::evidence::Passage;
use super::text::{Token, Unit, is_stop_word, sentences, stem, tokens, units, words};

/// From this share of the question on, a sentence counts as an answer.
const ANSWERS: f64 = 0.45;

/// From this share on, it is worth showing as the closest thing there is.
const COMES_CLOSE: f64 = 0.2;

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
    words: Vec<String>,
    stems: BTreeSet<String>,
    /// The words of the question that the piece answers, as in a list of questions and answers.
    asked: BTreeSet<String>,
    /// The words above it: headings.
    heading: BTreeSet<String>,
    /// The words of the document's name.
    document: BTreeSet<String>,
    search_score: f64,
}

struct Scored {
    piece: usize,
    score: f64,
    coverage: f64,
    satisfied: bool,
}

impl Pool {
    /// Cuts the passages into pieces.
    pub fn new(passages: &[Passage]) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for (number, passage) in passages.iter().enumerate() {
            let mut asked = BTreeSet::new();
            for unit in units(&passage.text) {
                let tokens = tokens(&unit.text);
                let stems: BTreeSet<String> = stems(&tokens);
                let heading = format!(
                    "{} {}",
                    unit.heading,
                    passage.source.heading.as_deref().unwrap_or_default()
                );
                let next_asked = match unit.text.ends_with('?') {
                    true => stems.clone(),
                    false => BTreeSet::new(),
                };
                pieces.push(Piece {
                    words: words(&unit.text),
                    heading: self::stems(&self::tokens(&heading)),
                    document: self::stems(&self::tokens(&passage.source.document)),
                    search_score: passage.score,
                    asked: std::mem::replace(&mut asked, next_asked),
                    passage: number,
                    unit,
                    tokens,
                    stems,
                });
            }
        }
        Self { pieces }
    }

    /// The best passage for a question: where to read on.
    pub fn best_passage(&self, question: &str) -> Option<usize> {
        let best = self.scored(question).into_iter().next()?;
        (best.coverage >= COMES_CLOSE).then(|| self.pieces[best.piece].passage)
    }

    /// Answers a question.
    pub fn find(&self, question: &str) -> Finding {
        let scored = self.scored(question);
        let Some(best) = scored.first() else {
            return Finding::Nothing;
        };
        let quote = |scored: &Scored| self.extended(scored.piece, question);
        if best.coverage < COMES_CLOSE {
            return Finding::Nothing;
        }
        if best.coverage < ANSWERS {
            return Finding::Closest(quote(best));
        }
        let broad = is_broad(question);
        let (most, share) = match broad {
            true => (4, 0.55),
            false => (2, 0.85),
        };
        let mut quotes: Vec<Quote> = vec![quote(best)];
        for other in &scored[1..] {
            if other.score < best.score * share
                || other.coverage < ANSWERS * share
                || (best.satisfied && !other.satisfied && !broad)
            {
                continue;
            }
            let text = &self.pieces[other.piece].unit.text;
            let passage = self.pieces[other.piece].passage;
            let known = quotes.iter().position(|quote| similar(&quote.text, text));
            if let Some(known) = known {
                let sources = &mut quotes[known].passages;
                if !sources.contains(&passage) && sources.len() < 3 {
                    sources.push(passage);
                }
            } else if quotes.len() < most {
                quotes.push(quote(other));
            }
        }
        Finding::Answer(quotes)
    }

    fn scored(&self, question: &str) -> Vec<Scored> {
        let terms = terms(question);
        if terms.is_empty() {
            return Vec::new();
        }
        let weights = self.weights(&terms);
        let total: f64 = weights.iter().sum();
        let expected = Expected::of(question);
        let mut scored: Vec<Scored> = self
            .pieces
            .iter()
            .enumerate()
            .map(|(position, piece)| {
                let matches: Vec<f64> = terms.iter().map(|term| piece.matches(term)).collect();
                let covered: f64 = matches.iter().zip(&weights).map(|(m, w)| m * w).sum();
                let coverage = covered / total;
                let satisfied = expected.satisfied_by(piece);
                let mut score =
                    coverage + 0.15 * piece.adjacency(&terms) + 0.1 * piece.search_score;
                score += match (&expected, satisfied) {
                    (Expected::Anything, _) => 0.0,
                    (_, true) => 0.3,
                    (_, false) => -0.15,
                };
                if piece.unit.text.ends_with('?') {
                    score -= 0.5;
                }
                if piece.unit.text.ends_with(':') && !matches!(expected, Expected::Anything) {
                    score -= 0.2;
                }
                if piece.words.len() > 60 {
                    score -= 0.1;
                }
                Scored {
                    piece: position,
                    score,
                    coverage,
                    satisfied,
                }
            })
            .collect();
        // Equal scores keep the order of the search, so the outcome never depends on chance.
        scored.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.piece.cmp(&b.piece)));
        scored
    }

    /// How much each word of the question counts. A word that no piece has weighs as much as an
    /// average one: it may be a name for something that the documents call differently.
    fn weights(&self, terms: &[String]) -> Vec<f64> {
        let pieces = self.pieces.len() as f64;
        let found: Vec<Option<f64>> = terms
            .iter()
            .map(|term| {
                let holding = self
                    .pieces
                    .iter()
                    .filter(|piece| piece.matches(term) >= 0.6)
                    .count() as f64;
                (holding > 0.0).then(|| (1.0 + (pieces + 1.0) / (holding + 0.5)).ln())
            })
            .collect();
        let known: Vec<f64> = found.iter().flatten().copied().collect();
        let average = match known.is_empty() {
            true => 1.0,
            false => known.iter().sum::<f64>() / known.len() as f64,
        };
        found
            .into_iter()
            .map(|weight| weight.unwrap_or(average))
            .collect()
    }

    /// A piece with what belongs to it: the list it introduces or stands in, and a following
    /// sentence that limits it.
    fn extended(&self, position: usize, question: &str) -> Quote {
        let piece = &self.pieces[position];
        let same = |other: &&Piece| other.passage == piece.passage;
        let quote = |text: String| Quote {
            text,
            passages: vec![piece.passage],
        };
        let intro = match piece.unit.item && is_broad(question) {
            true => self.pieces[..position]
                .iter()
                .rposition(|earlier| !earlier.unit.item)
                .filter(|at| self.pieces[*at].unit.text.ends_with(':') && same(&&self.pieces[*at])),
            false => piece.unit.text.ends_with(':').then_some(position),
        };
        if let Some(intro) = intro {
            let items: Vec<&str> = self.pieces[intro + 1..]
                .iter()
                .take_while(|item| item.unit.item && same(item))
                .take(8)
                .map(|item| item.unit.text.trim_end_matches(['.', ';', ',']))
                .collect();
            if !items.is_empty() {
                return quote(format!(
                    "{} {}",
                    self.pieces[intro].unit.text,
                    items.join("; ")
                ));
            }
        }
        let limits =
            self.pieces.get(position + 1).filter(same).filter(|next| {
                !next.unit.item && next.words.len() <= 40 && limits(&next.unit.text)
            });
        match limits {
            Some(next) => quote(format!("{} {}", with_end(&piece.unit.text), next.unit.text)),
            None => quote(piece.unit.text.clone()),
        }
    }
}

impl Piece {
    /// How well a word of the question is met, from 0 to 1.
    fn matches(&self, term: &str) -> f64 {
        if self.stems.contains(term) {
            return 1.0;
        }
        if self.asked.contains(term) {
            return 0.9;
        }
        let related = same_meaning(term);
        if related.iter().any(|other| self.stems.contains(other)) {
            return 0.85;
        }
        if self.stems.iter().any(|stem| share_a_root(stem, term)) {
            return 0.65;
        }
        let above = |words: &BTreeSet<String>| {
            words.contains(term) || related.iter().any(|other| words.contains(other))
        };
        if above(&self.heading) {
            return 0.6;
        }
        if above(&self.document) {
            return 0.3;
        }
        0.0
    }

    /// The share of neighbours in the question that are neighbours here.
    fn adjacency(&self, terms: &[String]) -> f64 {
        let pairs: Vec<(&String, &String)> = terms.iter().zip(terms.iter().skip(1)).collect();
        if pairs.is_empty() {
            return 0.0;
        }
        let near = |first: &str, second: &str| {
            self.tokens.iter().enumerate().any(|(at, token)| {
                token.stem == first
                    && self.tokens[at + 1..]
                        .iter()
                        .take(2)
                        .any(|next| next.stem == second)
            })
        };
        let met = pairs.iter().filter(|(a, b)| near(a, b)).count();
        met as f64 / pairs.len() as f64
    }

    /// Whether a number is followed by one of these units, or by anything when there are none.
    fn has_quantity(&self, units: &BTreeSet<String>) -> bool {
        self.tokens.iter().enumerate().any(|(at, token)| {
            token.number
                && (units.is_empty()
                    || self.tokens[at + 1..]
                        .iter()
                        .take(3)
                        .take_while(|next| !next.number)
                        .any(|next| units.contains(&next.stem)))
        })
    }

    fn has_word(&self, any_of: &[&str]) -> bool {
        self.words
            .iter()
            .any(|word| any_of.contains(&word.as_str()))
    }
}

/// The kind of thing that a question asks for.
#[derive(Debug, Clone, PartialEq)]
enum Expected {
    Anything,
    /// A number, followed by one of the units if there are any.
    Quantity(BTreeSet<String>),
    /// A length of time, or a rhythm.
    Duration,
    /// A point in time.
    Time,
    Person,
    Reason,
}

const TIME_UNITS: &[&str] = &[
    "second", "sec", "minute", "min", "hour", "h", "hr", "day", "week", "month", "year", "shift",
    "quarter",
];
const RHYTHMS: &[&str] = &[
    "hourly",
    "daily",
    "weekly",
    "monthly",
    "quarterly",
    "yearly",
    "annually",
    "annual",
    "once",
    "twice",
];
const MEASURES: &[&str] = &[
    "temperature",
    "pressure",
    "torque",
    "voltage",
    "current",
    "weight",
    "mass",
    "speed",
    "capacity",
    "volume",
    "price",
    "cost",
    "fee",
    "limit",
    "percentage",
    "length",
    "height",
    "width",
    "depth",
    "distance",
    "power",
    "size",
    "quantity",
    "amount",
    "number",
    "dose",
    "rate",
];

impl Expected {
    fn of(question: &str) -> Self {
        let words = words(question);
        let after = |first: &str| {
            let at = words.iter().position(|word| word == first)?;
            words.get(at + 1).map(String::as_str)
        };
        match after("how") {
            Some("many") => {
                let at = words.iter().position(|word| word == "many").unwrap_or(0);
                let mut unit: BTreeSet<String> = BTreeSet::new();
                if let Some(noun) = words.get(at + 1) {
                    let noun = stem(noun);
                    unit.extend(same_meaning(&noun));
                    unit.insert(noun);
                }
                return Self::Quantity(unit);
            }
            Some("long" | "often" | "frequently" | "soon" | "old") => return Self::Duration,
            Some(
                "much" | "far" | "heavy" | "hot" | "cold" | "deep" | "wide" | "high" | "tall"
                | "fast" | "big" | "large" | "thick",
            ) => return Self::Quantity(BTreeSet::new()),
            _ => {}
        }
        let asks = |word: &str| words.iter().any(|other| other == word);
        if asks("interval") || asks("intervals") || asks("frequency") || asks("duration") {
            return Self::Duration;
        }
        if asks("when") || asks("deadline") {
            return Self::Time;
        }
        if asks("who") || asks("whom") || asks("whose") {
            return Self::Person;
        }
        if asks("why") {
            return Self::Reason;
        }
        let measures: BTreeSet<String> = MEASURES.iter().map(|measure| stem(measure)).collect();
        let asks_measure = (asks("what") || asks("which"))
            && words.iter().any(|word| measures.contains(&stem(word)));
        match asks_measure {
            true => Self::Quantity(BTreeSet::new()),
            false => Self::Anything,
        }
    }

    fn satisfied_by(&self, piece: &Piece) -> bool {
        let time_units = || {
            TIME_UNITS
                .iter()
                .map(|unit| stem(unit))
                .collect::<BTreeSet<_>>()
        };
        match self {
            Self::Anything => false,
            Self::Quantity(units) => piece.has_quantity(units),
            Self::Duration => {
                let units = time_units();
                let rhythm = piece
                    .words
                    .iter()
                    .zip(piece.words.iter().skip(1))
                    .any(|(a, b)| {
                        matches!(a.as_str(), "every" | "each" | "per" | "a")
                            && units.contains(&stem(b))
                    });
                piece.has_quantity(&units) || rhythm || piece.has_word(RHYTHMS)
            }
            Self::Time => {
                let calendar = [
                    "january",
                    "february",
                    "march",
                    "april",
                    "may",
                    "june",
                    "july",
                    "august",
                    "september",
                    "october",
                    "november",
                    "december",
                    "monday",
                    "tuesday",
                    "wednesday",
                    "thursday",
                    "friday",
                    "saturday",
                    "sunday",
                    "noon",
                    "midnight",
                    "before",
                    "after",
                    "until",
                    "every",
                    "daily",
                    "am",
                    "pm",
                    "immediately",
                ];
                piece.has_quantity(&time_units())
                    || piece.has_word(&calendar)
                    || piece.has_word(RHYTHMS)
                    || (piece.has_quantity(&BTreeSet::new())
                        && piece.unit.text.contains([':', '-']))
            }
            Self::Person => {
                let roles = [
                    "manager",
                    "engineer",
                    "operator",
                    "director",
                    "officer",
                    "team",
                    "supervisor",
                    "lead",
                    "head",
                    "department",
                    "staff",
                    "technician",
                    "by",
                ];
                let named = piece
                    .unit
                    .text
                    .split_whitespace()
                    .skip(1)
                    .any(|word| word.starts_with(char::is_uppercase));
                piece.has_word(&roles) || named || piece.unit.text.contains('@')
            }
            Self::Reason => piece.has_word(&[
                "because",
                "since",
                "so",
                "therefore",
                "prevents",
                "avoid",
                "otherwise",
                "due",
                "protects",
            ]),
        }
    }
}

/// The words of a question that have to be met, without the ones that say nothing.
fn terms(question: &str) -> Vec<String> {
    let mut terms: Vec<String> = Vec::new();
    for word in words(question) {
        if is_stop_word(&word) {
            continue;
        }
        if let Some(token) = tokens(&word).into_iter().next()
            && !terms.contains(&token.stem)
        {
            terms.push(token.stem);
        }
    }
    terms
}

fn stems(tokens: &[Token]) -> BTreeSet<String> {
    tokens.iter().map(|token| token.stem.clone()).collect()
}

/// Whether two stems are forms of one word that the stemmer keeps apart: "install" and
/// "installat".
fn share_a_root(a: &str, b: &str) -> bool {
    let shared = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    shared >= 5 && shared * 10 >= a.len().max(b.len()) * 6
}

/// Words that people use for one another, in general language.
fn same_meaning(term: &str) -> BTreeSet<String> {
    const GROUPS: &[&[&str]] = &[
        &["second", "sec", "s"],
        &["minute", "min"],
        &["hour", "h", "hr", "hourly"],
        &["day", "daily", "d"],
        &["week", "weekly"],
        &["month", "monthly"],
        &["year", "yearly", "annual", "annually"],
        &["metre", "meter", "m"],
        &["kilometre", "kilometer", "km"],
        &["millimetre", "millimeter", "mm"],
        &["litre", "liter", "l"],
        &["kilogram", "kilo", "kg"],
        &["percent", "percentage", "%"],
        &["degree", "°", "temperature"],
        &["interval", "frequency", "every", "often"],
        &["change", "replace", "exchange", "renew", "swap"],
        &["oil", "lubricant"],
        &["repair", "fix", "mend"],
        &["buy", "purchase"],
        &["cost", "price", "fee", "charge"],
        &["start", "begin"],
        &["end", "finish"],
        &["stop", "halt", "shutdown"],
        &["maximum", "max", "limit"],
        &["minimum", "min"],
        &["phone", "telephone", "call"],
        &["mail", "email", "e-mail"],
        &["holiday", "vacation", "leave"],
        &["employee", "staff", "worker"],
        &["approve", "authorise", "authorize", "allow", "permit"],
        &["weigh", "weight", "mass"],
        &["height", "tall"],
        &["check", "inspect", "examine"],
        &["clean", "wash"],
        &["fill", "refill", "top"],
        &["danger", "hazard", "risk"],
        &["fault", "failure", "error", "defect"],
        &["refund", "reimburse"],
        &["client", "customer"],
    ];
    thread_local! {
        static STEMMED: HashMap<String, BTreeSet<String>> = {
            let mut related: HashMap<String, BTreeSet<String>> = HashMap::new();
            for group in GROUPS {
                for word in *group {
                    let others = group.iter().filter(|other| *other != word).map(|other| stem(other));
                    related.entry(stem(word)).or_default().extend(others);
                }
            }
            related
        };
    }
    STEMMED.with(|related| related.get(term).cloned().unwrap_or_default())
}

/// Whether a question wants several sentences rather than one fact.
fn is_broad(question: &str) -> bool {
    let words = words(question);
    let starts = |phrase: &[&str]| {
        words
            .windows(phrase.len())
            .any(|window| window.iter().zip(phrase).all(|(a, b)| a == b))
    };
    [
        &["list"][..],
        &["summarise"],
        &["summarize"],
        &["describe"],
        &["explain"],
        &["steps"],
        &["what", "are"],
        &["how", "do"],
        &["how", "to"],
        &["how", "can"],
        &["how", "should"],
        &["how", "is"],
        &["which", "steps"],
        &["tell", "me", "about"],
    ]
    .iter()
    .any(|phrase| starts(phrase))
}

/// Whether a sentence takes back or narrows the one before it, so that quoting one without the
/// other would mislead.
fn limits(sentence: &str) -> bool {
    let mut words = words(sentence).into_iter();
    let first = words.next().unwrap_or_default();
    matches!(
        first.as_str(),
        "however" | "except" | "unless" | "otherwise" | "but" | "if" | "exception" | "never"
    ) || (first == "in" && sentence.contains(','))
}

fn similar(a: &str, b: &str) -> bool {
    let first = sentences(a).into_iter().next().unwrap_or_default();
    let (a, b) = (stems(&tokens(&first)), stems(&tokens(b)));
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
