use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn tokens(input: u64, cached: u64, written: u64, output: u64, reasoning: u64) -> Tokens {
    Tokens {
        input_tokens: input,
        cached_input_tokens: cached,
        cache_write_tokens: written,
        output_tokens: output,
        reasoning_tokens: reasoning,
    }
}

fn list(models: &str) -> Result<PriceMap, String> {
    PriceMap::parse(&format!(r#"{{"models":{models}}}"#)).map_err(|error| error.to_string())
}

/// 2 dollars of input, 0.50 cached, 2.50 written, 8 of output, 9 of reasoning; twice as much and
/// nothing special above 1,000 tokens.
fn example() -> PriceMap {
    list(
        r#"{"a::m":[{"from":"2026-01-01","input":200000000,"cached_input":50000000,
        "cache_write":250000000,"output":800000000,"reasoning":900000000,
        "long":{"over_input_tokens":1000,"input":400000000,"output":1600000000}}]}"#,
    )
    .unwrap()
}

#[test]
fn each_kind_of_token_costs_its_own_and_fractions_are_rounded_up_once() {
    let prices = example();
    let price = prices.price_of("a::m", at("2026-02-01T00:00:00Z")).unwrap();
    for (used, micros) in [
        (tokens(0, 0, 0, 0, 0), 0),
        (tokens(1, 0, 0, 0, 0), 200),
        (tokens(100, 40, 10, 0, 0), 50 * 200 + 40 * 50 + 10 * 250),
        (tokens(0, 0, 0, 7, 0), 7 * 800),
        (tokens(0, 0, 0, 7, 5), 2 * 800 + 5 * 900),
        // Counted beside the input instead of among it: none of them is lost.
        (tokens(10, 40, 10, 0, 0), 40 * 50 + 10 * 250),
        (tokens(0, 0, 0, 3, 5), 5 * 900),
        // The long prices hold for the whole call, and begin above their mark.
        (tokens(1_000, 0, 0, 1, 0), 1_000 * 200 + 800),
        (tokens(1_001, 1, 0, 1, 0), 1_001 * 400 + 1_600),
    ] {
        assert_eq!(price.cost(used), MicroCredits::new(micros), "{used:?}");
    }

    let cheap = list(r#"{"a::m":[{"from":"2026-01-01","input":1,"output":999999}]}"#).unwrap();
    let price = cheap.price_of("a::m", at("2026-02-01T00:00:00Z")).unwrap();
    for (used, micros) in [
        (tokens(1, 0, 0, 0, 0), 1),
        (tokens(1_000_000, 0, 0, 0, 0), 1),
        (tokens(1_000_001, 0, 0, 0, 0), 2),
        // Two fractions are one micro-credit, not two.
        (tokens(1, 0, 0, 1, 0), 1),
        (tokens(2, 0, 0, 1, 0), 2),
    ] {
        assert_eq!(price.cost(used), MicroCredits::new(micros), "{used:?}");
    }
}

#[test]
fn an_estimate_is_a_token_for_three_bytes_with_something_on_top_at_the_dearest_price() {
    let prices = example();
    let price = prices.price_of("a::m", at("2026-02-01T00:00:00Z")).unwrap();
    for (bytes, output, micros) in [
        (0, 0, 512 * 250),
        (1, 0, 513 * 250),
        (300, 10, 612 * 250 + 10 * 900),
        (3 * 488, 0, 1_000 * 250),
        (3 * 488 + 1, 1, 1_001 * 400 + 1_600),
    ] {
        let expected = MicroCredits::new(micros);
        assert_eq!(price.estimate(bytes, output), expected, "{bytes} {output}");
    }
    assert_eq!(
        price.estimate(u64::MAX, u64::MAX),
        MicroCredits::new(i64::MAX)
    );
}

#[test]
fn a_price_holds_from_its_moment_until_the_next() {
    // Not in order: the list is.
    let prices = list(
        r#"{"a::m":[{"from":"2026-03-01T12:00:00Z","input":3,"output":0},
        {"from":"2026-01-01","input":1,"output":0},{"from":"2026-02-01","input":2,"output":0}]}"#,
    )
    .unwrap();
    let input = |when: &str| {
        prices
            .price_of("a::m", at(when))
            .map(|price| price.rates.input.as_micros())
    };
    for (when, expected) in [
        ("2025-12-31T23:59:59.999Z", None),
        ("2026-01-01T00:00:00Z", Some(1)),
        ("2026-01-31T23:59:59.999Z", Some(1)),
        ("2026-02-01T00:00:00Z", Some(2)),
        ("2026-03-01T11:59:59.999Z", Some(2)),
        ("2026-03-01T12:00:00Z", Some(3)),
        ("2036-01-01T00:00:00Z", Some(3)),
    ] {
        assert_eq!(input(when), expected, "{when}");
    }
}

