//! How much of a long conversation a model is told.

use serde_json::json;

use super::*;

#[tokio::test]
async fn turns_that_the_window_does_not_hold_are_left_out_and_the_model_is_told_so() {
    let chat = Chat::start().await;
    // Message and answer of each are some 10,000 tokens by estimate.
    let long = |number: u32| format!("{number} {}", "oil ".repeat(3_700));
    let messages = [long(1), long(2), long(3)];
    let conversation = chat
        .conversation(&[&messages[0], &messages[1], &messages[2], "last"])
        .await;
    let requests = chat.model.requests();
    let last = requests.last().expect("was asked");
    let told = told(last);
    assert_eq!(told.len(), 3, "{}", told.len());
    assert_eq!(told[0], format!("user: {}", messages[2]));
    let system = last.system.as_deref().expect("instructions");
    let note = "The first 2 turns of this conversation are not shown.";
    assert!(system.contains(note), "{system}");
    // The second was told of the first, and had nothing to be told of what is left out.
    let second = requests[1].system.as_deref().expect("instructions");
    assert!(!second.contains("not shown"), "{second}");
    // All of it stays in the history.
    let history = chat
        .history(&format!("conversation_id={conversation}"))
        .await;
    assert_eq!(history["items"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn a_conversation_of_more_turns_than_are_told_says_how_many_are_not() {
    let chat = Chat::start().await;
    let messages: Vec<String> = (1..=23).map(|number| number.to_string()).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    chat.conversation(&messages).await;
    let requests = chat.model.requests();
    let last = requests.last().expect("was asked");
    assert_eq!(told(last).len(), 41);
    assert_eq!(told(last)[0], "user: 3");
    let system = last.system.as_deref().expect("instructions");
    let note = "The first 2 turns of this conversation are not shown.";
    assert!(system.contains(note), "{system}");
    let body = json!({ "message": "again", "conversation_id": text(&chat.history("").await["conversation"]["id"]), "edits": 22 });
    chat.say(&body).await.events.rest().await;
    let requests = chat.model.requests();
    let system = requests.last().expect("was asked").system.as_deref();
    let note = "The first turn of this conversation is not shown.";
    assert!(system.expect("instructions").contains(note));
}
