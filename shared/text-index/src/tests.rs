//! Questions to an index in temporary files, without a store.

use domain::event::Actor;
use domain::viewer::Viewer;
use kernel::{AgentId, ApiKeyId, FileId, KnowledgeBaseId, TaskId, Timestamp, UserId};
use store::index_marks::Mark;

use crate::files::Files;
use crate::items::Entry;
use crate::items::documents::chunk_id;
use crate::query::parse::parse;
use crate::query::{Facet, Found, Highlight, Matching, Period, Position, Query, Scope, Sort};
use crate::read::State;
use crate::write::{self, Changes};
use crate::{Item, ItemKind, Suggestion};

struct Fixture {
    files: Files,
    marks: u128,
}

impl Fixture {
    /// An index with these items, each in a segment of its own.
    fn with(items: Vec<Item>) -> Self {
        let mut fixture = Self {
            files: Files::default(),
            marks: 0,
        };
        for item in items {
            fixture.add(item);
        }
        fixture
    }

    fn add(&mut self, item: Item) -> Mark {
        self.marks += 1;
        let mark = Mark::Task(TaskId::from_u128(self.marks));
        self.replace(mark, vec![item]);
        mark
    }

    fn replace(&mut self, mark: Mark, items: Vec<Item>) {
        let mut changes = Changes::default();
        let entries = items.into_iter().map(Entry::from).collect();
        changes.sources.insert(mark, entries);
        write::apply(&self.files, &changes).unwrap();
    }

    fn search_as(&self, scope: &Scope, query: &Query) -> Found {
        let parsed = parse(&query.text, query.last_word_is_prefix);
        let state = State::over(1, &self.files).unwrap();
        state.search(scope, query, &parsed).unwrap()
    }

    fn search(&self, query: &Query) -> Found {
        self.search_as(&everything(), query)
    }

    fn ids(&self, query: &Query) -> Vec<String> {
        ids(&self.search(query))
    }

    fn suggest(&self, scope: &Scope, beginning: &str) -> Vec<Suggestion> {
        let state = State::over(1, &self.files).unwrap();
        state.suggest(scope, &parse(beginning, true), 10).unwrap()
    }
}

fn ids(found: &Found) -> Vec<String> {
    found.hits.iter().map(|hit| hit.item.id.clone()).collect()
}

fn everything() -> Scope {
    Scope::new(ItemKind::ALL.iter().copied(), Viewer::Everything)
}

fn task(id: &str, title: &str, body: &str) -> Item {
    Item {
        title: title.to_owned(),
        body: body.to_owned(),
        ..Item::new(ItemKind::Task, id, Timestamp::from_millis(1_000))
    }
}

fn garage() -> Fixture {
    Fixture::with(vec![
        task(
            "oil",
            "Change the oil",
            "Drain the engine oil, then fit the drain plug.",
        ),
        task(
            "filter",
            "Filters",
            "Filtering elements are changed with every second oil change.",
        ),
        task(
            "pump",
            "Hydraulic pump",
            "The pump makes noise. Handle with care.",
        ),
        task("plug", "Spark plugs", "Plug wires wear; drains do not."),
    ])
}

#[test]
fn words_are_found_in_whatever_form() {
    let garage = garage();
    assert_eq!(garage.ids(&Query::new("pumps")), ["pump"]);
    assert_eq!(garage.ids(&Query::new("draining")), ["oil", "plug"]);
    assert_eq!(garage.ids(&Query::new("FILTERED")), ["filter"]);
    let oil = garage.search(&Query::new("what about the oil change"));
    assert_eq!(oil.hits[0].item.id, "oil", "{:?}", ids(&oil));
    assert_eq!(oil.total, 2);
}

#[test]
fn all_words_or_any_of_them() {
    let garage = garage();
    let both = Query {
        matching: Matching::All,
        ..Query::new("oil drain")
    };
    assert_eq!(garage.ids(&both), ["oil"]);
    assert_eq!(garage.ids(&Query::new("oil noise")).len(), 3);
}

#[test]
fn most_words_are_half_of_them() {
    let garage = garage();
    let most = |text: &str| {
        garage.ids(&Query {
            matching: Matching::Most,
            ..Query::new(text)
        })
    };
    assert_eq!(most("oil drain unicorn"), ["oil"]);
    assert_eq!(most("is there a spark for the unicorn"), ["plug"]);
    assert!(most("oil unicorn dragon phoenix").is_empty());
    assert_eq!(most("").len(), 4);
}

