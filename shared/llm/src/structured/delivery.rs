//! The deltas of a provider on their way to the caller.

use std::collections::{BTreeMap, VecDeque};

use futures::StreamExt;
use futures::stream;

use super::{AnswerTool, Check};
use crate::error::ModelError;
use crate::model::{DeltaStream, ModelId};
use crate::reply::{Delta, StopReason};

/// A provider's deltas, as the caller gets them: begun by who answers, with the arguments of the
/// answer tool as text, and checked at their end.
pub(crate) fn deliver(
    id: ModelId,
    deltas: DeltaStream,
    answer: Option<&AnswerTool>,
    check: Option<Check>,
) -> DeltaStream {
    let started = Delta::Started {
        model: id,
        passed_over: Vec::new(),
    };
    let begin = stream::iter([Ok(started)]);
    if check.is_none() && answer.is_none() {
        return begin.chain(deltas).boxed();
    }
    let state = Delivery {
        deltas,
        queue: VecDeque::new(),
        unwrap: answer.map(|tool| Unwrap::new(&tool.spec.name)),
        check,
        text: String::new(),
        over: false,
    };
    let rest = stream::unfold(state, |mut state| async move {
        let item = state.next().await?;
        Some((item, state))
    });
    begin.chain(rest).boxed()
}

struct Delivery {
    deltas: DeltaStream,
    queue: VecDeque<Delta>,
    unwrap: Option<Unwrap>,
    check: Option<Check>,
    /// The reply so far, for the check at its end.
    text: String,
    over: bool,
}

