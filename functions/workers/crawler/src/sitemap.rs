//! Sitemaps: lists of the pages of a site, and lists of such lists.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;

/// The most bytes of a sitemap, unpacked; what the protocol allows.
pub(crate) const MOST_BYTES: usize = 50 * 1024 * 1024;
/// The most addresses of one sitemap; what the protocol allows.
pub(crate) const MOST_ADDRESSES: usize = 50_000;
/// The longest address that is kept, in bytes; one more than is taken, to be seen and passed over.
const MOST_ADDRESS_BYTES: usize = domain::source::MAX_URL_BYTES + 1;

/// What a sitemap lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sitemap {
    pub(crate) pages: Vec<String>,
    pub(crate) sitemaps: Vec<String>,
    /// How many addresses above [`MOST_ADDRESSES`] were not looked at.
    pub(crate) beyond: u32,
}

/// Why a sitemap cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("The sitemap has more than 50 MB once it is unpacked.")]
    TooLarge,
    #[error("The sitemap cannot be unpacked.")]
    Packed,
    #[error("This is no sitemap: {0}.")]
    Invalid(String),
}

impl Unreadable {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "sitemap_too_large",
            Self::Packed | Self::Invalid(_) => "sitemap_invalid",
        }
    }
}

impl Sitemap {
    /// Reads a sitemap, packed by gzip or not: XML, or a text with an address in each line.
    pub(crate) fn read(body: Vec<u8>) -> Result<Self, Unreadable> {
        let text = text(unpacked(body)?)?;
        let text = text.trim_start_matches('\u{feff}');
        if text.trim_start().starts_with('<') {
            return Self::of_xml(text);
        }
        let mut map = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if !line.starts_with("http://") && !line.starts_with("https://") {
                let what = "it is neither XML nor a list of addresses";
                return Err(Unreadable::Invalid(what.to_owned()));
            }
            map.add(false, line.to_owned());
        }
        Ok(map)
    }

    fn of_xml(text: &str) -> Result<Self, Unreadable> {
        let invalid = |why: &dyn std::fmt::Display| Unreadable::Invalid(why.to_string());
        let mut reader = Reader::from_str(text);
        let mut map = Self::default();
        let mut is_index = None;
        // How deep we are: 1 in the list, 2 in an entry of it, 3 in what is said of the entry.
        let mut depth = 0_u32;
        let mut address: Option<String> = None;
        loop {
            let event = reader.read_event().map_err(|error| invalid(&error))?;
            if let (Event::Start(element) | Event::Empty(element), 0) = (&event, depth) {
                is_index = Some(match element.local_name().as_ref() {
                    "urlset" => false,
                    "sitemapindex" => true,
                    _ => {
                        return Err(invalid(
                            &"its first element is neither urlset nor sitemapindex",
                        ));
                    }
                });
            }
            match event {
                Event::Start(element) => {
                    // Not the address of a picture within the entry.
                    if depth == 2 && element.local_name().as_ref() == "loc" {
                        address = Some(String::new());
                    }
                    depth += 1;
                }
                Event::End(_) => {
                    depth = depth.saturating_sub(1);
                    if depth == 2
                        && let Some(address) = address.take()
                    {
                        map.add(is_index == Some(true), address.trim().to_owned());
                    }
                }
                Event::Text(piece) => extend(address.as_mut(), &piece.xml10_content()),
                Event::CData(piece) => extend(address.as_mut(), &piece.xml10_content()),
                Event::GeneralRef(reference) => {
                    let name = reference.xml10_content();
                    let letter = reference.resolve_char_ref().ok().flatten();
                    let letter = letter.map(String::from);
                    let known = letter.or_else(|| resolve_xml_entity(&name).map(str::to_owned));
                    match known {
                        Some(text) => extend(address.as_mut(), &text),
                        // Entities of its own are not looked up; its address is none.
                        None => extend(address.as_mut(), "\u{0}"),
                    }
                }
                Event::Eof if is_index.is_none() => return Err(invalid(&"it is empty")),
                Event::Eof => return Ok(map),
                _ => {}
            }
        }
    }

    fn add(&mut self, is_sitemap: bool, address: String) {
        if self.pages.len() + self.sitemaps.len() >= MOST_ADDRESSES {
            self.beyond = self.beyond.saturating_add(1);
        } else if is_sitemap {
            self.sitemaps.push(address);
        } else {
            self.pages.push(address);
        }
    }
}

fn extend(address: Option<&mut String>, more: &str) {
    if let Some(address) = address {
        let room = MOST_ADDRESS_BYTES.saturating_sub(address.len());
        address.push_str(&more[..more.floor_char_boundary(room.min(more.len()))]);
    }
}

