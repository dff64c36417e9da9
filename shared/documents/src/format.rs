//! What kind of file it is, by what is in it.

use serde::{Deserialize, Serialize};

use crate::extract::{Language, looks_like_mail, ooxml, text};
use crate::input::Input;
use crate::limits::Limits;
use crate::picture;
use crate::rejection::Rejection;

/// The kinds of file that can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// Portable Document Format.
    Pdf,
    /// Word, Office Open XML.
    Docx,
    /// PowerPoint, Office Open XML: a page for each slide.
    Pptx,
    /// Excel, Office Open XML: a page for each sheet.
    Xlsx,
    /// CommonMark with tables, footnotes and task lists.
    Markdown,
    /// HTML, as browsers accept it.
    Html,
    /// A mail as it is stored (EML, RFC 5322).
    Mail,
    /// Source code of a language that the name of the file tells.
    Code,
    /// Text without structure; JSON too.
    #[default]
    Text,
    /// Rows of values between commas, semicolons, tabs or bars.
    Csv,
    /// A picture.
    Jpeg,
    Png,
    Webp,
}

/// Names that promise a format which is never text.
const BINARY_EXTENSIONS: &[&str] = &[
    "pdf", "docx", "docm", "doc", "pptx", "ppt", "xlsx", "xls", "odt", "ods", "odp", "zip", "gz",
    "png", "jpg", "jpeg", "gif", "webp", "tif", "tiff", "heic", "mp3", "mp4", "mov", "wav",
];

impl Format {
    /// The kind of `bytes`. The content decides; the extension of `file_name` only tells kinds of
    /// text apart, which content cannot.
    ///
    /// # Errors
    ///
    /// `unsupported_type` for a kind that is not read and for text under a name that promises
    /// something else, `encrypted` for a protected Office file, `empty` for a file of no bytes,
    /// `corrupt` for an archive that does not open.
    pub fn detect(bytes: &[u8], file_name: &str) -> Result<Self, Rejection> {
        Self::of_head(bytes, true, file_name)
    }

    /// The kind of a file that comes. Of a long text its beginning decides.
    pub(crate) fn of_input(
        input: &mut Input,
        file_name: &str,
        limits: &Limits,
    ) -> Result<Self, Rejection> {
        if is_container(input.head()) {
            // What is in an archive stands at its end.
            return Self::detect(input.whole(limits.input_bytes)?, file_name);
        }
        Self::of_head(input.head(), input.is_whole(), file_name)
    }

    /// Whether it is read as it comes, and never held whole.
    pub(crate) fn is_streamed(self) -> bool {
        matches!(self, Self::Markdown | Self::Code | Self::Text | Self::Csv)
    }

    /// Whether it holds no text, and is made small instead.
    pub(crate) fn is_picture(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::Webp)
    }

    fn of_head(bytes: &[u8], is_whole: bool, file_name: &str) -> Result<Self, Rejection> {
        let extension = extension(file_name);
        if bytes.is_empty() {
            return Err(Rejection::empty("It has no bytes."));
        }
        if pdf_start(bytes) == Some(0) {
            return Ok(Self::Pdf);
        }
        if let Some(picture) = picture::format(bytes) {
            return Ok(picture);
        }
        if is_archive(bytes) {
            return ooxml::kind(bytes);
        }
        if bytes.starts_with(&ole::MAGIC) {
            return Err(ole::rejection(bytes));
        }
        if bytes.starts_with(b"{\\rtf") {
            return Err(Rejection::unsupported("a Rich Text (RTF) document"));
        }
        if bytes.starts_with(b"%!PS") {
            return Err(Rejection::unsupported("a PostScript file"));
        }
        // It may hold bytes of any encoding, each part in its own.
        if looks_like_mail(bytes) && !BINARY_EXTENSIONS.contains(&extension.as_str()) {
            return Ok(Self::Mail);
        }
        if let Some(decoded) = text::decode(bytes, is_whole) {
            return text_kind(&decoded, &extension, file_name);
        }
        // Some writers put a few bytes before the header, and every viewer accepts it.
        if pdf_start(bytes).is_some() {
            return Ok(Self::Pdf);
        }
        Err(Rejection::unsupported(match infer::get(bytes) {
            Some(kind) => format!("a file of type {}", kind.mime_type()),
            None => "binary data of an unknown type".to_owned(),
        }))
    }

    /// The media type, for the `Content-Type` of the stored file.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Pptx => {
                "application/vnd.openxmlformats-officedocument.presentationml.presentation"
            }
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Mail => "message/rfc822",
            Self::Markdown => "text/markdown",
            Self::Html => "text/html",
            Self::Text | Self::Code => "text/plain",
            Self::Csv => "text/csv",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }
}

fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Whether the file is judged by more than its beginning.
fn is_container(bytes: &[u8]) -> bool {
    is_archive(bytes) || bytes.starts_with(&ole::MAGIC)
}

/// Where the PDF header begins, if it does so within the first kilobyte.
pub(crate) fn pdf_start(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(&bytes[..bytes.len().min(1024)], b"%PDF-")
}

fn extension(file_name: &str) -> String {
    match file_name.rsplit_once('.') {
        Some((_, extension)) => extension.to_ascii_lowercase(),
        None => String::new(),
    }
}

fn text_kind(decoded: &str, extension: &str, file_name: &str) -> Result<Format, Rejection> {
    if BINARY_EXTENSIONS.contains(&extension) {
        return Err(Rejection::unsupported(format!(
            "text under a name that ends in .{extension}"
        )));
    }
    if looks_like_html(decoded) {
        return Ok(Format::Html);
    }
    Ok(match extension {
        "md" | "markdown" | "mdown" | "mkd" => Format::Markdown,
        "html" | "htm" | "xhtml" => Format::Html,
        "csv" | "tsv" => Format::Csv,
        _ if Language::of_name(file_name).is_some() => Format::Code,
        _ => Format::Text,
    })
}

fn looks_like_html(decoded: &str) -> bool {
    let mut start = decoded.trim_start();
    if start.starts_with("<?xml")
        && let Some((_, rest)) = start.split_once("?>")
    {
        start = rest.trim_start();
    }
    ["<!doctype html", "<html"].iter().any(|opening| {
        start
            .get(..opening.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(opening))
    })
}

/// The container of Office before 2007, and of protected Office files since.
mod ole {
    use crate::rejection::Rejection;

    pub(super) const MAGIC: [u8; 8] = [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];

    pub(super) fn rejection(bytes: &[u8]) -> Rejection {
        let encrypted_package: Vec<u8> = "EncryptedPackage"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        if memchr::memmem::find(bytes, &encrypted_package).is_some() {
            return Rejection::Encrypted;
        }
        Rejection::unsupported("a file of an Office version before 2007; save it as DOCX")
    }
}
