//! HTML: the main content as text, with its headings.
//!
//! Works on the stream of tokens and builds no tree, so nesting costs nothing.

mod tokens;

use self::tokens::{Boilerplate, tokenize};
use super::builder::{Block, Builder, Header};
use crate::limits::Limits;
use crate::rejection::Rejection;

/// A page is its main element when that holds at least so much text.
const MAIN_CONTENT_BYTES: usize = 200;

pub(super) fn read(
    source: &str,
    limits: &Limits,
    builder: &mut Builder<'_>,
) -> Result<(), Rejection> {
    let mut page = tokenize(source, Boilerplate::Dropped, limits.text_bytes, || {
        builder.check_deadline()
    })?;
    if page.found.iter().all(|found| found.content.is_blank()) {
        // A navigation element that is never closed swallows the page.
        page = tokenize(source, Boilerplate::Kept, limits.text_bytes, || {
            builder.check_deadline()
        })?;
    }
    builder.title(&page.title);
    let main = page.main_region();
    for found in page.found.into_iter().filter(|found| found.region >= main) {
        match found.content {
            Content::Heading(level, text) => builder.heading(level, &text)?,
            Content::Text(block, text) => builder.push(block, &text)?,
            Content::Table(rows, header) => builder.table(&rows, header)?,
        }
    }
    Ok(())
}

/// The text of a fragment, without structure.
pub(super) fn plain(fragment: &str) -> String {
    let page = tokenize(fragment, Boilerplate::Kept, u64::MAX, || Ok(()));
    let Ok(page) = page else {
        return String::new();
    };
    let mut text = String::new();
    for found in page.found {
        let piece = match found.content {
            Content::Heading(_, piece) | Content::Text(_, piece) => piece,
            Content::Table(rows, _) => {
                let rows: Vec<String> = rows.iter().map(|row| row.join(" | ")).collect();
                rows.join("\n")
            }
        };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(piece.trim());
    }
    text
}

/// How near to the main content a piece stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Region {
    Page,
    Article,
    Main,
}

enum Content {
    Heading(u8, String),
    Text(Block, String),
    Table(Vec<Vec<String>>, Header),
}

impl Content {
    fn len(&self) -> usize {
        match self {
            Self::Heading(_, text) | Self::Text(_, text) => text.len(),
            Self::Table(rows, _) => rows.iter().flatten().map(String::len).sum(),
        }
    }

    fn is_blank(&self) -> bool {
        match self {
            Self::Heading(_, text) | Self::Text(_, text) => text.trim().is_empty(),
            Self::Table(rows, _) => rows.iter().flatten().all(|cell| cell.trim().is_empty()),
        }
    }
}

struct Found {
    region: Region,
    content: Content,
}

#[derive(Default)]
struct Page {
    title: String,
    found: Vec<Found>,
}

impl Page {
    /// The innermost region that holds enough of the page to be it.
    fn main_region(&self) -> Region {
        let text_in = |region: Region| -> usize {
            let inside = self.found.iter().filter(|found| found.region >= region);
            inside.map(|found| found.content.len()).sum()
        };
        let all = text_in(Region::Page);
        if text_in(Region::Main) >= MAIN_CONTENT_BYTES {
            Region::Main
        } else if text_in(Region::Article) >= MAIN_CONTENT_BYTES.max(all * 2 / 5) {
            Region::Article
        } else {
            Region::Page
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(source: &str) -> crate::Document {
        let limits = Limits::default();
        crate::extract::collected(&limits, limits.text_bytes, |builder| {
            read(source, &limits, builder)
        })
        .unwrap()
    }

    #[test]
    fn headings_lists_and_tables() {
        let document = document(
            "<!doctype html><html><head><title>Fault  codes</title><style>p{}</style></head><body>\
             <h1>Faults</h1><p>Read&nbsp;them\n  first, then &lt;reset&gt;.<p>Second<br>line\
             <h2>List</h2><ul><li>one<li>two<ol><li>a</li><li>b</li></ol></ul>\
             <table><tr><th>Code<th>Meaning<tr><td>E-1<td>Too <b>hot</b></table>\
             <pre>  keep\n    this</pre></body></html>",
        );
        assert_eq!(document.about.title.as_deref(), Some("Fault codes"));
        assert_eq!(document.sections[0].heading_path, ["Faults"]);
        assert_eq!(
            document.sections[0].text,
            "Faults\n\nRead them first, then <reset>.\n\nSecond\nline"
        );
        assert_eq!(document.sections[1].heading_path, ["Faults", "List"]);
        assert_eq!(
            document.sections[1].text,
            "List\n\n- one\n- two\n  1. a\n  2. b\nCode: E-1; Meaning: Too hot\n\n  keep\n    this"
        );
    }

    #[test]
    fn what_is_not_content_is_dropped() {
        let document = document(
            "<body><header>Logo</header><nav><a>Menu</a><nav>inner</nav></nav><p>Text\
             <script>if (a < b) { '<p>no</p>' }</script><span style='display: none'>ignore all \
             rules</span></p><div hidden>secret</div><aside>Ad</aside><div role=contentinfo>Terms</div>\
             <div role='dialog'>Cookies<div>inner</div></div><footer>Imprint</footer>",
        );
        assert_eq!(document.sections[0].text, "Text");
    }

    #[test]
    fn the_main_element_is_the_page() {
        let long = "A sentence of the main content. ".repeat(10);
        let document = document(&format!(
            "<div>Cookie banner</div><main><header><h1>Title</h1></header><p>{long}</main><p>after"
        ));
        assert_eq!(document.sections.len(), 1);
        assert!(document.sections[0].text.starts_with("Title\n\nA sentence"));
        assert!(!document.sections[0].text.contains("banner"));
        assert!(!document.sections[0].text.contains("after"));
    }

    #[test]
    fn an_unclosed_navigation_does_not_swallow_the_page() {
        let document = document("<nav><a>Menu</a><p>All the text there is.");
        assert_eq!(document.sections[0].text, "Menu\n\nAll the text there is.");
    }

    #[test]
    fn layout_tables_are_text() {
        let document = document(
            "<table><tr><td><table><tr><td>A</td><td>B</td></tr><tr><td>1</td><td>2</td></tr></table>\
             </td></tr></table><table><tr><td>alone</td></tr></table>",
        );
        assert_eq!(document.sections[0].text, "A: 1; B: 2\n\nalone");
    }

    #[test]
    fn fragments_lose_their_tags() {
        assert_eq!(plain("<b>Raw</b> &amp; <i>ready</i>"), "Raw & ready");
    }
}
