//! A browser with one cookie, and accounts to sign in with.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use parking_lot::Mutex;
use samplit_engine::{Engine, Principal};
use serde_json::{Value as Json, json};

use crate::support::{Answer, Server};

/// A password that will do.
pub(crate) const PASSWORD: &str = "a long sentence";

/// What a browser keeps of a server.
pub(crate) struct Browser<'s> {
    pub(crate) server: &'s Server,
    /// The token of its session.
    cookie: Mutex<Option<String>>,
}

impl<'s> Browser<'s> {
    pub(crate) fn new(server: &'s Server) -> Self {
        Self {
            server,
            cookie: Mutex::new(None),
        }
    }

    pub(crate) fn token(&self) -> String {
        self.cookie.lock().clone().unwrap()
    }

    /// Somebody plants a token.
    pub(crate) fn plant(&self, token: &str) {
        *self.cookie.lock() = Some(token.to_owned());
    }

    /// Asks as a page of the server does.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: &Json) -> Answer {
        let same = [("sec-fetch-site", "same-origin")];
        self.ask_with(method, path, body, &same).await
    }

    /// Asks with these headers, and keeps the cookie that it is given.
    pub(crate) async fn ask_with(
        &self,
        method: Method,
        path: &str,
        body: &Json,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(&method)
            .uri(format!("http://{}{path}", self.server.public))
            .header("user-agent", "test browser");
        if let Some(token) = &*self.cookie.lock() {
            request = request.header("cookie", format!("a=b; __Host-samplit_session={token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Json::Null => String::new(),
            body => body.to_string(),
        };
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let answer = self
            .server
            .send(request.body(Full::from(body)).unwrap())
            .await;
        if let Some(set) = answer.headers.get("set-cookie") {
            let (pair, _) = set.to_str().unwrap().split_once(';').unwrap();
            let token = pair.strip_prefix("__Host-samplit_session=").unwrap();
            *self.cookie.lock() = Some(token.to_owned()).filter(|token| !token.is_empty());
        }
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask_with(Method::GET, path, &Json::Null, &[]).await
    }

    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password});
        self.ask(Method::POST, "/v1/session", &body).await
    }

    /// Uses a link up and chooses the password.
    pub(crate) async fn join(&self, token: &str, rest: Json) -> Answer {
        let mut body = json!({"token": token, "password": PASSWORD});
        body.as_object_mut()
            .unwrap()
            .extend(rest.as_object().cloned().unwrap_or_default());
        self.ask(Method::POST, "/v1/links/redeem", &body).await
    }

    /// Invites somebody, as the admin who is signed in here; id and token.
    pub(crate) async fn invite(&self, email: &str, role: &str) -> (String, String) {
        let body = json!({"email": email, "role": role});
        let invited = self.ask(Method::POST, "/v1/users", &body).await;
        assert_eq!(invited.status, StatusCode::CREATED, "{}", invited.text());
        let invited = invited.json();
        let url = invited["link"]["url"].as_str().unwrap();
        let id = invited["user"]["id"].as_str().unwrap().to_owned();
        (id, token_of(url))
    }

    /// Invites somebody who joins; id and browser.
    pub(crate) async fn welcome(&self, email: &str, role: &str) -> (String, Browser<'s>) {
        let (id, token) = self.invite(email, role).await;
        let browser = Browser::new(self.server);
        let joined = browser.join(&token, json!({})).await;
        assert_eq!(joined.status, StatusCode::CREATED, "{}", joined.text());
        (id, browser)
    }
}

/// The token in the address of a link.
pub(crate) fn token_of(url: &str) -> String {
    url.split_once("/join/").unwrap().1.to_owned()
}

/// The token of a new link that sets the server up.
pub(crate) async fn setup_token(engine: &Engine) -> String {
    let link = engine.setup_link(&Principal::system()).await.unwrap();
    token_of(&link.path.unwrap())
}

/// The browser of the first admin.
pub(crate) async fn set_up(server: &Server) -> Browser<'_> {
    let browser = Browser::new(server);
    let token = setup_token(&server.engine).await;
    let email = json!({"email": "admin@example.org"});
    let answer = browser.join(&token, email).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    browser
}
