//! Messages that are edited, answered again and stopped.

use serde_json::json;

use super::*;

impl Chat {
    /// Says something beside an earlier turn, and hears the answer out.
    async fn revise(&self, conversation: &str, body: &Value) -> Vec<Seen> {
        let mut body = body.clone();
        body["conversation_id"] = json!(conversation);
        self.say(&body).await.events.rest().await
    }

    async fn go_to(&self, conversation: &str, leaf: u64) -> Value {
        let path = format!("/v1/conversations/{conversation}");
        self.api.patch(&path, &json!({ "leaf": leaf })).await.ok()
    }
}

#[tokio::test]
async fn an_edited_message_begins_a_branch_and_the_other_stays() {
    let chat = Chat::start().await;
    let conversation = chat.conversation(&["one", "two", "three"]).await;
    let edit = json!({ "message": "two, rather", "edits": 2 });
    chat.revise(&conversation, &edit).await;
    assert_eq!(
        chat.told_at("two, rather"),
        ["user: one", "assistant: Re: one", "user: two, rather"]
    );
    assert_eq!(
        chat.branch(&conversation, "").await,
        [(4, json!([2, 4])), (1, json!([1]))]
    );
    assert_eq!(
        chat.branch(&conversation, "&leaf=3").await,
        [(3, json!([3])), (2, json!([2, 4])), (1, json!([1]))]
    );
    // The next follows the branch that is current; another can be gone back to.
    chat.talk("four", Some(&conversation)).await;
    assert_eq!(
        chat.told_at("four")[2..],
        [
            "user: two, rather",
            "assistant: Re: two, rather",
            "user: four"
        ]
    );
    let now = chat.go_to(&conversation, 3).await;
    assert_eq!((&now["leaf"], &now["depth"]), (&json!(3), &json!(3)));
    chat.talk("five", Some(&conversation)).await;
    assert_eq!(
        chat.told_at("five"),
        [
            "user: one",
            "assistant: Re: one",
            "user: two",
            "assistant: Re: two",
            "user: three",
            "assistant: Re: three",
            "user: five"
        ]
    );
    // Nothing was thrown away.
    let path = format!("/v1/conversations/{conversation}/turns");
    let turns = chat.api.list(&path).await;
    let shape: Vec<_> = turns
        .iter()
        .map(|turn| {
            (
                turn["after"].clone(),
                turn["next"].clone(),
                turn["revises"].clone(),
            )
        })
        .collect();
    let nothing = || Value::Null;
    assert_eq!(
        shape,
        [
            (nothing(), json!([2, 4]), nothing()),
            (json!(1), json!([3]), nothing()),
            (json!(2), json!([6]), nothing()),
            (json!(1), json!([5]), json!(2)),
            (json!(4), json!([]), nothing()),
            (json!(3), json!([]), nothing()),
        ]
    );
}

#[tokio::test]
async fn a_message_is_answered_again_beside_its_first_answer() {
    let chat = Chat::start().await;
    let conversation = chat.conversation(&["one", "two"]).await;
    for turn in [2, 2, 1] {
        chat.revise(&conversation, &json!({ "regenerates": turn }))
            .await;
    }
    let requests: Vec<Vec<String>> = chat.model.requests().iter().map(told).collect();
    assert_eq!(requests[2], requests[1]);
    assert_eq!(requests[3], requests[1]);
    assert_eq!(requests[4], requests[0]);
    assert_eq!(chat.branch(&conversation, "").await, [(5, json!([1, 5]))]);
    assert_eq!(
        chat.branch(&conversation, "&leaf=4").await,
        [(4, json!([2, 3, 4])), (1, json!([1, 5]))]
    );
    // The model answers the same; another would not.
    let history = chat
        .history(&format!("conversation_id={conversation}&leaf=3"))
        .await;
    assert_eq!(history["items"][0]["message"], "two");
    assert_eq!(history["items"][0]["revises"], 2);
}

