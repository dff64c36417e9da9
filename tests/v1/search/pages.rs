//! Pages and their cursors.

use futures::future::join_all;
use serde_json::json;

use super::*;

/// As deep as a ranking by meaning goes.
const DEPTH: usize = 100;

/// The ids of every page from the first, and the totals that the pages gave.
async fn walk(api: &Api, body: &Value, between: impl AsyncFn(usize)) -> (Vec<String>, Vec<Value>) {
    let mut body = body.clone();
    let (mut ids, mut totals) = (Vec::new(), Vec::new());
    for page in 0.. {
        let answer = search(api, &body).await;
        ids.extend(each(&answer, "id"));
        totals.push(answer["total"].clone());
        match answer["next_cursor"].as_str() {
            Some(cursor) => body["cursor"] = json!(cursor),
            None => break,
        }
        between(page).await;
    }
    (ids, totals)
}

fn is_distinct(ids: &[String]) -> bool {
    let mut once = ids.to_vec();
    once.sort();
    once.dedup();
    once.len() == ids.len()
}

async fn tasks(api: &Api, names: impl Iterator<Item = usize>) -> Vec<String> {
    let made = join_all(names.map(|number| async move {
        let title = format!("Grease pump {number}");
        text(&task(api, &title, "").await["id"])
    }));
    made.await
}

async fn counts(api: &Api, number: usize) {
    let body = json!({ "query": "pump", "mode": "text", "kinds": ["task"], "limit": 1 });
    eventually(&format!("{number} tasks are found"), async || {
        (search(api, &body).await["total"] == number).then_some(())
    })
    .await;
}

#[tokio::test]
async fn pages_of_words_are_the_whole_list_whatever_comes_in_between() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let old = tasks(&admin, 0..7).await;
    counts(&admin, 7).await;
    for sort in ["relevance", "-created_at", "created_at", "-updated_at"] {
        let body = json!({ "query": "pump", "mode": "text", "kinds": ["task"], "sort": sort });
        let mut one = body.clone();
        one["limit"] = json!(2);
        let whole = each(&search(&admin, &body).await, "id");
        let (ids, totals) = walk(&admin, &one, async |_| ()).await;
        assert_eq!(ids, whole, "{sort}");
        assert!(totals.iter().all(|total| *total == 7), "{totals:?}");
    }
    // Newer ones come before the first page and move nothing behind it.
    let body = json!({
        "query": "pump", "mode": "text", "kinds": ["task"], "sort": "-created_at", "limit": 3,
    });
    let (ids, _) = walk(&admin, &body, async |page| {
        tasks(&admin, 100 + page..101 + page).await;
        counts(&admin, 8 + page).await;
    })
    .await;
    let mut newest_first = old.clone();
    newest_first.sort();
    newest_first.reverse();
    assert_eq!(ids, newest_first);
}

#[tokio::test]
async fn pages_of_both_repeat_nothing_and_end_at_their_depth() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let document: &[u8] = b"# Pumps\n\nThe pump is greased every week by the crew of the mill.\n";
    library(&world, &admin, &[("pumps.md", document)]).await;
    tasks(&admin, 0..8).await;
    counts(&admin, 8).await;
    let body = json!({ "query": "pump", "limit": 2 });
    let (ids, _) = walk(&admin, &body, async |page| {
        if page < 3 {
            tasks(&admin, 100 + page..101 + page).await;
            counts(&admin, 9 + page).await;
        }
    })
    .await;
    assert!(is_distinct(&ids), "{ids:?}");
    // The document, its chunk and the tasks of the beginning are all there.
    assert!(ids.len() >= 10, "{ids:?}");

    tasks(&admin, 200..200 + DEPTH).await;
    counts(&admin, 11 + DEPTH).await;
    let body = json!({ "query": "pump", "limit": 30 });
    let (ids, totals) = walk(&admin, &body, async |_| ()).await;
    assert_eq!((ids.len(), totals.len()), (DEPTH, 4));
    assert!(is_distinct(&ids));
    let by_words = json!({ "query": "pump", "mode": "text", "limit": 30 });
    let (ids, _) = walk(&admin, &by_words, async |_| ()).await;
    assert_eq!(ids.len(), 13 + DEPTH, "words go on to the last hit");
}

#[tokio::test]
async fn a_cursor_is_of_one_search_in_one_org() {
    let world = World::start().await;
    let (ada, eve) = (world.founder("ada").await, world.founder("eve").await);
    for api in [&ada, &eve] {
        tasks(api, 0..3).await;
        counts(api, 3).await;
    }
    for mode in ["text", "hybrid"] {
        let first = json!({ "query": "pump", "mode": mode, "limit": 1 });
        let cursor = text(&search(&ada, &first).await["next_cursor"]);
        let mut next = first.clone();
        next["cursor"] = json!(cursor);
        assert_eq!(hits(&search(&ada, &next).await).len(), 1);
        // As many as one likes, with or without highlights.
        let mut more = next.clone();
        more["limit"] = json!(50);
        more["highlight"] = json!(false);
        assert_eq!(hits(&search(&ada, &more).await).len(), 2);

        eve.post(&path(&eve), &next).await.names("/cursor");
        for (field, value) in [
            ("query", json!("pumps")),
            (
                "mode",
                json!(if mode == "text" { "hybrid" } else { "text" }),
            ),
            ("kinds", json!(["task"])),
            ("filters", json!({ "type": ["normal"] })),
            ("facets", json!(["kind"])),
            ("sort", json!("-created_at")),
            ("matching", json!("all")),
            ("typos", json!(false)),
        ] {
            let mut other = next.clone();
            other[field] = value;
            ada.post(&path(&ada), &other).await.names("/cursor");
        }
        let mut forged = cursor.clone().into_bytes();
        let place = forged.len() / 2;
        forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).expect("letters");
        for bad in [forged.as_str(), "", "x", "AAAA"] {
            next["cursor"] = json!(bad);
            ada.post(&path(&ada), &next).await.names("/cursor");
        }
        // A cursor of another list of the same org.
        let list = ada.get("/v1/tasks?limit=1").await.ok();
        next["cursor"] = list["next_cursor"].clone();
        ada.post(&path(&ada), &next).await.names("/cursor");
    }
}
