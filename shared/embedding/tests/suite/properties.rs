//! What holds for every text.

use embedding::{StaticModel, cosine, is_zero, token_count};
use proptest::prelude::*;

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}

/// White space of every kind, including what no keyboard types.
fn space() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        proptest::sample::select(vec![
            ' ', '\t', '\n', '\r', '\u{a0}', '\u{2003}', '\u{3000}',
        ]),
        1..4,
    )
    .prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn any_text_has_a_unit_vector_or_a_zero_one(text in any::<String>()) {
        let vector = StaticModel.embed_text(&text);
        prop_assert_eq!(vector.len(), StaticModel::DIMENSIONS);
        prop_assert!(is_zero(&vector) || (length(&vector) - 1.0).abs() < 1e-5);
        // Canonical decomposition gives at most four characters for one.
        prop_assert!(token_count(&text) <= 4 * text.chars().count());
    }

    #[test]
    fn any_english_word_has_a_unit_vector(text in "[a-z]{1,30}( [a-z0-9]{1,12}){0,8}") {
        prop_assert!((length(&StaticModel.embed_text(&text)) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn white_space_only_separates(words in proptest::collection::vec("\\PC{1,12}", 1..6), gap in space()) {
        let plain = words.join(" ");
        let spread = format!("{gap}{}{gap}", words.join(&gap));
        prop_assert_eq!(token_count(&plain), token_count(&spread));
        prop_assert_eq!(StaticModel.embed_text(&plain), StaticModel.embed_text(&spread));
    }

    #[test]
    fn words_in_any_order_have_one_vector(words in proptest::collection::vec("[a-z]{1,10}", 1..8)) {
        let forward = StaticModel.embed_text(&words.join(" "));
        let mut words = words;
        words.reverse();
        let backward = StaticModel.embed_text(&words.join(" "));
        // Not bit for bit: sums of floating-point numbers depend on their order.
        prop_assert!(cosine(&forward, &backward).expect("one model") > 0.99999);
    }

    #[test]
    fn unknown_words_change_nothing_but_the_count(words in "[a-z]{1,10}( [a-z]{1,10}){0,4}", unknown in "[🎉🚀ไ]{1,8}") {
        let longer = format!("{unknown} {words} {unknown}");
        prop_assert_eq!(StaticModel.embed_text(&words), StaticModel.embed_text(&longer));
        prop_assert_eq!(token_count(&words) + 2, token_count(&longer));
    }

    #[test]
    fn repeating_a_text_keeps_its_direction(text in "[a-z]{2,10}( [a-z]{2,10}){0,4}", times in 2_usize..20) {
        let once = StaticModel.embed_text(&text);
        let often = StaticModel.embed_text(&format!("{text} ").repeat(times));
        prop_assert!(cosine(&once, &often).expect("one model") > 0.9999);
        prop_assert_eq!(token_count(&text) * times, token_count(&format!("{text} ").repeat(times)));
    }

    #[test]
    fn cosine_is_symmetric_and_bounded(a in any::<String>(), b in any::<String>()) {
        let (a, b) = (StaticModel.embed_text(&a), StaticModel.embed_text(&b));
        let forward = cosine(&a, &b).expect("one model");
        prop_assert_eq!(forward, cosine(&b, &a).expect("one model"));
        prop_assert!((-1.0..=1.0).contains(&forward));
    }
}

#[test]
fn a_text_without_words_has_the_zero_vector() {
    for text in ["", " \n\t", "\0\u{200b}", "🎉", "สวัสดีชาวโลก"] {
        assert!(is_zero(&StaticModel.embed_text(text)), "{text:?}");
    }
}

/// Were the cost quadratic anywhere, these would not end.
#[test]
fn long_and_hostile_texts_are_embedded() {
    let size = 1 << 20;
    let letter_by_letter = "qx".repeat(50) + " ";
    for (text, tokens) in [
        ("a ".repeat(size / 2), size / 2),
        ("a".repeat(size), 1),
        ("!".repeat(size), size),
        // Two classes of marks, which decomposition has to sort.
        ("e".to_owned() + &"\u{301}\u{316}".repeat(size / 4), 1),
        (
            letter_by_letter.repeat(size / 100),
            token_count(&letter_by_letter) * (size / 100),
        ),
    ] {
        assert_eq!(token_count(&text), tokens);
        assert_eq!(StaticModel.embed_text(&text).len(), StaticModel::DIMENSIONS);
    }
}
