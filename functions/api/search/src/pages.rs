//! Where a page of a search ended.
//!
//! A list by words goes on at a position in its order, which is the same however the index has
//! changed. A fused ranking has no such positions: what comes in between shifts ranks. So its cursor
//! says which hits were shown, and a page is the best of those that were not; nothing is shown
//! twice, and there are no more pages once as many were shown as the ranking is deep.
//!
//! Either says also of which search it is a page, as that is kept: a further page is none of its own.

use api::{App, Caller, Paging, Problem};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::SearchId;
use kernel::cursor::{Cursor, Page};
use retrieval::hybrid::DEPTH;
use text_index::{Hit, ItemKind, Position};

/// What stands between the id of the search and where its page begins.
const OF_SEARCH: char = '@';
/// What stands before the two kinds of cursors.
const POSITION: &str = "p";
const SHOWN: &str = "s";
const NAME_BYTES: usize = 4;

/// Where a page begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Start {
    First,
    After(Position),
    /// Behind these hits, by their short names.
    Shown(Vec<u32>),
}

impl Start {
    /// Reads the cursor of a request, and of which search it is, if that could be noted.
    ///
    /// # Errors
    /// 422 if it is none of this search in this org.
    pub(crate) fn read(
        app: &App,
        caller: &Caller,
        list: &str,
        cursor: Option<&str>,
    ) -> Result<(Option<SearchId>, Self), Problem> {
        let refused = || Problem::invalid_field("/cursor", "is not a cursor of this search");
        let paging = Paging::new(None, cursor.map(str::to_owned));
        let page = paging.request(app, caller, list).map_err(|_| refused())?;
        let Some(cursor) = page.after else {
            return Ok((None, Self::First));
        };
        let (search, start) = parted(cursor.sort_key());
        Ok((search, Self::of(start).ok_or_else(refused)?))
    }

    fn of(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            POSITION => Position::decode(rest).map(Self::After),
            SHOWN => {
                let bytes = URL_SAFE_NO_PAD.decode(rest).ok()?;
                let names = bytes.chunks_exact(NAME_BYTES);
                let name = |bytes: &[u8]| bytes.try_into().map(u32::from_be_bytes);
                names
                    .map(name)
                    .collect::<Result<_, _>>()
                    .ok()
                    .map(Self::Shown)
            }
            _ => None,
        }
    }

    fn cursor(&self) -> Option<Cursor> {
        match self {
            Self::First => None,
            Self::After(position) => Some(format!("{POSITION}:{}", position.encode())),
            Self::Shown(names) => {
                let bytes: Vec<u8> = names.iter().flat_map(|name| name.to_be_bytes()).collect();
                Some(format!("{SHOWN}:{}", URL_SAFE_NO_PAD.encode(bytes)))
            }
        }
        .map(Cursor::after)
    }
}

/// The id of a search and where one of its pages begins.
fn parted(text: &str) -> (Option<SearchId>, &str) {
    match text.split_once(OF_SEARCH) {
        Some((search, start)) => (search.parse().ok(), start),
        None => (None, text),
    }
}

/// The same page, of this search.
pub(crate) fn of_search(page: Page<Hit>, search: Option<SearchId>) -> Page<Hit> {
    let named = |cursor: Cursor| match search {
        Some(search) => Cursor::after(format!("{search}{OF_SEARCH}{}", cursor.sort_key())),
        None => cursor,
    };
    Page {
        items: page.items,
        next: page.next.map(named),
    }
}

/// The next page of a ranking, and where the one after it begins.
pub(crate) fn page_of(ranking: Vec<Hit>, start: &Start, limit: usize) -> Page<Hit> {
    let mut shown = match start {
        Start::Shown(names) => names.clone(),
        Start::First | Start::After(_) => Vec::new(),
    };
    let is_new = |hit: &Hit| !shown.contains(&short_name(hit.item.kind, &hit.item.id));
    let mut items: Vec<Hit> = ranking.into_iter().filter(is_new).collect();
    let room = limit.min(DEPTH.saturating_sub(shown.len()));
    let more = items.len() > room;
    items.truncate(room);
    shown.extend(
        items
            .iter()
            .map(|hit| short_name(hit.item.kind, &hit.item.id)),
    );
    let goes_on = more && shown.len() < DEPTH;
    let next = goes_on
        .then_some(Start::Shown(shown))
        .and_then(|next| next.cursor());
    Page { items, next }
}

