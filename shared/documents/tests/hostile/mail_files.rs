//! Mails: parts within parts, borders that never come, headers without end.

use super::{MIB, code, read, text};

const HEADER: &str = "From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n";

fn mail(rest: &str) -> Vec<u8> {
    format!("{HEADER}{rest}").into_bytes()
}

#[test]
fn parts_nested_ten_thousand_deep() {
    let mut rest = String::new();
    for depth in 0..10_000 {
        rest.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n"
        ));
    }
    rest.push_str("Content-Type: text/plain\r\n\r\ndeep\r\n");
    let read = text(&mail(&rest), "a.eml");
    assert!(read.contains("Subject: x"), "{read}");
}

#[test]
fn mails_in_mails_ten_thousand_deep() {
    let rest = "Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n".repeat(10_000);
    let read = text(&mail(&format!("{rest}\r\ndeep")), "a.eml");
    assert!(read.len() < 100_000, "{} bytes", read.len());
}

#[test]
fn mails_in_mails_in_base64() {
    let mut inner = mail("\r\ndeep");
    for _ in 0..12 {
        let encoded = base64(&inner);
        inner = mail(&format!(
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n"
        ));
    }
    assert!(text(&inner, "a.eml").contains("Subject: x"));
}

#[test]
fn a_border_that_never_comes() {
    let rest = format!(
        "Content-Type: multipart/mixed; boundary=never\r\n\r\n{}",
        "--neve\r\n".repeat(300_000)
    );
    let read = text(&mail(&rest), "a.eml");
    assert!(read.contains("Subject: x"));
}

#[test]
fn very_many_parts() {
    let parts = "--b\r\nContent-Type: text/plain\r\n\r\npart\r\n".repeat(50_000);
    let rest = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n");
    let read = text(&mail(&rest), "a.eml");
    assert!(read.contains("part"));
}

#[test]
fn very_many_recipients_and_attachments() {
    let recipients = "n <n@example.com>, ".repeat(100_000);
    let read = text(&mail(&format!("Cc: {recipients}\r\n\r\ntext")), "a.eml");
    assert!(read.len() < 10_000, "{} bytes", read.len());
    let parts = "--b\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Disposition: attachment\r\n\r\nx\r\n".repeat(20_000);
    let rest = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n");
    let read = text(&mail(&rest), "a.eml");
    assert!(read.len() < 20_000, "{} bytes", read.len());
}

#[test]
fn a_header_without_end() {
    let rest = format!("X-Long: {}\r\n\r\ntext", "y".repeat(3 * MIB as usize));
    assert!(text(&mail(&rest), "a.eml").ends_with("text"));
    let folded = format!("X-Long: {}z\r\n\r\ntext", "y\r\n ".repeat(500_000));
    assert!(text(&mail(&folded), "a.eml").ends_with("text"));
    let encoded = format!(
        "Subject: {}\r\n\r\ntext",
        "=?utf-8?q?=41?= ".repeat(100_000)
    );
    assert!(
        text(
            format!("From: a@b\r\nTo: c@d\r\n{encoded}").as_bytes(),
            "a.eml"
        )
        .ends_with("text")
    );
}

#[test]
fn text_that_is_no_text() {
    let noise: Vec<u8> = (0..100_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect();
    let file = [
        mail("Content-Type: text/plain; charset=x-unknown\r\n\r\n"),
        noise,
    ]
    .concat();
    match read(&file, "a.eml") {
        Ok(document) => assert!(document.text().contains("Subject: x")),
        Err(rejection) => assert!(!rejection.is_retryable()),
    }
}

#[test]
fn a_page_in_a_mail_is_held_to_the_bounds_of_pages() {
    let page = "<p>text</p>".repeat(1_000_000);
    let file = mail(&format!("Content-Type: text/html\r\n\r\n{page}"));
    assert_eq!(code(&file, "a.eml"), "too_large");
    let deep = format!(
        "Content-Type: text/html\r\n\r\n{}deep",
        "<div>".repeat(10_000)
    );
    assert!(text(&mail(&deep), "a.eml").ends_with("deep"));
}

#[test]
fn nothing_but_a_name() {
    assert_eq!(code(b"Subject: \r\nFrom: \r\n\r\n", "a.eml"), "empty");
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        for (place, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            if place > three.len() {
                text.push('=');
            } else {
                text.push(LETTERS[(number >> shift) as usize & 63] as char);
            }
        }
    }
    text
}
