//! A customer's own calls to the server, as curl would make them.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value as Json;

/// Where the server is, and the key that opens it.
pub(crate) struct Api {
    pub(crate) base: String,
    key: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Api {
    pub(crate) fn new(base: &str, key: &str) -> Self {
        Self {
            base: base.to_owned(),
            key: format!("Bearer {key}"),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Json {
        let (status, answer) = self.ask("GET", path, &[], "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    /// What is answered to a body that is taken.
    pub(crate) async fn post(&self, path: &str, body: &Json) -> Json {
        let (status, answer) = self.ask("POST", path, &[], &body.to_string()).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer
    }

    /// Any request. A header of the same name goes before the key.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (StatusCode, Json) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("content-type", "application/json");
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.header("authorization", &self.key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let answer = self.client.request(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}