#[test]
fn a_phrase_is_words_in_their_order() {
    let garage = garage();
    assert_eq!(garage.ids(&Query::new("\"drain plug\"")), ["oil"]);
    assert!(garage.ids(&Query::new("\"plug drain\"")).is_empty());
    assert_eq!(garage.ids(&Query::new("plug -\"drain plug\"")), ["plug"]);
    assert_eq!(garage.ids(&Query::new("oil -filters")), ["oil"]);
    // Of items in one segment, one that is not excluded stands before the first that is.
    let mut index = Fixture::with(Vec::new());
    let mark = index.add(task("none", "", ""));
    let items = [
        ("a", "oil"),
        ("b", "oil from the drain plug"),
        ("c", "oil plug drain"),
    ];
    let items = items.map(|(id, body)| task(id, "", body));
    index.replace(mark, items.to_vec());
    let mut found = index.ids(&Query::new("oil -\"drain plug\""));
    found.sort();
    assert_eq!(found, ["a", "c"]);
}

#[test]
fn beginnings_of_words_are_found() {
    let garage = garage();
    assert_eq!(garage.ids(&Query::new("hydr*")), ["pump"]);
    let typing = Query {
        last_word_is_prefix: true,
        ..Query::new("spark pl")
    };
    assert_eq!(garage.ids(&typing)[0], "plug");
    assert!(garage.ids(&Query::new("hydr")).is_empty());
}

#[test]
fn near_words_are_found_instead_of_unknown_ones() {
    let garage = garage();
    let found = garage.search(&Query::new("hidraulik pmp pummp"));
    assert_eq!(ids(&found), ["pump"]);
    let corrected: Vec<&str> = found.corrections.iter().map(|c| c.word.as_str()).collect();
    assert_eq!(
        corrected,
        ["hidraulik", "pummp"],
        "three letters are not corrected"
    );
    assert_eq!(found.corrections[0].instead, ["hydraulic"]);
    let exact = Query {
        typos: false,
        ..Query::new("hidraulik")
    };
    assert!(garage.ids(&exact).is_empty());
    assert!(garage.search(&Query::new("pump")).corrections.is_empty());
    assert!(
        garage.ids(&Query::new("zydraulic")).is_empty(),
        "the first letter is right"
    );
}

#[test]
fn what_is_written_without_spaces_is_found_by_its_parts() {
    let numbers = Fixture::with(vec![
        task("right", "Invoice INV-2024-001", ""),
        task("wrong", "Invoice 2024", "001 INV"),
        task("japanese", "", "油圧ポンプを交換する"),
    ]);
    assert_eq!(numbers.ids(&Query::new("INV-2024-001"))[0], "right");
    assert_eq!(numbers.ids(&Query::new("ポンプ")), ["japanese"]);
    assert!(numbers.ids(&Query::new("プンポ").clone_all()).is_empty());
}

impl Query {
    fn clone_all(&self) -> Self {
        Self {
            text: format!("\"{}\"", self.text),
            ..self.clone()
        }
    }
}

#[test]
fn each_language_has_its_rules() {
    let german = Item {
        language: Some("de".to_owned()),
        ..task("de", "Wartung", "Die Häuser wurden gewartet.")
    };
    let index = Fixture::with(vec![
        german,
        task("en", "Houses", "The houses were serviced."),
    ]);
    assert_eq!(index.ids(&Query::new("Haus")), ["de"]);
    assert_eq!(
        index.ids(&Query::new("hauser")),
        ["de"],
        "accents do not matter"
    );
    assert_eq!(index.ids(&Query::new("service")), ["en"]);
}

#[test]
fn filters_and_periods_narrow_and_facets_count() {
    let at = Timestamp::from_millis;
    let item = |id: &str, status: &str, agent: u128, created: i64| Item {
        status: Some(status.to_owned()),
        agent: Some(AgentId::from_u128(agent)),
        created_at: at(created),
        updated_at: at(10_000 - created),
        ..task(id, "Pump", "")
    };
    let mut index = Fixture::with(vec![
        item("a", "todo", 1, 10),
        item("b", "done", 1, 20),
        item("c", "done", 2, 30),
    ]);
    index.add(Item::new(ItemKind::Agent, "agent", at(40)));
    let mut query = Query {
        facets: vec![Facet::Kind, Facet::Status, Facet::Agent, Facet::Language],
        ..Query::new("pump")
    };
    let found = index.search(&query);
    assert_eq!(found.total, 3);
    let values = |found: &Found, number: usize| found.facets[number].values.clone();
    assert_eq!(values(&found, 0), [("task".to_owned(), 3)]);
    assert_eq!(
        values(&found, 1),
        [("done".to_owned(), 2), ("todo".to_owned(), 1)]
    );
    assert_eq!(values(&found, 2)[0], (AgentId::from_u128(1).to_string(), 2));
    assert_eq!(values(&found, 3), []);

    query.filter.statuses = vec!["done".to_owned()];
    query.filter.agents = vec![AgentId::from_u128(1), AgentId::from_u128(9)];
    assert_eq!(index.ids(&query), ["b"]);

    let mut all = Query::new("");
    assert_eq!(
        index.ids(&all),
        ["agent", "c", "b", "a"],
        "the newest first"
    );
    all.sort = Sort::Oldest;
    assert_eq!(index.ids(&all), ["a", "b", "c", "agent"]);
    all.sort = Sort::RecentlyUpdated;
    assert_eq!(index.ids(&all)[0], "a");
    all.filter.created = Period {
        from: Some(at(20)),
        before: Some(at(30)),
    };
    assert_eq!(index.ids(&all), ["b"]);
    all.filter.created = Period::default();
    all.filter.knowledge_bases = vec![KnowledgeBaseId::from_u128(1)];
    assert_eq!(index.search(&all).total, 0);
}

