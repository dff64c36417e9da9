//! The documents that the repository carries, and the questions that they answer.

#[expect(dead_code, reason = "the hostile files use the rest")]
mod support;

use documents::{Chunk, ChunkOptions, Document, Format, Limits, chunk, extract};
use serde::Deserialize;
use support::sample;

#[derive(Deserialize)]
struct Question {
    question: String,
    document: String,
    page: Option<u32>,
    heading: Option<String>,
    answer: String,
}

fn document(name: &str) -> Document {
    let bytes = sample(name);
    let format = Format::detect(&bytes, name).unwrap();
    extract(&bytes, format, &Limits::default()).unwrap()
}

fn chunks(document: &Document) -> Vec<Chunk> {
    let tokens = |text: &str| text.len().div_ceil(4);
    chunk(document, &ChunkOptions::default(), &tokens)
}

#[test]
fn every_question_has_one_place_that_answers_it() {
    let questions: Vec<Question> = serde_json::from_slice(&sample("questions.json")).unwrap();
    assert!(questions.len() >= 6);
    for q in questions {
        let chunks = chunks(&document(&q.document));
        let answering: Vec<&Chunk> = chunks
            .iter()
            .filter(|chunk| chunk.text.contains(&q.answer))
            .collect();
        assert_eq!(answering.len(), 1, "{}: {answering:#?}", q.question);
        assert_eq!(answering[0].page, q.page, "{}", q.question);
        let heading =
            (!answering[0].heading_path.is_empty()).then(|| answering[0].heading_path.join(" > "));
        assert_eq!(heading, q.heading, "{}", q.question);
    }
}

#[test]
fn the_handbook_has_six_pages_with_their_headings() {
    let handbook = document("turbine-maintenance-handbook.pdf");
    assert_eq!(
        handbook.about.title.as_deref(),
        Some("NT-3 Maintenance Handbook")
    );
    assert_eq!(handbook.about.warnings, [""; 0]);
    let mut top: Vec<(u32, &str)> = handbook
        .sections
        .iter()
        .filter_map(|s| Some((s.page?, s.heading_path.first()?.as_str())))
        .collect();
    top.dedup();
    assert_eq!(
        top,
        [
            (1, "1 About this handbook"),
            (2, "2 Safety and lock-out"),
            (3, "3 Maintenance plan"),
            (4, "4 Torque values and lubricants"),
            (5, "5 Fault codes"),
            (6, "6 Spare parts, records and help"),
        ]
    );
    let text = handbook.text();
    assert!(
        text.contains("Code: E-217; Meaning: Pitch battery below 204 V under load; First action:")
    );
    assert!(!text.contains("of 6"), "footers are no text");
}

#[test]
fn the_agreement_has_two_levels_of_headings() {
    let agreement = document("bearing-supply-agreement.docx");
    assert_eq!(
        agreement.about.title.as_deref(),
        Some("Supply Agreement: Pitch and Yaw Bearings")
    );
    assert!(agreement.sections.iter().all(|s| s.page.is_none()));
    let delivery: Vec<&str> = agreement
        .sections
        .iter()
        .filter(|s| s.heading_path.first().is_some_and(|h| h == "Delivery"))
        .filter_map(|s| s.heading_path.get(1).map(String::as_str))
        .collect();
    assert_eq!(
        delivery,
        ["Place of delivery", "Late delivery", "Emergency stock"]
    );
    let text = agreement.text();
    assert!(
        text.contains("Part: Seal set for pitch bearing; Drawing: NT3-D-3315; Price each: EUR 640")
    );
    assert!(text.contains("\n- axial clearance no greater than 0.15 mm\n"));
}

#[test]
fn the_faq_has_three_levels_of_headings() {
    let faq = document("on-call-faq.md");
    assert_eq!(faq.about.title.as_deref(), Some("On-call FAQ"));
    let swap = faq
        .sections
        .iter()
        .find(|s| s.text.contains("48 hours before it starts"))
        .unwrap();
    assert_eq!(
        swap.heading_path,
        ["On-call FAQ", "The rota", "May I swap a shift?"]
    );
    assert!(
        faq.text()
            .contains("Item: Standby, per weekday; Amount: EUR 70\n")
    );
}
