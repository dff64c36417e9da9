//! What an execution is to do: for each number the same, whoever asks. The model server speaks by
//! it, the tool server answers by it, and the checks know by it what must have come out.

use kernel::AgentId;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::seeds::sequence;

/// What stands for a result that a tool did not give.
pub(crate) const NO_VALUE: &str = "unknown";
/// What stands for the result of a tool that changes something in the product itself.
pub(crate) const NOTED: &str = "noted";
/// What stands for the answer of a run that was called.
pub(crate) const CALLED: &str = "called";
/// The seconds of running that are given to a run whose model does not answer.
pub(crate) const HASTY_SECONDS: u64 = 5;
/// From this number on, runs are called by others.
const FIRST_CALLED: u64 = 10_000_000;
/// How many numbers are set apart for the runs that one run calls.
const CALLS_OF_ONE: u64 = 100;

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
    /// Whether it works for the swarm of its org.
    pub(crate) in_swarm: bool,
    /// Whether it is paused on its way, and resumed.
    pub(crate) is_paused: bool,
    /// Whether the model leaves it without an answer until its time is over.
    pub(crate) expires: bool,
    /// Whether it is in the org that never has enough credits.
    pub(crate) is_poor: bool,
}

/// A tool call that the model asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScriptedCall {
    pub(crate) tool: ScriptedTool,
    /// What it is about: unique in the whole run.
    pub(crate) item: String,
    /// The run that answers it, where another agent is called.
    pub(crate) child: Option<u64>,
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
    /// A tool of a server that speaks the Model Context Protocol, which may not be called twice.
    Remote,
    /// A built-in tool, by which another agent does something.
    CallAgent,
    /// A built-in tool, which tells the agents of a swarm.
    SendMessage,
}

impl ScriptedTool {
    /// Every tool.
    #[cfg(test)]
    const ALL: [Self; 6] = [
        Self::LookUp,
        Self::Charge,
        Self::CreateTask,
        Self::Remote,
        Self::CallAgent,
        Self::SendMessage,
    ];

    /// Whether a call that was interrupted may not be made again.
    pub(crate) const fn may_not_repeat(self) -> bool {
        matches!(self, Self::Charge | Self::Remote)
    }

