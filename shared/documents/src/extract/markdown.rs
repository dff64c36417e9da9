//! Markdown: the text as it reads when rendered, with its headings.
//!
//! A long file is read in segments, cut where a heading or a paragraph begins. What one segment
//! defines (footnotes, the addresses of links) does not reach into another.

use pulldown_cmark::{Event, MetadataBlockKind, Options, Parser, Tag, TagEnd};

use super::builder::{Block, Builder, Header};
use super::html;
use super::text::{Lines, TextSource};
use crate::rejection::Rejection;

/// Lists deeper than this are not indented further.
const MAX_INDENT: usize = 8;
/// A file that is no longer is read whole.
const SEGMENT_BYTES: usize = 1024 * 1024;
/// A segment in which there is no good place to cut is cut anywhere.
const MAX_SEGMENT_BYTES: usize = 4 * SEGMENT_BYTES;

pub(super) fn read(
    source: &mut TextSource<'_>,
    builder: &mut Builder<'_>,
) -> Result<(), Rejection> {
    let mut lines = Lines::new(source);
    let mut segment = Segment::default();
    let mut is_first = true;
    while lines.next(&mut segment.line)? {
        segment.take_line();
        if let Some(ready) = segment.cut() {
            read_segment(&ready, std::mem::take(&mut is_first), builder)?;
        }
    }
    read_segment(&segment.text, is_first, builder)
}

/// Lines that were not read yet, and where they may be cut.
#[derive(Default)]
struct Segment {
    line: String,
    text: String,
    /// The mark that closes the code block that is open.
    fence: Option<String>,
    is_after_blank: bool,
    /// Where the last heading begins, and the last paragraph.
    heading: usize,
    paragraph: usize,
}

impl Segment {
    fn take_line(&mut self) {
        let start = self.text.len();
        let content = self.line.trim();
        let is_indented = self.line.starts_with([' ', '\t']);
        let mark: String = content
            .chars()
            .take_while(|c| content.starts_with(*c) && matches!(c, '`' | '~'))
            .collect();
        match &self.fence {
            Some(fence) if content.starts_with(fence.as_str()) && content == mark => {
                self.fence = None;
            }
            Some(_) => {}
            None if mark.len() >= 3 => self.fence = Some(mark),
            None if !is_indented && content.starts_with('#') => self.heading = start,
            None if self.is_after_blank && !is_indented && !content.is_empty() => {
                self.paragraph = start;
            }
            None => {}
        }
        self.is_after_blank = content.is_empty();
        self.text.push_str(&self.line);
    }

    /// The text up to the best place to cut it, once it is long.
    fn cut(&mut self) -> Option<String> {
        if self.text.len() < SEGMENT_BYTES {
            return None;
        }
        let at = match (self.heading, self.paragraph) {
            (0, 0) if self.text.len() < MAX_SEGMENT_BYTES => return None,
            (0, 0) => self.text.len(),
            (0, paragraph) => paragraph,
            (heading, _) => heading,
        };
        let rest = self.text.split_off(at);
        self.heading = 0;
        self.paragraph = 0;
        Some(std::mem::replace(&mut self.text, rest))
    }
}

fn read_segment(source: &str, is_first: bool, builder: &mut Builder<'_>) -> Result<(), Rejection> {
    let mut options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM
        | Options::ENABLE_HEADING_ATTRIBUTES;
    options.set(Options::ENABLE_YAML_STYLE_METADATA_BLOCKS, is_first);
    let mut reader = Reader {
        builder,
        inline: String::new(),
        lists: Vec::new(),
        item_opens: false,
        links: Vec::new(),
        table: None,
        verbatim: None,
        footnote: None,
    };
    for event in Parser::new_ext(source, options) {
        reader.event(event)?;
    }
    reader.flush()
}

/// What the block that is being read holds, apart from its inline text.
enum Verbatim {
    Code,
    Html,
    FrontMatter,
}

struct Reader<'b, 's> {
    builder: &'b mut Builder<'s>,
    inline: String,
    /// The open lists, outermost first; the next number of those that count.
    lists: Vec<Option<u64>>,
    /// Whether the inline text is the first of its list item, which carries the marker.
    item_opens: bool,
    /// Where each open link begins in the inline text, and its destination.
    links: Vec<(usize, String)>,
    table: Option<Vec<Vec<String>>>,
    verbatim: Option<Verbatim>,
    /// The label of the footnote that begins.
    footnote: Option<String>,
}

