use http::HeaderName;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

/// The committed document, which is generated from the handlers.
const DOCUMENT: &str = include_str!("../../../../openapi.json");

/// The OpenAPI document of this API.
#[utoipa::path(
    get, path = "/openapi.json", tag = "docs", operation_id = "get_openapi",
    responses((status = 200, description = "An OpenAPI 3.1 document.", body = serde_json::Value)),
)]
pub(crate) async fn openapi() -> ([(HeaderName, &'static str); 2], &'static str) {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, DOCUMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_openapi_3_1() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
        assert!(document["paths"].is_object());
    }
}
