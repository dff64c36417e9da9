//! What of a file is shown to people who have not opened it.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use serde_json::json;

use super::{NOTES, bring};
use crate::support::{World, send, text};

fn photo(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    DynamicImage::new_rgb8(800, 400)
        .write_to(&mut Cursor::new(&mut bytes), format)
        .expect("written");
    bytes
}

#[tokio::test]
async fn a_text_shows_its_beginning_and_a_picture_a_smaller_one() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let notes = bring(&world, &admin, "rota.md", NOTES, None).await;
    let path = |file: &serde_json::Value| format!("/v1/files/{}/preview", text(&file["id"]));
    let preview = admin.get(&path(&notes)).await.ok();
    assert_eq!(
        (&preview["kind"], &preview["truncated"]),
        (&json!("text"), &json!(false))
    );
    assert!(text(&preview["text"]).contains("12 minutes"), "{preview}");

    for (format, name) in [
        (ImageFormat::Png, "png"),
        (ImageFormat::Jpeg, "jpeg"),
        (ImageFormat::WebP, "webp"),
    ] {
        // The name promises something else; the content decides.
        let file = bring(&world, &admin, "photo.md", &photo(format), None).await;
        assert_eq!(
            (&file["status"], &file["format"], &file["chunks"]),
            (&json!("ready"), &json!(name), &json!(0))
        );
        let preview = admin.get(&path(&file)).await.ok();
        assert_eq!(
            (&preview["width"], &preview["height"]),
            (&json!(800), &json!(400))
        );
        let thumbnail = send(world.elsewhere(http::Method::GET, &text(&preview["url"]))).await;
        assert_eq!(thumbnail.header("content-type"), Some("image/png"));
        let small = image::load_from_memory_with_format(&thumbnail.body, ImageFormat::Png);
        let small = small.expect("a PNG");
        assert_eq!((small.width(), small.height()), (320, 160));
    }

    let pending = world.upload(&admin, "late.md", NOTES, None).await;
    admin.get(&path(&pending)).await.problem(409, "no_preview");
    let blank = bring(&world, &admin, "blank.md", b" ", None).await;
    admin.get(&path(&blank)).await.problem(409, "no_preview");
}

#[tokio::test]
async fn a_page_or_a_drawing_is_downloaded_and_never_shown() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    for (name, content) in [
        (
            "page.html",
            &b"<html><body><script>alert(1)</script>Text.</body></html>"[..],
        ),
        (
            "drawing.svg",
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        ),
    ] {
        let file = bring(&world, &admin, name, content, None).await;
        let download = format!("/v1/files/{}/download", text(&file["id"]));
        let url = text(&admin.get(&download).await.ok()["url"]);
        let answer = send(world.elsewhere(http::Method::GET, &url)).await;
        let disposition = answer.header("content-disposition").expect("a disposition");
        assert!(disposition.starts_with("attachment;"), "{disposition}");
        // Nobody who has the URL can have it shown: what S3 answers with is signed.
        let shown = url.replacen("attachment", "inline", 1);
        assert_ne!(shown, url);
        let refused = send(world.elsewhere(http::Method::GET, &shown)).await;
        assert_eq!(refused.status, 403, "{refused}");
    }
}