impl Reader<'_, '_> {
    fn event(&mut self, event: Event<'_>) -> Result<(), Rejection> {
        match event {
            Event::Start(tag) => self.start(tag)?,
            Event::End(tag) => self.end(tag)?,
            Event::Text(text) | Event::Code(text) => self.inline.push_str(&text),
            Event::InlineMath(text) | Event::DisplayMath(text) => self.inline.push_str(&text),
            Event::Html(text) => self.inline.push_str(&text),
            Event::InlineHtml(tag) => {
                let name = tag.trim_start_matches('<');
                if name.get(..2).is_some_and(|n| n.eq_ignore_ascii_case("br")) {
                    self.inline.push('\n');
                }
            }
            Event::FootnoteReference(label) => self.inline.push_str(&format!("[{label}]")),
            Event::SoftBreak => self.inline.push(' '),
            Event::HardBreak => self.inline.push('\n'),
            Event::TaskListMarker(done) => {
                self.inline.push_str(if done { "[x] " } else { "[ ] " });
            }
            Event::Rule => self.flush()?,
        }
        Ok(())
    }

    fn start(&mut self, tag: Tag<'_>) -> Result<(), Rejection> {
        match tag {
            Tag::Link { dest_url, .. } => {
                self.links.push((self.inline.len(), dest_url.into_string()));
                return Ok(());
            }
            Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript
            | Tag::Image { .. }
            | Tag::TableHead
            | Tag::TableRow
            | Tag::TableCell => {}
            block => {
                self.flush()?;
                self.start_block(block);
                return Ok(());
            }
        }
        match (tag, &mut self.table) {
            (Tag::TableHead | Tag::TableRow, Some(rows)) => rows.push(Vec::new()),
            (Tag::TableCell, _) => self.inline.clear(),
            _ => {}
        }
        Ok(())
    }

