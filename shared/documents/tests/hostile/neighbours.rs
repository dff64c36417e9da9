//! A hostile file costs nobody else anything: files beside it are read meanwhile.

use std::time::{Duration, Instant};

use documents::{Limits, process};

use super::support::{book, pdf, sample, word};
use super::{MIB, a_process, limits};

/// Forms that each paint ten forms, and so on: work without end.
fn without_end() -> Vec<u8> {
    let levels = 20;
    let forms: Vec<Vec<u8>> = (0..levels)
        .map(|level| {
            let (inner, content) = if level + 1 < levels {
                (
                    format!("/Resources<</XObject<</X {} 0 R>>>>", 7 + level),
                    "/X Do ".repeat(10),
                )
            } else {
                (String::new(), "q Q".to_owned())
            };
            let dictionary = format!("/Type/XObject/Subtype/Form/BBox[0 0 9 9]{inner}");
            pdf::stream(&dictionary, content.as_bytes())
        })
        .collect();
    pdf::one_page(
        pdf::stream("", b"/X Do"),
        "",
        "/XObject<</X 6 0 R>>",
        &forms,
    )
}

#[test]
fn files_beside_hostile_ones_are_read_meanwhile() {
    let hostile: [(Vec<u8>, &str); 4] = [
        (without_end(), "forms.pdf"),
        (
            word::of(&word::paragraph(&" ".repeat(40 * MIB as usize))),
            "bomb.docx",
        ),
        ("[".repeat(20 * MIB as usize).into_bytes(), "deep.json"),
        (
            book::of(&[book::Sheet {
                name: "x",
                more: "",
                rows: "<row><c>".repeat(100_000),
            }]),
            "deep.xlsx",
        ),
    ];
    let limits = Limits {
        wall_clock: Duration::from_secs(10),
        memory_bytes: 1024 * MIB,
        ..limits()
    };
    std::thread::scope(|scope| {
        let readers: Vec<_> = hostile
            .into_iter()
            .map(|(file, name)| {
                let limits = &limits;
                scope.spawn(move || {
                    let outcome = process(file, name, limits, &a_process());
                    (name, outcome, Instant::now())
                })
            })
            .collect();
        for name in ["on-call-faq.md", "bearing-supply-agreement.docx"] {
            let document = process(sample(name), name, &limits, &a_process()).unwrap();
            assert!(document.text().len() > 1_000, "{name}");
        }
        let neighbours_done = Instant::now();
        for reader in readers {
            let (name, outcome, ended) = reader.join().unwrap();
            if name == "forms.pdf" {
                assert!(
                    neighbours_done < ended,
                    "the neighbours waited for the hostile file"
                );
            } else {
                let rejection = outcome.expect_err(name);
                assert!(!rejection.is_retryable(), "{name}: {rejection:?}");
            }
        }
    });
}