#[test]
fn a_model_is_found_by_its_name_its_undated_name_its_geography_and_its_provider() {
    let prices = list(
        r#"{
        "a::m":[{"from":"2020-01-01","input":1,"output":0}],
        "a::m-2026-01-01":[{"from":"2020-01-01","input":2,"output":0}],
        "b::*":[{"from":"2020-01-01","input":3,"output":0}],
        "bedrock::x.m-20250101-v1:0":[{"from":"2020-01-01","input":4,"output":0}],
        "bedrock::global.x.m-20250101-v1:0":[{"from":"2020-01-01","input":5,"output":0}]
        }"#,
    )
    .unwrap();
    for (model, expected) in [
        ("a::m", Some(1)),
        ("a::m-2026-01-01", Some(2)),
        ("a::m-2026-01-02", Some(1)),
        ("a::m-20260102", Some(1)),
        ("a::m-mini", None),
        ("a::m-2026", None),
        ("a::us.m", None),
        ("a::", None),
        ("m", None),
        ("", None),
        ("b::whatever", Some(3)),
        ("bedrock::x.m-20250101-v1:0", Some(4)),
        ("bedrock::eu.x.m-20250101-v1:0", Some(4)),
        ("bedrock::global.x.m-20250101-v1:0", Some(5)),
        ("bedrock::mars.x.m-20250101-v1:0", None),
        ("a::é-20260102", None),
    ] {
        let found = prices
            .price_of(model, at("2026-06-01T00:00:00Z"))
            .map(|price| price.rates.input.as_micros());
        assert_eq!(found, expected, "{model}");
    }
}

#[test]
fn the_built_in_list_can_be_read_and_knows_what_it_should() {
    let prices = PriceMap::built_in();
    let now = at("2026-11-20T00:00:00Z");
    let million = tokens(1_000_000, 0, 0, 1_000_000, 0);
    // Dollars for a million tokens in and a million out.
    for (model, dollars) in [
        ("openai::gpt-4.1", 10),
        ("openai::gpt-4.1-2025-04-14", 10),
        ("openai::gpt-4o-2024-05-13", 20),
        ("anthropic::claude-sonnet-4-5-20250929", 18),
        ("anthropic::claude-opus-4-20250514", 90),
        ("gemini::gemini-2.5-pro", 17),
        ("mistral::mistral-large-latest", 2),
        ("bedrock::us.amazon.nova-pro-v1:0", 4),
        ("offline::extractive", 0),
    ] {
        let price = prices.price_of(model, now).expect(model);
        let cost = price.cost(million).as_micros();
        assert_eq!(cost / 100_000_000, dollars, "{model}");
    }
    // The price of a day long gone is still known.
    let o3 = |when: &str| {
        prices
            .price_of("openai::o3", at(when))
            .unwrap()
            .cost(million)
    };
    assert_eq!(o3("2025-05-01T00:00:00Z"), MicroCredits::new(5_000_000_000));
    assert_eq!(o3("2025-07-01T00:00:00Z"), MicroCredits::new(1_000_000_000));
    for (model, history) in &prices.models {
        for (_, price) in history {
            let all = [Some(price.rates), price.long.map(|(_, rates)| rates)];
            for rates in all.into_iter().flatten() {
                let dearest = rates.input.max(rates.cache_write).max(rates.output);
                assert!(rates.cached_input <= rates.input, "{model}");
                // More than 200 dollars a million, or output below input, is a slip of the pen; but
                // vectors are no tokens.
                let embeds = model.contains("embed");
                assert!(dearest <= MicroCredits::new(20_000_000_000), "{model}");
                assert!(embeds || rates.output >= rates.input, "{model}");
            }
        }
    }
    assert!(prices.price_of("openai::no-such-model", now).is_none());
}

