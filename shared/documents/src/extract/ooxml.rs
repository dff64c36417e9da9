//! Office files are ZIP archives, and a ZIP archive is easily made to lie.
//!
//! The parser never sees the archive that was uploaded. Every entry is inflated here, counted as
//! it grows; the parts that hold text are checked and put into a new, plain archive. Pictures,
//! embedded files and links between parts stay behind.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Read, Write};

use encoding_rs::{UTF_16BE, UTF_16LE};
use quick_xml::events::Event;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::format::Format;
use crate::limits::{Deadline, Limits};
use crate::rejection::{Measure, Rejection};

/// An entry may inflate to this before its ratio is looked at: small parts of repeated markup
/// compress very well.
const RATIO_GRACE_BYTES: u64 = 16 * 1024 * 1024;
/// Text and markup compress 3 to 30 times. Deflate cannot pass about 1,030.
const MAX_RATIO: u64 = 200;

const MAIN_PART: &str = "word/document.xml";
const PROPERTIES: &str = "docProps/core.xml";
/// The parts of a Word file that hold text or say how to read it.
const WORD_PARTS: &[&str] = &[
    "word/styles.xml",
    "word/numbering.xml",
    "word/footnotes.xml",
    "word/endnotes.xml",
];
/// Where a presentation has its text and what says in which order it is shown.
const PRESENTATION_PARTS: &[&str] = &[
    "ppt/presentation.xml",
    "ppt/_rels/",
    "ppt/slides/",
    "ppt/slideLayouts/",
    "ppt/slideMasters/",
    "ppt/notesSlides/",
    "ppt/charts/",
];
/// Where a workbook has its cells and what says how to read them.
const WORKBOOK_PARTS: &[&str] = &[
    "xl/workbook.xml",
    "xl/_rels/",
    "xl/worksheets/",
    "xl/sharedStrings.xml",
    "xl/styles.xml",
];
/// The parts that say where the others are.
const PACKAGE_PARTS: &[&str] = &["[Content_Types].xml", "_rels/.rels"];

/// What is in a package of Office parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Package {
    Word,
    Presentation,
    Workbook,
}

impl Package {
    fn keeps(self, name: &str) -> bool {
        let parts = match self {
            Self::Word => return WORD_PARTS.contains(&name) || name == PROPERTIES,
            Self::Presentation => PRESENTATION_PARTS,
            Self::Workbook => WORKBOOK_PARTS,
        };
        PACKAGE_PARTS.contains(&name)
            || name == PROPERTIES
            || parts.iter().any(|part| name.starts_with(part))
    }
}

/// What kind of Office file an archive is, by the names of its parts.
pub(crate) fn kind(bytes: &[u8]) -> Result<Format, Rejection> {
    let archive = open(bytes, &Limits::default())?;
    let has = |prefix: &str| {
        archive
            .file_names()
            .filter_map(Result::ok)
            .any(|name| name.starts_with(prefix))
    };
    if has("[Content_Types].xml") || has("_rels/") {
        for (folder, format) in [
            ("word/", Format::Docx),
            ("ppt/", Format::Pptx),
            ("xl/", Format::Xlsx),
        ] {
            if has(folder) {
                if has("xl/workbook.bin") {
                    return Err(Rejection::unsupported(
                        "a binary Excel workbook (XLSB); save it as XLSX",
                    ));
                }
                return Ok(format);
            }
        }
    }
    if has("content.xml") && has("mimetype") {
        return Err(Rejection::unsupported("an OpenDocument file"));
    }
    Err(Rejection::unsupported("a ZIP archive"))
}

/// The text parts of an Office file, in a new archive that is safe to hand to a parser.
///
/// # Errors
///
/// `encrypted`, `corrupt`, `decompression_bomb`, `too_large` or `too_deep`.
pub(super) fn safe_archive(
    bytes: &[u8],
    package: Package,
    limits: &Limits,
    deadline: Deadline,
) -> Result<Vec<u8>, Rejection> {
    let mut archive = open(bytes, limits)?;
    if archive.has_overlapping_entries().map_err(zip_rejection)? {
        return Err(Rejection::DecompressionBomb {
            detail: "parts of the archive overlap".to_owned(),
        });
    }
    let mut parts = inflate(&mut archive, limits, deadline)?;
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut put = |name: &str, content: &[u8]| -> Result<(), ZipError> {
        writer.start_file(name, stored)?;
        writer.write_all(content)?;
        Ok(())
    };
    if package == Package::Word {
        let main = main_part_name(&parts);
        let Some(document) = parts.remove(&main) else {
            return Err(Rejection::corrupt(
                "the main part of the document is missing",
            ));
        };
        put(MAIN_PART, &checked_xml(&document, limits, deadline)?).map_err(zip_rejection)?;
    }
    // Each part is let go once it was written: a workbook may have hundreds of megabytes.
    parts.retain(|name, _| package.keeps(name));
    for (name, content) in parts {
        put(&name, &checked_xml(&content, limits, deadline)?).map_err(zip_rejection)?;
    }
    Ok(writer.finish().map_err(zip_rejection)?.into_inner())
}

fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<ZipArchive<Cursor<&'a [u8]>>, Rejection> {
    // The declared number of entries is not believed, and the directory is only read when the
    // entries that could be in it are few. An embedded archive adds its own to the count.
    let allowed = limits.archive_entries as usize;
    let directory_entries = memchr::memmem::find_iter(bytes, b"PK\x01\x02");
    if directory_entries.take(allowed + 1).count() > allowed {
        return Err(Rejection::TooLarge {
            measure: Measure::ArchiveEntries,
            limit: u64::from(limits.archive_entries),
        });
    }
    ZipArchive::new(Cursor::new(bytes)).map_err(zip_rejection)
}

