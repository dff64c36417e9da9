//! An index is made anew from the tables, and serves meanwhile.

use domain::knowledge::{KnowledgeBase, VectorSets};
use kernel::{FileId, KnowledgeBaseId};
use store::Commit;
use work::Handler as _;

use crate::stage::{BASE, Stage, crash_after, scope};

async fn put_base(stage: &Stage, id: KnowledgeBaseId) {
    let now = stage.store.now();
    let base = KnowledgeBase {
        id,
        org: stage.tenant.org(),
        name: "Manuals".to_owned(),
        description: String::new(),
        embedding_model: "static@1".to_owned(),
        vectors: VectorSets::default(),
        reembedding: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    stage
        .store
        .commit(Commit::new(stage.tenant).put(&base))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_made_anew_from_the_tables() {
    let stage = Stage::start().await;
    for id in [
        KnowledgeBaseId::from_u128(0),
        BASE,
        KnowledgeBaseId::from_u128(2),
    ] {
        put_base(&stage, id).await;
    }
    for file in 1..=20 {
        stage.put_document(file, 3, "pump").await;
    }
    for number in 1..=450 {
        stage
            .put_task(stage.tenant, number, "Repair the pump")
            .await;
    }
    // One thing is in the index already, and one that is gone from the tables.
    stage
        .mark(&[stage.task_event(1), stage.document_event(1)])
        .await;
    stage.update().await;
    assert_eq!(stage.search("pump").await.total, 4);
    let documents = stage.store.knowledge(stage.tenant);
    let gone = documents
        .document(BASE, FileId::from_u128(1))
        .await
        .unwrap()
        .unwrap();
    stage
        .store
        .commit(Commit::new(stage.tenant).delete(&gone, 1))
        .await
        .unwrap();

    let index = stage.store.text_index(stage.tenant);
    index.request_rebuild().await.unwrap();
    index.request_rebuild().await.unwrap();
    // An attempt that dies on the way: the old index serves, and the new one goes on from there.
    let attempt = stage.claim(stage.tenant).await;
    crash_after(60, stage.writer().run(attempt)).await;
    assert!(stage.search("pump").await.total >= 4);
    stage.put_task(stage.tenant, 451, "Repair the pump").await;
    stage.mark(&[stage.task_event(451)]).await;
    stage.update().await;
    let head = stage.head().await;
    assert_eq!((head.generation, head.rebuild), (2, None));
    assert_eq!(stage.search("pump").await.total, 451 + 19 * 3);
    assert_eq!(
        stage.search("manual").await.total,
        19 * 4,
        "documents by their names"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_org_without_an_index_can_be_given_one() {
    let stage = Stage::start().await;
    stage.put_task(stage.tenant, 1, "Repair the pump").await;
    stage
        .store
        .text_index(stage.tenant)
        .request_rebuild()
        .await
        .unwrap();
    stage.update().await;
    assert_eq!(stage.search("pump").await.total, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_another_version_is_made_anew_with_the_next_change() {
    let stage = Stage::start().await;
    for number in [1, 2] {
        stage
            .put_task(stage.tenant, number, "Repair the pump")
            .await;
        stage.mark(&[stage.task_event(number)]).await;
        stage.update().await;
    }
    let mut head = stage.head().await;
    head.manifest.schema = 999;
    let commit = Commit::new(stage.tenant).put(&head);
    stage.store.commit(commit).await.unwrap();
    let fresh = text_index::TextIndex::new(stage.store.clone(), 1 << 20);
    let query = text_index::Query::new("pump");
    let found = fresh.search(stage.tenant, &scope(), &query).await;
    assert!(
        matches!(found, Err(text_index::Error::Outdated)),
        "{found:?}"
    );

    stage.put_task(stage.tenant, 2, "Repair the engine").await;
    stage.mark(&[stage.task_event(2)]).await;
    stage.update().await;
    let found = fresh.search(stage.tenant, &scope(), &query).await;
    assert_eq!(found.unwrap().total, 1);
    assert_eq!(stage.head().await.generation, 2);
}
