use std::sync::{Arc, LazyLock};

use api::Problem;
use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use utoipa_swagger_ui::{Config, SwaggerFile, serve};

const START: &str = "/docs/index.html";

/// The pages run their own scripts, talk to their own host and are framed by nobody. Only the
/// icons, which the style sheet holds as `data:` URLs, come from elsewhere than a file.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The validator is a service on the internet: it is not told what is documented here.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::from("/openapi.json")
        .use_base_layout()
        .validator_url("none");
    Arc::new(
        config
            .display_operation_id(true)
            .persist_authorization(false),
    )
});

/// The pages under `/docs`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let start = || async { Redirect::temporary(START) };
    Router::new()
        .route("/docs", get(start))
        .route("/docs/", get(start))
        .route("/docs/{*path}", get(page))
        .layer(map_response(protect))
}

async fn page(path: Result<Path<String>, PathRejection>) -> Response {
    let Ok(Path(path)) = path else {
        return Problem::not_found("page").into_response();
    };
    match serve(&path, Arc::clone(&CONFIG)) {
        Ok(Some(file)) => answer(file),
        Ok(None) => Problem::not_found("page").into_response(),
        Err(error) => Problem::internal(error).into_response(),
    }
}

fn answer(file: SwaggerFile<'static>) -> Response {
    let mut response = file.bytes.into_owned().into_response();
    let headers = response.headers_mut();
    if let Ok(content_type) = HeaderValue::from_str(&file.content_type) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    if file.gzpipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=3600"),
    );
    response
}

async fn protect(mut response: Response) -> Response {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use http::{Request, StatusCode};
    use tower::ServiceExt;

    use super::*;

    async fn ask(path: &str) -> Response {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router::<()>().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn the_pages_lead_to_the_document_and_are_fenced_in() {
        for path in ["/docs", "/docs/"] {
            assert_eq!(ask(path).await.headers()[http::header::LOCATION], START);
        }
        let index = ask(START).await;
        assert_eq!(index.status(), StatusCode::OK);
        assert_eq!(index.headers()[CONTENT_TYPE], "text/html");
        assert_eq!(index.headers()[CONTENT_SECURITY_POLICY], POLICY);

        let script = ask("/docs/swagger-initializer.js").await;
        let body = to_bytes(script.into_body(), 100_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("\"url\": \"/openapi.json\""), "{text}");
        assert!(text.contains("\"validatorUrl\": \"none\""), "{text}");
    }

    #[tokio::test]
    async fn scripts_and_styles_are_small_and_of_their_type() {
        for (path, media_type) in [
            ("/docs/swagger-ui-bundle.js", "text/javascript"),
            ("/docs/swagger-ui-standalone-preset.js", "text/javascript"),
            ("/docs/swagger-ui.css", "text/css"),
            ("/docs/index.css", "text/css"),
        ] {
            let response = ask(path).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(response.headers()[CONTENT_TYPE], media_type, "{path}");
            assert_eq!(response.headers()[CONTENT_ENCODING], "gzip", "{path}");
            let body = to_bytes(response.into_body(), 600_000).await.unwrap();
            assert_eq!(body[..2], [0x1f, 0x8b], "{path}");
        }
    }

    #[tokio::test]
    async fn what_is_no_page_is_a_problem() {
        for path in ["/docs/missing", "/docs/../lib.rs", "/docs/%ff"] {
            let response = ask(path).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(
                response.headers()[CONTENT_TYPE],
                "application/problem+json",
                "{path}"
            );
        }
    }
}
