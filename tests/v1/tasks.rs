//! `/v1/tasks`.

use domain::task::TaskStatus;
use llm::ModelError;
use llm::scripted::{Gate, Scripted, Turn};
use serde_json::{Value, json};

use crate::support::fixture::agent;
use crate::support::redact::redacted;
use crate::support::{Answer, Api, World, ended, eventually, text, within};

fn path(task: &Value) -> String {
    format!("/v1/tasks/{}", text(&task["id"]))
}

async fn set(api: &Api, task: &Value, status: TaskStatus) -> Answer {
    api.post(
        &format!("{}/status", path(task)),
        &json!({ "status": status }),
    )
    .await
}

async fn assign(api: &Api, task: &Value, body: &Value) -> Answer {
    api.post(&format!("{}/assign", path(task)), body).await
}

/// A task that stands so, led there by the shortest way.
async fn task_in(api: &Api, user: &Value, status: TaskStatus) -> Value {
    use TaskStatus::{Assigned, Blocked, Cancelled, Completed, InProgress, Todo};
    let task = api.create("/v1/tasks", &json!({ "title": "Look" })).await;
    let way: &[TaskStatus] = match status {
        Todo | Assigned => &[],
        InProgress => &[InProgress],
        Blocked => &[Blocked],
        Completed => &[InProgress, Completed],
        Cancelled => &[Cancelled],
    };
    if !matches!(status, Todo | Cancelled) {
        assign(api, &task, &json!({ "user_id": user })).await.ok();
    }
    for step in way {
        set(api, &task, *step).await.ok();
    }
    let task = api.get(&path(&task)).await.ok();
    assert_eq!(task["status"], status.name());
    task
}

