//! The dashboard as a browser without scripts uses it: pages are asked for, forms are sent.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use http_body_util::Full;
use hyper::{Method, Request, StatusCode, body::Bytes};
use samplit_engine::{EngineConfig, Principal, Scope, Secret};
use samplit_http::HttpConfig;
use serde_json::json;

use crate::support::{Answer, Server};

/// Somebody who is signed in.
pub(crate) struct Desk {
    pub(crate) server: Server,
    cookie: String,
    database: samplit_devpg::TestDatabase,
}

impl Desk {
    /// Does something to the database behind the server's back.
    pub(crate) async fn sabotage(&self, sql: &str) {
        let client = samplit_tests::connect(self.database.url()).await;
        client.batch_execute(sql).await.unwrap();
    }

    /// The owner of the key of the server, signed in.
    pub(crate) async fn open() -> Self {
        let config = EngineConfig {
            secret: Some(Secret::new(&[[9; 32]]).unwrap()),
            ..samplit_tests::config(1)
        };
        Self::open_with(config).await
    }

    /// The same, at a server of this configuration.
    pub(crate) async fn open_with(config: EngineConfig) -> Self {
        let database = samplit_tests::database().await;
        let engine = samplit_tests::engine_with(database.url(), config).await;
        let server = Server::start(engine, HttpConfig::default()).await;
        let cookie = sign_in(&server, "owner@example.org").await;
        Self {
            server,
            cookie,
            database,
        }
    }

    /// Somebody else at the same server, with a new account.
    pub(crate) async fn enter_as(&mut self, email: &str) {
        crate::support::create_key(&self.server.engine, email, Scope::ALL.to_vec()).await;
        self.cookie = sign_in(&self.server, email).await;
    }

    /// A request of the browser that does not say from where it comes.
    pub(crate) fn bare(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.server.public))
            .header("cookie", &self.cookie)
            .header("content-type", "application/x-www-form-urlencoded")
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.server.public))
            .header("cookie", &self.cookie)
            .header("sec-fetch-site", "same-origin")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.request(Method::GET, path);
        self.server
            .send(request.body(Full::default()).unwrap())
            .await
    }

    pub(crate) async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let kind = "application/x-www-form-urlencoded";
        self.send_body(path, kind, body.into()).await
    }

    pub(crate) async fn send_body(&self, path: &str, kind: &str, body: Bytes) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("content-type", kind);
        self.server
            .send(request.body(Full::from(body)).unwrap())
            .await
    }
}

/// The cookie of somebody with this email, signed in.
pub(crate) async fn sign_in(server: &Server, email: &str) -> String {
    let system = Principal::system();
    let link = server.engine.sign_in_link(&system, email).await;
    let path = link.unwrap().path.unwrap();
    let token = path.strip_prefix("/join/").unwrap();
    let answer = server
        .post("/v1/links/redeem", &json!({ "token": token }))
        .await;
    assert!(answer.status.is_success(), "{}", answer.text());
    let cookie = answer.header("set-cookie").split(';').next().unwrap();
    cookie.to_owned()
}

impl Answer {
    /// Fails unless the page has all of these in it.
    #[track_caller]
    pub(crate) fn has(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.text().contains(part), "lacks {part}: {}", self.text());
        }
        self
    }

    /// Fails unless the page is refused beside its fields, with what is said of them.
    #[track_caller]
    pub(crate) fn refuses(&self, errors: &[(&str, &str)]) -> &Self {
        assert_eq!(
            self.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{}",
            self.text()
        );
        for (id, said) in errors {
            let beside = format!("<p class=\"error\" id=\"{id}-error\">{said}");
            assert!(
                self.text().contains(&beside),
                "lacks {beside}: {}",
                self.text()
            );
        }
        self
    }

    /// Where the browser is sent after it was done.
    #[track_caller]
    pub(crate) fn goes(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text());
        self.header("location")
    }
}
