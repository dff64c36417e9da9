//! The loop: a model call, the tool calls it asks for, the next step.

use llm::Message;
use llm::StopReason;
use llm::scripted::{Scripted, Turn};
use serde_json::{Value, json};
use work::{JobState, JobStore as _};

use super::{agent, results, run, start, trace};
use crate::support::redact::redacted;
use crate::support::{World, ended, eventually, tenant, text};

#[tokio::test]
async fn an_answer_without_tools_is_one_step() {
    let model = Scripted::new([Turn::text("Every 500 hours.")]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &[]).await;
    let execution = run(&admin, &guide).await;
    let mut shown = redacted(&execution);
    // How often text is written to the stream depends on how fast it comes.
    for counter in ["last_sequence", "version"] {
        shown[counter] = json!("[number]");
    }
    insta::assert_json_snapshot!(shown);
    let asked = model.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].messages,
        [Message::user("How often is the oil changed?")]
    );
    assert!(
        asked[0]
            .system
            .as_ref()
            .is_some_and(|system| system.starts_with("Answer."))
    );
    assert!(asked[0].tools.is_empty());
}

#[tokio::test]
async fn what_nobody_misses_costs_no_commit_of_its_own() {
    let model = Scripted::new([
        Turn::calls([("create_task", json!({ "title": "Change the oil" }))]),
        Turn::text("Done."),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["create_task"]).await;
    let id = text(&run(&admin, &guide).await["id"]);
    let (store, tenant) = (world.store(), tenant(&admin));
    let id = id.parse().expect("an id");
    let execution = store.executions(tenant).get(id).await;
    let execution = execution.expect("an answer").expect("an execution");
    // Queued; begun with its first call; that settled; the tool's; the step's end with the second
    // call; that settled with the end.
    assert_eq!(execution.version, 6);
    let job = store.load(tenant.org(), execution.job).await;
    let job = job.expect("an answer").expect("a job");
    // Written, claimed, and done with the end.
    assert_eq!((job.state, job.version), (JobState::Done, 3));
}

#[tokio::test]
async fn steps_follow_each_other_and_the_model_sees_what_its_tools_gave() {
    let model = Scripted::new([
        Turn::reply(
            "I note that.",
            [("remember", json!({ "text": "Oil: 500 hours." }))],
        )
        .with_id_prefix("a_"),
        Turn::calls([
            ("create_task", json!({ "title": "Change the oil" })),
            ("ask_human", json!({ "question": "Which oil?" })),
        ])
        .with_id_prefix("b_"),
        Turn::text("Done."),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["remember", "create_task", "ask_human"]).await;
    let id = start(&admin, &guide).await;
    let path = format!("/v1/executions/{id}");
    eventually("the agent asks", async || {
        let execution = admin.get(&path).await.ok();
        (execution["state"] == "awaiting_input").then_some(())
    })
    .await;
    let answer = json!({ "text": "The thick one." });
    admin.post(&format!("{path}/input"), &answer).await.ok();
    let execution = ended(&admin, &id).await;
    assert_eq!(
        (&execution["state"], &execution["steps"]),
        (&json!("completed"), &json!(3))
    );
    assert_eq!(execution["usage"]["model_calls"], 3);
    assert_eq!(execution["usage"]["tool_calls"], 3);

    let trace = trace(&admin, &execution).await;
    let known: Vec<(&Value, &Value)> = trace
        .iter()
        .map(|effect| (&effect["step"], &effect["call"]))
        .collect();
    let places = [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 0)];
    let places: Vec<(Value, Value)> = places.iter().map(|(s, c)| (json!(s), json!(c))).collect();
    assert_eq!(
        known,
        places.iter().map(|(s, c)| (s, c)).collect::<Vec<_>>()
    );
    insta::assert_json_snapshot!(redacted(&json!(trace)));

    // The last call saw everything in order.
    let last = model.requests().pop().expect("three calls");
    let kinds: Vec<String> = last.messages.iter().map(kind).collect();
    assert_eq!(
        kinds,
        [
            "user",
            "assistant a_call_0",
            "result a_call_0",
            "assistant b_call_0 b_call_1",
            "result b_call_0",
            "result b_call_1"
        ]
    );
    // What the tools did is there.
    let tasks = admin.list("/v1/tasks").await;
    let titles: Vec<&Value> = tasks.iter().map(|task| &task["title"]).collect();
    assert_eq!(titles, ["Change the oil"]);
    assert_eq!(tasks[0]["created_by"]["kind"], "agent");
}

fn kind(message: &Message) -> String {
    match message {
        Message::User { .. } => "user".to_owned(),
        Message::Assistant { tool_calls, .. } => {
            let ids: Vec<&str> = tool_calls.iter().map(|call| call.id.as_str()).collect();
            format!("assistant {}", ids.join(" "))
        }
        Message::ToolResult { call_id, .. } => format!("result {call_id}"),
    }
}

#[tokio::test]
async fn what_the_agent_remembers_is_told_to_its_next_run() {
    let model = Scripted::new([
        Turn::calls([(
            "remember",
            json!({ "text": "The oil of the gearbox is changed in May." }),
        )]),
        Turn::text("Noted."),
        Turn::text("Gearbox."),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["remember"]).await;
    run(&admin, &guide).await;
    run(&admin, &guide).await;
    let requests = model.requests();
    let told = |call: usize| {
        requests[call]
            .system
            .as_deref()
            .is_some_and(|s| s.contains("gearbox"))
    };
    assert_eq!([told(0), told(1), told(2)], [false, false, true]);
}

#[tokio::test]
async fn a_tool_that_was_invented_is_not_called_and_the_model_is_told_so() {
    let model = Scripted::new([
        Turn::calls([
            ("launch_rocket", json!({})),
            // Real, and not this agent's.
            ("create_task", json!({ "title": "Sneaky" })),
            ("", json!({})),
        ]),
        Turn::text("I cannot."),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["remember"]).await;
    let execution = run(&admin, &guide).await;
    assert_eq!(execution["state"], "completed");
    let results = results(&admin, &execution).await;
    assert_eq!(results.len(), 3);
    for (content, is_error) in &results {
        assert!(
            is_error & content.contains("You may call: remember"),
            "{content}"
        );
    }
    assert_eq!(admin.list("/v1/tasks").await.len(), 0);
}

#[tokio::test]
async fn arguments_that_are_wrong_are_not_used_and_the_model_may_try_again() {
    let model = Scripted::new([
        Turn::calls([
            ("create_task", json!("{\"title\": ")),
            ("create_task", json!("[1]")),
            ("create_task", json!({})),
            ("create_task", json!({ "title": 7 })),
            ("create_task", json!({ "title": "A", "assignee": "me" })),
            ("create_task", json!({ "title": "x".repeat(201) })),
            (
                "create_task",
                json!({ "title": "A", "description": "x".repeat(100_000) }),
            ),
        ]),
        Turn::calls([("create_task", json!({ "title": "Right" }))]),
        Turn::text("Done."),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["create_task"]).await;
    let execution = run(&admin, &guide).await;
    assert_eq!(execution["state"], "completed", "{execution}");
    let results = results(&admin, &execution).await;
    let errors: Vec<bool> = results.iter().map(|(_, is_error)| *is_error).collect();
    assert_eq!(errors, [true, true, true, true, true, true, true, false]);
    assert!(
        results[0].0.contains("must be a JSON object"),
        "{:?}",
        results[0]
    );
    assert!(results[2].0.contains("title"), "{:?}", results[2]);
    let tasks = admin.list("/v1/tasks").await;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0]["title"], "Right");
}

#[tokio::test]
async fn a_model_that_asks_for_too_much_at_once_gets_sixteen() {
    let call = |number: usize| ("create_task", json!({ "title": format!("Task {number}") }));
    let model = Scripted::new([Turn::calls((0..20).map(call)), Turn::text("Done.")]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["create_task"]).await;
    let execution = run(&admin, &guide).await;
    let results = results(&admin, &execution).await;
    assert_eq!(results.iter().filter(|(_, is_error)| *is_error).count(), 4);
    assert_eq!(admin.list("/v1/tasks").await.len(), 16);
}

#[tokio::test]
async fn a_model_that_never_answers_stops_at_the_step_limit() {
    let model = Scripted::computed(|_, call| {
        Turn::calls([("remember", json!({ "text": format!("Again {call}") }))])
    });
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let mut body = json!({ "name": "Guide", "instructions": "Answer.", "tools": ["remember"] });
    body["limits"] = json!({ "max_steps": 3 });
    let guide = admin.create("/v1/agents", &body).await;
    let execution = run(&admin, &guide).await;
    assert_eq!(
        (&execution["state"], &execution["steps"]),
        (&json!("failed"), &json!(3))
    );
    assert_eq!(execution["failure"]["code"], "step_limit");
    assert!(
        text(&execution["failure"]["message"]).contains("3 steps"),
        "{execution}"
    );
    assert_eq!(model.calls(), 3);
}

#[tokio::test]
async fn an_answer_that_was_cut_or_refused_says_so() {
    let model = Scripted::new([
        Turn::text("Every 50").with_stop_reason(StopReason::MaxTokens),
        Turn::text("No.").with_stop_reason(StopReason::Refusal),
        Turn::text("   "),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &[]).await;
    let cut = run(&admin, &guide).await;
    assert_eq!(cut["state"], "completed");
    let events = crate::support::stream::whole(&admin, &text(&cut["id"])).await;
    assert_eq!(events.last().expect("an end").data["truncated"], true);
    for code in ["model_refused", "empty_answer"] {
        let failed = run(&admin, &guide).await;
        assert_eq!(
            (&failed["state"], &failed["failure"]["code"]),
            (&json!("failed"), &json!(code))
        );
    }
}

#[tokio::test]
async fn a_run_goes_on_as_the_agent_was_when_it_was_asked() {
    let gate = llm::scripted::Gate::new();
    let model = Scripted::new([
        Turn::calls([("remember", json!({ "text": "A" }))]).gated_after(0, &gate),
        Turn::text("Done."),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["remember"]).await;
    let execution = super::start(&admin, &guide).await;
    crate::support::within("the model is asked", gate.arrived()).await;
    let path = format!("/v1/agents/{}", text(&guide["id"]));
    admin
        .patch(&path, &json!({ "instructions": "Refuse.", "tools": [] }))
        .await
        .ok();
    admin.delete(&path).await.gone();
    gate.open();
    let execution = crate::support::ended(&admin, &execution).await;
    assert_eq!(
        (&execution["state"], &execution["agent_version"]),
        (&json!("completed"), &json!(1))
    );
    let last = model.requests().pop().expect("two calls");
    assert!(
        last.system
            .is_some_and(|system| system.starts_with("Answer."))
    );
    assert_eq!(last.tools.len(), 1);
}

#[tokio::test]
async fn thirty_runs_at_once_all_end() {
    let model = Scripted::computed(|request, _| match request.messages.len() {
        1 => Turn::calls([("remember", json!({ "text": "A" }))]),
        _ => Turn::text("Done."),
    });
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["remember"]).await;
    let runs = futures::future::join_all((0..30).map(|_| run(&admin, &guide))).await;
    assert!(
        runs.iter()
            .all(|run| run["state"] == "completed" && run["steps"] == 2)
    );
    assert_eq!(model.calls(), 60);
}
