//! PDF files: circles, bombs, depths.

use std::time::Duration;

use documents::{Isolation, Limits, Rejection, process};
use proptest::prelude::*;

use super::support::{pdf, sample, zlib};
use super::{MIB, a_process, code, limits, read, read_with, text};

#[test]
fn cut_at_any_place() {
    let whole = sample("turbine-maintenance-handbook.pdf");
    let complete = text(&whole, "a.pdf");
    for part in 0..40 {
        let cut = &whole[..(whole.len() * part / 40).max(20)];
        match read(cut, "a.pdf") {
            Ok(rest) => assert!(rest.text() == complete, "{part} of 40 parts"),
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

/// Ten forms that each paint ten forms, and so on: more work than there is time or memory for.
/// Which of the two runs out first depends on the machine.
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
        Ok(document) => assert!(document.text().len() < 4 * MIB as usize),
        Err(rejection) => {
            assert!(
                ["timed_out", "empty", "parser_panicked"].contains(&rejection.code()),
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
                Ok(document) => prop_assert!(!document.sections.is_empty()),
                Err(rejection) => prop_assert!(!rejection.is_retryable()),
            }
        }
    }
}