    fn start_block(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::List(first) => self.lists.push(first),
            Tag::Item => self.item_opens = true,
            Tag::Table(_) => self.table = Some(Vec::new()),
            Tag::CodeBlock(_) => self.verbatim = Some(Verbatim::Code),
            Tag::HtmlBlock => self.verbatim = Some(Verbatim::Html),
            Tag::MetadataBlock(MetadataBlockKind::YamlStyle) => {
                self.verbatim = Some(Verbatim::FrontMatter);
            }
            Tag::FootnoteDefinition(label) => self.footnote = Some(label.into_string()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) -> Result<(), Rejection> {
        match tag {
            TagEnd::Link => self.end_link(),
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.inline);
                if let Some(row) = self.table.as_mut().and_then(|rows| rows.last_mut()) {
                    row.push(cell);
                }
            }
            TagEnd::Table => {
                if let Some(rows) = self.table.take() {
                    self.builder.table(&rows, Header::Declared)?;
                }
            }
            TagEnd::Heading(level) => {
                let text = std::mem::take(&mut self.inline);
                self.links.clear();
                self.builder.heading(level as u8, &text)?;
            }
            TagEnd::List(_) => {
                self.flush()?;
                self.lists.pop();
            }
            TagEnd::Item => {
                self.flush()?;
                self.item_opens = false;
                if let Some(Some(number)) = self.lists.last_mut() {
                    *number = number.saturating_add(1);
                }
            }
            TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::Image
            | TagEnd::TableHead
            | TagEnd::TableRow => {}
            _ => self.flush()?,
        }
        Ok(())
    }

    /// Keeps an address that a person may need, unless it is what the text says anyway.
    fn end_link(&mut self) {
        let Some((start, address)) = self.links.pop() else {
            return;
        };
        let text = self.inline.get(start..).unwrap_or_default();
        let worth_keeping = address.starts_with("https://")
            || address.starts_with("http://")
            || address.starts_with("mailto:");
        let said = text.trim() == address || address.strip_prefix("mailto:") == Some(text.trim());
        if worth_keeping && !said && !text.trim().is_empty() {
            self.inline.push_str(&format!(" ({address})"));
        }
    }

    fn flush(&mut self) -> Result<(), Rejection> {
        let text = std::mem::take(&mut self.inline);
        self.links.clear();
        match self.verbatim.take() {
            Some(Verbatim::Code) => return self.builder.push(Block::Paragraph, &text),
            Some(Verbatim::Html) => {
                return self.builder.push(Block::Paragraph, &html::plain(&text));
            }
            Some(Verbatim::FrontMatter) => {
                let title = text.lines().find_map(|line| line.strip_prefix("title:"));
                self.builder
                    .title(title.unwrap_or_default().trim().trim_matches(['"', '\'']));
                return Ok(());
            }
            None => {}
        }
        if text.trim().is_empty() {
            return Ok(());
        }
        let Some(list) = self.lists.last() else {
            let text = match self.footnote.take() {
                Some(label) => format!("[{label}] {text}"),
                None => text,
            };
            return self.builder.push(Block::Paragraph, &text);
        };
        let indent = "  ".repeat((self.lists.len() - 1).min(MAX_INDENT));
        let marker = match (std::mem::take(&mut self.item_opens), list) {
            (true, Some(number)) => format!("{number}. "),
            (true, None) => "- ".to_owned(),
            (false, _) => "  ".to_owned(),
        };
        self.builder
            .push(Block::Line, &format!("{indent}{marker}{}", text.trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(source: &str) -> crate::Document {
        crate::extract::of_text(source, read)
    }

    #[test]
    fn text_reads_as_rendered() {
        let document = document(
            "A **bold** word, `code`, a [page](https://example.com/a) and <https://example.com>.\n\
             Same paragraph.<br>New line.[^1]\n\n[^1]: The note.\n\n<div><b>Raw</b> <script>x</script>markup</div>\n",
        );
        assert_eq!(
            document.sections[0].text,
            "A bold word, code, a page (https://example.com/a) and https://example.com. \
             Same paragraph.\nNew line.[1]\n\n[1] The note.\n\nRaw markup"
        );
    }

    #[test]
    fn headings_make_paths() {
        let document = document("# A\n\nintro\n\n### C\n\ndeep\n\n## B\n\nback\n");
        let paths: Vec<_> = document
            .sections
            .iter()
            .map(|s| s.heading_path.join(">"))
            .collect();
        assert_eq!(paths, ["A", "A>C", "A>B"]);
        assert_eq!(document.sections[2].text, "B\n\nback");
        assert_eq!(document.about.title.as_deref(), Some("A"));
    }

    #[test]
    fn lists_tables_and_code_keep_their_shape() {
        let document = document(
            "- one\n- two\n  1. inner\n  2. next\n- [x] done\n\n\
             | Part | Amount |\n|---|---|\n| Grease | 450 g |\n\n```sh\nparkctl  unlock\n  --now\n```\n",
        );
        assert_eq!(
            document.sections[0].text,
            "- one\n- two\n  1. inner\n  2. next\n- [x] done\nPart: Grease; Amount: 450 g\n\n\
             parkctl  unlock\n  --now"
        );
    }

    #[test]
    fn front_matter_gives_the_title_and_no_text() {
        let document = document("---\ntitle: \"Duty rules\"\nsecret: yes\n---\n\n# Heading\n");
        assert_eq!(document.about.title.as_deref(), Some("Duty rules"));
        assert_eq!(document.sections[0].text, "Heading");
    }

    #[test]
    fn a_long_file_reads_as_its_parts_do() {
        let part = |n: usize| {
            format!(
                "## Part {n}\n\n{}\n\n```sh\n# no heading {n}\n\nrun\n```\n\n1. one\n2. two\n\n",
                "Some words. ".repeat(200)
            )
        };
        let parts = 1_500;
        let source: String = (0..parts).map(part).collect();
        assert!(source.len() > 3 * SEGMENT_BYTES);
        let document = document(&source);
        assert_eq!(document.about.outline.len(), 1_000, "so many are kept");
        assert_eq!(document.sections.len(), parts);
        for (n, section) in document.sections.iter().enumerate() {
            let alone = super::tests::document(&part(n));
            assert_eq!(section.text, alone.sections[0].text);
            assert_eq!(section.heading_path, [format!("Part {n}")]);
        }
    }

    #[test]
    fn a_long_file_without_a_place_to_cut_is_read_as_well() {
        let source = format!("```\n{}", "a line of code\n".repeat(700_000));
        let document = document(&source);
        assert!(document.text().len() > 10_000_000);
    }
}
