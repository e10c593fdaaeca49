//! A customer's site and a server that speaks the contract of pages, both in the test's hands: what is
//! answered, what is held back, and what was asked.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    sync::Arc,
};

use bytes::Bytes;
use fantoccini::Client;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{HeaderMap, HeaderValue, ORIGIN},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use samplit_http::snippet_source;
use serde_json::{Value as Json, json};
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{Instant, timeout},
};

use crate::chromium::{PATIENCE, with_impatient_browser};

/// Where a page waits for its gate before it goes on.
const PAUSE: &str = "<!--pause-->";
/// Makes the page wait ten minutes for the server, so that a busy machine is not a slow server.
pub(crate) const PATIENT: &str = "<script nonce=n1>
    const later_ = setTimeout;
    window.setTimeout = (then, ms) => later_(then, ms === 500 ? 600_000 : ms);
</script>";
/// Where the stub goes.
const STUB: &str = "<!--stub-->";

/// What pages are told about, and whether it is held back.
#[derive(Debug)]
struct State {
    settings: Json,
    pages: HashMap<String, (String, Option<String>)>,
    /// What `/v1/page` answers, by the path of the page that asks; `""`: all others.
    answers: HashMap<String, Json>,
    /// What the next requests are answered instead, by the path of the request.
    failures: HashMap<&'static str, VecDeque<(u16, Option<&'static str>)>>,
    asked: Vec<(Json, HeaderMap)>,
    events: Vec<Json>,
    event_requests: Vec<Instant>,
}

