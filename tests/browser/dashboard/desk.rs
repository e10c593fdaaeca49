//! A server with its dashboard, and a browser before it.

use fantoccini::{Client, Locator};
use samplit_engine::{Engine, EngineConfig, NewApiKey, Principal, Role, Scope, Secret};
use samplit_http::{Drain, HttpConfig, Listeners, serve};
use serde_json::{Value as Json, json};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    chromium::{devtools, emulate, with_browser},
    page::{click, run, text, type_into, wait_for},
};

/// A server with its dashboard, and a browser before it.
pub(crate) struct Desk {
    pub(crate) page: Client,
    /// `http://127.0.0.1:1234`
    pub(crate) base: String,
    pub(crate) engine: Engine,
    /// The address of the database, for an engine that works beside.
    pub(crate) database: String,
}

/// Runs `test` with a fresh server, to which nobody was yet.
pub(crate) async fn at_the_desk(test: impl AsyncFnOnce(&Desk)) {
    let database = samplit_tests::database().await;
    let config = EngineConfig {
        secret: Some(Secret::new(&[[9; 32]]).unwrap()),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let url = database.url().to_owned();
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", public.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let listeners = Listeners { public, ops: None };
    let served = serve(
        listeners,
        engine.clone(),
        HttpConfig::default(),
        async move {
            let _ = stopped.await;
        },
    );
    let served = tokio::spawn(served);
    with_browser(async |page| {
        emulate(&page, 1280, 900, "light").await;
        let desk = Desk {
            page,
            base,
            engine,
            database: url,
        };
        test(&desk).await;
    })
    .await;
    drop(stop);
    assert_eq!(served.await.unwrap(), Drain::Complete);
}

impl Desk {
    /// Opens a page of the server.
    pub(crate) async fn open(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.page.goto(&url).await.unwrap();
    }

    /// Where the browser is, without the server.
    pub(crate) async fn place(&self) -> String {
        let url = self.page.current_url().await.unwrap();
        url.as_str().trim_start_matches(&self.base).to_owned()
    }

    /// Waits until the browser is at `path`, perhaps with a query, and has loaded it.
    pub(crate) async fn arrive(&self, path: &str) {
        let script = "return [location.pathname, document.readyState]";
        samplit_tests::eventually(async || {
            // A script fails whose page ends, while the browser goes on to the next.
            let found = self.page.execute(script, Vec::new()).await;
            found.is_ok_and(|found| found == json!([path, "complete"]))
        })
        .await;
    }

    pub(crate) async fn text(&self, css: &str) -> String {
        text(&self.page, css).await
    }

    pub(crate) async fn fill(&self, css: &str, words: &str) {
        type_into(&self.page, css, words).await;
    }

    pub(crate) async fn click(&self, css: &str) {
        click(&self.page, css).await;
    }

    /// Clicks the first link or button that reads `words`.
    pub(crate) async fn press(&self, words: &str) {
        let path = format!("//main//*[self::a or self::button][normalize-space()='{words}']");
        let found = self.page.find(Locator::XPath(&path)).await;
        let found = found.unwrap_or_else(|error| panic!("{words}: {error}"));
        found.click().await.unwrap();
    }

    pub(crate) async fn wait_for(&self, css: &str) {
        wait_for(&self.page, css).await;
    }

    /// Runs the body of a function in the page.
    pub(crate) async fn run(&self, script: &str) -> Json {
        let script = format!("arguments[0]((() => {{ {script} }})())");
        run(&self.page, &script, Vec::new()).await
    }

    /// Signs in as a new account, by a link that the server makes for itself.
    pub(crate) async fn enter(&self, email: &str, role: Role) -> Principal {
        let new = NewApiKey {
            email: email.to_owned(),
            role,
            name: "test".to_owned(),
            scopes: Scope::ALL.to_vec(),
            expires_at: None,
        };
        let key = self.engine.create_api_key(new).await.unwrap();
        let system = Principal::system();
        let link = self.engine.sign_in_link(&system, email).await.unwrap();
        self.open(&link.path.unwrap()).await;
        self.press("Sign in").await;
        self.arrive("/").await;
        self.engine.authenticate(&key.token).await.unwrap()
    }

    /// Forgets who is signed in.
    pub(crate) async fn forget_cookies(&self) {
        devtools(&self.page, "Network.clearBrowserCookies", json!({})).await;
    }

    /// Everything that the browser knows of who is signed in.
    pub(crate) async fn cookies(&self) -> Json {
        devtools(&self.page, "Network.getAllCookies", json!({})).await
    }

    /// Puts [`Self::cookies`] back.
    pub(crate) async fn set_cookies(&self, cookies: Json) {
        devtools(&self.page, "Network.setCookies", cookies).await;
    }

    /// Presses a key, as a keyboard does.
    pub(crate) async fn key(&self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            _ => (0, key),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({
                "type": kind, "key": key, "code": key, "text": text, "windowsVirtualKeyCode": code,
            });
            devtools(&self.page, "Input.dispatchKeyEvent", event).await;
        }
    }

    /// Types into what has the focus.
    pub(crate) async fn type_text(&self, text: &str) {
        devtools(&self.page, "Input.insertText", json!({ "text": text })).await;
    }
}
