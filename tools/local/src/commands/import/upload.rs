//! A file on its way into the knowledge base: announced, sent, confirmed; or given up, so that
//! nothing is left behind.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::content::{Fingerprint, body, sha256_of};
use super::known::{Brought, Known, KnownFiles};
use super::progress::Progress;
use super::report::{Outcome, Reason};
use crate::client::{Client, Refusal, content_type, text};

/// How often a confirmation is tried that the API cannot carry out at the moment.
const CONFIRMATIONS: u32 = 3;
const CONFIRM_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Brings files into a knowledge base.
pub(super) struct Uploader<'a> {
    pub(super) client: &'a Client,
    pub(super) base: &'a str,
    pub(super) known: KnownFiles,
    pub(super) progress: &'a Progress,
    pub(super) stop: &'a CancellationToken,
}

/// An upload that the API has offered.
struct Offered {
    file: String,
    /// The number of the content.
    number: u64,
    /// The one request that takes it.
    upload: Value,
    /// The parts that it comes in, if one request does not take it.
    parts: Value,
}

impl Uploader<'_> {
    /// Brings one file. What was not confirmed is given up, whatever the cause.
    ///
    /// # Errors
    /// What became of it instead.
    pub(super) async fn bring(&self, path: &Path, print: &Fingerprint) -> Result<Brought, Outcome> {
        let sent = Arc::new(AtomicU64::new(0));
        let brought = self.bring_counted(path, print, &sent).await;
        let rest = print.bytes.saturating_sub(sent.load(Ordering::Relaxed));
        self.progress.passed(rest);
        brought
    }

    async fn bring_counted(
        &self,
        path: &Path,
        print: &Fingerprint,
        count: &Arc<AtomicU64>,
    ) -> Result<Brought, Outcome> {
        let of_error = |error: anyhow::Error| Outcome::refused(Reason::of(&error));
        let offered = match self.known.with_content(&print.sha256)? {
            Some(Known::There(brought)) => return Ok(brought),
            Some(Known::Failed(file)) => self.announce_again(file, path, print).await,
            None => self.announce(path, print).await,
        };
        let offered = match offered.map_err(of_error)? {
            Announced::Known(brought) => return Ok(brought),
            Announced::Offered(offered) => offered,
        };
        let sent = tokio::select! {
            sent = self.send(path, print, &offered, count) => sent.map_err(|error| {
                if print.is_outdated(path) {
                    let message = "It changed while it was being imported. Import it again.";
                    return Outcome::refused(Reason::new("changed", message));
                }
                of_error(error)
            }),
            () = self.stop.cancelled() => Err(Outcome::interrupted()),
        };
        let confirmed = match sent {
            Ok(()) => self.confirm(&offered).await.map_err(of_error),
            Err(outcome) => Err(outcome),
        };
        if let Err(outcome) = confirmed {
            self.give_up(&offered).await;
            return Err(outcome);
        }
        Ok(Brought {
            file: offered.file,
            is_known: false,
        })
    }

    async fn announce(&self, path: &Path, print: &Fingerprint) -> anyhow::Result<Announced> {
        let name = file_name(path);
        let request = json!({
            "name": name,
            "content_type": content_type(&name),
            "size_bytes": print.bytes,
            "sha256": print.sha256,
            "knowledge_base_id": self.base,
            "on_duplicate": "reuse",
        });
        let announce = format!("/v1/orgs/{}/files/upload", self.client.org()?);
        let answer: Value = self.client.post(&announce, &request).await?;
        let file = text(&answer["file"]["id"])?;
        if answer["upload"].is_null() && answer["parts"].is_null() {
            return Ok(Announced::Known(Brought {
                file,
                is_known: true,
            }));
        }
        Ok(Announced::Offered(Offered {
            file,
            number: 1,
            upload: answer["upload"].clone(),
            parts: answer["parts"].clone(),
        }))
    }

    /// The same content once more, for a file that failed of something else.
    async fn announce_again(
        &self,
        file: String,
        path: &Path,
        print: &Fingerprint,
    ) -> anyhow::Result<Announced> {
        let request = json!({
            "content_type": content_type(&file_name(path)),
            "size_bytes": print.bytes,
            "sha256": print.sha256,
        });
        let announce = format!("/v1/files/{file}/versions");
        let answer: Value = self.client.post(&announce, &request).await?;
        let content = &answer["content"];
        Ok(Announced::Offered(Offered {
            file,
            number: content["number"].as_u64().context("no number")?,
            upload: answer["upload"].clone(),
            parts: content["parts"].clone(),
        }))
    }

    async fn send(
        &self,
        path: &Path,
        print: &Fingerprint,
        offered: &Offered,
        count: &Arc<AtomicU64>,
    ) -> anyhow::Result<()> {
        if offered.parts.is_null() {
            return self
                .send_range(path, 0..print.bytes, &offered.upload, count)
                .await;
        }
        let field = |name: &str| {
            let number = offered.parts[name].as_u64();
            number.ok_or_else(|| anyhow!("the offered parts have no {name}"))
        };
        let (parts, part_bytes) = (field("count")?, field("part_bytes")?);
        for number in 1..=parts {
            let start = (number - 1) * part_bytes;
            let range = start..(start + part_bytes).min(print.bytes);
            let upload = self
                .offer_part(path, range.clone(), offered, number)
                .await?;
            self.send_range(path, range, &upload, count).await?;
        }
        Ok(())
    }

    /// The request that takes one part.
    async fn offer_part(
        &self,
        path: &Path,
        range: Range<u64>,
        offered: &Offered,
        number: u64,
    ) -> anyhow::Result<Value> {
        let path = path.to_owned();
        let sha256 = tokio::task::spawn_blocking(move || sha256_of(&path, range)).await??;
        let request = json!({ "parts": [{ "number": number, "sha256": sha256 }] });
        let content = offered.path();
        let answer: Value = self
            .client
            .post(&format!("{content}/parts"), &request)
            .await?;
        Ok(answer["parts"][0]["upload"].clone())
    }

    async fn send_range(
        &self,
        path: &Path,
        range: Range<u64>,
        upload: &Value,
        count: &Arc<AtomicU64>,
    ) -> anyhow::Result<()> {
        let (progress, count) = (self.progress.clone(), Arc::clone(count));
        let taken = move |bytes| {
            count.fetch_add(bytes, Ordering::Relaxed);
            progress.sent(bytes);
        };
        let body = body(path, range, taken).await?;
        self.client.send(upload, body).await
    }

    /// To confirm it again changes nothing, so what the API cannot do at the moment is tried again.
    async fn confirm(&self, offered: &Offered) -> anyhow::Result<()> {
        let path = format!("{}/confirm", offered.path());
        let mut tries = 1;
        loop {
            let confirmed: anyhow::Result<Value> = self.client.post(&path, &json!({})).await;
            let Err(error) = confirmed else {
                return Ok(());
            };
            let is_passing = error
                .downcast_ref::<Refusal>()
                .is_some_and(|refusal| refusal.status.is_server_error());
            if !is_passing || tries == CONFIRMATIONS {
                return Err(error);
            }
            tries += 1;
            tokio::time::sleep(CONFIRM_AGAIN_AFTER).await;
        }
    }

    /// Leaves nothing behind. What cannot be given up expires by itself.
    async fn give_up(&self, offered: &Offered) {
        let given_up = if offered.number == 1 {
            let path = format!("/v1/files/{}", offered.file);
            self.client.delete(&path).await
        } else {
            let path = format!("{}/abort", offered.path());
            let aborted: anyhow::Result<Value> = self.client.post(&path, &json!({})).await;
            aborted.map(drop)
        };
        if let Err(error) = given_up {
            tracing::warn!(%error, file = offered.file, "an upload was left to expire");
        }
    }
}

enum Announced {
    Known(Brought),
    Offered(Offered),
}

impl Offered {
    /// The path of the content.
    fn path(&self) -> String {
        format!("/v1/files/{}/versions/{}", self.file, self.number)
    }
}

/// A name that the API takes: whatever of it is no text in UTF-8, or no part of a name elsewhere, is
/// replaced.
fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.chars()
        .map(|letter| match letter {
            '/' | '\\' => '_',
            letter if letter.is_control() => char::REPLACEMENT_CHARACTER,
            letter => letter,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_name_that_the_api_takes() {
        for (given, expected) in [
            ("a/b.md", "b.md"),
            ("a\\b\n.md", "a_b\u{fffd}.md"),
            ("Öl.md", "Öl.md"),
        ] {
            let name = file_name(Path::new(given));
            assert_eq!(name, expected);
            assert!(domain::file::is_file_name(&name));
        }
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt as _;
            let name = std::ffi::OsStr::from_bytes(b"caf\xe9.md");
            assert_eq!(file_name(Path::new(name)), "caf\u{fffd}.md");
        }
    }
}