/// Both servers.
pub(crate) struct Site {
    /// Of the pages.
    pub(crate) origin: String,
    /// Of the server.
    pub(crate) api: String,
    state: Arc<Mutex<State>>,
    /// What is held back: `script`, `answer`, `page`.
    held: watch::Sender<Vec<&'static str>>,
    changes: watch::Sender<u64>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl Site {
    pub(crate) async fn start() -> Arc<Self> {
        let pages = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", pages.local_addr().unwrap());
        let api = format!("http://{}", server.local_addr().unwrap());
        let settings = json!({"api": api, "token": "pk_test", "domain": "127.0.0.1", "hide_ms": 500,
            "raw_html": false, "gpc": true, "selectors": []});
        let state = State {
            settings,
            pages: HashMap::new(),
            answers: HashMap::from([(String::new(), answer(&[]))]),
            failures: HashMap::new(),
            asked: Vec::new(),
            events: Vec::new(),
            event_requests: Vec::new(),
        };
        let site = Arc::new(Self {
            origin,
            api,
            state: Arc::new(Mutex::new(state)),
            held: watch::Sender::new(Vec::new()),
            changes: watch::Sender::new(0),
        });
        for listener in [pages, server] {
            let site = Arc::downgrade(&site);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let Some(site) = site.upgrade() else { return };
                    let service = service_fn(move |request| {
                        let site = Arc::clone(&site);
                        async move { Ok::<_, Infallible>(site.reply(request).await) }
                    });
                    let connection =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    tokio::spawn(connection);
                }
            });
        }
        site
    }

    /// A page with the stub in its head, and `head` before it. It waits for the server.
    pub(crate) fn page(&self, path: &str, head: &str, body: &str) {
        self.page_with_policy(path, head, body, None);
    }

    /// The same, which waits as long as it does for visitors.
    pub(crate) fn page_by_the_clock(&self, path: &str, head: &str, body: &str) {
        let html =
            format!("<!doctype html><html><head>{head}{STUB}</head><body>{body}</body></html>");
        self.plain_page(path, html);
    }

    pub(crate) fn page_with_policy(&self, path: &str, head: &str, body: &str, csp: Option<&str>) {
        let html = format!(
            "<!doctype html><html><head>{PATIENT}{head}{STUB}</head><body>{body}</body></html>"
        );
        let csp = csp.map(|csp| csp.replace("{api}", &self.api));
        self.state.lock().pages.insert(path.to_owned(), (html, csp));
    }

    /// A page as it is.
    pub(crate) fn plain_page(&self, path: &str, html: String) {
        self.state
            .lock()
            .pages
            .insert(path.to_owned(), (html, None));
    }

    pub(crate) fn set(&self, name: &str, value: Json) {
        self.state.lock().settings[name] = value;
    }

    /// What every page is answered that has no answer of its own.
    pub(crate) fn answers(&self, experiments: &[Json]) {
        self.answers_at("", experiments);
    }

    pub(crate) fn answers_at(&self, path: &str, experiments: &[Json]) {
        let mut state = self.state.lock();
        let mut answer = answer(experiments);
        answer["selectors"] = state.settings["selectors"].clone();
        state.answers.insert(path.to_owned(), answer);
    }

    /// The next requests for `path` fail: status and `Retry-After`.
    pub(crate) fn fails(&self, path: &'static str, failures: &[(u16, Option<&'static str>)]) {
        self.state
            .lock()
            .failures
            .insert(path, failures.to_vec().into());
    }

    /// Holds back `script`, `answer` or the rest of a `page`.
    pub(crate) fn hold(&self, what: &'static str) {
        self.held.send_modify(|held| held.push(what));
    }

    /// Lets go what is held.
    pub(crate) fn release(&self, what: &str) {
        self.held
            .send_modify(|held| held.retain(|held| *held != what));
    }

    async fn pass(&self, what: &str) {
        let mut held = self.held.subscribe();
        let passed = held.wait_for(|held| !held.contains(&what)).await;
        passed.expect("the site is there");
    }

    /// The bodies of all requests for `/v1/page`.
    pub(crate) fn asked(&self) -> Vec<Json> {
        self.state
            .lock()
            .asked
            .iter()
            .map(|(body, _)| body.clone())
            .collect()
    }

    /// All events, in the order of their arrival.
    pub(crate) fn events(&self) -> Vec<Json> {
        self.state.lock().events.clone()
    }

    pub(crate) fn events_of(&self, kind: &str) -> Vec<Json> {
        let mut events = self.events();
        events.retain(|event| event["type"] == kind);
        events
    }

    /// When each report came, failed ones too.
    pub(crate) fn reports(&self) -> Vec<Instant> {
        self.state.lock().event_requests.clone()
    }

    /// Waits until `is_so` of the site.
    pub(crate) async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let mut changes = self.changes.subscribe();
        let waiting = changes.wait_for(|_| is_so(self));
        let came = timeout(PATIENCE, waiting).await;
        assert!(
            came.is_ok(),
            "asked {:?}, events {:?}",
            self.asked(),
            self.events()
        );
    }

    async fn reply(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if request.method() == Method::POST {
            return self.answer(&path, request).await;
        }
        if path == "/s/pk_test.js" {
            self.pass("script").await;
            let settings = self.state.lock().settings.to_string();
            return reply("text/javascript", snippet_source::script(&settings));
        }
        if let Some(what) = path.strip_prefix("/release/") {
            self.release(what);
            return reply("text/plain", "");
        }
        if path == "/assets/picker.js" {
            return reply("text/javascript", "document.title = 'picker';");
        }
        let (page, stub) = {
            let state = self.state.lock();
            let hide_ms = state.settings["hide_ms"].as_u64().unwrap();
            let hide_ms = u32::try_from(hide_ms).unwrap();
            let script = format!("{}/s/pk_test.js", self.api);
            let page = state.pages.get(&path).cloned();
            (page, snippet_source::stub(&script, hide_ms))
        };
        let Some((html, csp)) = page else {
            let mut missing = reply("text/plain", "");
            *missing.status_mut() = StatusCode::NOT_FOUND;
            return missing;
        };
        let stub = match &csp {
            Some(_) => stub.replace("<script", "<script nonce=n1"),
            None => stub,
        };
        let html = html.replace(STUB, &stub);
        let parts: Vec<String> = html.split(PAUSE).map(str::to_owned).collect();
        let held = self.held.subscribe();
        let parts =
            futures_util::stream::iter(parts.into_iter().enumerate()).then(move |(at, part)| {
                let mut held = held.clone();
                async move {
                    if at > 0 {
                        let _ = held.wait_for(|held| !held.contains(&"page")).await;
                    }
                    Ok::<_, Infallible>(Frame::data(Bytes::from(part)))
                }
            });
        let mut response = Response::new(StreamBody::new(parts).boxed_unsync());
        let headers = response.headers_mut();
        headers.insert(
            "content-type",
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        headers.insert("cache-control", HeaderValue::from_static("no-store"));
        if let Some(csp) = csp {
            headers.insert("content-security-policy", csp.parse().unwrap());
        }
        response
    }

    async fn answer(&self, path: &str, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Json = serde_json::from_slice(&body).unwrap();
        let kind = head.headers.get("content-type").map(HeaderValue::as_bytes);
        assert!(
            kind.is_some_and(|kind| kind.starts_with(b"text/plain")),
            "no preflight"
        );
        let failure = {
            let mut state = self.state.lock();
            let failures = state.failures.get_mut(path);
            failures.and_then(VecDeque::pop_front)
        };
        let is_page = path == "/v1/page";
        {
            let mut state = self.state.lock();
            if is_page {
                state.asked.push((body.clone(), head.headers.clone()));
            } else {
                state.event_requests.push(Instant::now());
            }
        }
        self.changes.send_modify(|changes| *changes += 1);
        if is_page {
            self.pass("answer").await;
        }
        let mut response = if let Some((status, retry)) = failure {
            let mut failed = reply("application/problem+json", "{}");
            *failed.status_mut() = StatusCode::from_u16(status).unwrap();
            if let Some(retry) = retry {
                failed
                    .headers_mut()
                    .insert("retry-after", HeaderValue::from_static(retry));
            }
            failed
        } else if is_page {
            let url = url::Url::parse(body["url"].as_str().unwrap()).unwrap();
            let state = self.state.lock();
            let answer = state.answers.get(url.path()).unwrap_or(&state.answers[""]);
            let mut answer = answer.clone();
            let known = &body["visitor_id"];
            let is_preview = body.get("preview").is_some();
            answer["visitor_id"] = if is_preview {
                Json::Null
            } else if known.is_null() {
                json!(format!("visitor-{}", state.asked.len()))
            } else {
                known.clone()
            };
            reply("application/json", answer.to_string())
        } else {
            let events = body["events"].as_array().unwrap();
            let results: Vec<Json> = events
                .iter()
                .map(|event| json!({"event_id": event["event_id"], "status": "recorded"}))
                .collect();
            self.state.lock().events.extend(events.iter().cloned());
            reply(
                "application/json",
                json!({ "results": results }).to_string(),
            )
        };
        if let Some(origin) = head.headers.get(ORIGIN) {
            let headers = response.headers_mut();
            headers.insert("access-control-allow-origin", origin.clone());
            headers.insert(
                "access-control-allow-credentials",
                HeaderValue::from_static("true"),
            );
            headers.insert(
                "access-control-expose-headers",
                HeaderValue::from_static("Retry-After"),
            );
        }
        self.changes.send_modify(|changes| *changes += 1);
        response
    }
}

