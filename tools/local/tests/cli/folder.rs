//! Folders for the tests, with a file of every kind.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

use crate::made::{book, sample, slides};

/// A folder with these files.
pub fn of(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path(), files);
    folder
}

pub fn fill(root: &Path, files: &[(&str, Vec<u8>)]) {
    for (path, content) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("is made");
        std::fs::write(path, content).expect("is written");
    }
}

/// A small document in a folder, outside of what is imported.
pub fn handbook(folder: &Path) -> String {
    let path = folder.join("handbook.md");
    std::fs::write(&path, "# Oil\n\nThe oil is changed every 500 hours.\n").expect("is written");
    path.to_str().expect("UTF-8").to_owned()
}

fn picture(format: ImageFormat, shade: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let picture = RgbImage::from_pixel(16, 16, image::Rgb([shade, 90, 30]));
    picture.write_to(&mut bytes, format).expect("a picture");
    bytes.into_inner()
}

/// Thirty files, one at least of every kind that can be read.
pub fn of_every_kind() -> Vec<(&'static str, Vec<u8>)> {
    let rows = [["Part", "Torque"], ["Blade bolt", "2740"]];
    let rows: Vec<&[&str]> = rows.iter().map(|row| &row[..]).collect();
    let slide = slides::shape("title", "Winter") + &slides::shape("", "De-icing takes two hours.");
    let mut files = vec![
        (
            "manuals/turbine.pdf",
            sample("turbine-maintenance-handbook.pdf"),
        ),
        (
            "manuals/supply.docx",
            sample("bearing-supply-agreement.docx"),
        ),
        ("manuals/on-call.md", sample("on-call-faq.md")),
        (
            "manuals/torques.xlsx",
            book::of(&[book::sheet("Torques", &rows)]),
        ),
        ("manuals/winter.pptx", slides::of(&[slide])),
        ("pictures/a.png", picture(ImageFormat::Png, 10)),
        ("pictures/b.jpg", picture(ImageFormat::Jpeg, 20)),
        ("pictures/c.webp", picture(ImageFormat::WebP, 30)),
    ];
    let texts = [
        (
            "site/index.html",
            "<!doctype html><html><body><main><h1>Towers</h1><p>Towers are painted every ten years.</p></main></body></html>",
        ),
        (
            "site/old.htm",
            "<html><body><p>The lift is inspected in spring.</p></body></html>",
        ),
        ("tables/parts.csv", "part,weight\nhub,21000\nblade,7100\n"),
        ("tables/parts.tsv", "part\tweight\nnacelle\t62000\n"),
        (
            "mail/delay.eml",
            "From: a@example.com\r\nTo: b@example.com\r\nSubject: Delay\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\nContent-Type: text/plain\r\n\r\nThe crane arrives on Monday.\r\n",
        ),
        (
            "code/brake.rs",
            "/// Stops the rotor.\npub fn brake(speed: f64) -> f64 {\n    speed * 0.5\n}\n",
        ),
        (
            "code/brake.py",
            "def brake(speed):\n    \"\"\"Stops the rotor.\"\"\"\n    return speed / 3\n",
        ),
        (
            "code/brake.ts",
            "export function brake(speed: number): number {\n  return speed / 4;\n}\n",
        ),
        (
            "code/brake.go",
            "package brake\n\nfunc Brake(speed float64) float64 { return speed / 5 }\n",
        ),
        (
            "code/Brake.java",
            "class Brake { double brake(double speed) { return speed / 6; } }\n",
        ),
        ("data/limits.json", "{\"rotor\": {\"most_rpm\": 19}}\n"),
        ("data/limits.yaml", "rotor:\n  most_rpm: 18\n"),
        ("data/limits.toml", "[rotor]\nmost_rpm = 17\n"),
        (
            "data/limits.xml",
            "<?xml version=\"1.0\"?><rotor><most>16</most></rotor>\n",
        ),
        ("notes/readme", "Everything about turbine 7.\n"),
        ("notes/one.txt", "The gearbox is warm.\n"),
        ("notes/two.txt", "The gearbox is cold.\n"),
        (
            "notes/umlaut.txt",
            "Die Bremse wird j\u{e4}hrlich gepr\u{fc}ft.\n",
        ),
        (
            "notes/three.markdown",
            "# Yaw\n\nThe yaw drive is greased twice a year.\n",
        ),
        (
            "notes/four.md",
            "# Pitch\n\nThe pitch drive is greased once a year.\n",
        ),
        ("notes/five.md", "# Noise\n\nNoise is measured at night.\n"),
        ("notes/log.txt", "12:00 start\n12:05 stop\n"),
    ];
    files.extend(texts.map(|(path, text)| (path, text.as_bytes().to_vec())));
    assert_eq!(files.len(), 30);
    files
}

/// What the report of an import says of a file.
pub fn told<'a>(report: &'a Value, path: &str) -> &'a Value {
    let files = report["files"].as_array().expect("a list");
    let told = files.iter().find(|file| file["path"] == path);
    told.unwrap_or_else(|| panic!("{path}: {report:#}"))
}
