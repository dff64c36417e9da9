//! Presentations, part by part.

use super::word::archive;

const PACKAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="ppt/presentation.xml"/></Relationships>"#;
const NAMES: &str = r#"xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main""#;

/// A shape with text; `kind` is that of its placeholder, as `title`.
pub fn shape(kind: &str, text: &str) -> String {
    let placeholder = if kind.is_empty() {
        String::new()
    } else {
        format!(r#"<p:nvPr><p:ph type="{kind}"/></p:nvPr>"#)
    };
    let paragraphs: String = text
        .split('\n')
        .map(|line| format!("<a:p><a:r><a:t>{line}</a:t></a:r></a:p>"))
        .collect();
    format!(
        "<p:sp><p:nvSpPr><p:cNvPr id=\"2\" name=\"x\"/>{placeholder}</p:nvSpPr><p:txBody>{paragraphs}</p:txBody></p:sp>"
    )
}

pub fn table(rows: &[&[&str]]) -> String {
    let rows: String = rows
        .iter()
        .map(|cells| {
            let cells: String = cells
                .iter()
                .map(|cell| {
                    format!(
                        "<a:tc><a:txBody><a:p><a:r><a:t>{cell}</a:t></a:r></a:p></a:txBody></a:tc>"
                    )
                })
                .collect();
            format!("<a:tr h=\"1\">{cells}</a:tr>")
        })
        .collect();
    format!(
        "<p:graphicFrame><a:graphic><a:graphicData uri=\"http://schemas.openxmlformats.org/drawingml/2006/table\"><a:tbl>{rows}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    )
}

/// A presentation of slides with these shapes.
pub fn of(slides: &[String]) -> Vec<u8> {
    with_parts(slides, &[])
}

pub fn with_parts(slides: &[String], more: &[(&str, &[u8])]) -> Vec<u8> {
    let mut list = String::new();
    let mut links = String::new();
    let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
    for (number, shapes) in (1..).zip(slides) {
        list.push_str(&format!(
            r#"<p:sldId id="{}" r:id="rId{number}"/>"#,
            255 + number
        ));
        links.push_str(&format!(
            r#"<Relationship Id="rId{number}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/slide" Target="slides/slide{number}.xml"/>"#
        ));
        parts.push((
            format!("ppt/slides/slide{number}.xml"),
            slide(shapes).into_bytes(),
        ));
    }
    let presentation = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><p:presentation {NAMES}><p:sldIdLst>{list}</p:sldIdLst></p:presentation>"#
    );
    let links = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{links}</Relationships>"#
    );
    for (name, content) in [
        ("[Content_Types].xml", "<Types/>"),
        ("_rels/.rels", PACKAGE),
        ("ppt/presentation.xml", &presentation),
        ("ppt/_rels/presentation.xml.rels", &links),
    ] {
        parts.push((name.to_owned(), content.as_bytes().to_vec()));
    }
    parts.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    let mut all: Vec<(&str, &[u8])> = parts
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_slice()))
        .collect();
    all.extend_from_slice(more);
    archive(&all)
}

pub fn slide(shapes: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><p:sld {NAMES}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"#
    )
}

pub fn notes(text: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><p:notes {NAMES}><p:cSld><p:spTree>{}</p:spTree></p:cSld></p:notes>"#,
        shape("body", text)
    )
}
