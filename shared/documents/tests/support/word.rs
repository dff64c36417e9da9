//! Word files, part by part.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const RELATIONSHIPS: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>"#;

/// A document with this body.
pub fn of(body: &str) -> Vec<u8> {
    with_parts(&document(body), &[])
}

pub fn document(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><w:document xmlns:w=\"http://schemas.\
         openxmlformats.org/wordprocessingml/2006/main\"><w:body>{body}</w:body></w:document>"
    )
}

pub fn paragraph(text: &str) -> String {
    format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>")
}

pub fn with_parts(document: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    let mut parts: Vec<(&str, &[u8])> = vec![
        ("[Content_Types].xml", b"<Types/>"),
        ("_rels/.rels", RELATIONSHIPS.as_bytes()),
        ("word/document.xml", document.as_bytes()),
    ];
    parts.extend_from_slice(more);
    archive(&parts)
}

pub fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(6));
    for (name, content) in parts {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The same archive with one more name for the data of its first entry.
pub fn with_overlap(archive: &[u8]) -> Vec<u8> {
    let end = rfind(archive, b"PK\x05\x06");
    let directory = u32_at(archive, end + 16) as usize;
    let name_length = u16_at(archive, directory + 28) as usize;
    let mut twin = archive[directory..directory + 46 + name_length].to_vec();
    twin[46] = b'~';
    // No extra field and no comment.
    twin[30..34].fill(0);
    let mut file = archive[..end].to_vec();
    file.extend(&twin);
    let mut tail = archive[end..].to_vec();
    let entries = u16_at(&tail, 10) + 1;
    tail[8..10].copy_from_slice(&entries.to_le_bytes());
    tail[10..12].copy_from_slice(&entries.to_le_bytes());
    let size = u32_at(&tail, 12) + twin.len() as u32;
    tail[12..16].copy_from_slice(&size.to_le_bytes());
    file.extend(tail);
    file
}

/// The same archive with every entry marked as encrypted.
pub fn marked_encrypted(archive: &[u8]) -> Vec<u8> {
    let mut file = archive.to_vec();
    for (signature, flags) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let found: Vec<usize> = memchr::memmem::find_iter(archive, signature).collect();
        for at in found {
            file[at + flags] |= 1;
        }
    }
    file
}

fn rfind(bytes: &[u8], signature: &[u8]) -> usize {
    memchr::memmem::rfind(bytes, signature).unwrap()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}
