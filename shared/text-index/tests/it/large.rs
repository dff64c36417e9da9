//! Many documents: the number of segments stays small, and so does what a change writes.

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_chunks_in_few_segments() {
    let stage = Stage::start().await;
    let (documents, chunks) = (50_u128, 200);
    let mut most = 0;
    for document in 1..=documents {
        let text = format!("Section of manual number{document} about pumps, filters and valves");
        stage.put_document(document, chunks, &text).await;
        stage.mark(&[stage.document_event(document)]).await;
        stage.update().await;
        let head = stage.head().await;
        let segments = head
            .manifest
            .files
            .keys()
            .filter(|name| name.ends_with(".store"));
        most = most.max(segments.count());
    }
    assert!(most <= 28, "{most} segments");
    assert_eq!(stage.search("number7").await.total, 200);
    assert_eq!(stage.search("valves").await.total, 10_000);
    let bytes = head_bytes(&stage).await;
    assert!(bytes < 100_000, "the head has {bytes} bytes");
}

async fn head_bytes(stage: &Stage) -> usize {
    serde_json::to_string(&stage.head().await).unwrap().len()
}
