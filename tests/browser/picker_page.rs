//! A site with an experiment to edit, and the picker on its pages as a person uses it: by pointer and
//! keys, through the closed shadow root that keeps pages out.

use std::collections::BTreeMap;

use fantoccini::Client;
use samplit_engine::{
    EngineConfig, Experiment, ExperimentId, NewApiKey, Principal, Purpose, Role, Scope, Secret,
    Transition,
};
use samplit_http::{Drain, HttpConfig, Listeners, serve};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::yield_now,
    time::Instant,
};

use crate::chromium::{PATIENCE, devtools, emulate, with_browser};

/// A site whose pages load the picker, and the server that it asks.
pub(crate) struct Site {
    pub(crate) page: Client,
    /// The page of the shop.
    pub(crate) shop: String,
    /// The same page on an origin that the installation does not know.
    pub(crate) foreign: String,
    engine: samplit_engine::Engine,
    installation: samplit_engine::Installation,
    owner: Principal,
    pub(crate) experiment: ExperimentId,
}

/// Runs `test` with a browser, a site, and a draft of an experiment.
pub(crate) async fn on_the_site(test: impl AsyncFnOnce(&Site)) {
    let database = samplit_tests::database().await;
    let config = EngineConfig {
        secret: Some(secret()),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let bind = || TcpListener::bind("127.0.0.1:0");
    let (api, own, other) = (
        bind().await.unwrap(),
        bind().await.unwrap(),
        bind().await.unwrap(),
    );
    let server = format!("http://{}", api.local_addr().unwrap());
    let domain = own.local_addr().unwrap().to_string();
    let foreign = format!("http://{}/", other.local_addr().unwrap());

    let key = NewApiKey {
        email: "owner@example.org".to_owned(),
        role: Role::Client,
        name: "test".to_owned(),
        scopes: Scope::ALL.to_vec(),
        expires_at: None,
    };
    let key = engine.create_api_key(key).await.unwrap();
    let owner = engine.authenticate(&key.token).await.unwrap();
    let draft = samplit_engine::InstallationDraft::new("Shop", &domain);
    let installation = engine.create_installation(&owner, &draft).await.unwrap();
    let mut draft = samplit_tests::draft(&[2]);
    draft.name = "Hero of the start page".to_owned();
    for variant in &mut draft.elements[0].variants {
        variant.content = json!({});
    }
    draft.elements[0].selector = None;
    let experiment = engine.create_experiment(&owner, draft).await.unwrap().id;

    let (stop, stopped) = oneshot::channel::<()>();
    let listeners = Listeners {
        public: api,
        ops: None,
    };
    let served = tokio::spawn(serve(
        listeners,
        engine.clone(),
        HttpConfig::default(),
        async move {
            let _ = stopped.await;
        },
    ));
    let pages = [own, other].map(|listener| tokio::spawn(serve_pages(listener, server.clone())));
    with_browser(async |page| {
        emulate(&page, 1280, 800, "light").await;
        let site = Site {
            page,
            shop: format!("http://{domain}/"),
            foreign,
            engine,
            installation,
            owner,
            experiment,
        };
        test(&site).await;
    })
    .await;
    for pages in pages {
        pages.abort();
    }
    drop(stop);
    assert_eq!(served.await.unwrap(), Drain::Complete);
}

fn secret() -> Secret {
    Secret::new(&[[9; 32]]).unwrap()
}

/// Answers every request with a page under a policy that allows nothing but the picker and its server.
async fn serve_pages(listener: TcpListener, server: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let server = server.clone();
        tokio::spawn(async move { answer(stream, &server).await });
    }
}

async fn answer(mut stream: TcpStream, server: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split([' ', '?']).nth(1).unwrap_or_default();
    let (kind, body) = match path {
        "/shop.css" => ("text/css", include_str!("pages/shop.css").to_owned()),
        "/awkward" => ("text/html", include_str!("pages/awkward.html").to_owned()),
        "/" => {
            let picker = format!("{server}/assets/picker.js");
            let page = include_str!("pages/shop.html");
            ("text/html", page.replace("__PICKER__", &picker))
        }
        _ => ("image/svg+xml", CUP.to_owned()),
    };
    let policy = format!(
        "default-src 'none'; script-src {server}; connect-src {server}; style-src 'self'; img-src 'self'"
    );
    let reply = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Security-Policy: {policy}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(reply.as_bytes()).await
}

const CUP: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 24'>\
    <rect x='8' y='7' width='13' height='11' rx='3' fill='#7a3e12'/>\
    <circle cx='22' cy='12' r='3' fill='none' stroke='#7a3e12' stroke-width='1.5'/></svg>";

impl Site {
    /// A link that opens the draft, as its owner gets it.
    pub(crate) async fn link(&self, page: &str) -> String {
        let (who, site) = (&self.owner, &self.installation);
        let token = self.engine.editor_token(who, site, self.experiment).await;
        format!("{page}?samplit_edit={}", token.unwrap())
    }