fn reply(kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(http_body_util::Full::new(body.into()).boxed_unsync());
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert("content-type", kind);
    response
}

fn answer(experiments: &[Json]) -> Json {
    json!({"visitor_id": null, "experiments": experiments, "selectors": [], "hide_ms": 500, "raw_html": false})
}

/// An experiment with one element found by `selectors`, such as `css:#a`, whose variant has `content`.
pub(crate) fn experiment(id: &str, selectors: &[&str], content: impl Into<Json>) -> Json {
    let content = content.into();
    let selectors: Vec<Json> = selectors.iter().map(|text| selector(text)).collect();
    json!({"id": id, "key": null, "name": format!("experiment {id}"), "in_experiment": true, "reason": null,
        "assignment_id": format!("assignment {id}"),
        "goal": {"name": "goal", "kind": "binary", "default_value": 1.0, "trigger": null},
        "elements": [{"id": format!("element {id}"), "name": "headline", "type": null, "selectors": selectors,
            "variant": {"id": format!("variant {id}"), "name": "B", "is_control": false, "content": content}}]})
}

pub(crate) fn with_trigger(mut experiment: Json, trigger: Json) -> Json {
    experiment["goal"]["trigger"] = trigger;
    experiment
}

pub(crate) fn selector(text: &str) -> Json {
    let (kind, value) = text.split_once(':').unwrap();
    json!({"type": kind, "value": value})
}

/// Runs `test` with a browser and a site.
pub(crate) async fn on_a_site(test: impl AsyncFnOnce(&Client, &Site)) {
    let site = Site::start().await;
    with_impatient_browser(async |client| test(&client, &site).await).await;
}

/// Opens a page of the site, and waits for what it is to say.
pub(crate) async fn open(page: &Client, site: &Site, path: &str, is_so: &str) {
    page.goto(&format!("{}{path}", site.origin)).await.unwrap();
    let path = path.split(['?', '#']).next().unwrap();
    let here = format!(
        "location.href.startsWith('{}{path}') && ({is_so})",
        site.origin
    );
    until(page, &here).await;
}

/// Waits until an expression is true on the page.
pub(crate) async fn until(page: &Client, expression: &str) {
    let script = format!("return Boolean({expression})");
    let asking = async {
        // Between two pages there is nobody to ask.
        while page.execute(&script, Vec::new()).await.ok() != Some(Json::Bool(true)) {
            tokio::task::yield_now().await;
        }
    };
    let came = timeout(PATIENCE, asking).await;
    assert!(came.is_ok(), "{expression}, but {}", dump(page).await);
}

/// What an expression is on the page.
pub(crate) async fn value(page: &Client, expression: &str) -> Json {
    let found = page
        .execute(&format!("return {expression}"), Vec::new())
        .await;
    found.unwrap_or_else(|error| panic!("{expression}: {error}"))
}

async fn dump(page: &Client) -> String {
    page.source()
        .await
        .unwrap_or_else(|error| error.to_string())
}
