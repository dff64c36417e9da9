//! Word files: archives that lie, XML that multiplies.

use documents::Limits;

use super::support::{sample, word};
use super::{MIB, code, limits, read, read_with, text};

#[test]
fn bomb_in_the_text() {
    let body = word::paragraph(&" ".repeat(40 * MIB as usize));
    assert_eq!(code(&word::of(&body), "a.docx"), "decompression_bomb");
}

#[test]
fn bomb_in_a_part_that_nobody_reads() {
    let zeros = vec![0; 40 * MIB as usize];
    let document = word::document(&word::paragraph("text"));
    let file = word::with_parts(&document, &[("word/media/image1.png", &zeros)]);
    assert_eq!(code(&file, "a.docx"), "decompression_bomb");
}

#[test]
fn bomb_below_the_bound_on_size_is_seen_by_its_ratio() {
    let zeros = vec![0; 20 * MIB as usize];
    let document = word::document(&word::paragraph("text"));
    let file = word::with_parts(&document, &[("word/media/image1.png", &zeros)]);
    let rejection = read(&file, "a.docx").unwrap_err();
    assert!(rejection.to_string().contains("200 times"), "{rejection}");
}

#[test]
fn overlapping_parts() {
    let file = word::with_overlap(&word::of(&word::paragraph("text")));
    assert_eq!(code(&file, "a.docx"), "decompression_bomb");
}

#[test]
fn more_parts_than_a_document_has() {
    let names: Vec<String> = (0..100).map(|n| format!("word/media/{n}.png")).collect();
    let parts: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &b""[..])).collect();
    let file = word::with_parts(&word::document(&word::paragraph("text")), &parts);
    let few = Limits {
        archive_entries: 50,
        ..limits()
    };
    assert_eq!(
        read_with(&file, "a.docx", &few).unwrap_err().code(),
        "too_large"
    );
    assert_eq!(text(&file, "a.docx"), "text");
}

#[test]
fn archives_within_the_archive_are_not_opened() {
    let mut nested = word::archive(&[("zeros", &vec![0; 4 * MIB as usize])]);
    for _ in 0..20 {
        nested = word::archive(&[("inner.zip", &nested)]);
    }
    let document = word::document(&word::paragraph("text"));
    let file = word::with_parts(&document, &[("word/embeddings/a.zip", &nested)]);
    assert_eq!(text(&file, "a.docx"), "text");
}

#[test]
fn entities_that_multiply() {
    let mut entities = "<!ENTITY a0 \"ha\">".to_owned();
    for n in 1..30 {
        entities.push_str(&format!(
            "<!ENTITY a{n} \"{}\">",
            format!("&a{};", n - 1).repeat(10)
        ));
    }
    let document = word::document(&word::paragraph("&a29;")).replacen(
        "<w:document",
        &format!("<!DOCTYPE x [{entities}]><w:document"),
        1,
    );
    assert_eq!(code(&word::with_parts(&document, &[]), "a.docx"), "corrupt");
    // Without a declaration the name stands for nothing.
    let undeclared = word::of(&word::paragraph("before &a29; after"));
    assert!(text(&undeclared, "a.docx").starts_with("before"));
}

#[test]
fn tables_within_tables() {
    let open = "<w:tbl><w:tr><w:tc>".repeat(10_000);
    let close = "</w:tc></w:tr></w:tbl>".repeat(10_000);
    let file = word::of(&format!("{open}{}{close}", word::paragraph("deep")));
    assert_eq!(code(&file, "a.docx"), "too_deep");
    let open = "<w:tbl><w:tr><w:tc>".repeat(60);
    let close = "</w:tc></w:tr></w:tbl>".repeat(60);
    let file = word::of(&format!("{open}{}{close}", word::paragraph("deep")));
    assert_eq!(text(&file, "a.docx"), "deep");
}

#[test]
fn elements_that_never_end() {
    let file = word::of(&"<w:p>".repeat(10_000));
    assert_eq!(code(&file, "a.docx"), "too_deep");
}

#[test]
fn password() {
    let file = word::marked_encrypted(&word::of(&word::paragraph("text")));
    assert_eq!(code(&file, "a.docx"), "encrypted");
}

#[test]
fn cut_at_any_place() {
    let whole = sample("bearing-supply-agreement.docx");
    for part in 1..20 {
        let cut = &whole[..whole.len() * part / 20];
        assert_eq!(code(cut, "a.docx"), "corrupt", "{part} of 20 parts");
    }
}

#[test]
fn a_part_that_does_not_unpack() {
    let mut file = word::of(&word::paragraph(&"text ".repeat(2000)));
    let data = memchr::memmem::find(&file, b"word/document.xml").unwrap() + 40;
    file[data..data + 20].fill(0xFF);
    assert_eq!(code(&file, "a.docx"), "corrupt");
}

#[test]
fn no_text() {
    assert_eq!(code(&word::of("<w:p/>"), "a.docx"), "empty");
}

#[test]
fn main_part_under_another_name() {
    let document = word::document(&word::paragraph("text"));
    let relationships = r#"<Relationships><Relationship Id="a" Type="x/officeDocument" Target="/word/document2.xml"/></Relationships>"#;
    let file = word::archive(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("_rels/.rels", relationships.as_bytes()),
        ("word/document2.xml", document.as_bytes()),
    ]);
    assert_eq!(text(&file, "a.docx"), "text");
}
