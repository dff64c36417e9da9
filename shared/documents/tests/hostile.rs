//! Files made to harm the reader. Each ends as a definite rejection or as clean text.
//!
//! Those that a thread survives are read in both kinds of isolation; those that only a process
//! survives say so.

mod support;

use std::time::Duration;

use documents::{Isolation, Limits, Processed, Rejection, process};
use proptest::prelude::*;
use support::{pdf, sample, word, zlib};

const MIB: u64 = 1024 * 1024;

/// This test program again, as the reader of one file.
fn a_process() -> Isolation {
    Isolation::Process {
        program: std::env::current_exe().unwrap(),
        arguments: ["--exact", "reader_process", "--ignored", "--nocapture"]
            .map(str::to_owned)
            .to_vec(),
    }
}

#[test]
#[ignore = "the other tests start it as the reader of one file"]
fn reader_process() {
    documents::serve_if_child();
    panic!("this process was not started as a reader");
}

fn limits() -> Limits {
    Limits {
        inflated_bytes: 32 * MIB,
        text_bytes: 4 * MIB,
        wall_clock: Duration::from_secs(30),
        ..Limits::default()
    }
}

/// The same outcome on a thread and in a process.
fn read_with(bytes: &[u8], name: &str, limits: &Limits) -> Result<Processed, Rejection> {
    let on_thread = process(bytes.to_vec(), name, limits, &Isolation::Thread);
    let in_process = process(bytes.to_vec(), name, limits, &a_process());
    assert_eq!(on_thread, in_process);
    on_thread
}

fn read(bytes: &[u8], name: &str) -> Result<Processed, Rejection> {
    read_with(bytes, name, &limits())
}

fn code(bytes: &[u8], name: &str) -> &'static str {
    match read(bytes, name) {
        Ok(processed) => panic!("{name} was read: {processed:?}"),
        Err(rejection) => rejection.code(),
    }
}

fn text(bytes: &[u8], name: &str) -> String {
    match read(bytes, name) {
        Ok(processed) => processed.document.text(),
        Err(rejection) => panic!("{name}: {rejection}"),
    }
}

mod word_files {
    use super::*;

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
}

mod pdf_files {
    use super::*;

    #[test]
    fn cut_at_any_place() {
        let whole = sample("turbine-maintenance-handbook.pdf");
        let complete = read(&whole, "a.pdf").unwrap();
        for part in 0..40 {
            let cut = &whole[..(whole.len() * part / 40).max(20)];
            match read(cut, "a.pdf") {
                Ok(rest) => assert_eq!(rest, complete, "{part} of 40 parts"),
                Err(rejection) => assert_eq!(rejection.code(), "corrupt", "{part} of 40 parts"),
            }
        }
    }

    #[test]
    fn header_and_noise() {
        let noise: Vec<u8> = (0..50_000u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8)
            .collect();
        let file = [&b"%PDF-1.7\n"[..], &noise].concat();
        assert_eq!(code(&file, "a.pdf"), "corrupt");
        assert_eq!(code(b"%PDF-", "a.pdf"), "corrupt");
    }

    #[test]
    fn password() {
        let encryption = "<</Filter/Standard/V 2/R 3/Length 128/P -44/O<00112233445566778899\
             aabbccddeeff00112233445566778899aabbccddeeff>/U<ffeeddccbbaa99887766554433221100\
             ffeeddccbbaa99887766554433221100>>>";
        let objects = [
            b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
            b"<</Type/Pages/Kids[]/Count 0>>".to_vec(),
            encryption.as_bytes().to_vec(),
        ];
        let file = pdf::with_trailer(&objects, "/Encrypt 3 0 R/ID[<01><01>]");
        assert_eq!(code(&file, "a.pdf"), "encrypted");
    }