#[tokio::test]
async fn a_task_is_created_read_changed_and_deleted() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let body = json!({ "title": "Look", "due_at": "2999-01-01T00:00:00Z", "priority": "high" });
    let made = admin.create("/v1/tasks", &body).await;
    insta::assert_json_snapshot!(redacted(&made));
    let changes = json!({ "description": "Closely.", "due_at": null });
    let changed = admin.patch(&path(&made), &changes).await.ok();
    assert_eq!(
        (&changed["description"], &changed["due_at"]),
        (&json!("Closely."), &Value::Null)
    );
    assert_eq!(
        (&changed["title"], &changed["version"]),
        (&made["title"], &json!(2))
    );
    admin.delete(&path(&made)).await.gone();
    admin.get(&path(&made)).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_task_goes_the_legal_ways_and_no_others() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let user = admin.get("/v1/users/me").await.ok()["id"].clone();
    for from in TaskStatus::ALL {
        for to in TaskStatus::ALL {
            let task = task_in(&admin, &user, *from).await;
            let answer = set(&admin, &task, *to).await;
            // Nobody's task is given to somebody by assigning it.
            let legal = from.may_become(*to)
                && !(*to == TaskStatus::Assigned && task["assignee"].is_null());
            if legal {
                assert_eq!(answer.ok()["status"], to.name(), "{from:?} to {to:?}");
            } else {
                answer.problem(409, "illegal_transition");
                assert_eq!(
                    admin.get(&path(&task)).await.ok(),
                    task,
                    "{from:?} to {to:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_task_is_given_to_people_and_agents_and_taken_back() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let tom = world.join(&admin, "tom", "member").await;
    let tom_id = tom.get("/v1/users/me").await.ok()["id"].clone();
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let task = admin.create("/v1/tasks", &json!({ "title": "Look" })).await;
    let given = assign(&tom, &task, &json!({ "user_id": tom_id }))
        .await
        .ok();
    assert_eq!(
        (&given["status"], &given["assignee"]["kind"]),
        (&json!("assigned"), &json!("user"))
    );
    let given = assign(&tom, &task, &json!({ "agent_id": guide["id"] }))
        .await
        .ok();
    assert_eq!(
        given["assignee"],
        json!({ "kind": "agent", "id": guide["id"] })
    );
    let listed = eventually("the agent's list follows", async || {
        let path = format!("/v1/tasks?agent_id={}", text(&guide["id"]));
        Some(admin.list(&path).await).filter(|tasks| !tasks.is_empty())
    })
    .await;
    assert_eq!(listed[0]["id"], task["id"]);
    let back = set(&tom, &task, TaskStatus::Todo).await.ok();
    assert_eq!(
        (&back["status"], &back["assignee"]),
        (&json!("todo"), &Value::Null)
    );
    for (body, field) in [
        (json!({}), "/agent_id"),
        (
            json!({ "agent_id": guide["id"], "user_id": tom_id }),
            "/user_id",
        ),
        (json!({ "user_id": tom_id, "auto_run": true }), "/auto_run"),
    ] {
        assign(&admin, &task, &body).await.names(field);
    }
}

#[tokio::test]
async fn an_agent_that_is_given_a_task_with_auto_run_begins_and_finishes_it() {
    let model = Scripted::computed(|request, _| {
        Turn::text(format!("I was asked: {:?}", request.messages[0]))
    });
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let assignee = json!({ "kind": "agent", "id": guide["id"] });
    let body = json!({
        "title": "Find it", "description": "In chapter 2.", "assignee": assignee, "auto_run": true,
    });
    let created = admin.create("/v1/tasks", &body).await;
    assert_eq!(created["status"], "in_progress");
    // Created without anybody, and assigned later: the task says that it runs by itself.
    let later = json!({ "title": "Find it", "description": "In chapter 2.", "auto_run": true });
    let later = admin.create("/v1/tasks", &later).await;
    assert_eq!(later["execution"], Value::Null);
    let later = assign(&admin, &later, &json!({ "agent_id": guide["id"] }))
        .await
        .ok();
    for task in [created, later] {
        let execution = ended(&admin, &text(&task["execution"])).await;
        assert_eq!(
            (&execution["state"], &execution["task"]),
            (&json!("completed"), &task["id"])
        );
        let done = admin.get(&path(&task)).await.ok();
        assert_eq!(
            (&done["status"], &done["result"]),
            (&json!("completed"), &execution["answer"])
        );
        assert!(
            text(&done["result"]).contains("Find it\\n\\nIn chapter 2."),
            "{done}"
        );
    }
}

#[tokio::test]
async fn a_task_whose_run_failed_is_blocked_and_can_be_given_again() {
    let failure = ModelError::Unauthorized {
        provider: "openai".to_owned(),
    };
    let model = Scripted::new([Turn::fail(failure), Turn::text("Found.")]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let assignee = json!({ "kind": "agent", "id": guide["id"] });
    let body = json!({ "title": "Find it", "assignee": assignee, "auto_run": true });
    let task = admin.create("/v1/tasks", &body).await;
    ended(&admin, &text(&task["execution"])).await;
    let blocked = admin.get(&path(&task)).await.ok();
    assert_eq!(
        (&blocked["status"], &blocked["result"]),
        (&json!("blocked"), &Value::Null)
    );
    let again = assign(&admin, &task, &json!({ "agent_id": guide["id"] }))
        .await
        .ok();
    assert_ne!(again["execution"], task["execution"]);
    ended(&admin, &text(&again["execution"])).await;
    assert_eq!(admin.get(&path(&task)).await.ok()["result"], "Found.");
}

#[tokio::test]
async fn while_an_execution_works_on_a_task_nobody_takes_it_away() {
    let gate = Gate::new();
    let model = Scripted::new([
        Turn::text("Found.").gated_after(0, &gate),
        Turn::text("Again."),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let assignee = json!({ "kind": "agent", "id": guide["id"] });
    let body = json!({ "title": "Find it", "assignee": assignee, "auto_run": true });
    let task = admin.create("/v1/tasks", &body).await;
    within("the model is asked", gate.arrived()).await;
    let give = json!({ "agent_id": guide["id"] });
    assign(&admin, &task, &give)
        .await
        .problem(409, "execution_open");
    for end in [TaskStatus::Completed, TaskStatus::Cancelled] {
        set(&admin, &task, end).await.problem(409, "execution_open");
    }
    admin
        .delete(&path(&task))
        .await
        .problem(409, "execution_open");
    // What the task says may be changed, and its end is not lost over it.
    admin
        .patch(&path(&task), &json!({ "title": "Find that" }))
        .await
        .ok();
    gate.open();
    ended(&admin, &text(&task["execution"])).await;
    let done = admin.get(&path(&task)).await.ok();
    assert_eq!(
        (&done["status"], &done["title"]),
        (&json!("completed"), &json!("Find that"))
    );
}

#[tokio::test]
async fn a_run_ends_however_often_its_task_is_changed_meanwhile() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let guide = admin
        .create("/v1/agents", &json!({ "name": "A", "instructions": "B" }))
        .await;
    let assignee = json!({ "kind": "agent", "id": guide["id"] });
    let body = json!({ "title": "Find it", "assignee": assignee, "auto_run": true });
    for _ in 0..6 {
        let task = admin.create("/v1/tasks", &body).await;
        let (path, execution) = (path(&task), text(&task["execution"]));
        let change = json!({ "title": "Find that" });
        let meddling = async {
            loop {
                let changes = (0..4).map(|_| admin.patch(&path, &change));
                futures::future::join_all(changes).await;
            }
        };
        let execution = tokio::select! {
            execution = ended(&admin, &execution) => execution,
            () = meddling => unreachable!("it never ends"),
        };
        assert_eq!(execution["state"], "completed");
        assert_eq!(admin.get(&path).await.ok()["status"], "completed");
    }
}

#[tokio::test]
async fn to_have_an_agent_begin_one_needs_to_be_allowed_to_run_agents() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let clerk = world.machine(&admin, &["tasks:read", "tasks:write"]).await;
    let assignee = json!({ "kind": "agent", "id": guide["id"] });
    let body = json!({ "title": "Find it", "assignee": assignee, "auto_run": true });
    clerk
        .post("/v1/tasks", &body)
        .await
        .problem(403, "forbidden");
    let task = clerk
        .create(
            "/v1/tasks",
            &json!({ "title": "Find it", "auto_run": true }),
        )
        .await;
    let give = json!({ "agent_id": guide["id"] });
    assign(&clerk, &task, &give).await.problem(403, "forbidden");
    let quietly = json!({ "agent_id": guide["id"], "auto_run": false });
    assert_eq!(
        assign(&clerk, &task, &quietly).await.ok()["status"],
        "assigned"
    );
    assert_eq!(admin.list("/v1/executions").await.len(), 0);
}
