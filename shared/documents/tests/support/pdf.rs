//! PDF files, object by object.

use super::zlib;

/// A PDF of these objects, numbered from 1. The first is the catalog.
pub fn of(objects: &[Vec<u8>]) -> Vec<u8> {
    with_trailer(objects, "")
}

pub fn with_trailer(objects: &[Vec<u8>], extra: &str) -> Vec<u8> {
    let mut file = b"%PDF-1.7\n".to_vec();
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.extend(format!("{} 0 obj\n", index + 1).into_bytes());
        file.extend(object);
        file.extend(b"\nendobj\n");
    }
    let start = file.len();
    let size = objects.len() + 1;
    file.extend(format!("xref\n0 {size}\n0000000000 65535 f \n").into_bytes());
    for offset in offsets {
        file.extend(format!("{offset:010} 00000 n \n").into_bytes());
    }
    file.extend(
        format!("trailer\n<</Size {size}/Root 1 0 R{extra}>>\nstartxref\n{start}\n%%EOF\n")
            .into_bytes(),
    );
    file
}

pub fn stream(dictionary: &str, data: &[u8]) -> Vec<u8> {
    let head = format!("<<{dictionary}/Length {}>>\nstream\n", data.len());
    [head.as_bytes(), data, b"\nendstream"].concat()
}

pub fn flate(data: &[u8]) -> Vec<u8> {
    stream("/Filter/FlateDecode", &zlib(data))
}

/// One page that shows what `content` paints, with Helvetica as `/F1`. Further objects follow
/// from number 6 on; `catalog` adds to the catalog and `resources` to the resources.
pub fn one_page(content: Vec<u8>, catalog: &str, resources: &str, more: &[Vec<u8>]) -> Vec<u8> {
    let mut objects = vec![
        format!("<</Type/Catalog/Pages 2 0 R{catalog}>>").into_bytes(),
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>".to_vec(),
        format!(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R\
             /Resources<</Font<</F1 5 0 R>>{resources}>>>>"
        )
        .into_bytes(),
        content,
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>".to_vec(),
    ];
    objects.extend_from_slice(more);
    of(&objects)
}

/// A content stream that writes one line.
pub fn line(text: &str) -> Vec<u8> {
    stream(
        "",
        format!("BT /F1 12 Tf 72 700 Td ({text}) Tj ET").as_bytes(),
    )
}

/// A PDF whose catalog is `catalog`, packed in a compressed object stream together with `packed`
/// objects, numbered from 4 on. Objects 1 to 3 are the catalog, the page tree and the page.
pub fn with_packed_catalog(catalog: &str, packed: &[&str]) -> Vec<u8> {
    let mut members = vec![
        (1, format!("<</Type/Catalog/Pages 2 0 R{catalog}>>")),
        (2, "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned()),
        (
            3,
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 100 0 R\
             /Resources<</Font<</F1 101 0 R>>>>>>"
                .to_owned(),
        ),
    ];
    members.extend(
        packed
            .iter()
            .enumerate()
            .map(|(index, body)| (4 + index as u32, (*body).to_owned())),
    );
    let (mut head, mut bodies) = (String::new(), String::new());
    for (number, body) in &members {
        head.push_str(&format!("{number} {} ", bodies.len()));
        bodies.push_str(body);
        bodies.push('\n');
    }
    let dictionary = format!(
        "/Type/ObjStm/Filter/FlateDecode/N {}/First {}",
        members.len(),
        head.len()
    );
    let plain = [
        (100, line("packed text")),
        (
            101,
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_vec(),
        ),
        (
            102,
            stream(&dictionary, &zlib(format!("{head}{bodies}").as_bytes())),
        ),
    ];
    let mut file = b"%PDF-1.7\n".to_vec();
    // One row of the cross-reference stream: kind, two fields.
    let mut rows: Vec<(u32, [u32; 3])> = members
        .iter()
        .enumerate()
        .map(|(index, (number, _))| (*number, [2, 102, index as u32]))
        .collect();
    for (number, body) in plain {
        rows.push((number, [1, file.len() as u32, 0]));
        file.extend(format!("{number} 0 obj\n").into_bytes());
        file.extend(body);
        file.extend(b"\nendobj\n");
    }
    let start = file.len();
    rows.push((103, [1, start as u32, 0]));
    let index: String = rows
        .iter()
        .map(|(number, _)| format!("{number} 1 "))
        .collect();
    let table: Vec<u8> = rows
        .iter()
        .flat_map(|(_, [kind, a, b])| {
            let mut row = vec![*kind as u8];
            row.extend(a.to_be_bytes());
            row.extend((*b as u16).to_be_bytes());
            row
        })
        .collect();
    let dictionary = format!("/Type/XRef/W[1 4 2]/Size 104/Root 1 0 R/Index[{index}]");
    file.extend(b"103 0 obj\n");
    file.extend(stream(&dictionary, &table));
    file.extend(format!("\nendobj\nstartxref\n{start}\n%%EOF\n").into_bytes());
    file
}