/// The bytes themselves. Packed ones are unpacked up to the limit and no further.
fn unpacked(body: Vec<u8>) -> Result<Vec<u8>, Unreadable> {
    if !body.starts_with(&[0x1F, 0x8B]) {
        return if body.len() > MOST_BYTES {
            Err(Unreadable::TooLarge)
        } else {
            Ok(body)
        };
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(body.as_slice())
        .take(MOST_BYTES as u64 + 1)
        .read_to_end(&mut unpacked)
        .map_err(|_| Unreadable::Packed)?;
    if unpacked.len() > MOST_BYTES {
        return Err(Unreadable::TooLarge);
    }
    Ok(unpacked)
}

fn text(bytes: Vec<u8>) -> Result<String, Unreadable> {
    String::from_utf8(bytes).map_err(|_| Unreadable::Invalid("it is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn packed(pieces: usize, piece: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        for _ in 0..pieces {
            encoder.write_all(piece).expect("packed");
        }
        encoder.finish().expect("packed")
    }

    fn read(text: &str) -> Result<Sitemap, Unreadable> {
        Sitemap::read(text.as_bytes().to_vec())
    }

    #[test]
    fn pages_are_listed_with_their_addresses_as_they_are_meant() {
        let text = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\" \
            xmlns:image=\"http://www.google.com/schemas/sitemap-image/1.1\">\n\
            <url><loc>\n https://example.com/a?x=1&amp;y=&#50; </loc><lastmod>2026-01-01</lastmod></url>\
            <url><image:image><image:loc>https://cdn.example.com/i.png</image:loc></image:image></url>\
            <url><lastmod>2026-01-01</lastmod><loc><![CDATA[https://example.com/b?c&d]]></loc></url>\
            <url><priority>1</priority></url></urlset>";
        let map = read(text).expect("a sitemap");
        assert_eq!(
            map.pages,
            ["https://example.com/a?x=1&y=2", "https://example.com/b?c&d"]
        );
        assert_eq!((map.sitemaps.len(), map.beyond), (0, 0));
    }

    #[test]
    fn an_index_lists_sitemaps_and_a_text_lists_pages() {
        let index =
            "<sitemapindex><sitemap><loc>https://example.com/1.xml</loc></sitemap></sitemapindex>";
        let map = Sitemap::read(packed(1, index.as_bytes())).expect("an index");
        assert_eq!(map.sitemaps, ["https://example.com/1.xml"]);
        let text = "https://example.com/a\r\n\nhttps://example.com/b\n";
        let map = read(text).expect("a list");
        assert_eq!(map.pages.len(), 2);
    }

    #[test]
    fn an_entity_of_its_own_makes_no_address() {
        let text = "<!DOCTYPE x [<!ENTITY a \"https://example.com\"><!ENTITY b \"&a;&a;\">]>\
            <urlset><url><loc>&b;/x</loc></url></urlset>";
        let map = read(text).expect("a sitemap");
        assert!(map.pages[0].starts_with('\u{0}'), "{map:?}");
    }

    #[test]
    fn more_addresses_than_a_sitemap_may_have_are_counted() {
        let entry = "<url><loc>https://example.com/a</loc></url>".repeat(60_000);
        let map = read(&format!("<urlset>{entry}</urlset>")).expect("a sitemap");
        assert_eq!((map.pages.len(), map.beyond), (MOST_ADDRESSES, 10_000));
    }

    #[test]
    fn what_unfolds_without_end_is_cut_off() {
        let bomb = packed(200, &vec![b' '; 1024 * 1024]);
        assert!(bomb.len() < 1024 * 1024);
        assert_eq!(Sitemap::read(bomb), Err(Unreadable::TooLarge));
        let mut broken = packed(1, b"<urlset></urlset>");
        broken.truncate(15);
        assert_eq!(Sitemap::read(broken), Err(Unreadable::Packed));
    }

    #[test]
    fn what_is_no_sitemap_says_so() {
        for text in [
            "",
            "  ",
            "hello",
            "<html><body>Not found</body></html>",
            "<urlset><url></loc></urlset>",
            "<!-- only -->",
        ] {
            let read = read(text);
            let is_empty_list = text.trim().is_empty();
            assert!(
                matches!(read, Err(Unreadable::Invalid(_))) || is_empty_list,
                "{text:?}: {read:?}"
            );
        }
        assert!(Sitemap::read(vec![0xFF, 0xFE, 0x00]).is_err());
    }

    #[test]
    fn an_address_without_end_is_cut() {
        let text = format!(
            "<urlset><url><loc>{}</loc></url></urlset>",
            "x".repeat(1 << 20)
        );
        assert_eq!(
            read(&text).expect("a sitemap").pages[0].len(),
            MOST_ADDRESS_BYTES
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = Sitemap::read(bytes);
        }

        #[test]
        fn no_markup_panics_the_reader(text in "(<|>|/|urlset|url|loc|&|;|#|x| |!|\\[|CDATA|\\]|-){0,60}") {
            let _ = read(&text);
        }
    }
}
