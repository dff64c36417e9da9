//! The files that ship are the files that were measured.

use embedding::{Embedder, Purpose, StaticModel};
use sha2::{Digest, Sha256};

/// A new table or vocabulary gives other vectors: change the model's version with these hashes,
/// so that stored vectors are embedded again.
#[test]
fn model_version_and_files_change_together() {
    let files = [
        include_bytes!("../../model/table.bin").as_slice(),
        include_bytes!("../../model/vocab.txt").as_slice(),
    ];
    let [table, vocabulary] = files.map(|file| hex::encode(Sha256::digest(file)));
    assert_eq!(StaticModel.model().to_string(), "static-en-256@1");
    assert_eq!(
        table,
        "4dc268daca58502fa4d35591d965b04dd75811e6f3e166245c0a22d3b7165a35"
    );
    assert_eq!(
        vocabulary,
        "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
    );
}

#[derive(serde::Deserialize)]
struct Goldens {
    vectors: Vec<Golden>,
}

#[derive(serde::Deserialize)]
struct Golden {
    text: String,
    /// The first components.
    head: Vec<f32>,
}

#[test]
fn vectors_agree_with_the_reference_implementation() {
    let goldens: Goldens = serde_json::from_str(include_str!("goldens.json")).expect("goldens");
    assert!(!goldens.vectors.is_empty());
    for Golden { text, head } in goldens.vectors {
        let vector = StaticModel.embed_text(&text);
        for (ours, reference) in vector.iter().zip(&head) {
            assert!((ours - reference).abs() < 1e-5, "{text:?}: {vector:?}");
        }
    }
}

#[tokio::test]
async fn a_batch_is_its_texts_in_order() {
    let texts = ["second thoughts", "", "first aid", "second thoughts"];
    let model: &dyn Embedder = &StaticModel;
    let batch = model
        .embed(&texts, Purpose::Passage)
        .await
        .expect("never fails")
        .vectors;
    let single: Vec<_> = texts
        .iter()
        .map(|text| StaticModel.embed_text(text))
        .collect();
    assert_eq!(batch, single);
    assert!(
        batch
            .iter()
            .all(|vector| vector.len() == model.dimensions())
    );
    assert!(
        model
            .embed(&[], Purpose::Query)
            .await
            .expect("never fails")
            .vectors
            .is_empty()
    );
}
