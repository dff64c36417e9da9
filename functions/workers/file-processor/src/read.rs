//! From the bytes of a file to its parts. Blocks for as long as that takes.

use std::io::Read;
use std::ops::ControlFlow;

use documents::{About, Format, Heading, Picture, Rejection};
use domain::execution::Failure;
use domain::file::Preview;
use store::files::Reading;

use crate::Reader;
use crate::extracted::clip;
use crate::parts::{Part, Parts, Stop};

const MAX_TITLE_CHARS: usize = 300;

/// A file that was read.
#[derive(Debug)]
pub(crate) struct ReadFile {
    /// What it turned out to be.
    pub(crate) found: Reading,
    pub(crate) outline: Vec<Heading>,
    /// What of it is shown to people who have not opened it.
    pub(crate) preview: Preview,
    /// The picture that it is, made small.
    pub(crate) thumbnail: Option<Vec<u8>>,
}

/// Why a file was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The file is at fault.
    Refused(Failure),
    /// The reader could not be started, or the file did not come: says nothing of it. The cause is
    /// for the log.
    NotNow(String),
}

/// How far a reader is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) page: Option<u32>,
    pub(crate) chunks: u32,
}

/// Reads a file where it can do no harm, and gives the parts of its text and of its chunks to
/// `keep` while it reads.
pub(crate) fn read(
    source: impl Read + Send + 'static,
    file_name: &str,
    reader: &Reader,
    see: &dyn Fn(Seen),
    keep: &mut dyn FnMut(Part) -> Result<(), Stop>,
) -> Result<ReadFile, Unread> {
    let mut parts = Parts::new(keep);
    let mut stopped = None;
    let mut head = None;
    let mut has_more = false;
    let outcome = documents::read(
        source,
        file_name,
        &reader.limits,
        &reader.isolation,
        &mut |section| {
            let taken = parts.take(&section);
            match head {
                None => head = Some(Preview::of_text(&section.text)),
                Some(_) => has_more = true,
            }
            see(Seen {
                page: section.page,
                chunks: parts.chunks(),
            });
            match taken {
                Ok(()) => ControlFlow::Continue(()),
                Err(stop) => {
                    stopped = Some(stop);
                    ControlFlow::Break(())
                }
            }
        },
    );
    if let Some(stop) = stopped {
        return Err(stop.into());
    }
    let mut about = outcome?;
    let chunks = parts.finish()?;
    if !about.warnings.is_empty() {
        tracing::info!(
            warnings = about.warnings.len(),
            "parts of the file were not read"
        );
    }
    let (preview, thumbnail) = match about.picture.take() {
        Some(Picture {
            width,
            height,
            thumbnail,
        }) => (Preview::Image { width, height }, Some(thumbnail)),
        None => (
            head.unwrap_or_else(|| Preview::of_text(""))
                .cut_if(has_more),
            None,
        ),
    };
    Ok(ReadFile {
        found: found(&about, chunks),
        outline: about.outline,
        preview,
        thumbnail,
    })
}

fn found(about: &About, chunks: u32) -> Reading {
    Reading {
        format: name(about.format),
        title: about
            .title
            .clone()
            .map(|title| clip(title, MAX_TITLE_CHARS)),
        language: about.language.clone(),
        programming_language: about.programming_language.clone(),
        pages: about.pages,
        characters: about.characters,
        chunks,
    }
}

impl From<Rejection> for Unread {
    fn from(rejection: Rejection) -> Self {
        if rejection.is_retryable() {
            return Self::NotNow(format!("{rejection:?}"));
        }
        Self::Refused(refusal(&rejection))
    }
}

impl From<Stop> for Unread {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(failure) => Self::Refused(failure),
            Stop::Unwanted => Self::NotNow("the parts were not wanted any more".to_owned()),
        }
    }
}

/// A rejection as people see it.
pub(crate) fn refusal(rejection: &Rejection) -> Failure {
    Failure::new(rejection.code(), rejection.to_string())
}

