//! Files to read: a report of made-up text in each format. The words come from a document of the
//! product, in an order that does not repeat, so that they compress like text and not like zeros.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const VOCABULARY: &str = include_str!("../../../../samples/on-call-faq.md");
/// How many chapters are written, to see how large that makes a file.
const FIRST_TRY: usize = 64;
const PARAGRAPHS: usize = 6;
const LINE_CHARS: usize = 90;
const LINES_PER_PAGE: usize = 50;
/// The objects of a PDF before its pages: catalog, page tree, font.
const FIRST_PAGE: usize = 4;

const CONTENT_TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>"#;
const RELATIONSHIPS: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>"#;

/// A file to read.
pub struct Sample {
    /// Its format.
    pub name: &'static str,
    pub file_name: &'static str,
    pub content: Vec<u8>,
}

/// How a report becomes a file.
type Render = fn(&[Chapter]) -> anyhow::Result<Vec<u8>>;

/// A file of each format, none smaller than `least_bytes`.
pub fn every_format(least_bytes: usize) -> anyhow::Result<Vec<Sample>> {
    let formats: [(&str, &str, Render); 6] = [
        ("PDF", "report.pdf", pdf),
        ("DOCX", "report.docx", docx),
        ("Markdown", "report.md", |chapters| {
            Ok(markdown(chapters).into_bytes())
        }),
        ("HTML", "report.html", |chapters| {
            Ok(html(chapters).into_bytes())
        }),
        ("text", "report.txt", |chapters| {
            Ok(plain(chapters).into_bytes())
        }),
        ("CSV", "report.csv", |chapters| {
            Ok(csv(chapters).into_bytes())
        }),
    ];
    formats
        .into_iter()
        .map(|(name, file_name, render)| {
            let mut count = FIRST_TRY;
            loop {
                let content = render(&chapters(count))?;
                if content.len() >= least_bytes {
                    return Ok(Sample {
                        name,
                        file_name,
                        content,
                    });
                }
                // Some more than asked, so that it is not asked again and again.
                count = count * least_bytes * 21 / (content.len() * 20) + 1;
            }
        })
        .collect()
}

/// A part of the report.
struct Chapter {
    heading: String,
    paragraphs: Vec<String>,
}

/// Words in an order that looks like none, and that is the same for every run.
struct Prose {
    words: Vec<&'static str>,
    state: u64,
}

impl Prose {
    fn new() -> Self {
        let words = VOCABULARY
            .split(|letter: char| !letter.is_ascii_alphabetic())
            .filter(|word| !word.is_empty())
            .collect();
        Self { words, state: 1 }
    }

    /// A number below `end`, by a linear congruential generator.
    fn below(&mut self, end: usize) -> usize {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as usize % end
    }

    fn words(&mut self, count: usize) -> String {
        let words: Vec<String> = (0..count)
            .map(|_| match self.below(12) {
                0 => self.below(10_000).to_string(),
                _ => {
                    let word = self.below(self.words.len());
                    self.words[word].to_owned()
                }
            })
            .collect();
        words.join(" ")
    }

    fn paragraph(&mut self) -> String {
        let sentences: Vec<String> = (0..3 + self.below(4))
            .map(|_| {
                let length = 8 + self.below(12);
                self.words(length) + "."
            })
            .collect();
        sentences.join(" ")
    }
}

fn chapters(count: usize) -> Vec<Chapter> {
    let mut prose = Prose::new();
    (1..=count)
        .map(|number| Chapter {
            heading: format!("{number} {}", prose.words(4)),
            paragraphs: (0..PARAGRAPHS).map(|_| prose.paragraph()).collect(),
        })
        .collect()
}

fn plain(chapters: &[Chapter]) -> String {
    render(
        chapters,
        |heading| format!("{heading}\n\n"),
        |text| format!("{text}\n\n"),
    )
}

fn markdown(chapters: &[Chapter]) -> String {
    render(
        chapters,
        |heading| format!("## {heading}\n\n"),
        |text| format!("{text}\n\n"),
    )
}

fn html(chapters: &[Chapter]) -> String {
    let body = render(
        chapters,
        |heading| format!("<h2>{heading}</h2>\n"),
        |text| format!("<p>{}</p>\n", text.replacen(' ', " <em>and</em> ", 1)),
    );
    format!(
        "<!doctype html>\n<html><head><title>Report</title></head><body>\n{body}</body></html>\n"
    )
}

fn csv(chapters: &[Chapter]) -> String {
    let mut file = "number,chapter,site,finding\n".to_owned();
    for (number, chapter) in chapters.iter().enumerate() {
        for (row, paragraph) in chapter.paragraphs.iter().enumerate() {
            let site = row % 3;
            let _ = writeln!(
                file,
                "{number}-{row},{},Park {site},\"{paragraph}\"",
                chapter.heading
            );
        }
    }
    file
}

