//! A writer that dies at any await leaves a whole index, and its successor the right one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use text_index::{Filter, ItemKind, Query};
use work::Handler as _;

use crate::stage::{Stage, crash_after, scope};

const CHUNKS: u32 = 12;

/// Reads again and again: all chunks of one version of the document, or none, never some of two.
async fn read_until(stage: &Stage, stop: &AtomicBool) -> (usize, u64) {
    let query = Query {
        limit: 100,
        filter: Filter {
            kinds: vec![ItemKind::Chunk],
            ..Filter::default()
        },
        ..Query::new("version")
    };
    let (mut reads, mut newest) = (0, 0);
    while !stop.load(Ordering::SeqCst) {
        let found = stage.reader.search(stage.tenant, &scope(), &query).await;
        let found = found.expect("a whole index");
        assert!(
            [0, u64::from(CHUNKS)].contains(&found.total),
            "{}",
            found.total
        );
        let versions: Vec<&str> = found
            .hits
            .iter()
            .filter_map(|hit| hit.item.body.split(' ').nth(1))
            .collect();
        assert!(
            versions.windows(2).all(|two| two[0] == two[1]),
            "{versions:?}"
        );
        assert!(found.version >= newest, "an index does not go back");
        newest = found.version;
        reads += 1;
        tokio::task::yield_now().await;
    }
    (reads, newest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_may_die_at_every_await() {
    let stage = Arc::new(Stage::start().await);
    let stop = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn({
        let (stage, stop) = (Arc::clone(&stage), Arc::clone(&stop));
        async move { read_until(&stage, &stop).await }
    });
    let (mut crashes, mut waits) = (0, 0);
    loop {
        stage
            .put_document(1, CHUNKS, &format!("version {waits}"))
            .await;
        stage.mark(&[stage.document_event(1)]).await;
        stage.clock.advance(std::time::Duration::from_millis(1));
        if waits % 7 == 3 {
            stage
                .store
                .text_index(stage.tenant)
                .request_rebuild()
                .await
                .unwrap();
        }
        let attempt = stage.claim(stage.tenant).await;
        let writer = stage.writer();
        let lived = crash_after(waits, writer.run(attempt)).await.is_some();
        crashes += usize::from(!lived);
        if waits % 5 == 4 || lived {
            // The successor sees to it that the last word is found.
            stage.update().await;
            let found = stage.search(&format!("\"version {waits}\"")).await;
            assert_eq!(found.total, u64::from(CHUNKS), "after {waits} awaits");
            assert_eq!(stage.search("version").await.total, u64::from(CHUNKS));
        }
        if lived && waits % 7 != 3 {
            break;
        }
        waits += 1;
    }
    stop.store(true, Ordering::SeqCst);
    let (reads, _) = reading.await.unwrap();
    assert!(
        crashes > 10 && reads > crashes,
        "{crashes} crashes, {reads} reads"
    );

    // What the dead have left is collected once it is old, and nothing else.
    let index = stage.store.text_index(stage.tenant);
    let before = index.bundles().await.unwrap().len();
    stage
        .clock
        .advance(std::time::Duration::from_secs(3 * 60 * 60));
    stage.update().await;
    let head = stage.head().await;
    let left = index.bundles().await.unwrap();
    let named = head.bundles();
    assert_eq!(left.len(), named.len(), "of {before}");
    assert!(
        left.iter()
            .all(|listed| named.contains(listed.bundle.as_str()))
    );
    let fresh = text_index::TextIndex::new(stage.store.clone(), 1 << 20);
    let found = fresh
        .search(stage.tenant, &scope(), &Query::new("version"))
        .await;
    assert_eq!(found.unwrap().total, u64::from(CHUNKS));
}