#[test]
fn the_environment_adds_models_and_gives_known_ones_another_history() {
    let with = |value: &str| {
        let value = value.to_owned();
        PriceMap::from_env(&move |name: &str| (name == VARIABLE).then(|| value.clone()))
    };
    let now = at("2026-11-20T00:00:00Z");
    let own = with(
        r#"{"comment":"ours","models":{
        "openai::gpt-4.1":[{"from":"2026-01-01","input":7,"output":0,"comment":"by contract"}],
        "openai::own":[{"from":"2026-01-01","input":8,"output":0}]}}"#,
    )
    .unwrap();
    let input = |model: &str, when| {
        own.price_of(model, when)
            .map(|price| price.rates.input.as_micros())
    };
    assert_eq!(input("openai::gpt-4.1", now), Some(7));
    assert_eq!(input("openai::gpt-4.1", at("2025-12-01T00:00:00Z")), None);
    assert_eq!(input("openai::own", now), Some(8));
    assert_eq!(input("openai::gpt-4o", now), Some(250_000_000));
    assert_eq!(with(" ").unwrap(), PriceMap::built_in());
    let error = with("{}").unwrap_err().to_string();
    assert!(error.contains("OVERGLASS_PRICES"), "{error}");
}

#[test]
fn what_is_wrong_with_a_list_is_said_with_the_model() {
    for (models, said) in [
        (r#"[]"#, "is not a list of prices"),
        (r#"{"a::m":[]}"#, "`a::m` cannot be used: there are none"),
        (
            r#"{"a::m":[{"from":"soon","input":1,"output":1}]}"#,
            "`from` must be a day",
        ),
        (
            r#"{"a::m":[{"from":"2026-01-01","input":-1,"output":1}]}"#,
            "below zero",
        ),
        (
            r#"{"a::m":[{"from":"2026-01-01","input":1,"output":1,"long":
            {"over_input_tokens":1,"input":1,"output":-1}}]}"#,
            "below zero",
        ),
        (
            r#"{"a::m":[{"from":"2026-01-01","input":1,"output":1},
            {"from":"2026-01-01T00:00:00Z","input":2,"output":1}]}"#,
            "the same moment",
        ),
        (
            r#"{"a::m":[{"from":"2026-01-01","input":1.5,"output":1}]}"#,
            "1.5",
        ),
        (
            r#"{"a::m":[{"from":"2026-01-01","input":1}]}"#,
            "missing field `output`",
        ),
        (
            r#"{"a::m":[{"from":"2026-01-01","input":1,"output":1,"outptu":1}]}"#,
            "unknown field `outptu`",
        ),
    ] {
        let error = list(models).unwrap_err();
        assert!(error.contains(said), "{models}: {error}");
    }
}

proptest! {
    #[test]
    fn no_call_is_free_below_its_price_nor_ever_negative(
        input: u64, cached: u64, written: u64, output: u64, reasoning: u64
    ) {
        let prices = example();
        let price = prices.price_of("a::m", at("2026-02-01T00:00:00Z")).unwrap();
        let cost = price.cost(tokens(input, cached, written, output, reasoning));
        prop_assert!(cost >= MicroCredits::ZERO);
        prop_assert!(cost > MicroCredits::ZERO || input.max(cached).max(written).max(output) == 0
            && reasoning == 0);
    }

    #[test]
    fn an_estimate_covers_every_call_of_so_many_tokens(
        bytes in 0u64..3_000, output in 0u64..2_000, share in 0u64..=100, thought in 0u64..=100
    ) {
        let prices = example();
        let price = prices.price_of("a::m", at("2026-02-01T00:00:00Z")).unwrap();
        let input = bytes.div_ceil(3) + OVERHEAD_TOKENS;
        let used = tokens(input, 0, input * share / 100, output, output * thought / 100);
        prop_assert!(price.cost(used) <= price.estimate(bytes, output));
    }

    #[test]
    fn no_name_panics_the_search(name in ".{0,30}") {
        let _ = PriceMap::built_in().price_of(&format!("bedrock::{name}"), Timestamp::default());
    }
}
