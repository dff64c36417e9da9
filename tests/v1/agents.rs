//! `/v1/agents`, their versions, statistics and memories.

use serde_json::{Value, json};

use crate::support::fixture::{agent, tool};
use crate::support::redact::redacted;
use crate::support::{Api, World, ended, eventually, tenant, text};

fn path(agent: &Value) -> String {
    format!("/v1/agents/{}", text(&agent["id"]))
}

async fn run(admin: &Api, agent: &Value) -> Value {
    let body = json!({ "agent_id": agent["id"], "input": "How often?" });
    let execution = admin.create("/v1/executions", &body).await;
    ended(admin, &text(&execution["id"])).await
}

#[tokio::test]
async fn an_agent_is_created_read_changed_and_deleted() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let answer = admin.post("/v1/agents", &agent("Guide")).await;
    let made = answer.created();
    assert_eq!(answer.header("location"), Some(path(&made).as_str()));
    insta::assert_json_snapshot!(redacted(&made));
    assert_eq!(admin.get(&path(&made)).await.ok(), made);
    let bare = json!({ "name": "Bare", "instructions": "Answer." });
    let bare = admin.create("/v1/agents", &bare).await;
    assert_eq!(
        bare["limits"],
        json!({ "max_steps": 25, "max_seconds": 3600 })
    );

    let listed = admin.list("/v1/agents").await;
    let names: Vec<&Value> = listed.iter().map(|agent| &agent["name"]).collect();
    assert_eq!(names, ["Bare", "Guide"], "newest first");

    let body = json!({ "model": "openai::gpt-4.1", "tools": [], "limits": { "max_steps": 2 } });
    let changed = admin.patch(&path(&made), &body).await.ok();
    assert_eq!(
        (&changed["version"], &changed["name"]),
        (&json!(2), &made["name"])
    );
    assert_eq!(changed["model"], "openai::gpt-4.1");
    let changed = admin
        .patch(&path(&made), &json!({ "model": null }))
        .await
        .ok();
    assert_eq!(changed["model"], Value::Null);

    admin.delete(&path(&made)).await.gone();
    admin.get(&path(&made)).await.problem(404, "not_found");
    admin.delete(&path(&made)).await.problem(404, "not_found");
    assert_eq!(admin.list("/v1/agents").await.len(), 1);
    let orphan = json!({ "agent_id": made["id"], "input": "?" });
    admin
        .post("/v1/executions", &orphan)
        .await
        .names("/agent_id");
}

#[tokio::test]
async fn every_change_is_a_version_and_any_version_can_be_the_newest_again() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let made = admin.create("/v1/agents", &agent("One")).await;
    let path = path(&made);
    for name in ["Two", "Three"] {
        admin.patch(&path, &json!({ "name": name })).await.ok();
    }
    let versions = admin.list(&format!("{path}/versions")).await;
    let known: Vec<(&Value, &Value)> = versions
        .iter()
        .map(|version| (&version["version"], &version["name"]))
        .collect();
    let (one, two, three) = (json!(1), json!(2), json!(3));
    let names = [json!("Three"), json!("Two"), json!("One")];
    assert_eq!(
        known,
        [(&three, &names[0]), (&two, &names[1]), (&one, &names[2])]
    );
    let first = admin.get(&format!("{path}/versions/1")).await.ok();
    assert_eq!((&first["name"], &first["agent"]), (&names[2], &made["id"]));
    for none in ["0", "4", "-1", "x", "99999999999999999999"] {
        admin
            .get(&format!("{path}/versions/{none}"))
            .await
            .problem(404, "not_found");
    }

    let rollback = format!("{path}/rollback");
    let back = admin.post(&rollback, &json!({ "version": 1 })).await.ok();
    assert_eq!(
        (&back["version"], &back["name"]),
        (&json!(4), &json!("One"))
    );
    assert_eq!(admin.list(&format!("{path}/versions")).await.len(), 4);
    admin
        .post(&rollback, &json!({ "version": 9 }))
        .await
        .names("/version");
}

#[tokio::test]
async fn a_version_whose_tools_are_gone_cannot_come_back() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let order = admin.create("/v1/tools", &tool("get_order")).await;
    let mut body = agent("Guide");
    body["tools"] = json!(["remember", order["id"]]);
    let made = admin.create("/v1/agents", &body).await;
    admin
        .patch(&path(&made), &json!({ "tools": [] }))
        .await
        .ok();
    admin
        .delete(&format!("/v1/tools/{}", text(&order["id"])))
        .await
        .gone();
    let rollback = format!("{}/rollback", path(&made));
    admin
        .post(&rollback, &json!({ "version": 1 }))
        .await
        .names("/tools/1");
}

