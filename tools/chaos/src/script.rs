//! What an execution is to do: for each number the same, whoever asks. The model server speaks by
//! it, the tool server answers by it, and the checks know by it what must have come out.

use rand::Rng as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::seeds::sequence;

/// What stands for a result that a tool did not give.
pub(crate) const NO_VALUE: &str = "unknown";
/// What stands for the result of a tool that changes something in the product itself.
pub(crate) const NOTED: &str = "noted";

/// The script of one execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    seed: u64,
    number: u64,
    /// The calls of each step but the last, which answers.
    steps: Vec<Vec<ScriptedCall>>,
    /// Whether the answer comes in pieces with pauses between them.
    pub(crate) slow_answer: bool,
    /// Whether it works on a task.
    pub(crate) has_task: bool,
    /// Whether it takes the lane that nobody waits for.
    pub(crate) in_bulk: bool,
}

/// A tool call that the model asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScriptedCall {
    pub(crate) tool: ScriptedTool,
    /// What it is about: unique in the whole run.
    pub(crate) item: String,
}

/// The tools of the agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScriptedTool {
    /// An HTTP tool that says that it is idempotent.
    LookUp,
    /// An HTTP tool that does not.
    Charge,
    /// A built-in tool, which changes state in one transaction with its result.
    CreateTask,
}

impl ScriptedTool {
    /// The name that the model knows.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::LookUp => "look_up",
            Self::Charge => "charge",
            Self::CreateTask => "create_task",
        }
    }

    /// The argument that names the item.
    const fn argument(self) -> &'static str {
        match self {
            Self::LookUp | Self::Charge => "item",
            Self::CreateTask => "title",
        }
    }
}

/// Tokens that a model call counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScriptedTokens {
    pub(crate) input: u64,
    pub(crate) cached: u64,
    pub(crate) output: u64,
}

/// A turn of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScriptedTurn {
    Calls(Vec<ScriptedCall>),
    Answer(String),
}

impl Script {
    /// The script of the execution with this number.
    pub(crate) fn of(seed: u64, number: u64) -> Self {
        let mut draw = sequence(seed, "script", number);
        let steps = draw.random_range(1..=3);
        let steps = (1..=steps)
            .map(|step| {
                let calls = draw.random_range(1..=2);
                (1..=calls)
                    .map(|call| ScriptedCall {
                        tool: match draw.random_range(0..10) {
                            0..5 => ScriptedTool::LookUp,
                            5..9 => ScriptedTool::Charge,
                            _ => ScriptedTool::CreateTask,
                        },
                        item: format!("run-{number}-step-{step}-call-{call}"),
                    })
                    .collect()
            })
            .collect();
        Self {
            seed,
            number,
            steps,
            slow_answer: draw.random_bool(0.25),
            has_task: draw.random_bool(0.3),
            in_bulk: draw.random_bool(0.25),
        }
    }

    /// What the agent is asked, by which the model server knows the script.
    pub(crate) fn input(&self) -> String {
        format!("Run {}", self.number)
    }

    /// The number in such a text.
    pub(crate) fn number_in(input: &str) -> Option<u64> {
        input.trim().strip_prefix("Run ")?.parse().ok()
    }

    /// Steps in all: each is one model call.
    pub(crate) fn steps(&self) -> u32 {
        u32::try_from(self.steps.len() + 1).unwrap_or(u32::MAX)
    }

    /// The calls of a step, from 1; none for the last.
    pub(crate) fn calls(&self, step: u32) -> &[ScriptedCall] {
        let index = usize::try_from(step).unwrap_or(usize::MAX);
        index
            .checked_sub(1)
            .and_then(|index| self.steps.get(index))
            .map_or(&[], Vec::as_slice)
    }

    /// A tool call of a step, both from 1.
    pub(crate) fn call(&self, step: u32, call: u32) -> Option<&ScriptedCall> {
        let index = usize::try_from(call).ok()?.checked_sub(1)?;
        self.calls(step).get(index)
    }

    /// The effects that the journal of the execution must hold: step and call of each.
    pub(crate) fn effects(&self) -> Vec<(u32, u32)> {
        (1..=self.steps())
            .flat_map(|step| {
                let calls = u32::try_from(self.calls(step).len()).unwrap_or(u32::MAX);
                (0..=calls).map(move |call| (step, call))
            })
            .collect()
    }

