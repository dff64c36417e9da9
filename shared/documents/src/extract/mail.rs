//! Mail as it is stored (EML): who wrote to whom and when, the text, what is attached by name.

use mail_parser::{Address, Message, MessageParser, MimeHeaders as _, PartType};

use super::builder::{Block, Builder};
use super::html;
use crate::limits::Limits;
use crate::rejection::Rejection;

/// A mail that is forwarded as an attachment is read, and so on, so deep.
const MAX_FORWARDED: u8 = 5;
/// Names that are shown of a long list of recipients or attachments.
const MAX_LISTED: usize = 100;
/// How much of a file is looked at to see that it is a mail.
const HEAD_BYTES: usize = 8 * 1024;
/// Of these a mail has two at least.
const TELLING_FIELDS: &[&str] = &[
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "received",
    "mime-version",
    "return-path",
    "delivered-to",
];

pub(super) fn read(
    bytes: &[u8],
    limits: &Limits,
    builder: &mut Builder<'_>,
) -> Result<(), Rejection> {
    let message = MessageParser::default()
        .parse(bytes)
        .ok_or_else(|| Rejection::corrupt("the mail has no header"))?;
    builder.title(message.subject().unwrap_or_default());
    self::message(&message, 0, limits, builder)
}

fn message(
    message: &Message<'_>,
    depth: u8,
    limits: &Limits,
    builder: &mut Builder<'_>,
) -> Result<(), Rejection> {
    let subject = message.subject().unwrap_or_default();
    if depth > 0 {
        builder.heading(depth, &format!("Forwarded: {subject}"))?;
    }
    let fields = [
        ("From", message.from().map(people)),
        ("To", message.to().map(people)),
        ("Cc", message.cc().map(people)),
        (
            "Date",
            message.date().map(mail_parser::DateTime::to_rfc3339),
        ),
        ("Subject", Some(subject.to_owned())),
    ];
    for (name, value) in fields {
        let value = value.unwrap_or_default();
        if !value.trim().is_empty() {
            builder.push(Block::Line, &format!("{name}: {value}"))?;
        }
    }
    for part in message.text_bodies() {
        match &part.body {
            PartType::Text(text) => builder.push(Block::Paragraph, text)?,
            PartType::Html(source) => html::read(source, limits, builder)?,
            _ => {}
        }
    }
    let attached = message.attachments().map(|part| {
        let name = part.attachment_name().unwrap_or("without a name");
        let kind = part.content_type().map_or_else(String::new, |kind| {
            let sub = kind.c_subtype.as_deref().unwrap_or("*");
            format!("{}/{sub}, ", kind.c_type)
        });
        format!("{name} ({kind}{} bytes)", part.len())
    });
    let attached: Vec<String> = attached.take(MAX_LISTED).collect();
    if !attached.is_empty() {
        let list = attached.join("; ");
        builder.push(Block::Paragraph, &format!("Attachments: {list}"))?;
    }
    for part in message.attachments() {
        if let (PartType::Message(forwarded), true) = (&part.body, depth < MAX_FORWARDED) {
            self::message(forwarded, depth + 1, limits, builder)?;
        }
    }
    Ok(())
}

