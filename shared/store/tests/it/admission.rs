//! Places and turns for many at once, against a DynamoDB that conflicts as AWS does and loses
//! replies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::agent::{Agent, AgentSpec, Limits};
use domain::conversation::OnBusy;
use domain::execution::Execution;
use domain::viewer::Viewer;
use futures::future::join_all;
use kernel::{AgentId, Clock as _, ConversationId, SystemClock};
use store::conversations::{NewTurn, TurnRefused};
use store::executions::{MAX_PLACES, NewRun};
use store::{CommitError, Error, Store, Tenant};
use work::{JobState, JobStore as _};

use crate::proxy::Proxy;
use crate::support::{PLACES, Stage, cause};

const RUNS: u32 = 40;
/// How long anything that happens by itself may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn agent(tenant: Tenant, most: Option<u32>) -> Agent {
    let now = SystemClock.now();
    Agent {
        id: AgentId::generate(now),
        org: tenant.org(),
        spec: AgentSpec {
            name: "Guide".to_owned(),
            description: String::new(),
            instructions: "Answer.".to_owned(),
            model: None,
            tools: Vec::new(),
            knowledge_bases: Vec::new(),
            agents: Vec::new(),
            approvals: BTreeMap::new(),
            output_schema: None,
            limits: Limits {
                max_concurrent: most,
                ..Limits::default()
            },
        },
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

fn run(store: &Store, agent: &Agent) -> NewRun {
    NewRun::new(store, &cause(), agent, "How often?".to_owned(), None)
}

/// Whether a change is to be tried again, by whoever asked for it.
fn is_busy(error: &Error) -> bool {
    matches!(error, Error::Commit(CommitError::Unavailable(_))) || error.is_changed()
}

/// Ends a run, as often as it takes.
async fn end(store: &Store, tenant: Tenant, run: &Execution) {
    loop {
        match store.executions(tenant).cancel(&cause(), run).await {
            Ok(_) => return,
            Err(error) if is_busy(&error) => {}
            Err(error) => panic!("{}", store::explain(&error)),
        }
    }
}

#[tokio::test]
async fn who_comes_at_the_same_moment_does_not_want_the_same_place() {
    const AT_ONCE: u64 = 16;
    let stage = Stage::with_places(MAX_PLACES).await;
    let store = &stage.store;
    let agent = agent(stage.tenant, None);
    let meter = &store.clients().meter;
    let before = meter.count();
    let queued = (0..AT_ONCE).map(async |_| {
        let executions = store.executions(stage.tenant);
        executions.queue(&cause(), &run(store, &agent)).await
    });
    for queued in join_all(queued).await {
        queued.expect("is queued");
    }
    // A look and a transaction for each; both again for whoever was late. If all wanted the first
    // free place, hundreds.
    let calls = meter.count() - before;
    assert!((2 * AT_ONCE..4 * AT_ONCE).contains(&calls), "{calls}");
}

async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
}

/// How many run at the same time now, and how many did at most.
#[derive(Default)]
struct Running {
    now: AtomicU32,
    most: AtomicU32,
}

impl Running {
    async fn one(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    fn most(&self) -> u32 {
        self.most.load(Ordering::SeqCst)
    }
}

/// Has many runs of an agent queued at once, each of which ends soon after it has its place.
/// Returns how many ran at most at the same time, and how often there was a conflict.
async fn all_run(most: Option<u32>, lose_one_of: u64) -> (u32, u64) {
    let stage = Stage::start().await;
    let (proxy, address) = Proxy::start(stage.dynamodb(), lose_one_of).await;
    let store = stage.through(&address);
    let (agent, running) = (agent(stage.tenant, most), Arc::new(Running::default()));
    let runs = (0..RUNS).map(|_| {
        let (store, tenant, running) = (store.clone(), stage.tenant, Arc::clone(&running));
        let run = run(&store, &agent);
        async move {
            let mut unsure = false;
            loop {
                match store.executions(tenant).queue(&cause(), &run).await {
                    Ok(()) => break,
                    // The try before, whose reply was lost, had been carried out.
                    Err(Error::Commit(CommitError::Exists { .. })) if unsure => break,
                    Err(error) => assert!(is_busy(&error), "{}", store::explain(&error)),
                }
                unsure = true;
            }
            let execution = run.execution();
            until("a place", async || {
                let job = store.load(execution.org, execution.job).await;
                let job = job.expect("an answer").expect("is there");
                job.state == JobState::Ready
            })
            .await;
            running.one().await;
            end(&store, tenant, execution).await;
        }
    });
    join_all(runs).await;
    // Whoever comes next finds a place at once.
    let next = run(&store, &agent);
    let executions = store.executions(stage.tenant);
    executions.queue(&cause(), &next).await.expect("queued");
    let job = store.load(stage.tenant.org(), next.execution().job).await;
    let job = job.expect("an answer").expect("is there");
    assert_eq!(job.state, JobState::Ready);
    (running.most(), proxy.conflicts())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_as_many_run_as_there_are_places_and_all_come_to_their_end() {
    let (most, conflicts) = all_run(None, 0).await;
    assert!((2..=PLACES).contains(&most), "{most}");
    assert!(conflicts > 0, "nothing was contended");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_an_agent_holds_as_well() {
    let (most, _) = all_run(Some(2), 0).await;
    assert_eq!(most, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_replies_are_lost_no_place_is() {
    let (most, _) = all_run(Some(3), 7).await;
    assert!(most <= 3, "{most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_turns_at_once_one_is_open_and_each_comes_to_its_end() {
    let stage = Stage::start().await;
    let (proxy, address) = Proxy::start(stage.dynamodb(), 0).await;
    let store = stage.through(&address);
    let agent = agent(stage.tenant, None);
    let conversations = store.conversations(stage.tenant);
    let conversation = conversations
        .create(&cause(), agent.id, "Oil".to_owned(), OnBusy::Enqueue)
        .await
        .expect("is begun");
    let running = Arc::new(Running::default());
    let turns = (0..20).map(|_| {
        let (store, tenant, running) = (store.clone(), stage.tenant, Arc::clone(&running));
        let (id, run) = (conversation.id, run(&store, &agent));
        async move {
            let turn = begin(&store, tenant, id, &run).await;
            until("its turn", async || {
                let now = store.conversations(tenant).get(id).await;
                now.expect("an answer").expect("is there").active == Some(turn.id)
            })
            .await;
            running.one().await;
            end(&store, tenant, &turn).await;
            turn.conversation.expect("is a turn").turn
        }
    });
    let mut numbers = join_all(turns).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<u32>>());
    assert_eq!(running.most(), 1);
    let now = conversations.get(conversation.id).await.expect("an answer");
    let now = now.expect("is there");
    assert!(!now.is_busy());
    assert_eq!((now.turns, now.history.len()), (20, 20));
    assert!(proxy.conflicts() > 0, "nothing was contended");
}

async fn begin(store: &Store, tenant: Tenant, id: ConversationId, run: &NewRun) -> Execution {
    let turn = NewTurn {
        run,
        viewer: Viewer::Everything,
        on_busy: None,
        revises: None,
    };
    loop {
        let conversations = store.conversations(tenant);
        match conversations.begin_turn(&cause(), id, &turn).await {
            Ok(turn) => return turn,
            Err(TurnRefused::Store(error)) if is_busy(&error) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
