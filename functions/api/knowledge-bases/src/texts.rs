//! Texts that come in a request and become files of a knowledge base.

use api::{Owned, Problem, Write};
use domain::file::is_file_name;
use domain::knowledge::{Document, KnowledgeBase};
use domain::permission::Permission;
use kernel::FileId;
use store::files::received::Origin;

use crate::documents::TRIES;

/// The most characters of a text that comes in a request.
const MAX_CHARS: usize = 300_000;

/// Stores a text, and makes a file of it that is part of a knowledge base.
pub(crate) async fn add(
    app: &api::App,
    base: Owned<KnowledgeBase, Write>,
    name: String,
    text: String,
) -> Result<Document, Problem> {
    base.caller.require(Permission::FileWrite, app).await?;
    let tenant = base.caller.tenant();
    let files = app.store().files(tenant);
    let file = FileId::generate(app.store().now());
    let media_type = "text/plain; charset=utf-8";
    let received = files
        .store_content(file, 0, media_type, text.as_bytes())
        .await?;
    let origin = Origin { name, url: None };
    let cause = base.caller.cause();
    let mut current = base.item;
    for _ in 0..TRIES {
        match files
            .create_received(&cause, &received, &origin, &current)
            .await
        {
            // Somebody renamed the knowledge base.
            Err(error) if error.is_changed() => {
                let knowledge = app.store().knowledge(tenant);
                let Some(base) = knowledge.base(current.id).await? else {
                    break;
                };
                current = base;
            }
            made => return Ok(made?),
        }
    }
    // No row names it, and none will.
    app.store().objects(tenant).remove_file(file).await?;
    Err(Problem::changed("knowledge base"))
}

/// The name of a file; for garde's `custom`.
pub(crate) fn name(name: &str, (): &()) -> garde::Result {
    if is_file_name(name) {
        return Ok(());
    }
    Err(garde::Error::new(
        "must be a file name of at most 255 characters, without a path or control characters",
    ))
}

/// A text in which something stands, and not too much; for garde's `custom`.
pub(crate) fn text(text: &str, (): &()) -> garde::Result {
    if text.trim().is_empty() {
        return Err(garde::Error::new("must not be blank"));
    }
    if text.chars().count() > MAX_CHARS {
        return Err(garde::Error::new(format!(
            "must have at most {MAX_CHARS} characters"
        )));
    }
    Ok(())
}
