//! What holds for every wire format, shown for each of them: one table of cases, one test per
//! format and case.
//!
//! A case says what a model does; a format says how that looks on its wire. The shapes were taken
//! from the providers' own descriptions of their streams.

mod anthropic;
mod bedrock;
mod cases;
mod gemini;
mod mistral;
mod openai;

use std::sync::Arc;

use llm::{ChatModel, StopReason, Usage};
use serde_json::Value;

use crate::server::{Reply, Server};

/// Something that a model does.
#[derive(Debug, Clone, Copy)]
pub enum Piece {
    Text(&'static str),
    /// Begins a call: its number, id and name.
    Call(u64, &'static str, &'static str),
    /// Goes on with the call of that number.
    Arguments(u64, &'static str),
}

/// How a reply ends by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stop {
    Turn,
    Tools,
    Length,
}

/// How one provider says it.
pub trait Format {
    fn model(&self, server: &Server) -> Arc<dyn ChatModel>;

    /// A reply with these pieces. Some formats say calls in fragments, others whole.
    fn frames(&self, pieces: &[Piece]) -> Vec<Vec<u8>>;

    /// The end of a reply, with the report of [`Format::usage`].
    fn end(&self, stop: Stop) -> Vec<Vec<u8>>;

    /// What [`Format::end`] reports: input with a part from the cache, output with reasoning,
    /// and whatever else the provider counts.
    fn usage(&self) -> Usage;

    /// Frames that are valid and say nothing: no choice, no candidate, no block.
    fn nothing(&self) -> Vec<Vec<u8>>;

    /// Frames as the server streams them.
    fn reply(&self, frames: Vec<Vec<u8>>) -> Reply {
        Reply::bytes("text/event-stream", frames)
    }

    /// A reply with an error status, with the body that the provider sends for it.
    fn complaint(&self, status: u16) -> Reply;

    /// An error in the place of a frame: the provider is overloaded.
    fn error_frame(&self) -> Vec<u8>;

    /// Every way to refuse inside a reply.
    fn refusals(&self) -> Vec<(Reply, StopReason)>;

    /// A reply with a call of `search_knowledge` whose arguments are cut off, and what is left
    /// of them.
    fn malformed_call(&self) -> (Reply, &'static str) {
        let arguments = "{\"query\": \"oi";
        let pieces = [
            Piece::Call(0, "callaaaa1", "search_knowledge"),
            Piece::Arguments(0, arguments),
        ];
        (self.whole(&pieces, Stop::Tools), arguments)
    }

    /// Where the limit of output tokens stands in a request.
    fn limit(&self) -> &'static str;

    /// Whether a document is asked for by a tool rather than by the provider's own field.
    fn answers_by_tool(&self, strict: bool, with_tools: bool) -> bool;

    /// The schema as a request carries it: in the provider's own field, or in the last tool.
    fn schema(&self, body: &Value, by_tool: bool) -> Value;

    /// What makes the model call a tool.
    fn forced(&self, body: &Value) -> Value;

    fn whole(&self, pieces: &[Piece], stop: Stop) -> Reply {
        self.reply([self.frames(pieces), self.end(stop)].concat())
    }
}

/// Events with these documents as data.
fn data(documents: impl IntoIterator<Item = Value>) -> Vec<Vec<u8>> {
    documents
        .into_iter()
        .map(|document| format!("data: {document}\n\n").into_bytes())
        .collect()
}

macro_rules! table {
    ($($format:ident: $of:expr),+; $cases:tt) => {
        $(table!(@format $format, $of, $cases);)+
    };
    (@format $format:ident, $of:expr, [$($case:ident),+ $(,)?]) => {
        mod $format {
            mod every {
                $(
                    #[tokio::test]
                    async fn $case() {
                        crate::formats::cases::$case(&$of).await;
                    }
                )+
            }
        }
    };
}

mod table {
    table! {
        openai: crate::formats::openai::OpenAi,
        anthropic: crate::formats::anthropic::Anthropic,
        gemini: crate::formats::gemini::Gemini,
        mistral: crate::formats::mistral::Mistral,
        bedrock: crate::formats::bedrock::Bedrock;
        [
            text_streams,
            characters_survive_any_packet,
            tools_are_called_in_parallel,
            malformed_arguments_are_kept,
            a_cut_is_not_an_end,
            a_limit_with_seconds_is_understood,
            a_limit_with_a_date_is_understood,
            a_failure_of_the_provider_is_one,
            a_refusal_is_no_answer,
            every_kind_of_token_is_counted,
            a_document_follows_its_schema,
            a_document_that_does_not_is_an_error,
            a_schema_that_is_none_is_not_sent,
            tools_come_before_the_document,
            frames_that_say_nothing_say_nothing,
            an_error_inside_the_stream_is_one,
            the_limit_of_output_is_sent,
            who_answers_is_told_first,
        ]
    }
}