    /// A link that was good until a minute ago.
    pub(crate) fn expired_link(&self) -> String {
        let payload = json!({
            "i": self.installation.id, "u": self.owner.user_id, "e": self.experiment,
        });
        let ended = time::OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let token = secret().sign(Purpose::Edit, &payload, ended);
        format!("{}?samplit_edit={token}", self.shop)
    }

    pub(crate) async fn open(&self, url: &str) {
        self.page.goto(url).await.unwrap();
    }

    /// The experiment as the server has it.
    pub(crate) async fn stored(&self) -> Experiment {
        let found = self.engine.experiment(&self.owner, self.experiment).await;
        found.unwrap()
    }

    pub(crate) async fn start_experiment(&self) {
        let started = self
            .engine
            .transition(
                &self.owner,
                self.experiment,
                Transition::Start,
                BTreeMap::new(),
                None,
            )
            .await;
        started.unwrap();
    }

    /// Runs a function in the page.
    pub(crate) async fn in_page(&self, script: &str) -> Json {
        let script = format!("return ({script})()");
        self.page.execute(&script, Vec::new()).await.unwrap()
    }

    /// Calls `function` on what `css` finds in the picker; null where it finds nothing.
    pub(crate) async fn in_picker(&self, css: &str, function: &str) -> Json {
        let page = &self.page;
        let whole = json!({ "depth": -1, "pierce": true });
        let document = devtools(page, "DOM.getDocument", whole).await;
        let Some(root) = shadow_root(&document["root"]) else {
            return Json::Null;
        };
        let query = json!({ "nodeId": root, "selector": css });
        let found = devtools(page, "DOM.querySelector", query).await;
        if found["nodeId"] == 0 {
            return Json::Null;
        }
        let object = devtools(page, "DOM.resolveNode", found).await;
        let call = json!({
            "objectId": object["object"]["objectId"],
            "functionDeclaration": function,
            "returnByValue": true,
        });
        let answer = devtools(page, "Runtime.callFunctionOn", call).await;
        assert_eq!(answer["exceptionDetails"], Json::Null, "{css}: {function}");
        answer["result"]["value"].clone()
    }

    /// What the picker shows at `css`, as text.
    pub(crate) async fn text(&self, css: &str) -> String {
        let text = self.in_picker(css, "function() { return this.innerText }");
        text.await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the picker shows `text` at `css`.
    pub(crate) async fn wait_for(&self, css: &str, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.text(css).await;
        while !said.contains(text) {
            assert!(
                Instant::now() < deadline,
                "{css}: {text}; but it says {said}"
            );
            yield_now().await;
            said = self.text(css).await;
        }
    }

    /// Clicks what `css` finds in the picker.
    pub(crate) async fn press(&self, css: &str) {
        let at = self.in_picker(css, CENTER).await;
        assert_ne!(at, Json::Null, "{css} is not there");
        self.click_at(&at).await;
    }

    /// Puts `text` in the place of what a field of the picker holds.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        self.press(css).await;
        self.in_picker(css, "function() { this.select() }").await;
        self.type_text(text).await;
    }

    /// Moves the pointer over what `css` finds in the page.
    pub(crate) async fn hover(&self, css: &str) -> Json {
        let find = format!("() => ({CENTER}).call(document.querySelector({css:?}))");
        let at = self.in_page(&find).await;
        self.mouse("mouseMoved", &at).await;
        at
    }

    /// Clicks what `css` finds in the page.
    pub(crate) async fn pick(&self, css: &str) {
        let at = self.hover(css).await;
        self.click_at(&at).await;
    }

    async fn click_at(&self, at: &Json) {
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            self.mouse(kind, at).await;
        }
    }

    async fn mouse(&self, kind: &str, at: &Json) {
        let event = json!({
            "type": kind, "x": at[0], "y": at[1], "clickCount": 1,
            "button": if kind == "mouseMoved" { "none" } else { "left" },
        });
        devtools(&self.page, "Input.dispatchMouseEvent", event).await;
    }

    pub(crate) async fn key(&self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let code = match key {
                "Enter" => 13,
                "Escape" => 27,
                "Tab" => 9,
                _ => 0,
            };
            let event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code,
            });
            devtools(&self.page, "Input.dispatchKeyEvent", event).await;
        }
    }

    pub(crate) async fn type_text(&self, text: &str) {
        devtools(&self.page, "Input.insertText", json!({ "text": text })).await;
    }
}

const CENTER: &str = "function() {
    this.scrollIntoView({ block: 'nearest' });
    const { left, top, width, height } = this.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
}";

/// The closed root of the picker in a tree of the DOM.
fn shadow_root(node: &Json) -> Option<i64> {
    if node["localName"] == "samplit-picker" {
        return node["shadowRoots"][0]["nodeId"].as_i64();
    }
    let children = node["children"].as_array()?;
    children.iter().find_map(shadow_root)
}