fn render(
    chapters: &[Chapter],
    heading: impl Fn(&str) -> String,
    paragraph: impl Fn(&str) -> String,
) -> String {
    let mut text = String::new();
    for chapter in chapters {
        text.push_str(&heading(&chapter.heading));
        for one in &chapter.paragraphs {
            text.push_str(&paragraph(one));
        }
    }
    text
}

fn docx(chapters: &[Chapter]) -> anyhow::Result<Vec<u8>> {
    let run = |text: &str| format!("<w:r><w:t xml:space=\"preserve\">{text}</w:t></w:r>");
    let body = render(
        chapters,
        |heading| {
            let style = "<w:pPr><w:pStyle w:val=\"Heading2\"/></w:pPr>";
            format!("<w:p>{style}{}</w:p>", run(heading))
        },
        |text| {
            // Word splits paragraphs into runs wherever somebody edited.
            let (first, rest) = text.split_once(". ").unwrap_or((text, ""));
            format!("<w:p>{}{}</w:p>", run(&format!("{first}. ")), run(rest))
        },
    );
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><w:document xmlns:w=\"http://schemas.\
         openxmlformats.org/wordprocessingml/2006/main\"><w:body>{body}</w:body></w:document>"
    );
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [
        ("[Content_Types].xml", CONTENT_TYPES),
        ("_rels/.rels", RELATIONSHIPS),
        ("word/document.xml", &document),
    ] {
        archive.start_file(name, SimpleFileOptions::default())?;
        archive.write_all(content.as_bytes())?;
    }
    Ok(archive.finish()?.into_inner())
}

/// Pages of lines in Helvetica, each page a compressed stream.
fn pdf(chapters: &[Chapter]) -> anyhow::Result<Vec<u8>> {
    let lines = lines(&plain(chapters));
    let pages: Vec<&[String]> = lines.chunks(LINES_PER_PAGE).collect();
    let kids: String = (0..pages.len())
        .map(|page| format!("{} 0 R ", FIRST_PAGE + 2 * page))
        .collect();
    let mut file = PdfFile::new();
    file.object(b"<</Type/Catalog/Pages 2 0 R>>");
    file.object(format!("<</Type/Pages/Kids[{kids}]/Count {}>>", pages.len()).as_bytes());
    file.object(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>");
    for (number, page) in pages.iter().enumerate() {
        let stream = FIRST_PAGE + 2 * number + 1;
        file.object(
            format!(
                "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {stream} 0 R\
                 /Resources<</Font<</F1 3 0 R>>>>>>"
            )
            .as_bytes(),
        );
        let mut content = "BT /F1 10 Tf 14 TL 60 780 Td\n".to_owned();
        for line in *page {
            let _ = writeln!(content, "({line}) Tj T*");
        }
        content.push_str("ET");
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content.as_bytes())?;
        let packed = encoder.finish()?;
        let head = format!("<</Filter/FlateDecode/Length {}>>\nstream\n", packed.len());
        file.object(&[head.as_bytes(), &packed, b"\nendstream"].concat());
    }
    Ok(file.finish())
}

/// Text in lines that fit a page.
fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if line.len() + word.len() >= LINE_CHARS {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// A PDF as it is written: objects, then where each of them begins.
struct PdfFile {
    bytes: Vec<u8>,
    offsets: Vec<usize>,
}

impl PdfFile {
    fn new() -> Self {
        Self {
            bytes: b"%PDF-1.7\n".to_vec(),
            offsets: Vec::new(),
        }
    }

    fn object(&mut self, body: &[u8]) {
        self.offsets.push(self.bytes.len());
        self.bytes
            .extend(format!("{} 0 obj\n", self.offsets.len()).into_bytes());
        self.bytes.extend(body);
        self.bytes.extend(b"\nendobj\n");
    }

    fn finish(mut self) -> Vec<u8> {
        let start = self.bytes.len();
        let size = self.offsets.len() + 1;
        let mut table = format!("xref\n0 {size}\n0000000000 65535 f \n");
        for offset in &self.offsets {
            let _ = writeln!(table, "{offset:010} 00000 n ");
        }
        let _ = write!(
            table,
            "trailer\n<</Size {size}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n"
        );
        self.bytes.extend(table.into_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use documents::{Isolation, Limits, process};

    use super::*;

    #[test]
    fn every_format_is_read_to_its_last_chapter() {
        for sample in every_format(20_000).unwrap() {
            assert!(sample.content.len() >= 20_000, "{}", sample.name);
            let read = process(
                sample.content,
                sample.file_name,
                &Limits::default(),
                &Isolation::Thread,
            );
            let document = read.unwrap();
            assert!(
                document.about.warnings.is_empty(),
                "{:?}",
                document.about.warnings
            );
            let text = document.text();
            let last = chapters(FIRST_TRY).pop().unwrap();
            let end: Vec<&str> = last.heading.split_whitespace().collect();
            let read: Vec<&str> = text
                .split_whitespace()
                .map(|word| word.trim_end_matches(';'))
                .collect();
            let found = read.windows(end.len()).any(|words| words == end);
            assert!(found, "{} lacks {:?}", sample.name, last.heading);
        }
    }
}