#[tokio::test]
async fn what_an_agent_names_exists_once_and_within_bounds() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let base = admin
        .create("/v1/knowledge-bases", &json!({ "name": "A" }))
        .await;
    let with = |field: &str, value: Value| {
        let mut body = agent("Guide");
        body[field] = value;
        body
    };
    for (field, value, named) in [
        ("tools", json!(["remember", "remember"]), "/tools/1"),
        ("tools", json!(["remember", "fly"]), "/tools/1"),
        ("tools", json!(vec!["remember"; 65]), "/tools"),
        (
            "knowledge_bases",
            json!([base["id"], base["id"]]),
            "/knowledge_bases/1",
        ),
        (
            "knowledge_bases",
            json!(vec![base["id"].clone(); 17]),
            "/knowledge_bases",
        ),
        ("limits", json!({ "max_steps": 0 }), "/limits/max_steps"),
        ("limits", json!({ "max_steps": 201 }), "/limits/max_steps"),
        (
            "limits",
            json!({ "max_seconds": 86_401 }),
            "/limits/max_seconds",
        ),
        ("model", json!("gpt-4.1"), "/model"),
        ("model", json!("::x"), "/model"),
        ("name", json!(" \t"), "/name"),
        ("name", json!("a\nb"), "/name"),
    ] {
        admin
            .post("/v1/agents", &with(field, value))
            .await
            .names(named);
    }
    assert_eq!(admin.list("/v1/agents").await.len(), 0);
}

#[tokio::test]
async fn statistics_follow_what_the_agent_has_done() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let made = admin.create("/v1/agents", &agent("Guide")).await;
    let stats = format!("{}/stats", path(&made));
    let before = admin.get(&stats).await.ok();
    assert_eq!(
        (&before["executions_completed"], &before["level"]),
        (&json!(0), &json!(1))
    );
    for _ in 0..3 {
        assert_eq!(run(&admin, &made).await["state"], "completed");
    }
    let after = eventually("the ends are counted", async || {
        let stats = admin.get(&stats).await.ok();
        (stats["executions_completed"] == 3).then_some(stats)
    })
    .await;
    assert_eq!(
        (&after["xp"], &after["success_percent"]),
        (&json!(30), &json!(100))
    );
    assert!(after["as_of"].is_string(), "{after}");
    let other = admin.create("/v1/agents", &agent("Other")).await;
    let others = admin.get(&format!("{}/stats", path(&other))).await.ok();
    assert_eq!(others["executions_completed"], 0);
}

#[tokio::test]
async fn an_agent_remembers_for_itself_alone_and_forgets_when_told() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let other = admin.create("/v1/agents", &agent("Other")).await;
    run(&admin, &guide).await;
    let memories = format!("{}/memory", path(&guide));
    let kept = admin.list(&memories).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (&kept[0]["text"], &kept[0]["kind"]),
        (&json!("Oil is changed."), &json!("fact"))
    );
    assert_eq!(
        admin.list(&format!("{}/memory", path(&other))).await.len(),
        0
    );

    // By its own agent's path only.
    let memory = text(&kept[0]["id"]);
    let by_other = format!("{}/memory/{memory}", path(&other));
    admin.delete(&by_other).await.problem(404, "not_found");
    admin.delete(&format!("{memories}/{memory}")).await.gone();
    admin
        .delete(&format!("{memories}/{memory}"))
        .await
        .problem(404, "not_found");
    assert_eq!(admin.list(&memories).await.len(), 0);
}

#[tokio::test]
async fn the_runs_of_a_deleted_agent_stay() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let made = admin.create("/v1/agents", &agent("Guide")).await;
    let execution = run(&admin, &made).await;
    admin.delete(&path(&made)).await.gone();
    let kept = admin
        .get(&format!("/v1/executions/{}", text(&execution["id"])))
        .await
        .ok();
    assert_eq!(kept["answer"], execution["answer"]);
    // A run that is still to be taken up finds the version that it was asked of.
    let agents = world.store().agents(tenant(&admin));
    let id = text(&made["id"]).parse().expect("an id");
    assert!(
        agents
            .version(id, 1)
            .await
            .expect("the store answers")
            .is_some()
    );
}