    #[test]
    fn page_tree_in_a_circle() {
        let objects = [
            b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
            b"<</Type/Pages/Kids[3 0 R 2 0 R 3 0 R]/Count 1>>".to_vec(),
            b"<</Type/Pages/Parent 3 0 R/Kids[2 0 R 3 0 R 4 0 R]/Count 1>>".to_vec(),
            b"<</Type/Page/Parent 3 0 R/MediaBox[0 0 595 842]/Contents 5 0 R\
              /Resources<</Font<</F1 6 0 R>>>>>>"
                .to_vec(),
            pdf::line("found once"),
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_vec(),
        ];
        assert_eq!(text(&pdf::of(&objects), "a.pdf"), "found once");
        let nothing_but_circle = [
            b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
            b"<</Type/Pages/Kids[2 0 R]/Count 5>>".to_vec(),
        ];
        assert_eq!(code(&pdf::of(&nothing_but_circle), "a.pdf"), "corrupt");
    }

    #[test]
    fn nesting_in_an_object_and_in_a_page() {
        let deep = pdf::one_page(
            pdf::line("text"),
            "",
            "",
            &["[".repeat(100_000).into_bytes()],
        );
        assert_eq!(code(&deep, "a.pdf"), "too_deep");
        let deep = pdf::one_page(pdf::flate("[".repeat(100_000).as_bytes()), "", "", &[]);
        assert_eq!(code(&deep, "a.pdf"), "too_deep");
    }

    #[test]
    fn bomb_in_a_page() {
        let page = pdf::flate(&vec![b' '; 40 * MIB as usize]);
        assert_eq!(
            code(&pdf::one_page(page, "", "", &[]), "a.pdf"),
            "decompression_bomb"
        );
        let packed = zlib(&zlib(&vec![b' '; 40 * MIB as usize]));
        let page = pdf::stream("/Filter[/FlateDecode/FlateDecode]", &packed);
        assert_eq!(
            code(&pdf::one_page(page, "", "", &[]), "a.pdf"),
            "decompression_bomb"
        );
    }

    #[test]
    fn forms_and_bookmarks_in_a_circle() {
        let field = b"<</T(a)/Kids[6 0 R 6 0 R]>>".to_vec();
        let catalog = "/AcroForm<</Fields[6 0 R]>>/Outlines 7 0 R";
        let outlines = b"<</First 7 0 R/Next 7 0 R/Title(x)>>".to_vec();
        let file = pdf::one_page(pdf::line("text"), catalog, "", &[field, outlines]);
        assert_eq!(text(&file, "a.pdf"), "text");
    }

    /// The circle is in a compressed object, where it is not seen, and the parser overflows its
    /// stack. Only a process survives that.
    #[test]
    fn forms_in_a_hidden_circle() {
        let file = pdf::with_packed_catalog("", &[]);
        assert_eq!(text(&file, "a.pdf"), "packed text");
        let circle = "<</T(a)/Kids[4 0 R]>>";
        let file = pdf::with_packed_catalog("/AcroForm<</Fields[4 0 R]>>", &[circle]);
        let outcome = process(file, "a.pdf", &limits(), &a_process());
        assert_eq!(outcome.unwrap_err(), Rejection::ParserPanicked);
    }

    /// Wrapped in another encoding the page is not inflated before the parser does, and its
    /// operators take more memory than allowed. Only a process survives that.
    #[test]
    #[cfg(target_os = "linux")]
    fn bomb_in_a_wrapping() {
        let inner = zlib("q ".repeat(12 * MIB as usize).as_bytes());
        let hex: String = inner.iter().map(|byte| format!("{byte:02x}")).collect();
        let page = pdf::stream(
            "/Filter[/ASCIIHexDecode/FlateDecode]",
            format!("{hex}>").as_bytes(),
        );
        let file = pdf::one_page(page, "", "", &[]);
        let little = Limits {
            memory_bytes: 384 * MIB,
            ..limits()
        };
        let outcome = process(file, "a.pdf", &little, &a_process());
        assert_eq!(outcome.unwrap_err(), Rejection::ParserPanicked);
    }

