//! Presentations: each slide a page, its title a heading, the speaker's notes after it.

use undoc::Block as SlideBlock;

use super::builder::{Block, Builder};
use super::{docx, ooxml};
use crate::limits::Limits;
use crate::rejection::Rejection;

pub(super) fn read(
    bytes: &[u8],
    limits: &Limits,
    builder: &mut Builder<'_>,
) -> Result<(), Rejection> {
    let package = ooxml::Package::Presentation;
    let archive = ooxml::safe_archive(bytes, package, limits, builder.deadline())?;
    let mut parser = undoc::pptx::PptxParser::from_bytes(archive).map_err(docx::rejection)?;
    let slides = u32::try_from(parser.slide_count()).unwrap_or(u32::MAX);
    if slides > limits.pages {
        return Err(Rejection::TooManyPages {
            pages: slides,
            limit: limits.pages,
        });
    }
    let presentation = parser.parse().map_err(docx::rejection)?;
    if let Some(title) = &presentation.metadata.title {
        builder.title(title);
    }
    for (number, slide) in (1..).zip(&presentation.sections) {
        builder.separate_page(number)?;
        for block in &slide.content {
            match block {
                SlideBlock::Paragraph(paragraph) => docx::paragraph(paragraph, builder)?,
                SlideBlock::Table(table) => docx::table(table, builder)?,
                SlideBlock::Note { .. }
                | SlideBlock::PageBreak
                | SlideBlock::SectionBreak
                | SlideBlock::Image { .. } => {}
            }
        }
        let notes = slide.notes.iter().flatten().map(docx::plain);
        let notes: Vec<String> = notes.filter(|note| !note.trim().is_empty()).collect();
        if !notes.is_empty() {
            builder.push(Block::Paragraph, &format!("Notes: {}", notes.join("\n")))?;
        }
    }
    Ok(())
}
