//! What becomes of one page.

use std::time::Duration;

use domain::execution::Failure;
use domain::file::{File, MAX_CONTENTS};
use domain::source::{ABSENCES_UNTIL_REMOVED, Finding, WebPage, WebPageStatus};
use http::{StatusCode, header};
use kernel::FileId;
use store::files::received::{Origin, sha256};
use store::sources::PageRow;
use store::sources::crawls::{FileChange, Settled};
use url::Url;

use crate::crawl::Crawling;
use crate::listing::status;
use crate::trouble::Trouble;
use crate::visit::{Answer, Ask, Unanswered};

/// The most bytes of a page.
const MOST_BYTES: usize = 20 * 1024 * 1024;
/// How long a turn at the host is waited for; what comes later lets the job wait elsewhere.
const PATIENCE: Duration = Duration::from_secs(5);
const ACCEPT: &str = "text/html, application/xhtml+xml, application/pdf, text/*;q=0.9, */*;q=0.5";
const MOST_NAME_CHARS: usize = 200;

/// How a page is away.
enum Away {
    /// It may come back.
    ForNow,
    /// The site says that it will not.
    ForGood,
}

impl Crawling<'_> {
    /// Sees to a page: reads it if it is in this crawl, and counts its absence if it is not.
    pub(crate) async fn see_to(&mut self, row: &PageRow) -> Result<(), Trouble> {
        let file = self.file_of(row).await?;
        if row.listed_in == self.row.crawl.number {
            let settled = self.visit(row, file).await?;
            return self.settle(row, settled).await;
        }
        if file.is_none() {
            let sources = self.visitor.store.sources(self.visitor.tenant);
            self.row = sources
                .drop_page(self.attempt.fence, &self.source, &self.row, row)
                .await?;
            // Whoever stored something for it died before a row named it.
            let objects = self.visitor.store.objects(self.visitor.tenant);
            objects.remove_file(row.file).await.map_err(Trouble::from)?;
            return Ok(());
        }
        let reason = Failure::new("not_listed", "The sitemap does not list it any more.");
        let settled = self.away(row, file, Finding::Missing, reason, Away::ForNow);
        self.settle(row, settled).await
    }

    /// The file that holds the page, unless somebody deleted it or took it out.
    async fn file_of(&self, row: &PageRow) -> Result<Option<File>, Trouble> {
        let Some(id) = row.page.file else {
            return Ok(None);
        };
        let files = self.visitor.store.files(self.visitor.tenant);
        let file = files.get(id).await?;
        Ok(file.filter(|file| file.knowledge_bases.contains(&row.knowledge_base)))
    }

    async fn settle(&mut self, row: &PageRow, settled: Settled) -> Result<(), Trouble> {
        let sources = self.visitor.store.sources(self.visitor.tenant);
        let told = sources.settle(
            self.attempt.fence,
            &self.cause,
            &self.source,
            &self.row,
            row,
            settled,
        );
        self.row = told.await?;
        Ok(())
    }

    async fn visit(&self, row: &PageRow, file: Option<File>) -> Result<Settled, Trouble> {
        // Whether it still says the same matters only while what it said is there.
        let kept = file.as_ref().map(|_| row);
        let ask = Ask {
            url: &row.page.url,
            accept: ACCEPT,
            etag: kept.and_then(|row| row.etag.as_deref()),
            last_modified: kept.and_then(|row| row.last_modified.as_deref()),
            most_bytes: MOST_BYTES,
            patience: PATIENCE,
        };
        match self.visitor.get(&ask).await {
            Ok(answer) => self.answered(row, file, answer).await,
            Err(Unanswered::Refused(failure)) => {
                Ok(self.away(row, file, Finding::Refused, failure, Away::ForNow))
            }
            Err(Unanswered::Failed(failure)) => Ok(self.failed(row, failure)),
            Err(Unanswered::Trouble(trouble)) => Err(trouble),
        }
    }

    async fn answered(
        &self,
        row: &PageRow,
        file: Option<File>,
        answer: Answer,
    ) -> Result<Settled, Trouble> {
        let reason = status(&answer);
        match answer.status {
            StatusCode::NOT_MODIFIED if file.is_some() => Ok(self.unchanged(row, &answer)),
            StatusCode::NOT_FOUND => {
                Ok(self.away(row, file, Finding::Missing, reason, Away::ForNow))
            }
            StatusCode::GONE => Ok(self.away(row, file, Finding::Missing, reason, Away::ForGood)),
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
                Ok(self.away(row, file, Finding::Refused, reason, Away::ForNow))
            }
            StatusCode::OK if answer.body.is_empty() => {
                let message = "The site answered with nothing.";
                Ok(self.failed(row, Failure::new("empty", message)))
            }
            StatusCode::OK => self.read(row, file, answer).await,
            _ => Ok(self.failed(row, reason)),
        }
    }

    /// What a page says: nothing new, or a content of its file.
    async fn read(
        &self,
        row: &PageRow,
        file: Option<File>,
        answer: Answer,
    ) -> Result<Settled, Trouble> {
        let digest = sha256(&answer.body);
        if file.is_some() && row.sha256.as_ref() == Some(&digest) {
            return Ok(self.unchanged(row, &answer));
        }
        let now = self.visitor.store.now();
        let (name, content_type) = naming(&row.page.url, &answer);
        let files = self.visitor.store.files(self.visitor.tenant);
        let can_grow = |file: &&File| file.last_content_version < MAX_CONTENTS;
        let finding = if file.is_some() {
            Finding::Changed
        } else {
            Finding::Added
        };
        let change = match file.as_ref().filter(can_grow) {
            Some(current) => FileChange::Changed {
                current: current.clone(),
                received: files
                    .store_content(
                        current.id,
                        current.last_content_version,
                        content_type,
                        &answer.body,
                    )
                    .await
                    .map_err(Trouble::from)?,
            },
            None => {
                // The id that was set aside for it, unless a file has had it.
                let id = match row.page.file {
                    None => row.file,
                    Some(_) => FileId::generate(now),
                };
                let base = self.visitor.store.knowledge(self.visitor.tenant);
                let base = base.base(row.knowledge_base).await?;
                let Some(base) = base else {
                    return Err(Trouble::Changed);
                };
                FileChange::Created {
                    received: files
                        .store_content(id, 0, content_type, &answer.body)
                        .await
                        .map_err(Trouble::from)?,
                    origin: Origin {
                        name,
                        url: Some(row.page.url.clone()),
                    },
                    base: Box::new(base),
                    instead_of: file.map(Box::new),
                }
            }
        };
        Ok(Settled {
            finding,
            page: WebPage {
                status: WebPageStatus::Read,
                reason: None,
                absences: 0,
                changed_at: Some(now),
                ..self.seen(row)
            },
            etag: answer.header(header::ETAG),
            last_modified: answer.header(header::LAST_MODIFIED),
            sha256: Some(digest),
            file: change,
        })
    }

    fn unchanged(&self, row: &PageRow, answer: &Answer) -> Settled {
        let kept = |new: Option<String>, old: &Option<String>| new.or_else(|| old.clone());
        Settled {
            finding: Finding::Unchanged,
            page: WebPage {
                status: WebPageStatus::Read,
                reason: None,
                absences: 0,
                ..self.seen(row)
            },
            etag: kept(answer.header(header::ETAG), &row.etag),
            last_modified: kept(answer.header(header::LAST_MODIFIED), &row.last_modified),
            sha256: row.sha256.clone(),
            file: FileChange::None,
        }
    }

    /// What the page said before stays.
    fn failed(&self, row: &PageRow, reason: Failure) -> Settled {
        Settled {
            finding: Finding::Failed,
            page: WebPage {
                status: WebPageStatus::Failed,
                reason: Some(reason),
                ..self.seen(row)
            },
            etag: row.etag.clone(),
            last_modified: row.last_modified.clone(),
            sha256: row.sha256.clone(),
            file: FileChange::None,
        }
    }

    /// The page is not there, or may not be read: its file goes if that has been so for long.
    fn away(
        &self,
        row: &PageRow,
        file: Option<File>,
        finding: Finding,
        reason: Failure,
        away: Away,
    ) -> Settled {
        let absences = row.page.absences.saturating_add(1);
        let is_over = absences >= ABSENCES_UNTIL_REMOVED || matches!(away, Away::ForGood);
        let goes = file.filter(|_| is_over);
        let status = match (&goes, finding) {
            (Some(_), _) => WebPageStatus::Removed,
            (None, Finding::Refused) => WebPageStatus::Refused,
            (None, _) => WebPageStatus::Missing,
        };
        Settled {
            finding,
            page: WebPage {
                status,
                reason: Some(reason),
                absences,
                ..self.seen(row)
            },
            etag: row.etag.clone(),
            last_modified: row.last_modified.clone(),
            sha256: row.sha256.clone(),
            file: goes.map_or(FileChange::None, |current| FileChange::Removed { current }),
        }
    }

    fn seen(&self, row: &PageRow) -> WebPage {
        WebPage {
            fetched_at: Some(self.visitor.store.now()),
            ..row.page.clone()
        }
    }
}