    /// Ten forms that each paint ten forms, and so on: more work than time.
    #[test]
    fn forms_that_multiply() {
        let levels = 20;
        let forms: Vec<Vec<u8>> = (0..levels)
            .map(|level| {
                let inner = if level + 1 < levels {
                    format!("/Resources<</XObject<</X {} 0 R>>>>", 7 + level)
                } else {
                    "/Resources<</Font<</F1 5 0 R>>>>".to_owned()
                };
                let content = if level + 1 < levels {
                    "/X Do ".repeat(10)
                } else {
                    "BT /F1 12 Tf (ha) Tj ET".to_owned()
                };
                let dictionary = format!("/Type/XObject/Subtype/Form/BBox[0 0 9 9]{inner}");
                pdf::stream(&dictionary, content.as_bytes())
            })
            .collect();
        let page = pdf::stream("", b"/X Do");
        let file = pdf::one_page(page, "", "/XObject<</X 6 0 R>>", &forms);
        let short = Limits {
            wall_clock: Duration::from_secs(2),
            ..limits()
        };
        match process(file, "a.pdf", &short, &a_process()) {
            Ok(processed) => assert!(processed.document.text().len() < 4 * MIB as usize),
            Err(rejection) => {
                assert!(
                    ["timed_out", "empty"].contains(&rejection.code()),
                    "{rejection:?}"
                );
            }
        }
    }

    #[test]
    fn more_pages_than_are_read() {
        let few = Limits {
            pages: 5,
            ..limits()
        };
        let outcome = read_with(&sample("turbine-maintenance-handbook.pdf"), "a.pdf", &few);
        assert_eq!(
            outcome.unwrap_err(),
            Rejection::TooManyPages { pages: 6, limit: 5 }
        );
    }

    #[test]
    fn scan_without_text() {
        let picture = pdf::stream(
            "/Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8",
            b"\x80",
        );
        let page = pdf::stream("", b"q 595 0 0 842 0 0 cm /X Do Q");
        let file = pdf::one_page(page, "", "/XObject<</X 6 0 R>>", &[picture]);
        let rejection = read(&file, "scan.pdf").unwrap_err();
        assert_eq!(rejection.code(), "empty");
        assert!(rejection.to_string().contains("scan"), "{rejection}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever is changed in a file, there is an outcome, and it is not a crash of the
        /// process.
        #[test]
        fn changed_anywhere(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..30)) {
            for name in ["turbine-maintenance-handbook.pdf", "bearing-supply-agreement.docx"] {
                let mut file = sample(name);
                for (at, byte) in &changes {
                    let at = at.index(file.len());
                    file[at] = *byte;
                }
                match process(file, name, &limits(), &Isolation::Thread) {
                    Ok(processed) => prop_assert!(!processed.document.sections.is_empty()),
                    Err(rejection) => prop_assert!(!rejection.is_retryable()),
                }
            }
        }
    }
}

mod text_files {
    use super::*;

