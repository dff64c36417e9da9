//! The retrieval set, and texts of any length that read like it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde::Deserialize;

use super::Amounts;

const FOLDER: &str = "bench-corpus";
/// Sentences between two headings of a made text.
const SENTENCES: std::ops::Range<usize> = 4..9;
const HEADING_WORDS: usize = 4;
/// The lengths of a sentence that is taken for a made text, in characters.
const SENTENCE: std::ops::Range<usize> = 40..400;

/// Documents, and questions that have their answer in one of them.
pub struct Corpus {
    pub documents: Vec<Document>,
    pub questions: Vec<Question>,
    sentences: Vec<String>,
}

pub struct Document {
    pub name: String,
    pub text: String,
}

/// A question, and where its answer stands.
#[derive(Debug, Clone, Deserialize)]
pub struct Question {
    pub question: String,
    /// The name of the document.
    pub document: String,
    /// The heading above the answer.
    pub heading: String,
}

impl Corpus {
    /// The set below the target folder; it is loaded where it is missing. Documents that hold no
    /// answer are left out first where fewer are wanted.
    pub fn open(target: &Path, amounts: &Amounts) -> anyhow::Result<Self> {
        let folder = target.join(FOLDER);
        load(&folder)?;
        let questions = std::fs::read(folder.join("questions.json"))?;
        let mut questions: Vec<Question> = serde_json::from_slice(&questions)?;
        questions.truncate(amounts.questions);
        let mut documents = Vec::new();
        for entry in std::fs::read_dir(folder.join("documents"))? {
            let entry = entry?;
            documents.push(Document {
                name: entry.file_name().to_string_lossy().into_owned(),
                text: std::fs::read_to_string(entry.path())?,
            });
        }
        let answers = |document: &Document| {
            let name = document.name.as_str();
            questions.iter().any(|question| question.document == name)
        };
        documents.sort_by_key(|document| (!answers(document), document.name.clone()));
        documents.truncate(amounts.documents);
        let sentences = documents
            .iter()
            .flat_map(|document| sentences(&document.text));
        let sentences: Vec<String> = sentences.collect();
        if sentences.is_empty() || questions.is_empty() {
            bail!("the retrieval set in {} is empty", folder.display());
        }
        Ok(Self {
            documents,
            questions,
            sentences,
        })
    }

    /// A Markdown text of at least so many bytes: sentences of the set in an order that has no
    /// sense. The same for the same seed, and no two seeds give the same paragraphs.
    pub fn made(&self, seed: u64, bytes: usize) -> String {
        let mut random = StdRng::seed_from_u64(seed);
        let mut text = String::new();
        while text.len() < bytes {
            let heading = self.sentence(&mut random).split_whitespace();
            let heading: Vec<&str> = heading.take(HEADING_WORDS).collect();
            text.push_str(&format!("## {}\n\n", heading.join(" ")));
            for _ in 0..random.random_range(SENTENCES) {
                text.push_str(self.sentence(&mut random));
                text.push(' ');
            }
            text.push_str("\n\n");
        }
        text
    }

    /// A sentence by chance.
    pub fn sentence(&self, random: &mut StdRng) -> &str {
        self.sentences
            .choose(random)
            .map_or("", |sentence| sentence.as_str())
    }
}

fn sentences(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split("\n\n")
        .filter(|paragraph| paragraph.starts_with(|first: char| first.is_alphabetic()))
        .flat_map(|paragraph| paragraph.split_inclusive(". "))
        .map(|sentence| sentence.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|sentence| SENTENCE.contains(&sentence.len()))
}

fn load(folder: &Path) -> anyhow::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/search");
    let status = Command::new("python3")
        .arg(here.join("corpus.py"))
        .arg(here.join("corpus.txt"))
        .arg(folder)
        .status()
        .context("python3 cannot be run")?;
    if !status.success() {
        bail!("the retrieval set could not be loaded: {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_texts_are_as_long_as_wanted_and_differ_by_their_seed() {
        let corpus = Corpus {
            documents: Vec::new(),
            questions: Vec::new(),
            sentences: (0..50)
                .map(|number| format!("Sentence {number} tells of a worker and its queue."))
                .collect(),
        };
        let text = corpus.made(1, 5_000);
        assert!((5_000..8_000).contains(&text.len()), "{}", text.len());
        assert_eq!(text, corpus.made(1, 5_000));
        assert_ne!(text, corpus.made(2, 5_000));
        assert!(text.starts_with("## Sentence "));
    }

    #[test]
    fn sentences_are_taken_from_paragraphs_alone() {
        let text = "# A heading that is long enough to be one of the sentences\n\n\
                    A worker takes a job from the queue and keeps it. Short. \n\n    code that is \
                    indented, and long enough to be taken for a sentence\n";
        let found: Vec<String> = sentences(text).collect();
        assert_eq!(found, ["A worker takes a job from the queue and keeps it."]);
    }
}