/// Inflates every entry, keeps those that may hold text, and counts them all.
fn inflate(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    limits: &Limits,
    deadline: Deadline,
) -> Result<HashMap<String, Vec<u8>>, Rejection> {
    let mut parts = HashMap::new();
    let mut total = 0u64;
    let mut buffer = vec![0u8; 64 * 1024];
    for index in 0..archive.len() {
        let mut entry = match archive.by_index(index) {
            Ok(entry) => entry,
            // A method this build does not know cannot be counted, but nor is it kept.
            Err(ZipError::UnsupportedArchive(what)) if what != ZipError::PASSWORD_REQUIRED => {
                continue;
            }
            Err(error) => return Err(zip_rejection(error)),
        };
        let name = entry.name().map_err(zip_rejection)?.into_owned();
        let keep = name.ends_with(".xml") || name.ends_with(".rels");
        let compressed = entry.compressed_size();
        let mut content = Vec::new();
        let mut inflated = 0u64;
        loop {
            deadline.check()?;
            let read = entry
                .read(&mut buffer)
                .map_err(|error| Rejection::corrupt(format!("a part does not unpack: {error}")))?;
            if read == 0 {
                break;
            }
            inflated += read as u64;
            total += read as u64;
            if total > limits.inflated_bytes {
                return Err(Rejection::DecompressionBomb {
                    detail: format!("more than {} bytes", limits.inflated_bytes),
                });
            }
            if inflated > RATIO_GRACE_BYTES && inflated > compressed.saturating_mul(MAX_RATIO) {
                return Err(Rejection::DecompressionBomb {
                    detail: format!("a part unfolds more than {MAX_RATIO} times"),
                });
            }
            if keep {
                content.extend_from_slice(&buffer[..read]);
            }
        }
        if keep {
            parts.insert(name, content);
        }
    }
    Ok(parts)
}

/// The name of the part that the package names as its document. Word sometimes numbers it.
fn main_part_name(parts: &HashMap<String, Vec<u8>>) -> String {
    let named = parts.get("_rels/.rels").and_then(|relationships| {
        let text = utf8_xml(relationships)?;
        let mut reader = quick_xml::Reader::from_str(&text);
        loop {
            match reader.read_event().ok()? {
                Event::Empty(element) | Event::Start(element) => {
                    let attribute = |key: &str| {
                        element
                            .attributes()
                            .flatten()
                            .find(|attribute| attribute.key.as_ref() == key)
                            .map(|attribute| attribute.value.to_string())
                    };
                    if attribute("Type").is_some_and(|kind| kind.ends_with("/officeDocument")) {
                        return attribute("Target");
                    }
                }
                Event::Eof => return None,
                _ => {}
            }
        }
    });
    named
        .map(|target| target.trim_start_matches('/').to_owned())
        .filter(|target| parts.contains_key(target))
        .unwrap_or_else(|| MAIN_PART.to_owned())
}

/// The part in UTF-8, when it is nested within bounds and declares no entities.
fn checked_xml<'a>(
    content: &'a [u8],
    limits: &Limits,
    deadline: Deadline,
) -> Result<Cow<'a, [u8]>, Rejection> {
    let text = utf8_xml(content)
        .ok_or_else(|| Rejection::corrupt("a part is not in an encoding that XML allows"))?;
    let mut reader = quick_xml::Reader::from_str(&text);
    let config = reader.config_mut();
    config.allow_dangling_amp = true;
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    let mut depth = 0u32;
    let mut events = 0u32;
    loop {
        events = events.wrapping_add(1);
        if events.is_multiple_of(4096) {
            deadline.check()?;
        }
        match reader.read_event() {
            Ok(Event::Start(_)) => {
                depth += 1;
                if depth > limits.nesting {
                    return Err(Rejection::TooDeep {
                        limit: limits.nesting,
                    });
                }
            }
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            // Word writes none. It is how entities that multiply each other are declared.
            Ok(Event::DocType(_)) => {
                return Err(Rejection::corrupt("a part declares entities of its own"));
            }
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(error) => return Err(Rejection::corrupt(format!("a part is not XML: {error}"))),
        }
    }
    Ok(match text {
        Cow::Borrowed(same) => Cow::Borrowed(same.as_bytes()),
        Cow::Owned(other) => Cow::Owned(other.into_bytes()),
    })
}

/// XML is UTF-8 or, with a mark or with the zeros that give it away, UTF-16.
fn utf8_xml(content: &[u8]) -> Option<Cow<'_, str>> {
    let encoding = match content {
        [0xFF, 0xFE, ..] | [b'<', 0, ..] => UTF_16LE,
        [0xFE, 0xFF, ..] | [0, b'<', ..] => UTF_16BE,
        _ => {
            let body = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
            return std::str::from_utf8(body).ok().map(Cow::Borrowed);
        }
    };
    let (text, damaged) = encoding.decode_with_bom_removal(content);
    (!damaged).then_some(text)
}

fn zip_rejection(error: ZipError) -> Rejection {
    match error {
        ZipError::InvalidPassword | ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
            Rejection::Encrypted
        }
        other => Rejection::corrupt(format!("the archive in it does not open: {other}")),
    }
}