#[tokio::test]
async fn an_edit_waits_for_its_turn_and_then_finds_its_place() {
    let chat = Chat::start().await;
    let conversation = chat.conversation(&["one"]).await;
    let in_it = |mut body: Value| {
        body["conversation_id"] = json!(conversation);
        body
    };
    let open = chat.say(&in_it(json!({ "message": "hold two" }))).await;
    within("the model speaks", chat.gate.arrived()).await;
    let waits = chat.say(&in_it(json!({ "message": "three" }))).await;
    let edit = json!({ "message": "one, rather", "edits": 1 });
    let edited = chat.say(&in_it(edit)).await;
    // One whose time has not come has no place yet beside which another could stand.
    let path = format!("/v1/chat/{}", chat.agent);
    let refused = chat
        .api
        .post(&path, &in_it(json!({ "regenerates": 3 })))
        .await;
    refused.names("/regenerates");
    let leaf = json!({ "leaf": 1 });
    let refused = chat
        .api
        .patch(&format!("/v1/conversations/{conversation}"), &leaf)
        .await;
    refused.problem(409, "conversation_open");
    chat.gate.open();
    for answer in [open, waits, edited] {
        answer.events.rest().await;
    }
    chat.idle(&conversation).await;
    assert_eq!(chat.told_at("one, rather"), ["user: one, rather"]);
    assert_eq!(chat.branch(&conversation, "").await, [(4, json!([1, 4]))]);
    assert_eq!(
        chat.branch(&conversation, "&leaf=3").await,
        [(3, json!([3])), (2, json!([2])), (1, json!([1, 4]))]
    );
}

#[tokio::test]
async fn an_edit_of_the_open_turn_takes_its_place_and_can_take_it_back() {
    let chat = Chat::start().await;
    let conversation = chat.conversation(&["one"]).await;
    for (number, (on_busy, siblings)) in
        [("interrupt", json!([2, 3])), ("rollback", json!([2, 3, 5]))]
            .into_iter()
            .enumerate()
    {
        let turn = 2 + 2 * number as u64;
        let mut hold =
            json!({ "message": format!("hold {turn}"), "conversation_id": conversation });
        if number == 1 {
            hold["edits"] = json!(2);
        }
        let open = chat.say(&hold).await;
        within("the model speaks", chat.gate.arrived()).await;
        let edit = json!({ "message": "rather", "edits": turn, "on_busy": on_busy });
        let events = chat.revise(&conversation, &edit).await;
        assert_eq!(events.last().expect("an end").data["answer"], "Re: rather");
        let ended = open.events.rest().await;
        assert_eq!(ended.last().expect("an end").kind, "RUN_ERROR");
        assert_eq!(
            chat.told_at("rather"),
            ["user: one", "assistant: Re: one", "user: rather"]
        );
        assert_eq!(
            chat.branch(&conversation, "").await,
            [(turn + 1, siblings), (1, json!([1]))]
        );
    }
}

#[tokio::test]
async fn a_turn_is_stopped_and_what_it_said_stays() {
    let chat = Chat::start().await;
    let mut open = chat.say(&json!({ "message": "hold one" })).await;
    let conversation = open.conversation.clone();
    within("the model speaks", chat.gate.arrived()).await;
    let waits = json!({ "message": "two", "conversation_id": conversation });
    let waits = chat.say(&waits).await;
    while let Some(event) = open.events.next().await {
        if event.kind == "TEXT_MESSAGE_CONTENT" {
            break;
        }
    }
    let path = format!("/v1/conversations/{conversation}/stop");
    let stopped = chat.api.post(&path, &json!({})).await.ok();
    assert_eq!(stopped["active"], waits.execution);
    let events = open.events.rest().await;
    assert_eq!(events.last().expect("an end").kind, "RUN_ERROR");
    // The one that waited goes on, and is told how far the other came.
    let events = waits.events.rest().await;
    assert_eq!(events.last().expect("an end").data["answer"], "Re: two");
    let said = said_so_far();
    assert_eq!(
        chat.told_at("two")[1],
        format!("assistant: {said} (interrupted)")
    );
    let history = chat
        .history(&format!("conversation_id={conversation}"))
        .await;
    let stopped = &history["items"][1];
    assert_eq!(
        (&stopped["state"], text(&stopped["said"]).trim()),
        (&json!("cancelled"), said.as_str())
    );
    assert!(stopped["answer"].is_null(), "{stopped}");
    // To stop what has ended is nothing.
    let now = chat.idle(&conversation).await;
    assert_eq!(chat.api.post(&path, &json!({})).await.ok(), now);
    chat.gate.open();
}

#[tokio::test]
async fn a_long_history_is_read_page_by_page() {
    let chat = Chat::start().await;
    let messages: Vec<String> = (1..=45).map(|number| number.to_string()).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    let conversation = chat.conversation(&messages).await;
    for limit in [7, 25, 100] {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let query = format!("conversation_id={conversation}&limit={limit}{cursor}");
            let page = chat.history(&query).await;
            let items = page["items"].as_array().expect("a list");
            assert!(items.len() <= limit);
            found.extend(items.iter().map(|turn| text(&turn["message"])));
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        let expected: Vec<String> = messages.iter().rev().map(|one| (*one).to_owned()).collect();
        assert_eq!(found, expected, "by {limit}");
    }
}
