//! Prices of models: what a million tokens of each kind costs, and since when.
//!
//! A credit is one US cent. Prices are integers of micro-credits for a million tokens, so a model
//! at two dollars a million has the price 200,000,000. The built-in list holds the providers'
//! public prices; `OVERGLASS_PRICES` adds models to it or gives a model a history of its own.
//!
//! # The estimate
//!
//! Before a call nobody knows its tokens. [`Price::estimate`] takes a token for every three bytes
//! of the request and [`OVERHEAD_TOKENS`] on top, all of them at the dearer of the input and the
//! cache-write price, and as much output as the request allows, at the dearer of the output and the
//! reasoning price. English text has about four bytes to a token, so the estimate is mostly above
//! the cost; text of many short words in other scripts, and pictures, may cost more. What a call
//! costs above its estimate is the overshoot of a budget; of a call whose price does not depend on
//! tokens there is none.

use std::collections::BTreeMap;

use kernel::env::{ConfigError, EnvReader};
use kernel::{MicroCredits, Timestamp};
use serde::Deserialize;

use crate::execution::Tokens;

#[cfg(test)]
mod tests;

/// The variable with prices that are added to the built-in ones, in the form of the built-in list.
pub const VARIABLE: &str = "OVERGLASS_PRICES";

/// Tokens of a request that its bytes do not show: roles, separators, the frames of tools.
pub const OVERHEAD_TOKENS: u64 = 512;

const BUILT_IN: &str = include_str!("price/list.json");
const BYTES_PER_TOKEN: u64 = 3;
const MILLION: i128 = 1_000_000;
/// Where a model is reached through AWS, its id may begin with the part of the world that answers.
const GEOGRAPHIES: &[&str] = &[
    "us.", "us-gov.", "eu.", "apac.", "jp.", "au.", "ca.", "global.",
];

/// How many tokens a text has at most, by the estimate above.
#[must_use]
pub fn estimated_tokens(text: &str) -> u32 {
    let tokens = (text.len() as u64).div_ceil(BYTES_PER_TOKEN);
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// The price of one model from some moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    rates: Rates,
    long: Option<(u64, Rates)>,
}

/// Micro-credits for a million tokens of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rates {
    input: MicroCredits,
    cached_input: MicroCredits,
    cache_write: MicroCredits,
    output: MicroCredits,
    reasoning: MicroCredits,
}

impl Price {
    /// What a call costs, rounded up to a whole micro-credit. Tokens that were read from a cache or
    /// written to one are taken out of the input, reasoning tokens out of the output. A sum that no
    /// account could hold is the largest that there is.
    #[must_use]
    pub fn cost(&self, tokens: Tokens) -> MicroCredits {
        let special = tokens
            .cached_input_tokens
            .saturating_add(tokens.cache_write_tokens);
        // A provider may count cached tokens beside the input where they should be among it.
        let input = tokens.input_tokens.max(special);
        let output = tokens.output_tokens.max(tokens.reasoning_tokens);
        let rates = self.rates_for(input);
        sum([
            (rates.input, input - special),
            (rates.cached_input, tokens.cached_input_tokens),
            (rates.cache_write, tokens.cache_write_tokens),
            (rates.output, output - tokens.reasoning_tokens),
            (rates.reasoning, tokens.reasoning_tokens),
        ])
    }

    /// What is set aside for a call before it is made: see the top of this module.
    #[must_use]
    pub fn estimate(&self, request_bytes: u64, max_output_tokens: u64) -> MicroCredits {
        let input = request_bytes
            .div_ceil(BYTES_PER_TOKEN)
            .saturating_add(OVERHEAD_TOKENS);
        let rates = self.rates_for(input);
        sum([
            (rates.input.max(rates.cache_write), input),
            (rates.output.max(rates.reasoning), max_output_tokens),
        ])
    }

    fn rates_for(&self, input_tokens: u64) -> &Rates {
        match &self.long {
            Some((over, rates)) if input_tokens > *over => rates,
            _ => &self.rates,
        }
    }
}

fn sum<const N: usize>(parts: [(MicroCredits, u64); N]) -> MicroCredits {
    let product = |(rate, tokens): &(MicroCredits, u64)| {
        i128::from(rate.as_micros()).saturating_mul(i128::from(*tokens))
    };
    let total = parts.iter().map(product).fold(0, i128::saturating_add);
    let rounded_up = total.saturating_add(MILLION - 1).div_euclid(MILLION);
    MicroCredits::new(i64::try_from(rounded_up).unwrap_or(i64::MAX))
}

/// The prices of models by `provider::model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceMap {
    /// Each history is in the order of its moments.
    models: BTreeMap<String, Vec<(Timestamp, Price)>>,
}

