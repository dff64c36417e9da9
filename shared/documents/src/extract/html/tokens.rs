//! The tokens of a page, turned into pieces of text as they come.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::super::builder::{Block, Header};
use super::{Content, Found, Page, Region};
use crate::rejection::Rejection;

/// The input is fed in pieces of this size, with a look at the clock between them.
const PIECE_BYTES: usize = 16 * 1024;
/// Lists deeper than this are not indented further.
const MAX_INDENT: usize = 8;

/// Whether navigation, footers and the like are text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Boilerplate {
    Dropped,
    Kept,
}

/// Reads `source` to its end, or until it has given far more text than `text_limit`.
pub(super) fn tokenize(
    source: &str,
    boilerplate: Boilerplate,
    text_limit: u64,
    check: impl Fn() -> Result<(), Rejection>,
) -> Result<Page, Rejection> {
    let state = State::new(boilerplate);
    let tokenizer = Tokenizer::new(Sink(RefCell::new(state)), TokenizerOpts::default());
    let input = BufferQueue::default();
    let mut rest = source;
    while !rest.is_empty() {
        check()?;
        let mut end = rest.len().min(PIECE_BYTES);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, after) = rest.split_at(end);
        input.push_back(StrTendril::from_slice(piece));
        // The sink asks for nothing, so this runs to the end of the piece.
        let _ = tokenizer.feed(&input);
        // The builder judges the exact amount; this only stops what is far beyond it.
        if tokenizer.sink.0.borrow().collected as u64 > text_limit.saturating_mul(2) {
            break;
        }
        rest = after;
    }
    tokenizer.end();
    let mut state = tokenizer.sink.0.into_inner();
    state.flush();
    state.end_table();
    Ok(state.page)
}

struct Sink(RefCell<State>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) => state.tag(&tag),
            Token::CharacterTokens(text) => {
                state.text(&text);
                TokenSinkResult::Continue
            }
            _ => TokenSinkResult::Continue,
        }
    }
}

struct State {
    page: Page,
    boilerplate: Boilerplate,
    /// The element that is being skipped, and how many of its name are open within it.
    skipped: Option<(String, usize)>,
    in_title: bool,
    main: usize,
    article: usize,
    heading: Option<u8>,
    preformatted: usize,
    /// The open lists; the next number of those that count.
    lists: Vec<Option<u64>>,
    item_opens: bool,
    table: Option<Table>,
    inline: String,
    /// Bytes of text taken so far.
    collected: usize,
}

#[derive(Default)]
struct Table {
    rows: Vec<Vec<String>>,
    has_header: bool,
}

impl State {
    fn new(boilerplate: Boilerplate) -> Self {
        Self {
            page: Page::default(),
            boilerplate,
            skipped: None,
            in_title: false,
            main: 0,
            article: 0,
            heading: None,
            preformatted: 0,
            lists: Vec::new(),
            item_opens: false,
            table: None,
            inline: String::new(),
            collected: 0,
        }
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        if let Some((skipped, open)) = &mut self.skipped {
            if name == skipped.as_str() {
                match tag.kind {
                    TagKind::StartTag => *open += 1,
                    TagKind::EndTag => *open -= 1,
                }
                if *open == 0 {
                    self.skipped = None;
                }
            }
            return raw_text_state(tag);
        }
        if tag.kind == TagKind::StartTag && !tag.self_closing && self.is_skipped(tag) {
            if is_block(name) {
                self.flush();
            }
            self.skipped = Some((name.to_owned(), 1));
            return raw_text_state(tag);
        }
        match tag.kind {
            TagKind::StartTag => self.start(name),
            TagKind::EndTag => self.end(name),
        }
        raw_text_state(tag)
    }

    fn is_skipped(&self, tag: &Tag) -> bool {
        let name: &str = &tag.name;
        match name {
            "script" | "style" | "noscript" | "template" | "svg" | "math" | "object" | "iframe"
            | "select" | "textarea" | "button" | "canvas" | "audio" | "video" | "noframes" => true,
            _ if self.boilerplate == Boilerplate::Kept => false,
            "nav" | "footer" | "aside" | "dialog" | "menu" => true,
            // The head of an article holds its title; the head of a page holds a menu.
            "header" => self.main == 0 && self.article == 0,
            "div" | "section" | "span" | "ul" | "ol" | "table" | "form" => {
                is_hidden(tag) || is_frame(tag)
            }
            _ => false,
        }
    }

