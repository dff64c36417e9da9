//! From bytes to sections, one parser per format.

mod builder;
mod code;
mod delimited;
mod docx;
mod html;
mod language;
mod mail;
mod markdown;
pub(crate) mod ooxml;
mod pdf;
mod pdf_guard;
mod pptx;
pub(crate) mod text;
mod xlsx;

use crate::document::{About, Document, Section};
use crate::format::Format;
use crate::input::Input;
use crate::limits::{Deadline, Limits};
use crate::picture;
use crate::rejection::Rejection;

pub(crate) use builder::Sink;
pub(crate) use code::Language;
pub(crate) use mail::looks_like_mail;

use builder::Builder;
use text::TextSource;

/// Takes the text out of `bytes`, which are of the given format. Source code is read as text: only
/// its name says which language it is in.
///
/// Runs on the calling thread and gives up by itself after [`Limits::wall_clock`], unless a parser
/// is stuck within one page or part. A parser that panics or overflows its stack takes the caller
/// with it: files from outside go through [`process`](crate::process).
///
/// # Errors
///
/// Any [`Rejection`] but `parser_panicked` and `reader_unavailable`.
pub fn extract(bytes: &[u8], format: Format, limits: &Limits) -> Result<Document, Rejection> {
    let input = Input::open(std::io::Cursor::new(bytes.to_vec()))?;
    gathered(|sink| extract_from(input, format, "", limits, sink))
}

/// Takes the text out of a file of the given format, and hands it on section by section.
pub(crate) fn extract_from(
    mut input: Input,
    format: Format,
    file_name: &str,
    limits: &Limits,
    sink: &mut Sink<'_>,
) -> Result<About, Rejection> {
    if format.is_picture() {
        return Ok(About {
            format,
            picture: Some(picture::shrink(input.whole(limits.input_bytes)?, format)?),
            ..About::default()
        });
    }
    let text_limit = if format.is_streamed() {
        limits.streamed_text_bytes
    } else {
        limits.text_bytes
    };
    let mut builder = Builder::new(text_limit, Deadline::of(limits), sink);
    let mut language = None;
    if format.is_streamed() {
        let mut source = TextSource::new(&mut input, limits.streamed_bytes);
        match format {
            Format::Markdown => markdown::read(&mut source, &mut builder)?,
            Format::Csv => delimited::read(&mut source, &mut builder)?,
            Format::Code => {
                language = Language::of_name(file_name);
                code::read(&mut source, language, &mut builder)?;
            }
            _ => text::read(&mut source, limits, &mut builder)?,
        }
    } else {
        let bytes = input.whole(limits.input_bytes)?;
        match format {
            Format::Pdf => pdf::read(bytes, limits, &mut builder)?,
            Format::Docx => docx::read(bytes, limits, &mut builder)?,
            Format::Pptx => pptx::read(bytes, limits, &mut builder)?,
            Format::Xlsx => xlsx::read(bytes, limits, &mut builder)?,
            Format::Mail => mail::read(bytes, limits, &mut builder)?,
            _ => html::read(&decoded(bytes)?, limits, &mut builder)?,
        }
    }
    let about = builder.finish(match format {
        Format::Pdf => {
            "It may be a scan, which holds pictures of pages; run text recognition (OCR) on it first."
        }
        _ => "It holds nothing but markup or blank lines.",
    })?;
    Ok(About {
        format,
        language: about.language.filter(|_| format != Format::Code),
        programming_language: language.map(|language| language.name().to_owned()),
        ..about
    })
}

/// All that `read` hands on, in one document.
pub(crate) fn gathered(
    read: impl FnOnce(&mut Sink<'_>) -> Result<About, Rejection>,
) -> Result<Document, Rejection> {
    let mut sections: Vec<Section> = Vec::new();
    let about = read(&mut |section| {
        sections.push(section);
        Ok(())
    })?;
    Ok(Document { about, sections })
}

fn decoded(bytes: &[u8]) -> Result<std::borrow::Cow<'_, str>, Rejection> {
    text::decode(bytes, true).ok_or_else(text::not_text)
}

/// What a builder makes of what a parser tells it.
#[cfg(test)]
fn collected(
    limits: &Limits,
    text_limit: u64,
    tell: impl FnOnce(&mut Builder<'_>) -> Result<(), Rejection>,
) -> Result<Document, Rejection> {
    gathered(|sink| {
        let mut builder = Builder::new(text_limit, Deadline::of(limits), sink);
        tell(&mut builder)?;
        builder.finish("")
    })
}

/// What a parser of text makes of `source`.
#[cfg(test)]
fn of_text(
    source: &str,
    read: impl FnOnce(&mut TextSource<'_>, &mut Builder<'_>) -> Result<(), Rejection>,
) -> Document {
    let mut input = Input::open(std::io::Cursor::new(source.as_bytes().to_vec())).unwrap();
    let limits = Limits::default();
    collected(&limits, limits.streamed_text_bytes, |builder| {
        read(
            &mut TextSource::new(&mut input, limits.streamed_bytes),
            builder,
        )
    })
    .unwrap()
}
