//! How good answers are: questions of which it is known where their answer stands.

use std::path::Path;

use anyhow::Context as _;
use embedding::Embedders;
use serde_json::{Value, json};

use super::corpus::{Corpus, Question};
use super::stage::{Mode, Stage};
use crate::report::Table;

/// As many answers are looked at.
const DEPTH: usize = 10;
/// As many chunks are asked for: several may belong to one answer.
const LIMIT: usize = 60;
const STATIC: &str = "static";
const MINILM: &str = "minilm";

/// How good the answers to all questions are.
#[derive(Debug, Default, Clone, Copy)]
struct Score {
    ndcg: f64,
    found: usize,
    questions: usize,
}

impl Score {
    /// Adds a question whose answer came at `rank`, from 1. There is one right answer, so the best
    /// that can be had is 1.
    fn add(&mut self, rank: Option<usize>) {
        self.questions += 1;
        if let Some(rank) = rank.filter(|&rank| rank <= DEPTH) {
            self.ndcg += 1.0 / ((rank + 1) as f64).log2();
            self.found += 1;
        }
    }

    fn cells(self) -> [String; 2] {
        let questions = self.questions.max(1) as f64;
        [
            format!("{:.3}", self.ndcg / questions),
            format!("{:.3}", self.found as f64 / questions),
        ]
    }
}

pub async fn measure(
    root: &Path,
    corpus: &Corpus,
    minilm: Option<&Path>,
) -> anyhow::Result<String> {
    let embedders = embedders(minilm)?;
    let models: Vec<String> = embedders.ids().map(str::to_owned).collect();
    let stage = Stage::open(root, embedders).await?;
    let figures = measure_on(&stage, corpus, &models).await;
    stage.product.end().await;
    figures
}

fn embedders(minilm: Option<&Path>) -> anyhow::Result<Embedders> {
    let Some(file) = minilm else {
        return Ok(Embedders::default());
    };
    let file = file.to_str().context("the path of MiniLM is not UTF-8")?;
    let variable = |name: &str| match name {
        "OVERGLASS_EMBEDDING_MODEL" => Some(format!("{STATIC},{MINILM}")),
        "OVERGLASS_MINILM_FILE" => Some(file.to_owned()),
        _ => None,
    };
    Ok(llm::embedders_from_env(&variable)?)
}

async fn measure_on(stage: &Stage, corpus: &Corpus, models: &[String]) -> anyhow::Result<String> {
    let mut table = Table::new(&["search", "embedding", "nDCG@10", "recall@10"]);
    let mut files = Vec::new();
    let mut chunks = 0;
    for model in models.iter().rev() {
        let base = stage.knowledge_base(model, Some(model)).await?;
        if files.is_empty() {
            let documents = corpus.documents.iter();
            let documents = documents.map(|one| (one.name.clone(), one.text.clone().into_bytes()));
            files = stage.upload(&base, documents).await?;
        } else {
            for file in &files {
                let path = format!("/v1/knowledge-bases/{base}/documents");
                let _: Value = stage
                    .product
                    .client
                    .post(&path, &json!({ "file_id": file }))
                    .await?;
            }
        }
        chunks = stage.wait_until_found(&base, files.len()).await?.chunks;
        for mode in Mode::ALL {
            // Words are the same whatever the vectors are.
            if mode == Mode::Text && table.has(Mode::Text.name()) {
                continue;
            }
            let score = score(stage, &base, mode, &corpus.questions).await?;
            let embedding = if mode == Mode::Text { "" } else { model };
            let cells = [mode.name(), embedding].map(str::to_owned);
            table.row(cells.into_iter().chain(score.cells()));
        }
    }
    Ok(format!(
        "{} questions to {} documents, cut into {chunks} chunks:\n\n{table}",
        corpus.questions.len(),
        files.len(),
    ))
}

async fn score(
    stage: &Stage,
    base: &str,
    mode: Mode,
    questions: &[Question],
) -> anyhow::Result<Score> {
    let mut score = Score::default();
    for question in questions {
        let body = json!({
            "query": question.question, "mode": mode.name(), "kinds": ["chunk"], "limit": LIMIT,
            "highlight": false, "filters": { "knowledge_base": [base] },
        });
        let found = stage.search(&body).await?;
        score.add(rank(&found, question));
    }
    Ok(score)
}

/// At which place the answer comes, where chunks of the same section count once.
fn rank(found: &Value, question: &Question) -> Option<usize> {
    let mut sections: Vec<(&str, &str)> = Vec::new();
    for hit in found["hits"].as_array().into_iter().flatten() {
        let document = hit["title"].as_str().unwrap_or_default();
        let heading = hit["heading"].as_str().unwrap_or_default();
        if sections.contains(&(document, heading)) {
            continue;
        }
        sections.push((document, heading));
        let last = heading.rsplit(" > ").next();
        if document == question.document && last == Some(question.heading.as_str()) {
            return Some(sections.len());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            question: "How many?".to_owned(),
            document: "faq.md".to_owned(),
            heading: "Question 7".to_owned(),
        }
    }

    #[test]
    fn chunks_of_one_section_are_one_answer() {
        let hit = |title: &str, heading: &str| json!({ "title": title, "heading": heading });
        let found = json!({ "hits": [
            hit("guide.md", "Guide > Start"),
            hit("guide.md", "Guide > Start"),
            hit("other.md", "Question 7"),
            hit("faq.md", "FAQ > Question 17"),
            hit("faq.md", "FAQ > Question 7"),
        ] });
        assert_eq!(rank(&found, &question()), Some(4));
        assert_eq!(rank(&json!({ "hits": [] }), &question()), None);
    }

    #[test]
    fn a_score_is_the_mean_of_its_questions() {
        let mut score = Score::default();
        score.add(Some(1));
        score.add(Some(3));
        score.add(Some(11));
        score.add(None);
        assert_eq!(score.cells(), ["0.375", "0.500"]);
    }
}