    fn start(&mut self, name: &str) {
        match name {
            "title" => self.in_title = self.page.title.is_empty(),
            "br" => self.inline.push('\n'),
            "main" => {
                self.flush();
                self.main += 1;
            }
            "article" => {
                self.flush();
                self.article += 1;
            }
            "ul" => self.start_list(None),
            "ol" => self.start_list(Some(1)),
            "li" => {
                self.flush();
                self.item_opens = true;
            }
            "pre" => {
                self.flush();
                self.preformatted += 1;
            }
            "table" => {
                // A table around another one is there for the layout.
                self.flush();
                self.end_table();
                self.table = Some(Table::default());
            }
            "tr" => {
                self.end_cell();
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
            }
            "td" | "th" => {
                self.end_cell();
                if let Some(table) = &mut self.table {
                    table.has_header |= name == "th" && table.rows.len() <= 1;
                    if table.rows.is_empty() {
                        table.rows.push(Vec::new());
                    }
                    if let Some(row) = table.rows.last_mut() {
                        row.push(String::new());
                    }
                }
            }
            _ if heading_level(name).is_some() => {
                self.flush();
                self.heading = heading_level(name);
            }
            _ if is_block(name) => self.flush(),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "title" => self.in_title = false,
            "main" => {
                self.flush();
                self.main = self.main.saturating_sub(1);
            }
            "article" => {
                self.flush();
                self.article = self.article.saturating_sub(1);
            }
            "ul" | "ol" => {
                self.flush();
                self.lists.pop();
            }
            "li" => {
                self.flush();
                self.item_opens = false;
            }
            "pre" => {
                self.flush();
                self.preformatted = self.preformatted.saturating_sub(1);
            }
            "table" => {
                self.end_cell();
                self.end_table();
            }
            "td" | "th" | "tr" => self.end_cell(),
            _ if heading_level(name).is_some() => {
                self.flush();
                self.heading = None;
            }
            _ if is_block(name) => self.flush(),
            _ => {}
        }
    }

    fn start_list(&mut self, first: Option<u64>) {
        self.flush();
        self.lists.push(first);
    }

    fn text(&mut self, text: &str) {
        if self.skipped.is_some() {
            return;
        }
        self.collected += text.len();
        if self.in_title {
            self.page.title.push_str(text);
        } else if self.preformatted > 0 {
            self.inline.push_str(text);
        } else {
            push_collapsed(&mut self.inline, text);
        }
    }

    /// Ends the paragraph, list item or heading that is being read. Within a table cell it only
    /// ends a word.
    fn flush(&mut self) {
        if self.in_cell() {
            self.inline.push(' ');
            return;
        }
        let text = std::mem::take(&mut self.inline);
        if text.trim().is_empty() {
            return;
        }
        let content = match (self.heading, self.lists.last_mut()) {
            (Some(level), _) => Content::Heading(level, text),
            (None, Some(list)) if self.preformatted == 0 => {
                let marker = match (std::mem::take(&mut self.item_opens), list) {
                    (true, Some(number)) => {
                        let marker = format!("{number}. ");
                        *number = number.saturating_add(1);
                        marker
                    }
                    (true, None) => "- ".to_owned(),
                    (false, _) => "  ".to_owned(),
                };
                let indent = "  ".repeat((self.lists.len() - 1).min(MAX_INDENT));
                Content::Text(Block::Line, format!("{indent}{marker}{}", text.trim()))
            }
            _ if self.preformatted > 0 => Content::Text(Block::Paragraph, text),
            _ => Content::Text(Block::Paragraph, text.trim().to_owned()),
        };
        self.add(content);
    }

