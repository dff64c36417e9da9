//! The text that was read of a file, and its outline.

use serde_json::json;

use super::{NOTES, bring};
use crate::support::world::{announced, upload_path};
use crate::support::{World, eventually, text};

/// What is told of places in a file can be checked against its text.
#[tokio::test]
async fn the_text_of_a_file_is_where_headings_and_passages_say() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let base = admin
        .create("/v1/knowledge-bases", &json!({ "name": "Rules" }))
        .await;
    let base = text(&base["id"]);
    let long = format!(
        "# Öl\n\n{}\n\n## Lager\n\nGrease the bearings each month – with the blue grease.\n",
        "The oil is changed every five hundred hours. ".repeat(60)
    );
    let file = bring(&world, &admin, "oil.md", long.as_bytes(), Some(&base)).await;
    assert_eq!(file["language"], "eng", "{file}");
    let path = format!("/v1/files/{}", text(&file["id"]));
    let part = async |start: u64, length: u64| {
        let query = format!("{path}/text?start={start}&length={length}");
        let answer = admin.get(&query).await.ok();
        assert_eq!(answer["characters"], file["characters"], "{answer}");
        text(&answer["text"])
    };
    let outline = admin.get(&format!("{path}/outline")).await.ok();
    let headings = outline["headings"].as_array().expect("headings");
    assert_eq!(headings.len(), 2);
    for heading in headings {
        let title = text(&heading["title"]);
        let start = heading["start"].as_u64().expect("a place");
        assert_eq!(part(start, title.chars().count() as u64).await, title);
    }
    let search = format!("/v1/knowledge-bases/{base}/search");
    let found = eventually("the file is indexed", async || {
        let query = json!({ "query": "blue grease for bearings" });
        let found = admin.post(&search, &query).await.ok();
        found["passages"].get(0).cloned()
    })
    .await;
    assert_eq!(found["heading_path"], json!(["Öl", "Lager"]), "{found}");
    let place = |name: &str| found[name].as_u64().expect("a place");
    let there = part(place("start"), place("end") - place("start")).await;
    assert_eq!(there, text(&found["text"]));

    let characters = file["characters"].as_u64().expect("a number");
    assert_eq!(part(characters - 1, 10).await.chars().count(), 1);
    assert_eq!(part(characters, 10).await, "");
    for (query, field) in [
        ("length=0", "length"),
        ("length=100001", "length"),
        ("start=-1", "start"),
        ("begin=0", "begin"),
    ] {
        let answer = admin.get(&format!("{path}/text?{query}")).await;
        assert_eq!(answer.status, 422, "{query}: {answer}");
        assert!(answer.to_string().contains(field), "{query}: {answer}");
    }
    let offer = admin
        .create(&upload_path(&admin), &announced("rota.md", NOTES, None))
        .await;
    let unread = format!("/v1/files/{}", text(&offer["file"]["id"]));
    for what in ["text", "outline"] {
        let answer = admin.get(&format!("{unread}/{what}")).await;
        answer.problem(409, "not_read");
    }
}