/// Prices that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// The text is not a list of prices.
    #[error("is not a list of prices: {0}")]
    Malformed(#[from] serde_json::Error),
    /// What a list says of one model makes no sense.
    #[error("the prices of `{model}` cannot be used: {reason}")]
    Unusable { model: String, reason: &'static str },
}

impl PriceMap {
    /// The prices that come with the product.
    #[must_use]
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN)
            .unwrap_or_else(|error| unreachable!("the built-in list is tested: {error}"))
    }

    /// The built-in prices with those of `OVERGLASS_PRICES` over them.
    ///
    /// # Errors
    /// Says what is wrong with the variable.
    pub fn from_env(source: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = EnvReader::new(source);
        let mut prices = Self::built_in();
        if let Some(text) = env.optional(VARIABLE) {
            match Self::parse(&text) {
                Ok(own) => prices.models.extend(own.models),
                Err(error) => env.reject(VARIABLE, error),
            }
        }
        env.finish(prices)
    }

    /// Reads a list: `{"models": {"openai::gpt-4.1": [{"from": "2025-04-14", "input": …,
    /// "cached_input": …, "cache_write": …, "output": …, "reasoning": …}]}}`. Cached and written
    /// input cost what input costs where a price does not say, reasoning what output does. `long`
    /// holds the same under the number of input tokens above which it is valid. The model
    /// `provider::*` stands for all of a provider that are not named.
    ///
    /// # Errors
    /// [`PriceError`] names what is wrong.
    pub fn parse(text: &str) -> Result<Self, PriceError> {
        let list: List = serde_json::from_str(text)?;
        let models = list
            .models
            .into_iter()
            .map(|(model, entries)| {
                history(entries)
                    .map(|history| (model.clone(), history))
                    .map_err(|reason| PriceError::Unusable { model, reason })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { models })
    }

    /// What `model`, as `provider::model`, cost at that moment; none where nobody has said. A
    /// dated version has the price of its model, and a model behind AWS that of every geography,
    /// unless they have prices of their own.
    #[must_use]
    pub fn price_of(&self, model: &str, at: Timestamp) -> Option<&Price> {
        let (provider, name) = model.split_once("::")?;
        let anywhere = GEOGRAPHIES
            .iter()
            .find_map(|geography| name.strip_prefix(geography))
            .filter(|_| provider == "bedrock");
        let names = [Some(name), undated(name), anywhere, Some("*")];
        let history = names
            .into_iter()
            .flatten()
            .find_map(|name| self.models.get(&format!("{provider}::{name}")))?;
        history
            .iter()
            .rev()
            .find(|(from, _)| *from <= at)
            .map(|(_, price)| price)
    }
}

/// A name without the date at its end: `-2025-04-14` or `-20250414`.
fn undated(name: &str) -> Option<&str> {
    let is_dated = |pattern: &str| {
        let (_, end) = name.split_at_checked(name.len().checked_sub(pattern.len())?)?;
        let fits = end.bytes().zip(pattern.bytes()).all(|(byte, expected)| {
            if expected == b'-' {
                byte == b'-'
            } else {
                byte.is_ascii_digit()
            }
        });
        fits.then(|| &name[..name.len() - pattern.len()])
    };
    is_dated("-0000-00-00").or_else(|| is_dated("-00000000"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// For people.
    #[serde(default)]
    #[expect(dead_code, reason = "read by people and never by the program")]
    comment: serde::de::IgnoredAny,
    models: BTreeMap<String, Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The day, from midnight UTC, or a moment.
    from: String,
    input: MicroCredits,
    cached_input: Option<MicroCredits>,
    cache_write: Option<MicroCredits>,
    output: MicroCredits,
    reasoning: Option<MicroCredits>,
    long: Option<LongEntry>,
    /// For people.
    #[serde(default)]
    #[expect(dead_code, reason = "read by people and never by the program")]
    comment: serde::de::IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongEntry {
    over_input_tokens: u64,
    input: MicroCredits,
    cached_input: Option<MicroCredits>,
    cache_write: Option<MicroCredits>,
    output: MicroCredits,
    reasoning: Option<MicroCredits>,
}

fn history(entries: Vec<Entry>) -> Result<Vec<(Timestamp, Price)>, &'static str> {
    if entries.is_empty() {
        return Err("there are none");
    }
    let mut history = entries
        .into_iter()
        .map(|entry| Ok((moment(&entry.from)?, entry.price()?)))
        .collect::<Result<Vec<_>, &'static str>>()?;
    history.sort_by_key(|(from, _)| *from);
    if history.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err("two of them begin at the same moment");
    }
    Ok(history)
}

fn moment(from: &str) -> Result<Timestamp, &'static str> {
    format!("{from}T00:00:00Z")
        .parse()
        .or_else(|_| from.parse())
        .map_err(|_| "`from` must be a day, such as 2026-01-31, or a moment")
}

impl Entry {
    fn price(&self) -> Result<Price, &'static str> {
        let long = match &self.long {
            Some(long) => Some((
                long.over_input_tokens,
                Rates::new(
                    long.input,
                    long.cached_input,
                    long.cache_write,
                    long.output,
                    long.reasoning,
                )?,
            )),
            None => None,
        };
        let rates = Rates::new(
            self.input,
            self.cached_input,
            self.cache_write,
            self.output,
            self.reasoning,
        )?;
        Ok(Price { rates, long })
    }
}

impl Rates {
    fn new(
        input: MicroCredits,
        cached_input: Option<MicroCredits>,
        cache_write: Option<MicroCredits>,
        output: MicroCredits,
        reasoning: Option<MicroCredits>,
    ) -> Result<Self, &'static str> {
        let rates = Self {
            input,
            cached_input: cached_input.unwrap_or(input),
            cache_write: cache_write.unwrap_or(input),
            output,
            reasoning: reasoning.unwrap_or(output),
        };
        let all = [
            rates.input,
            rates.cached_input,
            rates.cache_write,
            rates.output,
            rates.reasoning,
        ];
        if all.iter().any(|rate| *rate < MicroCredits::ZERO) {
            return Err("one is below zero");
        }
        Ok(rates)
    }
}