/// The name of the file of a page, and its media type. What it is, its content says: names and types
/// that promise something else are not taken over.
fn naming(url: &str, answer: &Answer) -> (String, &'static str) {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or("page");
    let segment = url
        .as_ref()
        .and_then(|url| url.path_segments()?.rfind(|part| !part.is_empty()))
        .map(decoded)
        .filter(|name| !name.trim_matches('.').is_empty());
    let name = segment.as_deref().unwrap_or(host);
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if segment.is_some() && !stem.is_empty() => {
            (stem, extension.to_ascii_lowercase())
        }
        _ => (name, String::new()),
    };
    let said = answer.header(header::CONTENT_TYPE).unwrap_or_default();
    let (extension, media_type) = kind(&answer.body, &extension, &said.to_ascii_lowercase());
    let stem: String = stem.chars().take(MOST_NAME_CHARS).collect();
    let name = match extension.as_str() {
        "" => stem,
        extension => format!("{stem}.{extension}"),
    };
    (name, media_type)
}

/// The extension and the media type of a content, by its beginning; only of texts by what the address
/// and the server say.
fn kind(body: &[u8], extension: &str, said: &str) -> (String, &'static str) {
    let head = &body[..body.len().min(1_024)];
    if head.starts_with(b"%PDF-") {
        return ("pdf".to_owned(), "application/pdf");
    }
    if head.starts_with(b"PK\x03\x04") {
        let office = ["docx", "pptx", "xlsx"].contains(&extension);
        let extension = if office { extension } else { "" };
        return (extension.to_owned(), "application/octet-stream");
    }
    if head.contains(&0) {
        return (String::new(), "application/octet-stream");
    }
    const TEXTS: [&str; 9] = [
        "md", "markdown", "txt", "csv", "tsv", "json", "html", "htm", "xhtml",
    ];
    let is_html = said.contains("html") || (said.is_empty() && !TEXTS.contains(&extension));
    match extension {
        _ if is_html => ("html".to_owned(), "text/html"),
        known if TEXTS.contains(&known) => (known.to_owned(), "text/plain"),
        _ if said.contains("markdown") => ("md".to_owned(), "text/plain"),
        _ if said.contains("csv") => ("csv".to_owned(), "text/plain"),
        _ => ("txt".to_owned(), "text/plain"),
    }
}

