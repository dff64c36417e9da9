//! Content decides what a file is; its name decides between kinds of text.

#[expect(dead_code, reason = "the hostile files use the rest")]
mod support;

use documents::{Format, Rejection};
use support::{pdf, sample, word};

fn detected(bytes: &[u8], name: &str) -> Result<Format, &'static str> {
    Format::detect(bytes, name).map_err(|rejection| rejection.code())
}

#[test]
fn what_is_read() {
    let handbook = sample("turbine-maintenance-handbook.pdf");
    let agreement = sample("bearing-supply-agreement.docx");
    let padded = [&b"\x00\x01 mailer junk\n"[..], &handbook].concat();
    let utf16: Vec<u8> = "\u{FEFF}a,b\n1,2"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let workbook = word::archive(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("xl/workbook.xml", b""),
    ]);
    let slides = word::archive(&[("_rels/.rels", b""), ("ppt/presentation.xml", b"")]);
    let mail = b"Received: from a\r\n by b\r\nSubject: x\r\n\r\n\xFF";
    let table: [(&[u8], &str, Format); 28] = [
        (&handbook, "handbook.pdf", Format::Pdf),
        (&handbook, "handbook.docx", Format::Pdf),
        (&handbook, "handbook", Format::Pdf),
        (&padded, "mail.pdf", Format::Pdf),
        (&agreement, "agreement.docx", Format::Docx),
        (&agreement, "agreement.pdf", Format::Docx),
        (&agreement, "AGREEMENT.DOCX", Format::Docx),
        (b"# Heading", "notes.md", Format::Markdown),
        (b"# Heading", "NOTES.MARKDOWN", Format::Markdown),
        (b"# Heading", "notes.txt", Format::Text),
        (b"# Heading", "notes", Format::Text),
        (b"fn main() {}", "main.rs", Format::Code),
        (b"def a(): pass", "A.PY", Format::Code),
        (b"fn main() {}", "main.txt", Format::Text),
        (b"<!doctype html><p>x", "page.ts", Format::Html),
        (&workbook, "book.xlsx", Format::Xlsx),
        (&workbook, "book.docx", Format::Xlsx),
        (&slides, "talk.pptx", Format::Pptx),
        (mail, "letter.eml", Format::Mail),
        (mail, "letter", Format::Mail),
        (b"{\"a\": 1}", "data.json", Format::Text),
        (b"BMW and PKW are words", "cars.txt", Format::Text),
        (b"a,b\n1,2", "table.csv", Format::Csv),
        (&utf16, "table.csv", Format::Csv),
        (b"a\tb\n1\t2", "table.tsv", Format::Csv),
        (b"<p>fragment", "page.html", Format::Html),
        (b"\n<!DOCTYPE HTML><p>x", "page.txt", Format::Html),
        (
            b"<?xml version='1.0'?>\n<html xmlns='http://www.w3.org/1999/xhtml'>",
            "page.md",
            Format::Html,
        ),
    ];
    for (bytes, name, format) in table {
        assert_eq!(detected(bytes, name), Ok(format), "{name}");
    }
}

#[test]
fn what_is_refused() {
    let binary_book = word::archive(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("xl/workbook.bin", b""),
    ]);
    let open = word::archive(&[("mimetype", b"application/x"), ("content.xml", b"")]);
    let plain_zip = word::archive(&[("readme.txt", b"hello")]);
    let cut_zip = &sample("bearing-supply-agreement.docx")[..4000];
    let old_word = [&b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"[..], &[0; 600]].concat();
    let protected: Vec<u8> = [
        old_word.clone(),
        "EncryptedPackage"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect(),
    ]
    .concat();
    let mail = b"Received: from a\r\nSubject: x\r\n\r\ntext";
    let gif = b"GIF89a\x01\0\x01\0\0\0\0";
    let table: [(&[u8], &str, &str); 15] = [
        (b"", "empty.txt", "empty"),
        (b"just words", "claims.pdf", "unsupported_type"),
        (b"just words", "claims.docx", "unsupported_type"),
        (b"just words", "claims.PNG", "unsupported_type"),
        (gif, "picture.md", "unsupported_type"),
        (
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
            "log.txt",
            "unsupported_type",
        ),
        (
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
            "program",
            "unsupported_type",
        ),
        (b"{\\rtf1 hello}", "letter.rtf", "unsupported_type"),
        (&binary_book, "book.xlsb", "unsupported_type"),
        (mail, "mail.pdf", "unsupported_type"),
        (&open, "text.odt", "unsupported_type"),
        (&plain_zip, "letter.docx", "unsupported_type"),
        (&old_word, "letter.doc", "unsupported_type"),
        (&protected, "letter.docx", "encrypted"),
        (cut_zip, "letter.docx", "corrupt"),
    ];
    for (bytes, name, code) in table {
        assert_eq!(detected(bytes, name), Err(code), "{name}");
    }
}

#[test]
fn a_refusal_says_what_the_file_is() {
    let book = word::archive(&[("_rels/.rels", b""), ("xl/workbook.bin", b"")]);
    let sentence = Format::detect(&book, "book.xlsb").unwrap_err().to_string();
    assert!(sentence.contains("save it as XLSX"), "{sentence}");
    let sentence = Format::detect(b"words", "a.pdf").unwrap_err().to_string();
    assert!(
        sentence.contains("text under a name that ends in .pdf"),
        "{sentence}"
    );
    assert!(matches!(
        Format::detect(b"GIF89a\x01\0\x01\0\0\0\0", "a.txt"),
        Err(Rejection::UnsupportedType { found }) if found == "a file of type image/gif"
    ));
}

#[test]
fn a_text_that_mentions_pdf_is_text() {
    let text = b"Every file starts with %PDF-1.7 and a number.";
    assert_eq!(detected(text, "notes.txt"), Ok(Format::Text));
    assert_eq!(detected(&pdf::of(&[]), "notes.txt"), Ok(Format::Pdf));
}
