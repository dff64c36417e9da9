//! The sound files of each format, and the words that mean something in it.

use std::io::{Cursor, Write as _};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// One path through the parsers.
pub struct Target {
    pub name: &'static str,
    /// The name under which its files are read.
    pub file_name: &'static str,
    pub seeds: Vec<Vec<u8>>,
    pub words: &'static [&'static str],
    pub is_archive: bool,
}

const HANDBOOK: &[u8] = include_bytes!("../../../samples/turbine-maintenance-handbook.pdf");
const AGREEMENT: &[u8] = include_bytes!("../../../samples/bearing-supply-agreement.docx");
const QUESTIONS: &[u8] = include_bytes!("../../../samples/on-call-faq.md");
const SOURCE: &[u8] = include_bytes!("mutation.rs");

const XML: &[&str] = &[
    "<",
    ">",
    "/>",
    "</",
    "&amp;",
    "&#0;",
    "&#x10FFFF;",
    "&a;",
    "<!DOCTYPE x [<!ENTITY a \"b\">]>",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?xml encoding=\"UTF-16\"?>",
    "\"",
    "'",
    "xml:space",
    "<w:p>",
    "</w:p>",
    "<w:tbl><w:tr><w:tc>",
    "<w:t>",
    "<w:ins>",
    "<w:del>",
    "<w:footnoteReference w:id=\"1\"/>",
    "<c r=\"XFD1048576\">",
    "<c t=\"s\"><v>9</v></c>",
    "<row r=\"0\">",
    "<v>",
    "<a:p>",
    "<a:t>",
    "<p:sp>",
    "<p:grpSp>",
    "<a:tbl>",
    "r:id=\"rId1\"",
    "gridSpan=\"999999\"",
    "<w:vMerge/>",
];

pub fn targets() -> Vec<Target> {
    vec![
        plain("pdf", "a.pdf", &[HANDBOOK, PAGE], PDF_WORDS),
        archive("docx", "a.docx", vec![AGREEMENT.to_vec()]),
        archive("xlsx", "a.xlsx", vec![workbook()]),
        archive("pptx", "a.pptx", vec![presentation()]),
        plain("html", "a.html", &[HTML], HTML_WORDS),
        plain("markdown", "a.md", &[QUESTIONS, MARKDOWN], MARKDOWN_WORDS),
        plain(
            "csv",
            "a.csv",
            &[TABLE],
            &["\"", ",", ";", "\n", "\r", "\"\"", "\t", "|", "\u{FEFF}"],
        ),
        plain("mail", "a.eml", &[MAIL], MAIL_WORDS),
        plain(
            "code",
            "a.rs",
            &[SOURCE],
            &[
                "fn ", "impl ", "{", "}", "///", "\n", "\t", "    ", "pub(", "(",
            ],
        ),
        plain(
            "text",
            "a.txt",
            &[QUESTIONS, b"{\"a\": [1, \"\\u00e9\"]}"],
            TEXT_WORDS,
        ),
    ]
}

fn plain(
    name: &'static str,
    file_name: &'static str,
    seeds: &[&[u8]],
    words: &'static [&'static str],
) -> Target {
    Target {
        name,
        file_name,
        seeds: seeds.iter().map(|seed| seed.to_vec()).collect(),
        words,
        is_archive: false,
    }
}

fn archive(name: &'static str, file_name: &'static str, seeds: Vec<Vec<u8>>) -> Target {
    Target {
        name,
        file_name,
        seeds,
        words: XML,
        is_archive: true,
    }
}

