use api::{Json, Owned, Problem, Problems, Versioned, Write, created};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use domain::knowledge::KnowledgeBase;
use domain::permission::Permission;
use domain::source::{
    DEFAULT_MAX_PAGES, MAX_PAGES, MAX_SOURCES, MAX_URL_BYTES, WebSource, WebSourceKind,
};
use garde::Validate;
use kernel::KnowledgeBaseId;
use kernel::cursor::PageRequest;
use outbound::Policy;
use serde::Deserialize;
use store::CommitError;
use store::sources::NewSource;
use utoipa::ToSchema;

use super::interval;

/// A place on the web whose pages become documents.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebSource {
    /// Its address: `http` or `https`, on the public internet, without credentials. What stands
    /// behind a `#` is left out.
    #[garde(length(bytes, min = 1, max = MAX_URL_BYTES))]
    #[schema(
        min_length = 1,
        max_length = 2_048,
        example = "https://docs.example.com/sitemap.xml"
    )]
    url: String,
    /// What the address leads to.
    #[garde(skip)]
    #[serde(default)]
    kind: WebSourceKind,
    /// How many hours after a crawl the next one begins. Absent or null, only when it is asked for.
    #[garde(custom(interval))]
    #[serde(default)]
    #[schema(minimum = 1, maximum = 8_760)]
    interval_hours: Option<u32>,
    /// The most pages that are read of a sitemap.
    #[garde(range(min = 1, max = MAX_PAGES))]
    #[serde(default = "most_pages")]
    #[schema(minimum = 1, maximum = 10_000, default = 1_000)]
    max_pages: u32,
}

const fn most_pages() -> u32 {
    DEFAULT_MAX_PAGES
}

/// Make a source of an address: a page, or a sitemap whose pages on the same host are read. It is
/// crawled at once, and again at its interval. `robots.txt` is honoured, and a host is asked at most
/// once a second. Each page becomes a document.
#[utoipa::path(
    post, path = "/v1/knowledge-bases/{knowledge_base_id}/sources", tag = "knowledge-bases",
    operation_id = "create_source",
    params(("knowledge_base_id" = KnowledgeBaseId, Path)),
    request_body = NewWebSource,
    security(("bearer" = ["knowledge:write", "files:write"])),
    responses((status = 201, body = WebSource), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    Extension(policy): Extension<Policy>,
    base: Owned<KnowledgeBase, Write>,
    Json(body): Json<NewWebSource>,
) -> Result<Response, Problem> {
    base.caller.require(Permission::FileWrite, &app).await?;
    let new = wanted(&policy, body)?;
    let sources = app.store().sources(base.caller.tenant());
    let many = PageRequest::first(MAX_SOURCES as u32);
    if sources.of(base.id, &many).await?.items.len() >= MAX_SOURCES {
        return Err(Problem::conflict(
            "too_many_sources",
            format!("A knowledge base can have at most {MAX_SOURCES} sources."),
        ));
    }
    let source = match sources.create(&base.caller.cause(), base.id, &new).await {
        Err(store::Error::Commit(CommitError::Exists { .. })) => Err(Problem::conflict(
            "already_exists",
            "This address is a source of the knowledge base already.",
        )),
        made => made?.ok_or_else(|| Problem::not_found("knowledge base")),
    }?;
    let location = format!("/v1/knowledge-bases/{}/sources/{}", base.id, source.id);
    Ok(created(&location, Versioned::new(source.version, source)))
}

/// The source that is asked for, if its address may ever be asked for anything.
fn wanted(policy: &Policy, body: NewWebSource) -> Result<NewSource, Problem> {
    let target = policy
        .check_url(&body.url)
        .map_err(|error| Problem::invalid_field("/url", error.to_string()))?;
    let url = target.as_str().to_owned();
    if url.len() > MAX_URL_BYTES {
        let message = format!("has more than {MAX_URL_BYTES} bytes in its normal form");
        return Err(Problem::invalid_field("/url", message));
    }
    Ok(NewSource {
        kind: body.kind,
        url,
        interval_hours: body.interval_hours,
        max_pages: match body.kind {
            WebSourceKind::Page => 1,
            WebSourceKind::Sitemap => body.max_pages,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str, kind: WebSourceKind) -> Result<NewSource, Problem> {
        let body = NewWebSource {
            url: url.to_owned(),
            kind,
            interval_hours: None,
            max_pages: 7,
        };
        wanted(&Policy::public(), body)
    }

    #[test]
    fn an_address_is_kept_in_its_normal_form() {
        for (written, kept) in [
            ("https://Docs.Example.com", "https://docs.example.com/"),
            ("HTTPS://example.com:443/a/../b#c", "https://example.com/b"),
            (
                "http://example.com/é?q=ü",
                "http://example.com/%C3%A9?q=%C3%BC",
            ),
        ] {
            let source = asked(written, WebSourceKind::Sitemap).expect(written);
            assert_eq!((source.url.as_str(), source.max_pages), (kept, 7));
        }
        let page = asked("https://example.com/", WebSourceKind::Page).expect("a page");
        assert_eq!(page.max_pages, 1);
    }

    #[test]
    fn what_may_never_be_asked_for_is_refused_at_once() {
        let long = format!("https://example.com/{}", "é".repeat(1_000));
        for url in [
            "ftp://example.com/",
            "example.com",
            "https://user:secret@example.com/",
            "http://127.0.0.1/",
            "http://10.0.0.8/",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1]/",
            "http://localhost/",
            "http://intranet/",
            "http://printer.local/",
            "https://example.com:22/",
            "https://exa mple.com/",
            "",
            &long,
        ] {
            let problem = asked(url, WebSourceKind::Page).expect_err(url);
            assert_eq!(
                (problem.status().as_u16(), problem.code()),
                (422, "invalid_request"),
                "{url}"
            );
        }
    }
}
