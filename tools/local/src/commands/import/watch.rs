//! Files that are in the knowledge base, until each can be searched or has failed.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use super::known::Brought;
use super::report::{Outcome, Reason};
use crate::client::Client;

/// How often the documents are looked at, times the pages that this takes.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(2);
/// How often in a row the API may not answer.
const PATIENCE: u32 = 10;

/// Files that are waited for, each with its number in the report.
type Waiting = HashMap<String, Vec<(usize, Brought)>>;

pub(super) struct Watcher<'a> {
    pub(super) client: &'a Client,
    pub(super) base: &'a str,
    pub(super) stop: &'a CancellationToken,
}

impl Watcher<'_> {
    /// Settles each file that comes, until none comes any more. What is not settled when the command
    /// ends is told to be unread.
    pub(super) async fn watch(
        &self,
        mut coming: UnboundedReceiver<(usize, Brought)>,
        settle: impl Fn(usize, Outcome),
    ) {
        let mut waiting = Waiting::new();
        let watching = self.watch_while_it_answers(&mut coming, &mut waiting, &settle);
        let message = match self.stop.run_until_cancelled(watching).await {
            Some(Ok(())) => return,
            Some(Err(error)) => format!("It was uploaded; what became of it is not known: {error}"),
            None => "It was uploaded and is read when a host serves the data again.".to_owned(),
        };
        for (number, brought) in waiting.into_values().flatten() {
            settle(number, Outcome::unread(brought.file, message.as_str()));
        }
        while let Some((number, brought)) = coming.recv().await {
            settle(number, Outcome::unread(brought.file, message.as_str()));
        }
    }

    async fn watch_while_it_answers(
        &self,
        coming: &mut UnboundedReceiver<(usize, Brought)>,
        waiting: &mut Waiting,
        settle: &impl Fn(usize, Outcome),
    ) -> anyhow::Result<()> {
        let mut unanswered = 0;
        loop {
            if waiting.is_empty() {
                match coming.recv().await {
                    Some(next) => add(waiting, next),
                    None => return Ok(()),
                }
            }
            while let Ok(next) = coming.try_recv() {
                add(waiting, next);
            }
            let pages = match self.look(waiting, settle).await {
                Ok(pages) => {
                    unanswered = 0;
                    pages
                }
                Err(error) if unanswered == PATIENCE => return Err(error),
                Err(_) => {
                    unanswered += 1;
                    unanswered
                }
            };
            if !waiting.is_empty() {
                tokio::time::sleep((LOOK_EVERY * pages).min(LOOK_AT_LEAST_EVERY)).await;
            }
        }
    }

    /// Looks at the documents, newest first, until all that are waited for were seen. Says how many
    /// pages that took.
    async fn look(
        &self,
        waiting: &mut Waiting,
        settle: &impl Fn(usize, Outcome),
    ) -> anyhow::Result<u32> {
        let path = format!("/v1/knowledge-bases/{}/documents?limit=100", self.base);
        let mut unseen: Vec<String> = waiting.keys().cloned().collect();
        let mut cursor = String::new();
        for page in 1.. {
            let listed: Value = self.client.get(&format!("{path}{cursor}")).await?;
            for document in listed["items"].as_array().into_iter().flatten() {
                let file = document["file"].as_str().unwrap_or_default();
                unseen.retain(|unseen| unseen != file);
                if is_settled(document) {
                    for (number, brought) in waiting.remove(file).into_iter().flatten() {
                        settle(number, outcome(document, brought));
                    }
                }
            }
            match listed["next_cursor"].as_str() {
                Some(next) if !unseen.is_empty() => cursor = format!("&cursor={next}"),
                Some(_) => return Ok(page),
                None => {
                    self.settle_removed(unseen, waiting, settle);
                    return Ok(page);
                }
            }
        }
        Ok(1)
    }

    /// What is not in the knowledge base any more, somebody has taken out.
    fn settle_removed(
        &self,
        gone: Vec<String>,
        waiting: &mut Waiting,
        settle: &impl Fn(usize, Outcome),
    ) {
        for file in gone {
            for (number, brought) in waiting.remove(&file).into_iter().flatten() {
                let message = "Somebody has removed it from the knowledge base meanwhile.";
                let reason = Reason::new("removed", message);
                let file = Some(brought.file);
                settle(number, Outcome::Refused { file, reason });
            }
        }
    }
}

fn add(waiting: &mut Waiting, (number, brought): (usize, Brought)) {
    let file = brought.file.clone();
    waiting.entry(file).or_default().push((number, brought));
}

