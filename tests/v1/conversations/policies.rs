//! What a new turn does while another is open.

use serde_json::{Value, json};

use super::Talk;
use crate::support::listener::said_so_far;
use crate::support::stream::whole;
use crate::support::{eventually, text, within};

/// The fields of the turns that tell what became of them.
fn outcomes(turns: &[Value]) -> Vec<(u64, String, bool)> {
    let outcome = |turn: &Value| {
        let number = turn["turn"].as_u64().expect("a number");
        (number, text(&turn["state"]), turn["rolled_back"] == true)
    };
    turns.iter().map(outcome).collect()
}

fn outcome(number: u64, state: &str, rolled_back: bool) -> (u64, String, bool) {
    (number, state.to_owned(), rolled_back)
}

impl Talk {
    /// Waits until what a held reply has said so far can be seen.
    async fn seen(&self, execution: &str) {
        eventually("the reply is streamed", async || {
            let execution = self.execution(execution).await;
            (execution["last_sequence"].as_u64() >= Some(4)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn each_turn_is_told_what_was_said_before() {
    let talk = Talk::start().await;
    for input in ["one", "two", "three"] {
        let turn = talk.turn(input, None).await;
        talk.ended(&turn).await;
    }
    assert_eq!(
        talk.told_in("three"),
        [
            "user: one",
            "assistant: Re: one",
            "user: two",
            "assistant: Re: two",
            "user: three"
        ]
    );
    assert_eq!(talk.idle().await["turns"], 3);
}

#[tokio::test]
async fn reject_refuses_a_turn_while_another_is_open() {
    let talk = Talk::start().await;
    let open = talk.held("hold one").await;
    let refused = talk.ask("two", Some("reject")).await;
    let problem = refused.problem(409, "conversation_busy");
    assert!(text(&problem["detail"]).contains(&open), "{problem}");
    // As the conversation itself says, where the turn says nothing.
    let policy = json!({ "on_busy": "reject" });
    talk.admin.patch(&talk.path(), &policy).await.ok();
    let refused = talk.ask("two", None).await;
    refused.problem(409, "conversation_busy");
    let now = talk.now().await;
    assert_eq!((&now["active"], &now["turns"]), (&json!(open), &json!(1)));
    assert_eq!(talk.admin.list("/v1/executions").await.len(), 1);

    talk.gate.open();
    talk.ended(&open).await;
    let next = talk.turn("three", None).await;
    assert_eq!(talk.ended(&next).await["state"], "completed");
}

#[tokio::test]
async fn enqueue_has_turns_wait_for_their_turn_in_order() {
    let talk = Talk::start().await;
    let open = talk.held("hold one").await;
    let mut turns = vec![open.clone()];
    for input in ["two", "three", "four"] {
        turns.push(talk.turn(input, None).await);
    }
    let now = talk.now().await;
    assert_eq!(now["active"], open);
    assert_eq!(now["waiting"], json!(turns[1..]));
    // Who waits is not begun, and nobody is woken for it.
    for turn in &turns[1..] {
        assert_eq!(talk.execution(turn).await["state"], "queued");
    }
    assert_eq!(talk.model.calls(), 1);

    talk.gate.open();
    let done = talk.idle().await;
    assert_eq!(done["history"], json!(turns));
    let mut before = talk.execution(&open).await;
    for turn in &turns[1..] {
        let next = talk.execution(turn).await;
        assert_eq!(next["state"], "completed");
        assert!(text(&next["started_at"]) >= text(&before["finished_at"]));
        before = next;
    }
    let held = format!("assistant: {} Held.", said_so_far());
    assert_eq!(
        talk.told_in("four"),
        [
            "user: hold one",
            &held,
            "user: two",
            "assistant: Re: two",
            "user: three",
            "assistant: Re: three",
            "user: four"
        ]
    );
}

#[tokio::test]
async fn at_most_fifty_turns_wait() {
    let talk = Talk::start().await;
    talk.held("hold").await;
    for _ in 0..50 {
        talk.turn("next", None).await;
    }
    let refused = talk.ask("too many", None).await;
    refused.problem(409, "conversation_full");
    assert_eq!(talk.now().await["turns"], 51);
    // Whoever takes the place of the open turn does not wait.
    talk.ask("now", Some("interrupt")).await.created();
    assert_eq!(talk.now().await["turns"], 52);
}

#[tokio::test]
async fn interrupt_ends_the_open_turn_and_what_it_said_is_remembered() {
    let talk = Talk::start().await;
    let open = talk.held("hold one").await;
    talk.seen(&open).await;
    let next = talk.turn("two", Some("interrupt")).await;
    // In one step: there was no moment without an open turn.
    let interrupted = talk.execution(&open).await;
    assert_eq!(interrupted["state"], "cancelled");
    assert_eq!(talk.ended(&next).await["state"], "completed");
    let said = format!("assistant: {} (interrupted)", said_so_far());
    assert_eq!(talk.told_in("two"), ["user: hold one", &said, "user: two"]);
    let events = whole(&talk.admin, &open).await;
    let last = events.last().expect("an end");
    assert_eq!(
        (last.kind.as_str(), &last.data["code"]),
        ("RUN_ERROR", &json!("interrupted"))
    );
    assert_eq!(
        outcomes(&talk.turns().await),
        [
            outcome(1, "cancelled", false),
            outcome(2, "completed", false)
        ]
    );
    // What the interrupted reply still says is heard by nobody.
    talk.gate.open();
    let third = talk.turn("three", None).await;
    talk.ended(&third).await;
    assert_eq!(talk.told_in("three")[1], said);
    assert_eq!(talk.idle().await["history"], json!([open, next, third]));
}

#[tokio::test]
async fn a_turn_that_was_interrupted_before_it_said_anything_is_remembered_as_such() {
    let talk = Talk::start().await;
    let open = talk.held("hold one").await;
    // Nothing of a reply shorter than what is streamed at once is there yet.
    let waiting = talk.turn("two", None).await;
    talk.apply("pause", &waiting).await;
    talk.gate.open();
    talk.ended(&open).await;
    assert_eq!(talk.now().await["active"], waiting);
    let third = talk.turn("three", Some("interrupt")).await;
    talk.ended(&third).await;
    let told = talk.told_in("three");
    assert_eq!(
        told[2..],
        [
            "user: two",
            "assistant: (interrupted before an answer)",
            "user: three"
        ]
    );
}

#[tokio::test]
async fn rollback_ends_the_open_turn_and_takes_it_out() {
    let talk = Talk::start().await;
    let first = talk.turn("one", None).await;
    talk.ended(&first).await;
    let open = talk.held("hold two").await;
    talk.seen(&open).await;
    let next = talk.turn("three", Some("rollback")).await;
    assert_eq!(talk.ended(&next).await["state"], "completed");
    assert_eq!(
        talk.told_in("three"),
        ["user: one", "assistant: Re: one", "user: three"]
    );
    assert_eq!(
        outcomes(&talk.turns().await),
        [
            outcome(1, "completed", false),
            outcome(2, "cancelled", true),
            outcome(3, "completed", false)
        ]
    );
    let events = whole(&talk.admin, &open).await;
    assert_eq!(events.last().expect("an end").data["code"], "rolled_back");
    assert_eq!(talk.idle().await["history"], json!([first, next]));
}

#[tokio::test]
async fn many_rollbacks_leave_the_history_as_it_was() {
    let talk = Talk::start().await;
    let mut kept = Vec::new();
    for number in 0..20 {
        let turn = talk.turn(&format!("{number}"), None).await;
        talk.ended(&turn).await;
        kept.push(turn);
    }
    let mut last = talk.held("hold 0").await;
    for number in 1..25 {
        last = talk.turn(&format!("hold {number}"), Some("rollback")).await;
        within("the model speaks", talk.gate.arrived()).await;
    }
    let now = talk.now().await;
    assert_eq!(
        (&now["active"], &now["history"]),
        (&json!(last), &json!(kept))
    );
    let told = talk.told_in("hold 24");
    assert_eq!(told.len(), 41);
    assert_eq!(told[0], "user: 0");
}

#[tokio::test]
async fn an_interrupting_turn_goes_before_those_that_wait_and_they_are_told_of_it() {
    let talk = Talk::start().await;
    let open = talk.held("hold one").await;
    talk.seen(&open).await;
    let second = talk.turn("two", None).await;
    let third = talk.turn("hold three", Some("interrupt")).await;
    within("the model speaks", talk.gate.arrived()).await;
    talk.seen(&third).await;
    let now = talk.now().await;
    assert_eq!(
        (&now["active"], &now["waiting"]),
        (&json!(third), &json!([second]))
    );
    // The reply that was interrupted stands at the gate as well.
    talk.gate.open();
    talk.gate.open();
    assert_eq!(talk.idle().await["history"], json!([open, third, second]));
    assert_eq!(
        talk.told_in("two"),
        [
            "user: hold one",
            &format!("assistant: {} (interrupted)", said_so_far()),
            "user: hold three",
            &format!("assistant: {} Held.", said_so_far()),
            "user: two"
        ]
    );
}