#[test]
fn pages_follow_one_another_without_gaps_or_repetitions() {
    let items = (0..23).map(|number| Item {
        created_at: Timestamp::from_millis(i64::from(number / 4)),
        ..task(
            &format!("{number:02}"),
            "Pump",
            &"pump ".repeat(number as usize % 5),
        )
    });
    let index = Fixture::with(items.collect());
    for sort in [Sort::Relevance, Sort::Newest, Sort::Oldest] {
        let mut query = Query {
            sort,
            limit: 5,
            ..Query::new("pump")
        };
        let mut seen = Vec::new();
        loop {
            let found = index.search(&query);
            assert_eq!(found.total, 23);
            seen.extend(ids(&found));
            let Some(next) = found.next else { break };
            query.after = Position::decode(&next.encode());
            assert!(query.after.is_some());
        }
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!((seen.len(), sorted.len()), (23, 23), "{sort:?}");
    }
    let score_of_last = {
        let query = Query {
            limit: 5,
            ..Query::new("pump")
        };
        index.search(&query).next
    };
    let other = Query {
        sort: Sort::Newest,
        after: score_of_last,
        ..Query::new("pump")
    };
    assert_eq!(
        index.search(&other).hits.len(),
        20,
        "of another order, it means nothing"
    );
}

#[test]
fn the_matched_words_are_shown() {
    let found = garage().search(&Query::new("drain plug"));
    let oil = found.hits.iter().find(|hit| hit.item.id == "oil").unwrap();
    let marked = |highlight: &Highlight| {
        let letters: Vec<char> = highlight.text.chars().collect();
        let words = highlight.ranges.iter();
        words
            .map(|range| letters[range.clone()].iter().collect::<String>())
            .collect::<Vec<_>>()
    };
    assert_eq!(marked(&oil.highlights[0]), ["Drain", "drain", "plug"]);
}

#[test]
fn nothing_is_found_by_whom_it_is_not_for() {
    let user = |number| Actor::User {
        id: UserId::from_u128(number),
    };
    let (ada, bob) = (user(1), user(2));
    let key = Actor::ApiKey {
        id: ApiKeyId::from_u128(3),
    };
    let secret = Item {
        private_to: Some(ada),
        kind: ItemKind::Message,
        ..task(
            "secret",
            "Bluebird merger",
            "Confidential acquisition of Bluebird",
        )
    };
    let index = Fixture::with(vec![secret, task("open", "Blue paint", "For the door")]);
    let own = |actor| Scope::new(ItemKind::ALL.iter().copied(), Viewer::Own(actor));
    let query = Query {
        facets: vec![Facet::Kind],
        ..Query::new("bluebird")
    };
    assert_eq!(ids(&index.search_as(&own(ada), &query)), ["secret"]);
    assert_eq!(ids(&index.search_as(&everything(), &query)), ["secret"]);
    for viewer in [own(bob), own(key)] {
        let found = index.search_as(&viewer, &query);
        assert_eq!((found.total, found.hits.len()), (0, 0));
        assert!(found.facets[0].values.is_empty(), "nor counted");
        let near = index.search_as(&viewer, &Query::new("blueberd confidencial"));
        assert!(
            near.corrections.is_empty(),
            "nor named as a near word: {near:?}"
        );
        assert_eq!(index.suggest(&viewer, "blueb"), [], "nor suggested");
        assert_eq!(index.suggest(&viewer, "acq"), []);
    }
    let no_messages = Scope::new([ItemKind::Task], Viewer::Own(ada));
    assert_eq!(index.search_as(&no_messages, &query).total, 0);
    let nothing = Scope::new([], Viewer::Everything);
    assert_eq!(index.search_as(&nothing, &Query::new("")).total, 0);
    let all = index.search_as(&own(bob), &Query::new(""));
    assert_eq!(ids(&all), ["open"]);
}

