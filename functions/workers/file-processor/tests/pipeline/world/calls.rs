//! What clients do: they call the API, and upload and download by the URLs that it gives.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use domain::permission::Permission;
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use kernel::KnowledgeBaseId;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{World, id, new_key, org_with_key, sha256};

/// What the API answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The body of an answer that has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Status and code of a problem.
    pub fn problem(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }
}

impl World {
    /// The key of a machine of the same org with fewer permissions.
    pub async fn key_with(&self, scopes: &[Permission]) -> String {
        new_key(&self.store, self.tenant, &scopes.iter().copied().collect()).await
    }

    /// The key of a machine of another org that may do everything there.
    pub async fn foreign_key(&self) -> String {
        org_with_key(&self.store, &Permission::ALL.iter().copied().collect())
            .await
            .1
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.call_as(&self.key, method, path, body).await
    }

    pub async fn call_as(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        // What is made later is newer.
        self.clock.advance(Duration::from_millis(1));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {key}"));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.body(body).expect("a request");
        let response = self
            .api
            .clone()
            .oneshot(request)
            .await
            .expect("the API never fails");
        let status = response.status().as_u16();
        let bytes = response
            .into_body()
            .collect()
            .await
            .expect("a whole body")
            .to_bytes();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).expect("JSON")
        };
        Answer { status, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// A new knowledge base.
    pub async fn base(&self) -> KnowledgeBaseId {
        let base = self
            .post("/v1/knowledge-bases", json!({ "name": "Handbooks" }))
            .await;
        id(&base.expect(201)["id"])
    }

    /// Announces a file, as part of a knowledge base if one is given.
    pub async fn announce(
        &self,
        name: &str,
        content: &[u8],
        base: Option<KnowledgeBaseId>,
    ) -> Value {
        let path = format!("/v1/orgs/{}/files/upload", self.tenant.org());
        let mut body = json!({
            "name": name,
            "content_type": "application/octet-stream",
            "size_bytes": content.len(),
            "sha256": sha256(content),
        });
        if let Some(base) = base {
            body["knowledge_base_id"] = json!(base);
        }
        self.post(&path, body).await.expect(201)
    }

    /// Sends content to where an announced file is to be uploaded; the status of the answer.
    pub async fn send(&self, announced: &Value, content: &[u8]) -> u16 {
        let upload = &announced["upload"];
        assert_eq!(upload["method"], "PUT");
        let headers: BTreeMap<String, String> =
            serde_json::from_value(upload["headers"].clone()).expect("headers");
        let mut request = self.browser.put(upload["url"].as_str().expect("a URL"));
        for (name, value) in headers {
            // The client counts for itself.
            if name != "content-length" {
                request = request.header(name, value);
            }
        }
        let reply = request
            .body(content.to_vec())
            .send()
            .await
            .expect("answered");
        reply.status().as_u16()
    }

    /// Announces, uploads and confirms a file; its id.
    pub async fn upload(
        &self,
        name: &str,
        content: &[u8],
        base: Option<KnowledgeBaseId>,
    ) -> String {
        let announced = self.announce(name, content, base).await;
        assert_eq!(self.send(&announced, content).await, 200);
        let file = announced["file"]["id"].as_str().expect("an id").to_owned();
        let path = format!("/v1/files/{file}/confirm");
        let confirmed = self.call(Method::POST, &path, None).await.expect(200);
        assert_eq!(confirmed["status"], "processing");
        file
    }

    pub async fn file(&self, file: &str) -> Value {
        self.get(&format!("/v1/files/{file}")).await.expect(200)
    }

    pub async fn document(&self, base: KnowledgeBaseId, file: &str) -> Option<Value> {
        let path = format!("/v1/knowledge-bases/{base}/documents");
        let listing = self.get(&path).await.expect(200);
        let items = listing["items"].as_array().expect("a list").clone();
        items.into_iter().find(|document| document["file"] == file)
    }

    pub async fn search(&self, base: KnowledgeBaseId, query: &str, limit: usize) -> Vec<Value> {
        let path = format!("/v1/knowledge-bases/{base}/search");
        let answer = self
            .post(&path, json!({ "query": query, "limit": limit }))
            .await
            .expect(200);
        assert_eq!(answer["model"], "static-en-256@1");
        answer["passages"].as_array().expect("a list").clone()
    }

    /// What a URL of a download gives.
    pub async fn download(&self, file: &str) -> (u16, Vec<u8>) {
        let download = self
            .get(&format!("/v1/files/{file}/download"))
            .await
            .expect(200);
        assert_eq!(download["method"], "GET");
        let url = download["url"].as_str().expect("a URL");
        let reply = self.browser.get(url).send().await.expect("answered");
        (
            reply.status().as_u16(),
            reply.bytes().await.expect("a body").to_vec(),
        )
    }
}