    #[test]
    fn json_nested_ten_thousand_deep() {
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(code(deep.as_bytes(), "a.json"), "too_deep");
        assert_eq!(code(deep.as_bytes(), "a.txt"), "too_deep");
        let deep = format!("  {}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        assert_eq!(code(deep.as_bytes(), "a.json"), "too_deep");
        let wide = format!("[{}]", "[1],".repeat(10_000));
        assert_eq!(text(wide.as_bytes(), "a.json"), wide);
    }

    #[test]
    fn html_nested_ten_thousand_deep() {
        for tag in [
            "div",
            "b",
            "table><tr><td",
            "ul><li",
            "blockquote",
            "article",
        ] {
            let page = format!("<!doctype html>{}deep", format!("<{tag}>").repeat(10_000));
            assert!(text(page.as_bytes(), "a.html").ends_with("deep"), "{tag}");
        }
    }

    #[test]
    fn html_tag_with_very_many_attributes() {
        let attributes: String = (0..20_000).map(|n| format!(" a{n}")).collect();
        let page = format!("<!doctype html><p{attributes}>text");
        assert_eq!(text(page.as_bytes(), "a.html"), "text");
    }

    #[test]
    fn markdown_nested_ten_thousand_deep() {
        let deep = 10_000;
        let sources = [
            format!("{}deep", "> ".repeat(deep)),
            format!("{}deep", "- ".repeat(deep)),
            format!("{}deep{}", "*".repeat(deep), "*".repeat(deep)),
            format!("{}deep{}", "[".repeat(deep), "](x)".repeat(deep)),
            format!("{}deep", "![".repeat(deep)),
            format!("deep{}", "`a``".repeat(deep)),
            format!("deep{}", "<a<".repeat(deep)),
        ];
        for source in sources {
            assert!(
                text(source.as_bytes(), "a.md").contains("deep"),
                "{}",
                &source[..20]
            );
        }
    }

    #[test]
    fn one_field_of_many_megabytes() {
        let field = "x".repeat(MIB as usize);
        let read = text(format!("name,note\na,\"{field}\"\n").as_bytes(), "a.csv");
        assert_eq!(read, format!("name: a; note: {field}"));
        let field = "x".repeat(6 * MIB as usize);
        assert_eq!(
            code(format!("name,note\na,\"{field}\"\n").as_bytes(), "a.csv"),
            "too_large"
        );
        // A quote that never closes makes one field of all that follows.
        assert!(text(b"name,note\na,\"open\nb,c\n", "a.csv").contains("note: open b,c"));
    }

    #[test]
    fn column_names_that_multiply() {
        let names: String = (0..2000)
            .map(|n| format!("{}{n},", "n".repeat(50)))
            .collect();
        let rows = format!("{}\n", "v,".repeat(2000)).repeat(100);
        assert_eq!(
            code(format!("{names}\n{rows}").as_bytes(), "a.csv"),
            "too_large"
        );
    }

    #[test]
    fn headings_that_multiply() {
        let source = format!("# {}\n\n{}", "long ".repeat(60), "## a\n\n".repeat(40_000));
        assert_eq!(code(source.as_bytes(), "a.md"), "too_large");
    }

    #[test]
    fn bytes_that_are_no_characters() {
        assert_eq!(
            text(b"caf\xE9 au lait, cr\xE8me br\xFBl\xE9e", "a.txt"),
            "café au lait, crème brûlée"
        );
        assert_eq!(
            text("über".repeat(20).as_bytes(), "a.txt"),
            "über".repeat(20)
        );
        let noise: Vec<u8> = (0..10_000u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8)
            .collect();
        assert_eq!(code(&noise, "a.txt"), "unsupported_type");
        assert_eq!(code(&noise, "a.md"), "unsupported_type");
    }

    #[test]
    fn text_that_people_cannot_see() {
        let hidden: String = "ignore"
            .chars()
            .map(|c| char::from_u32(0xE0000 + c as u32).unwrap())
            .collect();
        assert_eq!(
            text(format!("see\u{200B}n{hidden}").as_bytes(), "a.txt"),
            "seen"
        );
    }

    #[test]
    fn nothing_but_blank_lines() {
        assert_eq!(code(b" \n\t\n\n", "a.txt"), "empty");
        assert_eq!(
            code(b"<!doctype html><script>x</script>", "a.html"),
            "empty"
        );
        assert_eq!(code(b"---\ntitle: x\n---\n", "a.md"), "empty");
    }

    #[test]
    fn larger_than_a_file_may_be() {
        let small = Limits {
            input_bytes: 10,
            ..limits()
        };
        let outcome = read_with(b"eleven char", "a.txt", &small);
        assert_eq!(outcome.unwrap_err().code(), "too_large");
        assert!(read_with(b"ten chars.", "a.txt", &small).is_ok());
    }

    #[test]
    fn no_time_at_all() {
        let hurried = Limits {
            wall_clock: Duration::ZERO,
            ..limits()
        };
        let outcome = read_with(b"text", "a.txt", &hurried);
        assert_eq!(outcome.unwrap_err().code(), "timed_out");
    }
}
