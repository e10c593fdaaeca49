//! A site with an experiment to edit, and the picker on its pages as a person uses it: by pointer and
//! keys, through the closed shadow root that keeps pages out. The pages have the line that the server
//! gives its customers, and nothing else of ours.

use fantoccini::Client;
use samplit_engine::{EngineConfig, NewApiKey, Principal, Purpose, Role, Scope, Secret};
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
use crate::http::Api;
use crate::snippet::PATIENT;

/// A site whose pages load the picker, and the server that it asks.
pub(crate) struct Site {
    pub(crate) page: Client,
    /// The page of the shop.
    pub(crate) shop: String,
    /// The same page on an origin that the installation does not know.
    pub(crate) foreign: String,
    pub(crate) api: Api,
    owner: Principal,
    /// As the server told of it.
    installation: Json,
    /// The id of the draft.
    experiment: String,
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
    let key = engine.create_api_key(key).await.unwrap().token;
    let owner = engine.authenticate(&key).await.unwrap();
    let api_of_customer = Api::new(&server, &key);

    let (stop, stopped) = oneshot::channel::<()>();
    let listeners = Listeners {
        public: api,
        ops: None,
    };
    let served = tokio::spawn(serve(
        listeners,
        engine,
        HttpConfig::default(),
        async move {
            let _ = stopped.await;
        },
    ));
    let api = api_of_customer;
    let site = json!({"name": "Shop", "domain": domain});
    let installation = api.post("/v1/installations", &site).await;
    let path = format!("/v1/installations/{}/snippet", text_of(&installation["id"]));
    let line = text_of(&api.get(&path).await["html"]);
    let draft = json!({
        "name": "Hero of the start page", "target_url": format!("http://{domain}/"),
        "elements": [{"name": "placeholder", "variants": [{"name": "A", "is_control": true}, {"name": "B"}]}],
    });
    let draft = api.post("/v1/experiments", &draft).await;
    let pages = [own, other]
        .map(|listener| tokio::spawn(serve_pages(listener, server.clone(), line.clone())));
    with_browser(async |page| {
        emulate(&page, 1280, 800, "light").await;
        let site = Site {
            page,
            shop: format!("http://{domain}/"),
            foreign,
            api,
            owner,
            installation,
            experiment: text_of(&draft["id"]),
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

fn text_of(json: &Json) -> String {
    json.as_str()
        .unwrap_or_else(|| panic!("no text: {json}"))
        .to_owned()
}

fn secret() -> Secret {
    Secret::new(&[[9; 32]]).unwrap()
}

/// Answers every request with a page under a policy that allows nothing but the snippet and its server.
async fn serve_pages(listener: TcpListener, server: String, line: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let (server, line) = (server.clone(), line.clone());
        tokio::spawn(async move { answer(stream, &server, &line).await });
    }
}

async fn answer(mut stream: TcpStream, server: &str, line: &str) -> std::io::Result<()> {
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
            let line = format!("{PATIENT}{}", line.replace("<script", "<script nonce=n1"));
            let page = include_str!("pages/shop.html");
            ("text/html", page.replace("<!--snippet-->", &line))
        }
        _ => ("image/svg+xml", CUP.to_owned()),
    };
    let policy = format!(
        "default-src 'none'; script-src 'nonce-n1'; connect-src {server}; style-src 'self'; img-src 'self'"
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
    /// A link that opens the draft on `page`, as its owner gets it.
    pub(crate) async fn link(&self, page: &str) -> String {
        let path = format!(
            "/v1/installations/{}/editor",
            text_of(&self.installation["id"])
        );
        let ask = json!({"experiment_id": self.experiment, "url": self.shop});
        let link = text_of(&self.api.post(&path, &ask).await["url"]);
        link.replacen(&self.shop, page, 1)
    }

    /// A link that was good until a minute ago.
    pub(crate) fn expired_link(&self) -> String {
        let payload = json!({
            "i": self.installation["id"], "u": self.owner.user_id, "e": self.experiment,
        });
        let ended = time::OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let token = secret().sign(Purpose::Edit, &payload, ended);
        format!("{}?samplit_edit={token}", self.shop)
    }

    pub(crate) async fn open(&self, url: &str) {
        self.page.goto(url).await.unwrap();
    }

    /// The elements as the server has them, asked by the API.
    pub(crate) async fn stored(&self) -> Vec<Json> {
        let path = format!("/v1/experiments/{}", self.experiment);
        let elements = &self.api.get(&path).await["elements"];
        elements.as_array().unwrap().clone()
    }

    /// Saves a variant with the token of `link`, as the picker does.
    pub(crate) async fn save(&self, link: &str, body: &Json) {
        let (_, token) = link.split_once("samplit_edit=").unwrap();
        let (bearer, origin) = (
            format!("Bearer edit.{token}"),
            self.shop.trim_end_matches('/'),
        );
        let headers = [("authorization", bearer.as_str()), ("origin", origin)];
        let body = body.to_string();
        let asked = self.api.ask("POST", "/v1/editor/variants", &headers, &body);
        let (status, answer) = asked.await;
        assert_eq!(status, 201, "{answer}");
    }

    /// Visits the page as somebody new, until something is seen there; says what the headline is.
    pub(crate) async fn visit(&self) -> Json {
        self.in_page("() => { localStorage.clear(); sessionStorage.clear(); }")
            .await;
        self.page.delete_all_cookies().await.unwrap();
        self.open(&self.shop).await;
        let is_seen = async || self.in_page("() => !!window.dataLayer?.length").await == true;
        samplit_tests::eventually(is_seen).await;
        self.in_page("() => document.querySelector('h1').textContent")
            .await
    }

    pub(crate) async fn start_experiment(&self) {
        let path = format!("/v1/experiments/{}/start", self.experiment);
        self.api.post(&path, &json!({})).await;
    }

    /// What is counted of the experiment, over all arms of its first element.
    pub(crate) async fn counted(&self, what: &str) -> u64 {
        let path = format!("/v1/experiments/{}/results", self.experiment);
        let results = self.api.get(&path).await;
        let arms = results["elements"][0]["arms"].as_array().unwrap();
        arms.iter().filter_map(|arm| arm[what].as_u64()).sum()
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