#[test]
fn chunks_by_their_places_obey_viewer_filter_and_signs_whatever_their_words() {
    let (base, other) = (KnowledgeBaseId::from_u128(1), KnowledgeBaseId::from_u128(2));
    let file = FileId::from_u128(3);
    let chunk = |base, ordinal, body: &str| Item {
        knowledge_base: Some(base),
        file: Some(file),
        body: body.to_owned(),
        type_: Some("pdf".to_owned()),
        ..Item::new(
            ItemKind::Chunk,
            chunk_id(base, file, ordinal),
            Timestamp::from_millis(1_000),
        )
    };
    let mut index = garage();
    for base in [base, other] {
        let chunks = vec![
            chunk(base, 0, "Lubricate the gears."),
            chunk(base, 1, "A draft of the plan."),
            chunk(base, 2, "Oil it."),
        ];
        index.replace(Mark::Document { base, file }, chunks);
    }
    let places = [
        (base, file, 0),
        (base, file, 1),
        (base, file, 9),
        (other, file, 0),
    ];
    let look_up = |scope: &Scope, query: &Query| {
        let parsed = parse(&query.text, false);
        let state = State::over(1, &index.files).unwrap();
        let mut hits = state.chunks(scope, query, &parsed, &places).unwrap();
        hits.sort_by(|a, b| a.item.id.cmp(&b.item.id));
        hits
    };
    let found = |query: &Query| -> Vec<String> {
        let hits = look_up(&everything(), query).into_iter();
        hits.map(|hit| hit.item.id).collect()
    };
    let [one, draft, foreign] =
        [(base, 0), (base, 1), (other, 0)].map(|(base, n)| chunk_id(base, file, n));
    assert_eq!(found(&Query::new("oil")), [&*one, &draft, &foreign]);
    assert_eq!(found(&Query::new("oil -draft")), [&*one, &foreign]);
    let mut narrow = Query::new("oil");
    narrow.filter.knowledge_bases = vec![base];
    assert_eq!(found(&narrow), [&*one, &draft]);
    narrow.filter.types = vec!["docx".to_owned()];
    assert!(found(&narrow).is_empty());
    let marked = look_up(&everything(), &Query::new("gear"));
    assert_eq!(marked[0].highlights.len(), 1, "{marked:?}");
    let no_chunks = Scope::new([ItemKind::Document], Viewer::Everything);
    assert!(look_up(&no_chunks, &Query::new("oil")).is_empty());
}

#[test]
fn titles_and_words_are_suggested() {
    let mut garage = garage();
    garage.add(task("twin", "Hydraulic pump", "Another of the same name"));
    let viewer = everything();
    let titles = garage.suggest(&viewer, "hydraulic pu");
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert!(matches!(&titles[0], Suggestion::Title { text, .. } if text == "Hydraulic pump"));
    let words = garage.suggest(&viewer, "filt");
    assert!(words.contains(&Suggestion::Word {
        text: "filtering".to_owned()
    }));
    assert_eq!(garage.suggest(&viewer, "zzz"), []);
    assert_eq!(garage.suggest(&viewer, ""), []);
}

#[test]
fn an_item_is_replaced_and_removed_as_a_whole() {
    let mut index = Fixture::with(Vec::new());
    let mark = index.add(task("x", "Before", "old words"));
    index.replace(
        mark,
        vec![task("x", "After", "new words"), task("y", "After", "more")],
    );
    assert!(index.ids(&Query::new("before")).is_empty());
    assert_eq!(index.search(&Query::new("after")).total, 2);
    index.replace(mark, Vec::new());
    assert_eq!(index.search(&Query::new("")).total, 0);
}

#[test]
fn segments_are_merged_and_gaps_closed() {
    let mut index = Fixture::with(Vec::new());
    let mut most = 0;
    for number in 0..100 {
        let mark = index.add(task(&number.to_string(), "Pump", "words and more words"));
        while write::merge(&index.files).unwrap() {}
        if number % 3 == 0 {
            index.replace(mark, Vec::new());
        }
        let segments = write::open(&index.files).unwrap().searchable_segment_ids();
        most = most.max(segments.unwrap().len());
    }
    assert!(most <= 10, "{most} segments");
    assert_eq!(index.search(&Query::new("pump")).total, 66);
}