fn is_settled(document: &Value) -> bool {
    matches!(document["status"].as_str(), Some("ready" | "failed"))
}

fn outcome(document: &Value, brought: Brought) -> Outcome {
    let Brought { file, is_known } = brought;
    if document["status"] == "failed" {
        let reason = Reason::of_failure(&document["failure"]);
        let file = Some(file);
        return Outcome::Refused { file, reason };
    }
    let chunks = document["chunks"].as_u64().unwrap_or_default();
    if is_known {
        Outcome::Known { file, chunks }
    } else {
        Outcome::Imported { file, chunks }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::extract::Query;
    use axum::routing::get;
    use axum::{Json, Router};
    use http::StatusCode;
    use serde_json::json;
    use tokio::sync::mpsc;

    use super::*;

    /// An API that lists these documents, one on each page, once it has failed so often.
    async fn listing(documents: Vec<Value>, failures: u32) -> Client {
        let failures = Arc::new(AtomicU32::new(failures));
        let list = move |Query(query): Query<HashMap<String, String>>| async move {
            let fail = |left: u32| left.checked_sub(1);
            if failures
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fail)
                .is_ok()
            {
                return Err(StatusCode::SERVICE_UNAVAILABLE);
            }
            let at = query
                .get("cursor")
                .map_or(0, |cursor| cursor.parse().expect("a number"));
            let mut page = json!({ "items": [documents[at]] });
            if at + 1 < documents.len() {
                page["next_cursor"] = json!((at + 1).to_string());
            }
            Ok(Json(page))
        };
        let router = Router::new().route("/v1/knowledge-bases/kb_1/documents", get(list));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Client::new(format!("http://{address}"), "").expect("a client")
    }

    fn document(file: &str, status: &str) -> Value {
        let failure = json!({ "code": "encrypted", "message": "No." });
        json!({ "file": file, "status": status, "chunks": 3, "failure": failure })
    }

    async fn watched(
        client: &Client,
        files: &[(&str, bool)],
        stop: &CancellationToken,
    ) -> Vec<Outcome> {
        let (sender, coming) = mpsc::unbounded_channel();
        for (number, (file, is_known)) in files.iter().enumerate() {
            let brought = Brought {
                file: (*file).to_owned(),
                is_known: *is_known,
            };
            sender.send((number, brought)).expect("somebody listens");
        }
        drop(sender);
        let watcher = Watcher {
            client,
            base: "kb_1",
            stop,
        };
        let settled = RefCell::new(Vec::new());
        let settle = |number: usize, outcome| settled.borrow_mut().push((number, outcome));
        watcher.watch(coming, settle).await;
        let mut settled = settled.into_inner();
        settled.sort_by_key(|(number, _)| *number);
        settled.into_iter().map(|(_, outcome)| outcome).collect()
    }

    #[tokio::test]
    async fn each_file_is_settled_by_its_document_on_whichever_page_it_is() {
        let documents = vec![
            document("fil_new", "indexing"),
            document("fil_1", "failed"),
            document("fil_2", "ready"),
            document("fil_3", "ready"),
        ];
        let client = listing(documents, 2).await;
        let files = [
            ("fil_1", false),
            ("fil_2", false),
            ("fil_3", true),
            ("fil_gone", false),
        ];
        let outcomes = watched(&client, &files, &CancellationToken::new()).await;
        let file = |file: &str| file.to_owned();
        assert_eq!(
            outcomes,
            [
                Outcome::Refused {
                    file: Some(file("fil_1")),
                    reason: Reason::new("encrypted", "No.")
                },
                Outcome::Imported {
                    file: file("fil_2"),
                    chunks: 3
                },
                Outcome::Known {
                    file: file("fil_3"),
                    chunks: 3
                },
                Outcome::Refused {
                    file: Some(file("fil_gone")),
                    reason: Reason::new(
                        "removed",
                        "Somebody has removed it from the knowledge base meanwhile.",
                    ),
                },
            ]
        );
    }

    #[tokio::test]
    async fn whoever_interrupts_is_told_what_is_unread() {
        let client = listing(vec![document("fil_1", "indexing")], 0).await;
        let stop = CancellationToken::new();
        stop.cancel();
        let outcomes = watched(&client, &[("fil_1", false)], &stop).await;
        assert!(
            matches!(&outcomes[..], [Outcome::Unfinished { file: Some(file), .. }] if file == "fil_1"),
            "{outcomes:?}"
        );
    }
}