/// The name of a format as its serialized form has it.
fn name(format: Format) -> String {
    match serde_json::to_value(format) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("a format is written as its name: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::time::Duration;

    use documents::Limits;

    use super::*;
    use crate::extracted::{self, Piece};
    use crate::parts::MOST_BYTES_PER_TOKEN;

    fn read_with(
        name: &str,
        bytes: impl Into<Vec<u8>>,
        reader: &Reader,
    ) -> Result<(ReadFile, Vec<Piece>), Unread> {
        let mut pieces = Vec::new();
        let source = Cursor::new(bytes.into());
        let read = read(source, name, reader, &|_| {}, &mut |part| {
            if let Part::Chunks { json, .. } = part {
                pieces.extend(extracted::read(&json).expect("just written"));
            }
            Ok(())
        })?;
        Ok((read, pieces))
    }

    fn on_thread(name: &str, bytes: impl Into<Vec<u8>>) -> Result<(ReadFile, Vec<Piece>), Unread> {
        read_with(name, bytes, &Reader::on_threads())
    }

    fn refused<T: std::fmt::Debug>(result: Result<T, Unread>) -> Failure {
        match result {
            Err(Unread::Refused(failure)) => failure,
            other => panic!("was not refused: {other:?}"),
        }
    }

    #[test]
    fn a_file_becomes_chunks_with_their_headings() {
        let source = "# Rota\n\nWhoever is on call answers within 12 minutes, day and night.";
        let (read, pieces) = on_thread("rota.md", source).expect("Markdown");
        assert_eq!(
            read.found,
            Reading {
                format: "markdown".to_owned(),
                title: Some("Rota".to_owned()),
                language: Some("eng".to_owned()),
                programming_language: None,
                pages: None,
                characters: 66,
                chunks: 1,
            }
        );
        assert_eq!(read.outline.len(), 1);
        assert_eq!(pieces[0].heading_path, ["Rota"]);
        assert_eq!((pieces[0].start, pieces[0].end), (0, 66));
        assert!(pieces[0].text.contains("within 12 minutes"));
    }

    #[test]
    fn one_endless_word_still_makes_chunks_that_can_be_stored() {
        let (_, pieces) = on_thread("word.txt", "x".repeat(100_000)).expect("text");
        let most = 300 * MOST_BYTES_PER_TOKEN + MOST_BYTES_PER_TOKEN;
        assert!(pieces.iter().all(|piece| piece.text.len() <= most));
        assert!(pieces.len() >= 100_000 / most, "{} pieces", pieces.len());
    }

    #[test]
    fn a_refusal_says_why_in_words() {
        let deep = refused(on_thread("deep.json", "[".repeat(10_000)));
        assert_eq!(deep.code, "too_deep");
        let wrong = refused(on_thread("a.pdf", "plain text"));
        assert_eq!(wrong.code, "unsupported_type");
        assert!(
            wrong
                .message
                .contains("text under a name that ends in .pdf"),
            "{wrong:?}"
        );
    }

    #[test]
    fn a_reader_out_of_time_is_stopped_and_the_file_refused() {
        let limits = Limits {
            wall_clock: Duration::ZERO,
            ..Limits::default()
        };
        let reader = Reader {
            limits,
            ..Reader::on_threads()
        };
        let text = "A line.\n".repeat(100_000);
        let failure = refused(read_with("slow.md", text, &reader));
        assert_eq!(failure.code, "timed_out");
    }

    #[test]
    fn a_reader_that_does_not_start_is_no_verdict_on_the_file() {
        let isolation = documents::Isolation::Process {
            program: "/nowhere/reader".into(),
            arguments: Vec::new(),
        };
        let reader = Reader {
            isolation,
            ..Reader::on_threads()
        };
        let result = read_with("a.txt", "text", &reader);
        assert!(matches!(result, Err(Unread::NotNow(_))), "{result:?}");
    }

    #[test]
    fn a_file_that_does_not_come_is_no_verdict_on_it() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
        }
        let source = Cursor::new(b"half a file".to_vec()).chain(Broken);
        let reader = Reader::on_threads();
        let result = read(source, "a.txt", &reader, &|_| {}, &mut |_| Ok(()));
        assert!(matches!(result, Err(Unread::NotNow(_))), "{result:?}");
    }
}