const PDF_WORDS: &[&str] = &[
    "<<",
    ">>",
    "[",
    "]",
    "(",
    ")",
    "\\",
    "obj",
    "endobj",
    "stream\n",
    "\nendstream",
    "xref",
    "trailer",
    "startxref",
    "%%EOF",
    " 0 R",
    "1 0 R",
    "3 0 R",
    "/Kids[1 0 R 2 0 R]",
    "/Parent 2 0 R",
    "/Length 9999999",
    "/Filter/FlateDecode",
    "/Filter/ASCIIHexDecode",
    "/Filter/LZWDecode",
    "/Filter/RunLengthDecode",
    "/DecodeParms<</Predictor 15/Columns 999999999>>",
    "/Count -1",
    "/Type/ObjStm/N 9999/First 9",
    "/Encrypt 4 0 R",
    "/ToUnicode 4 0 R",
    "/W[1 9 9]",
    "/MediaBox[0 0 1e38 -1e38]",
    "BT",
    "ET",
    "Tj",
    "TJ",
    "Do",
    "q ",
    "Q ",
    "cm ",
    "Tf ",
    "'",
    "/F1 ",
    "BI ",
    "ID ",
    "EI",
    "0 0 0 0 0 0 Tm ",
    "<FEFF",
    "beginbfrange <00> <FF> <0000> endbfrange",
];
const HTML_WORDS: &[&str] = &[
    "<div>",
    "</div>",
    "<table><tr><td>",
    "<td colspan=99999>",
    "<ul><li>",
    "<pre>",
    "<script>",
    "</script>",
    "<!--",
    "-->",
    "<![CDATA[",
    "<title>",
    "<main>",
    "</main>",
    "<nav>",
    "<h1>",
    "<h6>",
    "&nbsp;",
    "&#x0;",
    "&#1114112;",
    "<svg>",
    "<template>",
    "<textarea>",
    "<plaintext>",
    "\0",
    "<",
];
const MARKDOWN_WORDS: &[&str] = &[
    "# ",
    "> ",
    "- ",
    "1. ",
    "999999999. ",
    "```",
    "~~~",
    "|",
    "|-|",
    "*",
    "**",
    "_",
    "[",
    "](",
    ")",
    "![",
    "[^1]",
    "[^1]: ",
    "<div>",
    "<!--",
    "---\n",
    "===\n",
    "\\",
    "`",
    "&#0;",
    "    ",
    "\t",
    "\n\n",
    "[a]: b",
    "~~",
    "$",
    "$$",
    "{#id}",
    "- [x] ",
];
const MAIL_WORDS: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "--b\r\n",
    "--b--\r\n",
    "--c\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "Content-Type: message/rfc822\r\n",
    "Content-Type: text/html; charset=utf-16\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "=?utf-8?q?=",
    "?=",
    "=?x?b?",
    "<",
    ">",
    "(",
    ")",
    "\"",
    ";",
    ":",
    ",",
    " ",
    "\t",
    "=\r\n",
    "=00",
    "filename*0*=utf-8''%",
    "boundary=",
    "begin 644 a\r\n",
    "Date: ",
    "From: ",
];
const TEXT_WORDS: &[&str] = &[
    "\u{FEFF}",
    "\0",
    "\r",
    "\n",
    "\u{2028}",
    "\u{200B}",
    "\u{202E}",
    "\u{10FFFF}",
    "é",
    "漢",
    "😀",
    "[",
    "{",
    "\"",
    "\\",
    "e\u{301}\u{301}\u{301}",
    "\u{AD}",
    "\u{FFFD}",
    "\u{85}",
    "\t",
    "          ",
];

/// A page whose stream is not compressed, so that changes reach it.
const PAGE: &[u8] = b"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>\nendobj\n4 0 obj\n<</Length 121>>\nstream\nBT /F1 12 Tf 50 780 Td (Gearbox oil is changed) Tj 0 -14 Td [(every) -300 (500 h)] TJ ET\nq 1 0 0 1 50 50 cm 0 0 9 9 re f Q\nendstream\nendobj\n5 0 obj\n<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>\nendobj\ntrailer\n<</Size 6/Root 1 0 R>>\n%%EOF\n";
const HTML: &[u8] = b"<!doctype html><html><head><title>Faults</title><style>p{}</style></head><body><nav><a>Menu</a></nav><main><h1>Faults</h1><p>Read&nbsp;them <b>first</b>.<ul><li>one<li>two<ol><li>a</ol></ul><table><tr><th>Code<th>Meaning<tr><td>E-1<td>Too hot</table><pre>  keep\n</pre></main><footer>x</footer></body></html>";
const MARKDOWN: &[u8] = b"---\ntitle: Rules\n---\n\n# Oil\n\nA **bold** [page](https://example.com) and `code`.[^1]\n\n[^1]: Note.\n\n| Part | Oil |\n|---|---|\n| Gear | 20 l |\n\n- one\n  1. two\n\n```sh\nrun\n```\n\n<div><b>raw</b></div>\n";
const TABLE: &[u8] =
    "Turbine;Power;Note\nT-1;1,5;\"first; then \"\"second\"\"\"\nT-2;2,5;über\n".as_bytes();
const MAIL: &[u8] = b"From: Ada <ada@example.com>\r\nTo: b@example.com\r\nSubject: =?utf-8?q?=C3=96l?=\r\nDate: Fri, 20 Nov 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nThe oil =\r\nis changed.\r\n--c\r\nContent-Type: text/html\r\n\r\n<p>The oil</p>\r\n--c--\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: old\r\n\r\nold text\r\n--b\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Disposition: attachment; filename=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0x\r\n--b--\r\n";