/// The page of a list by words, which the index has cut.
pub(crate) fn page_at(items: Vec<Hit>, next: Option<Position>) -> Page<Hit> {
    let next = next.and_then(|position| Start::After(position).cursor());
    Page { items, next }
}

/// Tells the few hits of one search apart: FNV-1a over kind and id.
fn short_name(kind: ItemKind, id: &str) -> u32 {
    let name = kind.name().bytes().chain([b'/']).chain(id.bytes());
    name.fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use kernel::Timestamp;
    use kernel::signing::SigningKey;
    use text_index::Item;

    use super::*;

    fn hits(ids: impl IntoIterator<Item = usize>) -> Vec<Hit> {
        let hit = |id: usize| Hit {
            item: Item::new(ItemKind::Task, id, Timestamp::from_millis(0)),
            score: 0.0,
            highlights: Vec::new(),
        };
        ids.into_iter().map(hit).collect()
    }

    fn ids(page: &Page<Hit>) -> Vec<usize> {
        let ids = page.items.iter().map(|hit| hit.item.id.parse());
        ids.collect::<Result<_, _>>().expect("numbers")
    }

    fn start(page: &Page<Hit>) -> Option<Start> {
        page.next
            .as_ref()
            .map(|next| Start::of(next.sort_key()).expect("a start"))
    }

    #[test]
    fn pages_of_a_ranking_repeat_nothing_whatever_comes_in_between() {
        let first = page_of(hits(0..10), &Start::First, 4);
        assert_eq!(ids(&first), [0, 1, 2, 3]);
        let second = page_of(
            hits([99, 0, 5, 1, 4, 2, 6]),
            &start(&first).expect("more"),
            3,
        );
        assert_eq!(ids(&second), [99, 5, 4]);
        let third = page_of(hits([6, 99, 3]), &start(&second).expect("more"), 3);
        assert_eq!((ids(&third), third.next), (vec![6], None));
    }

    #[test]
    fn pages_end_at_the_depth_though_there_is_always_more() {
        let (mut from, mut shown) = (Start::First, 0);
        loop {
            let page = page_of(hits(0..10 * DEPTH), &from, 30);
            shown += page.items.len();
            let Some(next) = start(&page) else { break };
            let key = SigningKey::ephemeral();
            let page = of_search(page, Some(SearchId::from_u128(u128::MAX)));
            let cursor = page.next.expect("more").seal(&key, "list");
            assert!(cursor.len() <= api::MAX_CURSOR_CHARS, "{}", cursor.len());
            from = next;
        }
        assert_eq!(shown, DEPTH);
        assert_eq!(page_of(hits(0..DEPTH), &Start::First, DEPTH).next, None);
    }

    #[test]
    fn a_page_knows_of_which_search_it_is() {
        let id = SearchId::from_u128(7);
        let page = || page_of(hits(0..3), &Start::First, 1);
        let plain = page().next.expect("more");
        assert_eq!(parted(plain.sort_key()), (None, plain.sort_key()));
        let named = of_search(page(), Some(id)).next.expect("more");
        assert_eq!(parted(named.sort_key()), (Some(id), plain.sort_key()));
        assert_eq!(of_search(page(), None).next, Some(plain));
        assert_eq!(
            of_search(page_of(hits(0..1), &Start::First, 1), Some(id)).next,
            None
        );
    }

    #[test]
    fn other_texts_are_no_start() {
        for text in ["", "p", "p:", "p:x", "s:!", "x:AAAA"] {
            assert_eq!(Start::of(text), None, "{text}");
        }
        assert_eq!(Start::of("s:"), Some(Start::Shown(Vec::new())));
    }
}
