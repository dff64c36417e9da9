//! Workbooks, part by part.

use super::word::archive;

const TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/></Types>"#;
const PACKAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const STYLES: &str = r#"<?xml version="1.0" encoding="UTF-8"?><styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>"#;

/// A sheet: its name, what its element says beside (`state="hidden"`), and the XML of its rows.
pub struct Sheet<'a> {
    pub name: &'a str,
    pub more: &'a str,
    pub rows: String,
}

pub fn sheet<'a>(name: &'a str, rows: &[&[&str]]) -> Sheet<'a> {
    Sheet {
        name,
        more: "",
        rows: self::rows(rows),
    }
}

/// Rows of cells: figures as numbers, everything else as text in the cell.
pub fn rows(rows: &[&[&str]]) -> String {
    rows.iter()
        .enumerate()
        .map(|(row, cells)| {
            let cells: String = cells
                .iter()
                .zip('A'..)
                .map(|(cell, column)| {
                    let place = format!("{column}{}", row + 1);
                    if cell.parse::<f64>().is_ok() {
                        format!(r#"<c r="{place}"><v>{cell}</v></c>"#)
                    } else {
                        format!(r#"<c r="{place}" t="inlineStr"><is><t>{cell}</t></is></c>"#)
                    }
                })
                .collect();
            format!(r#"<row r="{}">{cells}</row>"#, row + 1)
        })
        .collect()
}

pub fn of(sheets: &[Sheet<'_>]) -> Vec<u8> {
    with_parts(sheets, &[])
}

/// A workbook with more parts; one of a name that it has takes its place.
pub fn with_parts(sheets: &[Sheet<'_>], more: &[(&str, &[u8])]) -> Vec<u8> {
    let mut list = String::new();
    let mut links = String::new();
    let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
    for (number, sheet) in (1..).zip(sheets) {
        let Sheet { name, more, rows } = sheet;
        list.push_str(&format!(
            r#"<sheet name="{name}" sheetId="{number}" r:id="rId{number}" {more}/>"#
        ));
        links.push_str(&format!(
            r#"<Relationship Id="rId{number}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet{number}.xml"/>"#
        ));
        let xml = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"#
        );
        parts.push((format!("xl/worksheets/sheet{number}.xml"), xml.into_bytes()));
    }
    let workbook = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{list}</sheets></workbook>"#
    );
    let links = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{links}<Relationship Id="rIdS" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/><Relationship Id="rIdT" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"#
    );
    for (name, content) in [
        ("[Content_Types].xml", TYPES),
        ("_rels/.rels", PACKAGE),
        ("xl/workbook.xml", &workbook),
        ("xl/_rels/workbook.xml.rels", &links),
        ("xl/styles.xml", STYLES),
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

/// The part with the texts that cells share.
pub fn shared_strings(texts: &[&str]) -> String {
    let items: String = texts
        .iter()
        .map(|text| format!("<si><t>{text}</t></si>"))
        .collect();
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{items}</sst>"#
    )
}
