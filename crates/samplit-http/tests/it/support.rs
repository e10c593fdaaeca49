//! A server per test, and a small client for it.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::{net::SocketAddr, time::Duration};

use crate::described;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, StatusCode, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use samplit_engine::{Engine, EngineConfig, NewApiKey, Role, Scope, Signer};
use samplit_http::{Drain, HttpConfig, Listeners, serve};
use serde_json::{Value as Json, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// The path of an experiment that nobody made.
pub(crate) const NOBODY: &str = "/v1/experiments/0197f0a0-0000-7000-8000-000000000001";

/// A server on ports of its own.
pub(crate) struct Server {
    pub(crate) public: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) key: String,
    pub(crate) engine: Engine,
    client: Client<HttpConnector, Full<Bytes>>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Drain>,
}

/// An answer with everything read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Server {
    /// Serves `engine`, with a key that may do everything.
    pub(crate) async fn start(engine: Engine, config: HttpConfig) -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0");
        let (public, ops) = (bind().await.unwrap(), bind().await.unwrap());
        let (stop, stopped) = oneshot::channel();
        let key = create_key(&engine, "owner@example.org", Scope::ALL.to_vec()).await;
        Self {
            public: public.local_addr().unwrap(),
            ops: ops.local_addr().unwrap(),
            key,
            engine: engine.clone(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            stop,
            served: tokio::spawn(async move {
                let listeners = Listeners {
                    public,
                    ops: Some(ops),
                };
                let stopped = async {
                    let _ = stopped.await;
                };
                serve(listeners, engine, config, stopped).await
            }),
        }
    }

    /// Begins the shutdown; the handle ends with it.
    pub(crate) fn stop(self) -> JoinHandle<Drain> {
        self.stop.send(()).unwrap();
        self.served
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let asked = (request.method().clone(), request.uri().clone());
        let reply = self.client.request(request).await.unwrap();
        let (head, body) = reply.into_parts();
        let answer = Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        };
        let (method, uri) = asked;
        if uri.port_u16() == Some(self.public.port()) {
            described::check(&method, uri.path(), &answer);
        }
        answer
    }

    /// Sends, and does not wait for more than the head of the answer.
    pub(crate) async fn begin(&self, request: Request<Full<Bytes>>) -> StatusCode {
        self.client.request(request).await.unwrap().status()
    }

    /// A request with the server's key; the builder may be changed before it is sent.
    pub(crate) fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.public))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.request(Method::GET, path);
        self.send(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Json) -> Answer {
        let request = self.request(Method::POST, path);
        let body = Full::from(body.to_string());
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Json) -> Answer {
        let request = self.request(Method::PATCH, path);
        let body = Full::from(body.to_string());
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        let request = self.request(Method::DELETE, path);
        self.send(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn get_ops(&self, path: &str) -> Answer {
        let uri = format!("http://{}{path}", self.ops);
        let request = Request::builder().uri(uri).body(Full::default());
        self.send(request.unwrap()).await
    }

    /// The id of a new experiment of `draft`.
    pub(crate) async fn create(&self, draft: &Json) -> String {
        let answer = self.post("/v1/experiments", draft).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// The path of a new experiment that is running.
    pub(crate) async fn started(&self) -> String {
        let path = format!("/v1/experiments/{}", self.create(&draft()).await);
        let answer = self.post(&format!("{path}/start"), &json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        path
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The status, and of a problem the code with the pointer and code of every bad field.
    pub(crate) fn summary(&self) -> String {
        let json: Json = serde_json::from_slice(&self.body).unwrap_or_default();
        summary(self.status.as_u16(), &json)
    }
}

/// See [`Answer::summary`].
pub(crate) fn summary(status: u16, json: &Json) -> String {
    let mut summary = status.to_string();
    if let Some(code) = json["code"].as_str() {
        summary.push_str(&format!(" {code}"));
    }
    for error in json["errors"].as_array().into_iter().flatten() {
        let (pointer, code) = (error["pointer"].as_str(), error["code"].as_str());
        summary.push_str(&format!(" {}:{}", pointer.unwrap(), code.unwrap()));
    }
    summary
}

/// The token of a new key.
pub(crate) async fn create_key(engine: &Engine, email: &str, scopes: Vec<Scope>) -> String {
    let new = NewApiKey {
        email: email.to_owned(),
        role: Role::Client,
        name: "test".to_owned(),
        scopes,
        expires_at: None,
    };
    engine.create_api_key(new).await.unwrap().token
}

/// An account of this role, with a key that may do everything.
pub(crate) async fn create_key_as(engine: &Engine, email: &str, role: Role) {
    let new = NewApiKey {
        email: email.to_owned(),
        role,
        name: "test".to_owned(),
        scopes: Scope::ALL.to_vec(),
        expires_at: None,
    };
    engine.create_api_key(new).await.unwrap();
}

/// The body of an experiment with one element and two variants.
pub(crate) fn draft() -> Json {
    json!({
        "name": "Button colour",
        "elements": [{
            "name": "buy",
            "selector": {"type": "css", "value": "#buy"},
            "variants": [
                {"name": "grey", "content": {"class": "grey"}, "is_control": true},
                {"name": "green", "content": {"class": "green"}},
            ],
        }],
    })
}

/// A server over a database of its own, which lives as long as the second value.
pub(crate) async fn server(config: HttpConfig) -> (Server, samplit_devpg::TestDatabase) {
    let database = samplit_tests::database().await;
    let engine = samplit_tests::engine(database.url(), 1).await;
    (Server::start(engine, config).await, database)
}

/// Sends what is wrong, and expects this [`Answer::summary`] in a problem document.
pub(crate) async fn check(server: &Server, method: Method, path: &str, body: &str, expected: &str) {
    let request = server.request(method.clone(), path);
    let answer = server
        .send(request.body(Full::from(body.to_owned())).unwrap())
        .await;
    assert_eq!(answer.summary(), expected, "{method} {path} {body}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["request_id"], answer.header("x-request-id"));
    assert_eq!(problem["status"], answer.status.as_u16());
}

/// Like [`server`], with a key that signs checkpoints.
pub(crate) async fn signing_server() -> (Server, samplit_devpg::TestDatabase) {
    let database = samplit_tests::database().await;
    let config = EngineConfig {
        signers: [signer()].into(),
        // Nothing is signed but what a test asks for.
        checkpoint_every: Duration::from_secs(3600),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    (Server::start(engine, HttpConfig::default()).await, database)
}

/// The key of [`signing_server`].
pub(crate) fn signer() -> Signer {
    Signer::from_seed("example.org", &[3; 32]).unwrap()
}
