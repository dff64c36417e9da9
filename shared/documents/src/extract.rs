//! From bytes to a [`Document`], one parser per format.

mod builder;
mod delimited;
mod docx;
mod html;
mod markdown;
pub(crate) mod ooxml;
mod pdf;
mod pdf_guard;
pub(crate) mod text;

use crate::document::Document;
use crate::format::Format;
use crate::limits::{Deadline, Limits};
use crate::rejection::{Measure, Rejection};

use builder::Builder;

/// Takes the text out of `bytes`, which are of the given format.
///
/// Runs on the calling thread and gives up by itself after [`Limits::wall_clock`], unless a parser
/// is stuck within one page or part. A parser that panics or overflows its stack takes the caller
/// with it: files from outside go through [`process`](crate::process).
///
/// # Errors
///
/// Any [`Rejection`] but `parser_panicked` and `reader_unavailable`.
pub fn extract(bytes: &[u8], format: Format, limits: &Limits) -> Result<Document, Rejection> {
    check_size(bytes, limits)?;
    let mut builder = Builder::new(limits, Deadline::of(limits));
    match format {
        Format::Pdf => pdf::read(bytes, limits, &mut builder)?,
        Format::Docx => docx::read(bytes, limits, &mut builder)?,
        Format::Markdown => markdown::read(&decoded(bytes)?, &mut builder)?,
        Format::Html => html::read(&decoded(bytes)?, limits, &mut builder)?,
        Format::Text => text::read(&decoded(bytes)?, limits, &mut builder)?,
        Format::Csv => delimited::read(&decoded(bytes)?, &mut builder)?,
    }
    builder.finish(match format {
        Format::Pdf => {
            "It may be a scan, which holds pictures of pages; run text recognition (OCR) on it first."
        }
        _ => "It holds nothing but markup or blank lines.",
    })
}

pub(crate) fn check_size(bytes: &[u8], limits: &Limits) -> Result<(), Rejection> {
    if bytes.len() as u64 > limits.input_bytes {
        return Err(Rejection::TooLarge {
            measure: Measure::File,
            limit: limits.input_bytes,
        });
    }
    Ok(())
}

fn decoded(bytes: &[u8]) -> Result<std::borrow::Cow<'_, str>, Rejection> {
    text::decode(bytes).ok_or_else(|| Rejection::unsupported("binary data, not text"))
}
