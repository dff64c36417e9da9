//! Workbooks and presentations: declared sizes, shared texts, parts that lead nowhere or in circles.

use documents::Limits;

use super::support::{book, slides, word};
use super::{MIB, code, limits, read, read_with, text};

#[test]
fn a_sheet_that_declares_every_cell_there_can_be() {
    let rows = r#"<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>"#;
    let file = book::of(&[book::Sheet {
        name: "Wide",
        more: "",
        rows: rows.to_owned(),
    }]);
    let read = text(&file, "a.xlsx");
    assert!(read.contains('1') && read.contains('2'), "{read}");
    let sheet = format!(
        r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:XFD1048576"/><sheetData>{}</sheetData></worksheet>"#,
        book::rows(&[&["few", "cells"]])
    );
    let file = book::with_parts(
        &[book::sheet("x", &[])],
        &[("xl/worksheets/sheet1.xml", sheet.as_bytes())],
    );
    assert_eq!(text(&file, "a.xlsx"), "few | cells");
}

#[test]
fn a_cell_beyond_the_last_column_or_row() {
    for place in ["XFE1", "ZZZZZZ1", "A99999999999", "1A", ""] {
        let rows = format!(r#"<row r="1"><c r="{place}"><v>1</v></c><c r="B1"><v>2</v></c></row>"#);
        let file = book::of(&[book::Sheet {
            name: "x",
            more: "",
            rows,
        }]);
        match read(&file, "a.xlsx") {
            Ok(document) => assert!(document.text().len() < 100, "{place}"),
            Err(rejection) => assert!(
                ["corrupt", "parser_panicked"].contains(&rejection.code()),
                "{place}: {rejection:?}"
            ),
        }
    }
}

#[test]
fn one_shared_text_in_very_many_cells() {
    let long = "long ".repeat(2_000);
    let strings = book::shared_strings(&[&long]);
    let cells: String = (1..5_000)
        .map(|row| format!(r#"<row r="{row}"><c r="A{row}" t="s"><v>0</v></c></row>"#))
        .collect();
    let file = book::with_parts(
        &[book::Sheet {
            name: "x",
            more: "",
            rows: cells,
        }],
        &[("xl/sharedStrings.xml", strings.as_bytes())],
    );
    assert_eq!(code(&file, "a.xlsx"), "too_large");
}

#[test]
fn shared_texts_that_are_not_there() {
    let rows = r#"<row r="1"><c r="A1" t="s"><v>4294967295</v></c><c r="B1" t="s"><v>-1</v></c><c r="C1" t="s"><v>x</v></c></row>"#;
    let file = book::of(&[book::Sheet {
        name: "x",
        more: "",
        rows: rows.to_owned(),
    }]);
    let rejection = read(&file, "a.xlsx").unwrap_err();
    assert!(
        ["corrupt", "empty", "parser_panicked"].contains(&rejection.code()),
        "{rejection:?}"
    );
}

#[test]
fn entities_that_multiply_in_a_workbook() {
    let laughs = r#"<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>&b;</t></si></sst>"#;
    let file = book::with_parts(
        &[book::sheet("x", &[&["text"]])],
        &[("xl/sharedStrings.xml", laughs.as_bytes())],
    );
    assert_eq!(code(&file, "a.xlsx"), "corrupt");
}

#[test]
fn a_workbook_that_unfolds() {
    let spaces = " ".repeat(40 * MIB as usize);
    let rows = format!(r#"<row r="1"><c r="A1" t="inlineStr"><is><t>{spaces}</t></is></c></row>"#);
    let sheet = book::Sheet {
        name: "x",
        more: "",
        rows,
    };
    assert_eq!(code(&book::of(&[sheet]), "a.xlsx"), "decompression_bomb");
}

#[test]
fn more_sheets_than_are_read() {
    let names: Vec<String> = (0..6).map(|n| format!("s{n}")).collect();
    let sheets: Vec<book::Sheet<'_>> = names
        .iter()
        .map(|name| book::sheet(name, &[&["text"]]))
        .collect();
    let few = |pages| Limits { pages, ..limits() };
    let outcome = read_with(&book::of(&sheets), "a.xlsx", &few(5));
    assert_eq!(outcome.unwrap_err().code(), "too_many_pages");
    assert!(read_with(&book::of(&sheets), "a.xlsx", &few(6)).is_ok());
}

#[test]
fn sheets_that_lead_nowhere_or_to_one_part() {
    let workbook = r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="a" sheetId="1" r:id="rId1"/><sheet name="b" sheetId="2" r:id="rId9"/></sheets></workbook>"#;
    let nowhere = book::with_parts(
        &[book::sheet("a", &[&["text"]])],
        &[("xl/workbook.xml", workbook.as_bytes())],
    );
    let links = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="../../../etc/passwd"/></Relationships>"#;
    let outside = book::with_parts(
        &[book::sheet("a", &[&["text"]])],
        &[("xl/_rels/workbook.xml.rels", links.as_bytes())],
    );
    for file in [nowhere, outside] {
        match read(&file, "a.xlsx") {
            Ok(document) => assert!(document.text().len() < 100),
            Err(rejection) => {
                let code = rejection.code();
                assert!(
                    ["corrupt", "empty", "parser_panicked"].contains(&code),
                    "{code}"
                );
            }
        }
    }
}

#[test]
fn a_workbook_that_never_ends() {
    let file = book::of(&[book::Sheet {
        name: "x",
        more: "",
        rows: "<row><c><is><t>".repeat(10_000),
    }]);
    assert_eq!(code(&file, "a.xlsx"), "too_deep");
    let unclosed = book::with_parts(
        &[book::sheet("x", &[])],
        &[(
            "xl/worksheets/sheet1.xml",
            b"<worksheet><sheetData><row r=\"1\"><c r=\"A1\"><v>1",
        )],
    );
    let rejection = read(&unclosed, "a.xlsx").unwrap_err();
    assert!(
        ["corrupt", "empty"].contains(&rejection.code()),
        "{rejection:?}"
    );
}

#[test]
fn parts_of_office_under_other_names() {
    let workbook = book::of(&[book::sheet("Stock", &[&["grease", "two"]])]);
    assert_eq!(text(&workbook, "a.docx"), "grease | two");
    assert_eq!(text(&workbook, "a.pdf"), "grease | two");
    let talk = slides::of(&[slides::shape("title", "Oil")]);
    assert_eq!(text(&talk, "a.xlsx"), "Oil");
    let empty_book = word::archive(&[("[Content_Types].xml", b"<Types/>"), ("xl/", b"")]);
    assert_eq!(code(&empty_book, "a.xlsx"), "corrupt");
    let empty_talk = word::archive(&[("[Content_Types].xml", b"<Types/>"), ("ppt/", b"")]);
    let rejection = read(&empty_talk, "a.pptx").unwrap_err();
    assert!(
        ["corrupt", "empty"].contains(&rejection.code()),
        "{rejection:?}"
    );
}

#[test]
fn protected_office_files() {
    for file in [
        book::of(&[book::sheet("x", &[&["text"]])]),
        slides::of(&[slides::shape("title", "text")]),
    ] {
        assert_eq!(code(&word::marked_encrypted(&file), "a"), "encrypted");
    }
}

#[test]
fn office_files_cut_at_any_place() {
    for file in [
        book::of(&[book::sheet("x", &[&["text"]])]),
        slides::of(&[slides::shape("title", "text")]),
    ] {
        for part in 1..20 {
            let cut = &file[..file.len() * part / 20];
            let rejection = read(cut, "a.xlsx").unwrap_err();
            assert!(
                ["corrupt", "unsupported_type"].contains(&rejection.code()),
                "{part} of 20 parts: {rejection:?}"
            );
        }
    }
}

#[test]
fn more_slides_than_are_read() {
    let talk: Vec<String> = (0..6)
        .map(|n| slides::shape("title", &format!("s{n}")))
        .collect();
    let few = |pages| Limits { pages, ..limits() };
    let outcome = read_with(&slides::of(&talk), "a.pptx", &few(5));
    assert_eq!(outcome.unwrap_err().code(), "too_many_pages");
    assert!(read_with(&slides::of(&talk), "a.pptx", &few(6)).is_ok());
}

#[test]
fn a_slide_that_is_shown_very_often() {
    let list: String = (0..1_500)
        .map(|n| format!(r#"<p:sldId id="{}" r:id="rId1"/>"#, 256 + n))
        .collect();
    let presentation = format!(
        r#"<p:presentation xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"><p:sldIdLst>{list}</p:sldIdLst></p:presentation>"#
    );
    let long = slides::shape("body", &"words ".repeat(2_000));
    let file = slides::with_parts(
        &[long],
        &[("ppt/presentation.xml", presentation.as_bytes())],
    );
    match read(&file, "a.pptx") {
        Ok(document) => assert!(document.text().len() <= 4 * MIB as usize),
        Err(rejection) => assert_eq!(rejection.code(), "too_large"),
    }
}

#[test]
fn groups_within_groups() {
    let open = "<p:grpSp>".repeat(10_000);
    let close = "</p:grpSp>".repeat(10_000);
    let deep = format!("{open}{}{close}", slides::shape("", "deep"));
    assert_eq!(code(&slides::of(&[deep]), "a.pptx"), "too_deep");
}

#[test]
fn slides_that_lead_out_of_the_file() {
    let links = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/slide" TargetMode="External" Target="file:///etc/passwd"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/slide" Target="../../../../etc/passwd"/></Relationships>"#;
    let talk = [slides::shape("title", "One"), slides::shape("title", "Two")];
    let file = slides::with_parts(
        &talk,
        &[("ppt/_rels/presentation.xml.rels", links.as_bytes())],
    );
    match read(&file, "a.pptx") {
        Ok(document) => assert!(!document.text().contains("root"), "{}", document.text()),
        Err(rejection) => assert!(["empty", "corrupt"].contains(&rejection.code())),
    }
}

#[test]
fn entities_that_multiply_in_a_slide() {
    let laughs = slides::slide(&slides::shape("", "&b;")).replacen(
        "<p:sld",
        "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><p:sld",
        1,
    );
    let file = slides::with_parts(
        &[slides::shape("", "x")],
        &[("ppt/slides/slide1.xml", laughs.as_bytes())],
    );
    assert_eq!(code(&file, "a.pptx"), "corrupt");
}

#[test]
fn cells_of_a_slide_that_span_the_world() {
    for span in ["0", "-1", "999999999", "99999999999999999999"] {
        let table = slides::table(&[&["a", "b"], &["c", "d"]]).replace(
            "<a:tc>",
            &format!("<a:tc gridSpan=\"{span}\" rowSpan=\"{span}\">"),
        );
        let file = slides::of(&[table]);
        match read(&file, "a.pptx") {
            Ok(document) => assert!(document.text().len() < 1_000, "{span}"),
            Err(rejection) => {
                let code = rejection.code();
                let expected = ["corrupt", "empty", "too_large", "parser_panicked"];
                assert!(expected.contains(&code), "{span}: {code}");
            }
        }
    }
}

#[test]
fn notes_of_a_slide_that_is_not_there() {
    let notes = slides::notes("nobody sees this");
    let file = slides::with_parts(
        &[slides::shape("title", "Oil")],
        &[("ppt/notesSlides/notesSlide7.xml", notes.as_bytes())],
    );
    assert_eq!(text(&file, "a.pptx"), "Oil");
}
