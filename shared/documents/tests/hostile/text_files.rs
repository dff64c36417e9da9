//! Text of all kinds: depth, length, bytes that are no characters.

use std::time::Duration;

use documents::Limits;

use super::{MIB, code, limits, read_with, text};

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
        streamed_bytes: 10,
        input_bytes: 31,
        ..limits()
    };
    for name in ["a.txt", "a.md", "a.csv", "a.rs"] {
        let outcome = read_with(b"eleven char", name, &small);
        assert_eq!(outcome.unwrap_err().code(), "too_large", "{name}");
        assert!(read_with(b"ten chars.", name, &small).is_ok(), "{name}");
    }
    let page = b"<!doctype html><p>32 characters.";
    let outcome = read_with(page, "a.html", &small);
    assert_eq!(outcome.unwrap_err().code(), "too_large");
    assert!(read_with(&page[..31], "a.html", &small).is_ok());
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