impl Delivery {
    async fn next(&mut self) -> Option<Result<Delta, ModelError>> {
        loop {
            if self.over {
                return None;
            }
            if let Some(delta) = self.queue.pop_front() {
                let delta = self.checked(delta);
                self.over = matches!(&delta, Err(_) | Ok(Delta::Finished { .. }));
                return Some(delta);
            }
            match self.deltas.next().await? {
                Ok(delta) => match &mut self.unwrap {
                    Some(unwrap) => unwrap.take(delta, &mut self.queue),
                    None => self.queue.push_back(delta),
                },
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Only a reply that ended by itself is an answer: one that waits for tools, was cut at its
    /// limit or refused says so, and nobody takes it for the document.
    fn checked(&mut self, delta: Delta) -> Result<Delta, ModelError> {
        match &delta {
            Delta::TextDelta { text } => self.text.push_str(text),
            Delta::Finished {
                stop_reason: StopReason::EndTurn,
            } => {
                if let Some(check) = &self.check {
                    check.document(&self.text)?;
                }
            }
            _ => {}
        }
        Ok(delta)
    }
}

/// Turns the call of the answer tool into text.
struct Unwrap {
    tool: String,
    /// What the model wrote beside its calls. It is the answer if no call gives one, and talk
    /// that would spoil the document otherwise.
    held: Vec<Delta>,
    /// The call that gives the answer, by its index.
    answer: Option<u32>,
    wrote: bool,
    /// The other calls: their indexes, and the ones that the caller sees.
    others: BTreeMap<u32, u32>,
}

impl Unwrap {
    fn new(tool: &str) -> Self {
        Self {
            tool: tool.to_owned(),
            held: Vec::new(),
            answer: None,
            wrote: false,
            others: BTreeMap::new(),
        }
    }

    fn take(&mut self, delta: Delta, queue: &mut VecDeque<Delta>) {
        match delta {
            Delta::TextDelta { .. } => self.held.push(delta),
            Delta::ToolCallStart { index, name, .. } if name == self.tool => {
                // A model may call it twice; the first answer counts.
                self.answer.get_or_insert(index);
            }
            Delta::ToolCallStart { index, id, name } => {
                let shown = u32::try_from(self.others.len()).unwrap_or(u32::MAX);
                self.others.insert(index, shown);
                queue.push_back(Delta::ToolCallStart {
                    index: shown,
                    id,
                    name,
                });
            }
            Delta::ToolCallArguments { index, fragment } => {
                if let Some(shown) = self.others.get(&index) {
                    queue.push_back(Delta::ToolCallArguments {
                        index: *shown,
                        fragment,
                    });
                } else if self.answer == Some(index) {
                    self.wrote = true;
                    queue.push_back(Delta::TextDelta { text: fragment });
                }
            }
            Delta::Finished { stop_reason } => {
                if self.answer.is_none() {
                    queue.extend(self.held.drain(..));
                } else if !self.wrote {
                    // No arguments at all are an empty object.
                    queue.push_back(Delta::TextDelta { text: "{}".into() });
                }
                let stop_reason = match stop_reason {
                    StopReason::ToolCalls if self.others.is_empty() => StopReason::EndTurn,
                    other => other,
                };
                queue.push_back(Delta::Finished { stop_reason });
            }
            other => queue.push_back(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ChatRequest, JsonSchema};
    use crate::model::collect;
    use serde_json::json;

    fn format() -> JsonSchema {
        JsonSchema {
            name: "answer".into(),
            schema: json!({
                "type": "object",
                "properties": {"hours": {"type": "integer"}},
                "required": ["hours"],
            }),
            strict: false,
        }
    }

    fn text(text: &str) -> Delta {
        Delta::TextDelta { text: text.into() }
    }

    fn call(index: u32, name: &str, arguments: &str) -> [Delta; 2] {
        [
            Delta::ToolCallStart {
                index,
                id: format!("c{index}"),
                name: name.into(),
            },
            Delta::ToolCallArguments {
                index,
                fragment: arguments.into(),
            },
        ]
    }

    fn end(stop_reason: StopReason) -> Delta {
        Delta::Finished { stop_reason }
    }

    async fn delivered(
        deltas: impl IntoIterator<Item = Delta>,
    ) -> Result<crate::ChatResponse, ModelError> {
        let request = ChatRequest {
            response_format: Some(format()),
            ..ChatRequest::default()
        };
        let deltas: Vec<_> = deltas.into_iter().map(Ok).collect();
        let tool = AnswerTool::of(&request).unwrap();
        let stream = deliver(
            ModelId::new("p", "m"),
            stream::iter(deltas).boxed(),
            Some(&tool),
            Check::of(&request).unwrap(),
        );
        collect(stream).await
    }

    #[tokio::test]
    async fn the_arguments_of_the_answer_become_the_text() {
        let [start, arguments] = call(0, "final_answer", r#"{"hours":3}"#);
        let reply = delivered([
            text("Here it is: "),
            start,
            arguments,
            end(StopReason::ToolCalls),
        ])
        .await
        .unwrap();
        assert_eq!(reply.text, r#"{"hours":3}"#);
        assert_eq!(reply.stop_reason, StopReason::EndTurn);
        assert!(reply.tool_calls.is_empty());
        assert_eq!(reply.model, Some(ModelId::new("p", "m")));
    }

    #[tokio::test]
    async fn other_calls_go_first_and_are_numbered_anew() {
        let mut deltas = call(0, "final_answer", r#"{"hours":3}"#).to_vec();
        deltas.extend(call(1, "search", "{}"));
        deltas.extend(call(2, "final_answer", r#"{"hours":4}"#));
        deltas.extend(call(3, "remember", "{}"));
        deltas.push(end(StopReason::ToolCalls));
        let reply = delivered(deltas).await.unwrap();
        assert_eq!(reply.stop_reason, StopReason::ToolCalls);
        let names: Vec<&str> = reply.tool_calls.iter().map(|call| &*call.name).collect();
        assert_eq!(names, ["search", "remember"]);
        assert_eq!(reply.text, r#"{"hours":3}"#);
    }

    #[tokio::test]
    async fn an_answer_beside_the_tool_is_taken_if_it_is_one() {
        let reply = delivered([text(r#"{"hours":"#), text("3}"), end(StopReason::EndTurn)])
            .await
            .unwrap();
        assert_eq!(reply.text, r#"{"hours":3}"#);
        let error = delivered([text("Three."), end(StopReason::EndTurn)])
            .await
            .unwrap_err();
        assert_eq!(error.code(), "schema_mismatch");
        // An answer without arguments is an empty object, and that lacks the hours.
        let [start, _] = call(0, "final_answer", "");
        let error = delivered([start, end(StopReason::ToolCalls)])
            .await
            .unwrap_err();
        assert!(error.to_string().contains("hours"), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_answer_is_not_checked() {
        for reason in [
            StopReason::MaxTokens,
            StopReason::Refusal,
            StopReason::ContentFilter,
        ] {
            let reply = delivered([text("I will not."), end(reason)]).await.unwrap();
            assert_eq!(reply.stop_reason, reason);
            assert_eq!(reply.text, "I will not.");
        }
    }
}