/// A part of a path as people read it, without what no file's name may hold.
fn decoded(segment: &str) -> String {
    let escaped = format!("x={}", segment.replace('+', "%2B"));
    let text = url::form_urlencoded::parse(escaped.as_bytes())
        .next()
        .map(|(_, text)| text.into_owned())
        .unwrap_or_default();
    let text = text.split('&').next().unwrap_or_default();
    text.chars()
        .map(|letter| {
            let is_bad = letter.is_control() || letter == '/' || letter == '\\';
            if is_bad { '_' } else { letter }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use domain::file::is_file_name;
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;

    fn answer(content_type: &str, body: &[u8]) -> Answer {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, content_type.parse().expect("a type"));
        }
        Answer {
            status: StatusCode::OK,
            headers,
            body: body.to_vec(),
        }
    }

    #[test]
    fn a_file_is_called_after_its_address_and_its_content() {
        let html = "text/html; charset=utf-8";
        for (url, said, body, name) in [
            ("https://e.com/", html, "<html>", "e.com.html"),
            ("https://e.com/guide/", html, "<html>", "guide.html"),
            (
                "https://e.com/guide/setup.html",
                html,
                "<html>",
                "setup.html",
            ),
            (
                "https://e.com/a%20b/%C3%A9t%C3%A9.php",
                html,
                "<p>",
                "été.html",
            ),
            ("https://e.com/v1.2", "", "<html>", "v1.html"),
            ("https://e.com/report.pdf", html, "%PDF-1.7", "report.pdf"),
            ("https://e.com/report.pdf", html, "<html>404", "report.html"),
            ("https://e.com/x.html", html, "%PDF-1.7", "x.pdf"),
            ("https://e.com/a.docx", "", "PK\u{3}\u{4}x", "a.docx"),
            ("https://e.com/a.zip", "", "PK\u{3}\u{4}x", "a"),
            ("https://e.com/notes.md", "text/plain", "# A", "notes.md"),
            ("https://e.com/notes", "text/markdown", "# A", "notes.md"),
            ("https://e.com/a%2Fb%5Cc", "text/plain", "A", "a_b_c.txt"),
            ("https://e.com/%2e%2e", "text/plain", "A", "e.com.txt"),
            ("https://e.com/1+1", "text/plain", "A", "1+1.txt"),
            ("https://e.com/logo.png", "image/png", "\u{0}x", "logo"),
        ] {
            let (found, _) = naming(url, &answer(said, body.as_bytes()));
            assert_eq!(found, name, "{url} {said}");
        }
    }

    proptest! {
        #[test]
        fn every_page_gets_a_name_that_a_file_may_have(path in "/[!-~é漢]{0,300}", body in "[a-z\u{0}<]{1,5}") {
            let (name, _) = naming(&format!("https://example.com{path}"), &answer("", body.as_bytes()));
            prop_assert!(is_file_name(&name), "{name:?}");
        }
    }
}