    /// The model's turn of a step, which for the answer depends on what the tools have said.
    pub(crate) fn turn(&self, step: u32, values: &[String]) -> ScriptedTurn {
        if step < self.steps() {
            return ScriptedTurn::Calls(self.calls(step).to_vec());
        }
        ScriptedTurn::Answer(self.answer(values))
    }

    /// The right answer, given what the tools said, in order.
    pub(crate) fn answer(&self, values: &[String]) -> String {
        format!("Run {}: {}.", self.number, values.join(", "))
    }

    /// What the model call of a step counts.
    pub(crate) fn tokens(&self, step: u32) -> ScriptedTokens {
        let mut draw = sequence(self.seed, "tokens", self.number * 100 + u64::from(step));
        let input = draw.random_range(50..500);
        ScriptedTokens {
            input,
            cached: draw.random_range(0..input),
            output: draw.random_range(5..100),
        }
    }
}

impl ScriptedCall {
    /// The arguments, as the model gives them.
    pub(crate) fn arguments(&self) -> Value {
        json!({ self.tool.argument(): self.item })
    }

    /// The value that the result must hold.
    pub(crate) fn value(&self, seed: u64) -> String {
        match self.tool {
            ScriptedTool::LookUp | ScriptedTool::Charge => value_of(seed, &self.item),
            ScriptedTool::CreateTask => NOTED.to_owned(),
        }
    }
}

/// What the tool server answers about an item.
pub(crate) fn value_of(seed: u64, item: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(item);
    hash.finalize()[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The value in a tool's result, as the model is shown it.
pub(crate) fn value_in(content: &str) -> String {
    let Ok(content) = serde_json::from_str::<Value>(content) else {
        return NO_VALUE.to_owned();
    };
    if content["task_id"].is_string() {
        return NOTED.to_owned();
    }
    // A person may know what became of a call that was interrupted.
    let value = match content["confirmed_by_a_person"].as_bool() {
        Some(true) => content["result"].as_str(),
        _ => content["body"]["value"].as_str(),
    };
    value.unwrap_or(NO_VALUE).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_follows_from_seed_and_number() {
        assert_eq!(Script::of(3, 8), Script::of(3, 8));
        let distinct = (0..50).filter(|number| Script::of(3, *number) != Script::of(4, *number));
        assert_eq!(distinct.count(), 50);
        let script = Script::of(3, 8);
        assert_eq!(Script::number_in(&script.input()), Some(8));
        assert_eq!(script.tokens(1), Script::of(3, 8).tokens(1));
    }

    #[test]
    fn scripts_have_two_to_four_steps_and_every_tool() {
        let scripts: Vec<Script> = (0..200).map(|number| Script::of(1, number)).collect();
        for steps in 2..=4 {
            assert!(scripts.iter().any(|script| script.steps() == steps));
        }
        for tool in [
            ScriptedTool::LookUp,
            ScriptedTool::Charge,
            ScriptedTool::CreateTask,
        ] {
            let called = |script: &Script| script.steps.iter().flatten().any(|c| c.tool == tool);
            assert!(scripts.iter().any(called), "{}", tool.name());
        }
    }

    #[test]
    fn the_last_step_answers_with_what_the_tools_said() {
        let script = Script::of(1, 5);
        let last = script.steps();
        assert!(matches!(script.turn(1, &[]), ScriptedTurn::Calls(calls) if !calls.is_empty()));
        let values = ["a".to_owned(), NO_VALUE.to_owned()];
        assert_eq!(
            script.turn(last, &values),
            ScriptedTurn::Answer("Run 5: a, unknown.".to_owned())
        );
        assert!(script.calls(last).is_empty());
        assert_eq!(script.effects().last(), Some(&(last, 0)));
    }

    #[test]
    fn values_are_read_from_results_as_models_see_them() {
        let content = r#"{"status":200,"body":{"value":"ab12"}}"#;
        assert_eq!(value_in(content), "ab12");
        let confirmed = r#"{"confirmed_by_a_person":true,"result":"ab12"}"#;
        assert_eq!(value_in(confirmed), "ab12");
        assert_eq!(value_in(r#"{"task_id":"tsk_1"}"#), NOTED);
        assert_eq!(value_in("The outcome of this call is unknown"), NO_VALUE);
        assert_eq!(value_in(r#"{"status":500,"body":"x"}"#), NO_VALUE);
    }
}