    fn in_cell(&self) -> bool {
        self.table
            .as_ref()
            .is_some_and(|table| table.rows.last().is_some_and(|row| !row.is_empty()))
    }

    fn end_cell(&mut self) {
        if let Some(cell) = self
            .table
            .as_mut()
            .and_then(|table| table.rows.last_mut())
            .and_then(|row| row.last_mut())
        {
            cell.push_str(self.inline.trim());
            self.inline.clear();
        }
    }

    fn end_table(&mut self) {
        self.end_cell();
        let Some(table) = self.table.take() else {
            return;
        };
        let rows: Vec<_> = table
            .rows
            .into_iter()
            .filter(|row| !row.is_empty())
            .collect();
        let header = if table.has_header {
            Header::Declared
        } else {
            Header::Unknown
        };
        if rows.iter().all(|row| row.len() == 1) {
            // One column is a frame around text.
            for cell in rows.into_iter().flatten() {
                self.add(Content::Text(Block::Paragraph, cell));
            }
        } else {
            self.add(Content::Table(rows, header));
        }
    }

    fn add(&mut self, content: Content) {
        let region = match (self.main, self.article) {
            (0, 0) => Region::Page,
            (0, _) => Region::Article,
            _ => Region::Main,
        };
        self.page.found.push(Found { region, content });
    }
}

/// Where the tokenizer goes on in another mode, as a browser does.
fn raw_text_state(tag: &Tag) -> TokenSinkResult<()> {
    if tag.kind == TagKind::EndTag {
        return TokenSinkResult::Continue;
    }
    let name: &str = &tag.name;
    match name {
        "script" => TokenSinkResult::RawData(RawKind::ScriptData),
        "style" | "noscript" | "iframe" | "noframes" | "xmp" => {
            TokenSinkResult::RawData(RawKind::Rawtext)
        }
        "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
        _ => TokenSinkResult::Continue,
    }
}

/// What a reader does not see is not text of the page; it is also where instructions to a model
/// are hidden.
fn is_hidden(tag: &Tag) -> bool {
    tag.attrs.iter().any(|attribute| {
        let name: &str = &attribute.name.local;
        let value: &str = &attribute.value;
        match name {
            "hidden" => true,
            "aria-hidden" => value.eq_ignore_ascii_case("true"),
            "style" => {
                let style: String = value
                    .chars()
                    .filter(|c| !c.is_whitespace())
                    .map(|c| c.to_ascii_lowercase())
                    .collect();
                style.contains("display:none") || style.contains("visibility:hidden")
            }
            _ => false,
        }
    })
}

/// What a page says is around its content, by the landmark roles of ARIA.
fn is_frame(tag: &Tag) -> bool {
    tag.attrs.iter().any(|attribute| {
        let name: &str = &attribute.name.local;
        let value: &str = &attribute.value;
        name == "role"
            && [
                "navigation",
                "banner",
                "contentinfo",
                "complementary",
                "search",
                "dialog",
                "alertdialog",
                "menu",
                "menubar",
                "toolbar",
            ]
            .iter()
            .any(|role| value.eq_ignore_ascii_case(role))
    })
}

fn heading_level(name: &str) -> Option<u8> {
    match name.as_bytes() {
        [b'h', level @ b'1'..=b'6'] => Some(level - b'0'),
        _ => None,
    }
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "p" | "div"
            | "section"
            | "article"
            | "blockquote"
            | "figure"
            | "figcaption"
            | "header"
            | "footer"
            | "nav"
            | "aside"
            | "body"
            | "head"
            | "hr"
            | "dl"
            | "dt"
            | "dd"
            | "address"
            | "details"
            | "summary"
            | "fieldset"
            | "legend"
            | "form"
            | "option"
            | "caption"
            | "center"
            | "hgroup"
    )
}

fn push_collapsed(inline: &mut String, text: &str) {
    for c in text.chars() {
        // A no-break space is no white space here: it holds a figure and its unit together.
        if c.is_ascii_whitespace() {
            if !inline.is_empty() && !inline.ends_with([' ', '\n']) {
                inline.push(' ');
            }
        } else {
            inline.push(c);
        }
    }
}