fn people(addresses: &Address<'_>) -> String {
    let people: Vec<String> = addresses
        .iter()
        .take(MAX_LISTED)
        .filter_map(|person| match (person.name(), person.address()) {
            (Some(name), Some(address)) => Some(format!("{name} <{address}>")),
            (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
            (None, None) => None,
        })
        .collect();
    people.join(", ")
}

/// Whether a file begins as a mail does: with fields of a header, of which some tell.
pub(crate) fn looks_like_mail(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let mut telling = 0;
    for (number, line) in head.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        // The line goes on with the field before; a mailbox puts one line before them all.
        let goes_on = number > 0 && line.starts_with(b" ") || line.starts_with(b"\t");
        if goes_on || number == 0 && line.starts_with(b"From ") {
            continue;
        }
        let Some(end) = memchr::memchr(b':', line) else {
            return telling >= 2 && number > 5 && head.len() == HEAD_BYTES;
        };
        let name = &line[..end];
        let is_name = |byte: &u8| byte.is_ascii_graphic();
        if name.is_empty() || !name.iter().all(is_name) {
            return false;
        }
        telling += usize::from(
            TELLING_FIELDS
                .iter()
                .any(|field| name.eq_ignore_ascii_case(field.as_bytes())),
        );
    }
    telling >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(source: &str) -> crate::Document {
        let limits = Limits::default();
        let source = source.replace('\n', "\r\n");
        crate::extract::collected(&limits, limits.text_bytes, |builder| {
            read(source.as_bytes(), &limits, builder)
        })
        .unwrap()
    }

    const HEADER: &str = "From: Ada <ada@example.com>\nTo: bob@example.com, Cy <cy@example.com>\nSubject: =?utf-8?q?Getriebe=C3=B6l?=\nDate: Fri, 20 Nov 2026 10:00:00 +0100\nMIME-Version: 1.0\n";
    const FIELDS: &str = "From: Ada <ada@example.com>\nTo: bob@example.com, Cy <cy@example.com>\nDate: 2026-11-20T10:00:00+01:00\nSubject: Getriebeöl";

    #[test]
    fn header_and_text() {
        let document = document(&format!(
            "{HEADER}Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nChanged =\ntoday, 20=C2=A0l.\n"
        ));
        assert_eq!(document.about.title.as_deref(), Some("Getriebeöl"));
        assert_eq!(document.text(), format!("{FIELDS}\n\nChanged today, 20 l."));
    }

    #[test]
    fn the_plain_text_is_read_and_not_its_twin_and_attachments_are_named() {
        let document = document(&format!(
            "{HEADER}Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\nThe text.\n--b\nContent-Type: text/html\n\n<p>The page.</p>\n--b--\n--a\nContent-Type: application/pdf; name=\"report.pdf\"\nContent-Disposition: attachment; filename=\"report.pdf\"\nContent-Transfer-Encoding: base64\n\nJVBERi0x\n--a--\n"
        ));
        assert_eq!(
            document.text(),
            format!("{FIELDS}\n\nThe text.\n\nAttachments: report.pdf (application/pdf, 6 bytes)")
        );
    }

    #[test]
    fn a_page_is_read_where_there_is_no_text() {
        let document = document(&format!(
            "{HEADER}Content-Type: text/html\n\n<h1>Oil</h1><p>Changed.</p><script>x</script>\n"
        ));
        assert_eq!(document.text(), format!("{FIELDS}\n\nOil\n\nChanged."));
        assert_eq!(document.sections[1].heading_path, ["Oil"]);
    }

    #[test]
    fn a_forwarded_mail_is_read() {
        let document = document(&format!(
            "{HEADER}Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: text/plain\n\nSee below.\n--a\nContent-Type: message/rfc822\nContent-Disposition: attachment\n\nFrom: cy@example.com\nSubject: Old\n\nThe old text.\n--a--\n"
        ));
        let last = document.sections.last().unwrap();
        assert_eq!(last.heading_path, ["Forwarded: Old"]);
        assert!(
            last.text.ends_with("Subject: Old\n\nThe old text."),
            "{}",
            last.text
        );
    }

    #[test]
    fn what_looks_like_a_mail() {
        for yes in [
            "Return-Path: <a@b>\r\nReceived: from x\r\n by y\r\n\r\ntext",
            "From a@b Fri Nov 20\nFrom: a\nTo: b\n\ntext",
            "Subject: x\nDate: y\n\n",
        ] {
            assert!(looks_like_mail(yes.as_bytes()), "{yes:?}");
        }
        for no in [
            "",
            "Dear Bob,\nFrom: here\nTo: there\n",
            "key: value\nother: value\n",
            "From: here to there\n",
            "{\"from\": 1,\n\"to\": 2}",
            "a b: c\nFrom: x\nTo: y\n\n",
        ] {
            assert!(!looks_like_mail(no.as_bytes()), "{no:?}");
        }
    }
}