const MAIN: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

fn workbook() -> Vec<u8> {
    let links = format!(
        "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" Type=\"{MAIN}/worksheet\" Target=\"worksheets/sheet1.xml\"/><Relationship Id=\"rId2\" Type=\"{MAIN}/sharedStrings\" Target=\"sharedStrings.xml\"/><Relationship Id=\"rId3\" Type=\"{MAIN}/styles\" Target=\"styles.xml\"/></Relationships>"
    );
    let book = format!(
        "<workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" xmlns:r=\"{MAIN}\"><workbookPr date1904=\"0\"/><sheets><sheet name=\"Stock\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>"
    );
    packed(&[
        ("[Content_Types].xml", "<Types/>"),
        ("_rels/.rels", &package("xl/workbook.xml")),
        ("xl/workbook.xml", &book),
        ("xl/_rels/workbook.xml.rels", &links),
        (
            "xl/styles.xml",
            "<styleSheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><numFmts count=\"1\"><numFmt numFmtId=\"164\" formatCode=\"yyyy-mm-dd\"/></numFmts><cellXfs count=\"2\"><xf numFmtId=\"0\"/><xf numFmtId=\"164\"/></cellXfs></styleSheet>",
        ),
        (
            "xl/sharedStrings.xml",
            "<sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><si><t>Part</t></si><si><r><t>Am</t></r><r><t>ount</t></r></si></sst>",
        ),
        (
            "xl/worksheets/sheet1.xml",
            "<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><dimension ref=\"A1:C3\"/><sheetData><row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"B1\" t=\"s\"><v>1</v></c></row><row r=\"2\"><c r=\"A2\" t=\"inlineStr\"><is><t>Grease</t></is></c><c r=\"B2\" s=\"1\"><v>46346.5</v></c><c r=\"C2\" t=\"b\"><v>1</v></c></row><row r=\"3\"><c r=\"A3\" t=\"e\"><v>#N/A</v></c><c r=\"B3\"><f>SUM(A1:A2)</f><v>0.3</v></c></row></sheetData></worksheet>",
        ),
    ])
}

fn presentation() -> Vec<u8> {
    let names = format!(
        "xmlns:a=\"http://schemas.openxmlformats.org/drawingml/2006/main\" xmlns:r=\"{MAIN}\" xmlns:p=\"http://schemas.openxmlformats.org/presentationml/2006/main\""
    );
    let slide = format!(
        "<p:sld {names}><p:cSld><p:spTree><p:sp><p:nvSpPr><p:cNvPr id=\"2\" name=\"x\"/><p:nvPr><p:ph type=\"title\"/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>Oil</a:t></a:r></a:p></p:txBody></p:sp><p:sp><p:txBody><a:p><a:pPr lvl=\"1\"><a:buChar char=\"-\"/></a:pPr><a:r><a:t>Change it</a:t></a:r></a:p></p:txBody></p:sp><p:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tr><a:tc gridSpan=\"1\"><a:txBody><a:p><a:r><a:t>Part</a:t></a:r></a:p></a:txBody></a:tc></a:tr></a:tbl></a:graphicData></a:graphic></p:graphicFrame></p:spTree></p:cSld></p:sld>"
    );
    packed(&[
        ("[Content_Types].xml", "<Types/>"),
        ("_rels/.rels", &package("ppt/presentation.xml")),
        (
            "ppt/presentation.xml",
            &format!(
                "<p:presentation {names}><p:sldIdLst><p:sldId id=\"256\" r:id=\"rId1\"/></p:sldIdLst></p:presentation>"
            ),
        ),
        (
            "ppt/_rels/presentation.xml.rels",
            &format!(
                "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" Type=\"{MAIN}/slide\" Target=\"slides/slide1.xml\"/></Relationships>"
            ),
        ),
        ("ppt/slides/slide1.xml", &slide),
        (
            "ppt/notesSlides/notesSlide1.xml",
            &slide
                .replace("p:sld ", "p:notes ")
                .replace("/p:sld>", "/p:notes>"),
        ),
    ])
}

fn package(target: &str) -> String {
    format!(
        "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" Type=\"{MAIN}/officeDocument\" Target=\"{target}\"/></Relationships>"
    )
}

fn packed(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        let begun = writer.start_file(*name, SimpleFileOptions::default());
        let written = begun.map(|()| writer.write_all(content.as_bytes()));
        assert!(
            matches!(written, Ok(Ok(()))),
            "an archive in memory takes every part"
        );
    }
    writer
        .finish()
        .map_or_else(|_| Vec::new(), Cursor::into_inner)
}