    /// The name that the model knows.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::LookUp => "look_up",
            Self::Charge => "charge",
            Self::CreateTask => "create_task",
            Self::Remote => "remote__ship",
            Self::CallAgent => "call_agent",
            Self::SendMessage => "send_message",
        }
    }

    /// The argument that names the item.
    const fn argument(self) -> &'static str {
        match self {
            Self::LookUp | Self::Charge | Self::Remote => "item",
            Self::CreateTask => "title",
            Self::CallAgent => "input",
            Self::SendMessage => "text",
        }
    }

    /// One tool, where these may be called as well.
    fn draw(draw: &mut StdRng, calls_agents: bool, in_swarm: bool, has_server: bool) -> Self {
        match draw.random_range(0..20) {
            0..3 if calls_agents => Self::CallAgent,
            3..6 if in_swarm => Self::SendMessage,
            6..10 if has_server => Self::Remote,
            10..12 => Self::CreateTask,
            12..16 => Self::Charge,
            _ => Self::LookUp,
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
        let asked_for = Self::caller_of(number).unwrap_or(number);
        let is_called = asked_for != number;
        let (in_swarm, expires) = (asked_for % 6 == 2, !is_called && number % 25 == 7);
        // Two that follow each other, so that they want credits at the same time.
        let is_poor = matches!(asked_for % 12, 4 | 5);
        let has_server = has_server(asked_for, is_poor);
        let steps = draw.random_range(1..=3);
        let steps = (1..=steps)
            .map(|step| {
                let calls = draw.random_range(1..=2);
                (1..=calls)
                    .map(|call| {
                        let calls_agents = !is_called && !expires;
                        let tool =
                            ScriptedTool::draw(&mut draw, calls_agents, in_swarm, has_server);
                        let child = FIRST_CALLED + number * CALLS_OF_ONE + step * 10 + call;
                        ScriptedCall {
                            tool,
                            item: format!("run-{number}-step-{step}-call-{call}"),
                            child: (tool == ScriptedTool::CallAgent).then_some(child),
                        }
                    })
                    .collect()
            })
            .collect();
        Self {
            seed,
            number,
            steps,
            slow_answer: draw.random_bool(0.25),
            has_task: draw.random_bool(0.3) && !in_swarm && !is_called,
            in_bulk: draw.random_bool(0.25),
            in_swarm,
            is_paused: !is_called && !expires && number % 5 == 1,
            expires,
            is_poor,
        }
    }

    /// The number of the run that calls this one.
    pub(crate) fn caller_of(number: u64) -> Option<u64> {
        let child = number.checked_sub(FIRST_CALLED)?;
        Some(child / CALLS_OF_ONE)
    }

    /// Whether the model leaves this step without an answer.
    pub(crate) fn hangs(&self, step: u32) -> bool {
        self.expires && step == self.steps()
    }

    /// The answer begins so.
    fn beginning(number: u64) -> String {
        format!("Run {number}: ")
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
        format!("{}{}.", Self::beginning(self.number), values.join(", "))
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
    /// The arguments, as the model gives them; `colleague` is who is called.
    pub(crate) fn arguments(&self, colleague: Option<AgentId>) -> Value {
        match self.child {
            Some(child) => json!({ "agent_id": colleague, "input": format!("Run {child}") }),
            None => json!({ self.tool.argument(): self.item }),
        }
    }

    /// The value that the result must hold.
    pub(crate) fn value(&self, seed: u64) -> String {
        match self.tool {
            ScriptedTool::LookUp | ScriptedTool::Charge | ScriptedTool::Remote => {
                value_of(seed, &self.item)
            }
            ScriptedTool::CreateTask | ScriptedTool::SendMessage => NOTED.to_owned(),
            ScriptedTool::CallAgent => CALLED.to_owned(),
        }
    }
}

/// Whether the agents of an org have the tools of a server: each second org does. Runs of those that
/// have none begin in another way.
fn has_server(number: u64, is_poor: bool) -> bool {
    number.is_multiple_of(2) && !is_poor
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
    if content["task_id"].is_string() || content["message_id"].is_string() {
        return NOTED.to_owned();
    }
    if content["execution_id"].is_string() && content["state"] == "completed" {
        return CALLED.to_owned();
    }
    // A person may know what became of a call that was interrupted.
    let value = match content["confirmed_by_a_person"].as_bool() {
        Some(true) => content["result"].as_str(),
        _ => {
            let of_server = content["value"].as_str();
            of_server.or_else(|| content["body"]["value"].as_str())
        }
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
        for tool in ScriptedTool::ALL {
            let called = |script: &Script| script.steps.iter().flatten().any(|c| c.tool == tool);
            assert!(scripts.iter().any(called), "{}", tool.name());
        }
    }

    #[test]
    fn a_run_that_is_called_calls_nobody_and_works_for_the_swarm_of_its_caller() {
        let mut called = 0;
        for number in 0..500 {
            let script = Script::of(1, number);
            for call in script.steps.iter().flatten() {
                let Some(child) = call.child else { continue };
                called += 1;
                assert_eq!(Script::caller_of(child), Some(number));
                let child = Script::of(1, child);
                assert_eq!(
                    (child.in_swarm, child.is_poor),
                    (script.in_swarm, script.is_poor)
                );
                let mut calls = child.steps.iter().flatten();
                assert!(calls.all(|call| call.child.is_none()));
            }
            assert_eq!(Script::caller_of(number), None);
        }
        assert!(called > 100);
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
        assert_eq!(value_in(r#"{"value":"ab12"}"#), "ab12");
        for noted in [r#"{"task_id":"tsk_1"}"#, r#"{"message_id":"msg_1"}"#] {
            assert_eq!(value_in(noted), NOTED);
        }
        let called = r#"{"execution_id":"exe_1","state":"completed","answer":"A."}"#;
        assert_eq!(value_in(called), CALLED);
        assert_eq!(value_in(&called.replace("completed", "failed")), NO_VALUE);
        assert_eq!(value_in("The outcome of this call is unknown"), NO_VALUE);
        assert_eq!(value_in(r#"{"status":500,"body":"x"}"#), NO_VALUE);
    }
}
