//! Who may do what, as `docs/ROLES.md` says: each cell of its tables is a request.
//!
//! To add a route: put it into a line there. Where it needs a body, [`body`] says one with which the owner
//! would succeed; where its path has a parameter of a new name, `Tenant::of` makes such a thing.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::collections::{BTreeMap, BTreeSet};

use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use parking_lot::Mutex;
use samplit_engine::{Role, Scope};
use samplit_http::{pages, routes};
use serde_json::{Value as Json, json};

use crate::browser::{Browser, set_up};
use crate::support::{Answer, Server, draft, summary};
use crate::tenants::{Tenant, server};

/// What is answered to somebody who may, where that is neither success nor "not as things stand".
const ELSE: [(&str, &str, u16); 2] = [
    // The password of the body is not the account's.
    ("POST", "/v1/account/password", 422),
    // Nothing was signed yet.
    ("GET", "/v1/experiments/{id}/audit/checkpoint", 404),
];

/// Answers that go on for as long as the client listens.
const STREAMS: [&str; 2] = [
    "/v1/experiments/{id}/results/stream",
    "/experiments/{id}/stream",
];

/// One line of a table.
struct Line {
    use_case: String,
    requests: Vec<Asked>,
    /// By the word in the head of the table: `admin`, `client`, and the scopes.
    cells: BTreeMap<String, String>,
}

/// A request of a line.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    pattern: String,
    /// Where the line says it.
    body: Option<Json>,
    is_page: bool,
}

impl Asked {
    fn read(text: &str) -> Self {
        let mut words = text.splitn(3, ' ');
        let (method, pattern) = (words.next().unwrap(), words.next().unwrap());
        let method: Method = method.parse().unwrap();
        let is = |table: &[(Method, &str)]| {
            let mut table = table.iter();
            table.any(|(of, other)| *of == method && *other == pattern)
        };
        let is_page = is(&pages());
        assert!(is_page || is(&routes()), "there is no {method} {pattern}");
        let body = words.next().map(|body| serde_json::from_str(body).unwrap());
        Self {
            method,
            pattern: pattern.to_owned(),
            body,
            is_page,
        }
    }

    fn is_stream(&self) -> bool {
        STREAMS.contains(&self.pattern.as_str())
    }

    /// A body with which the owner would succeed; of a form nothing, which is refused field by field.
    fn body(&self, things: &Tenant) -> Json {
        if self.is_page || [Method::GET, Method::DELETE, Method::OPTIONS].contains(&self.method) {
            return Json::Null;
        }
        self.body
            .clone()
            .or_else(|| body(&self.pattern))
            .unwrap_or_else(|| things.body(&self.pattern))
    }

    /// What is answered in short; of a batch, to the one request in it.
    fn said(&self, answer: &Answer) -> String {
        if !self.pattern.ends_with("/batch") || answer.status != StatusCode::OK {
            return answer.summary();
        }
        let one = &answer.json()["results"][0];
        summary(u16::try_from(one["status"].as_u64().unwrap()).unwrap(), one)
    }

    /// Whether the answer is that of somebody who may.
    fn is_let_through(&self, answer: &Answer) -> bool {
        let status: u16 = self.said(answer)[..3].parse().unwrap();
        if ELSE.contains(&(self.method.as_str(), &self.pattern, status)) {
            return true;
        }
        let to_the_door = answer.headers.get("location");
        let to_the_door = to_the_door.is_some_and(|to| {
            let to = to.to_str().unwrap();
            to == "/login" || to.starts_with("/login?next")
        });
        match status {
            200..400 => !to_the_door,
            409 => true,
            // A form that says nothing, or is none.
            400 | 415 | 422 => self.is_page,
            _ => false,
        }
    }
}

/// What the routes that name nothing in their path take.
fn body(pattern: &str) -> Option<Json> {
    Some(match pattern {
        "/v1/experiments" => draft(),
        "/v1/forecast" => json!({"rates": [0.05, 0.06], "visitors_per_day": 2000, "days": 2}),
        "/v1/exclusions" => json!({"kind": "ip", "value": "203.0.113.9"}),
        "/v1/webhooks" => json!({"url": "https://hooks.example/"}),
        "/v1/installations" => json!({"name": "Site", "domain": "new.example"}),
        "/integrations/shopify/install" => json!({"shop": "some.myshopify.com"}),
        "/ofrep/v1/evaluate/flags" => json!({"context": {"targetingKey": "v"}}),
        "/v1/funnels" => json!({"name": "Another"}),
        "/v1/account" => json!({"name": "Somebody"}),
        "/v1/account/password" => json!({"current": "not this one", "new": "but this one"}),
        "/v1/keys" => json!({"name": "another", "scopes": ["read"]}),
        "/v1/users" => json!({"email": format!("{}@example.net", uuid())}),
        _ => return None,
    })
}

/// Something new.
fn uuid() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("n{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The lines of every table whose first column is the use case.
fn lines() -> Vec<Line> {
    let guide = include_str!("../../../../docs/ROLES.md");
    let mut head: Vec<String> = Vec::new();
    let mut lines = Vec::new();
    for line in guide.lines() {
        let Some(row) = line
            .strip_prefix("| ")
            .and_then(|row| row.strip_suffix(" |"))
        else {
            // The line below the head goes on.
            if !line.starts_with('|') {
                head.clear();
            }
            continue;
        };
        let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
        if cells[0] == "use case" {
            head = cells.iter().map(|&cell| cell.to_owned()).collect();
            let roles = Role::ALL.iter().map(Role::to_string);
            let columns: BTreeSet<String> = roles
                .chain(Scope::ALL.iter().map(Scope::to_string))
                .collect();
            let named: BTreeSet<String> = head[2..].iter().cloned().collect();
            assert_eq!(named, columns, "a column for each role and scope");
            continue;
        }
        if head.is_empty() {
            continue;
        }
        assert_eq!(cells.len(), head.len(), "{line}");
        let requests = cells[1].split('`').skip(1).step_by(2);
        lines.push(Line {
            use_case: cells[0].to_owned(),
            requests: requests.map(Asked::read).collect(),
            cells: head[2..]
                .iter()
                .cloned()
                .zip(cells[2..].iter().map(|&cell| cell.to_owned()))
                .collect(),
        });
    }
    assert!(!lines.is_empty());
    lines
}

/// How somebody comes in.
#[derive(Clone, Copy)]
enum Entrance<'a> {
    Session(&'a Browser<'a>),
    Key(&'a str),
    Nobody,
}

/// Whoever asks, and what is there to be asked for.
struct Walk<'s> {
    server: &'s Server,
    admin: Browser<'s>,
    /// For what changes nothing.
    kept: BTreeMap<Role, Person<'s>>,
    /// Of those.
    keys: BTreeMap<(Role, Scope), String>,
    /// Whose things nobody else may see.
    stranger: Person<'s>,
    /// The cells that are not true.
    faults: Mutex<Vec<String>>,
}

/// An account with one of everything.
struct Person<'s> {
    browser: Browser<'s>,
    things: Tenant,
}

impl<'s> Person<'s> {
    async fn new(admin: &Browser<'s>, role: Role) -> Self {
        let email = format!("{}@example.org", uuid());
        let (id, browser) = admin.welcome(&email, role.as_str()).await;
        let things = Tenant::of(&browser, id).await;
        Self { browser, things }
    }

    async fn key(&self, scope: Scope) -> String {
        let new = json!({"name": "walker", "scopes": [scope]});
        let made = self.browser.ask(Method::POST, "/v1/keys", &new).await;
        assert_eq!(made.summary(), "201", "{}", made.text());
        made.json()["token"].as_str().unwrap().to_owned()
    }
}

impl Walk<'_> {
    async fn ask(&self, by: Entrance<'_>, asked: &Asked, things: &Tenant) -> Answer {
        // Files are everybody's. Of the visitor here nobody knows, as an admin erases everywhere.
        let pattern = asked.pattern.replace("canvas/{asset}", "canvas/editor.js");
        let pattern = pattern.replace("{asset}", "frame.js");
        let pattern = pattern.replace("{visitor}", "nobody");
        let path = things.path(&pattern) + Tenant::query(&pattern);
        let body = asked.body(things);
        let bearer;
        let mut headers = vec![("sec-fetch-site", "same-origin")];
        if asked.is_page {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let nobody = Browser::new(self.server);
        let browser = match by {
            Entrance::Session(browser) => browser,
            Entrance::Key(token) => {
                bearer = format!("Bearer {token}");
                headers.push(("authorization", &bearer));
                &nobody
            }
            Entrance::Nobody => &nobody,
        };
        browser
            .ask_with(asked.method.clone(), &path, &body, &headers)
            .await
    }

    /// Whether a stream begins.
    async fn begins(&self, by: Entrance<'_>, asked: &Asked, things: &Tenant) -> StatusCode {
        let path = things.path(&asked.pattern);
        let mut request = Request::builder().uri(format!("http://{}{path}", self.server.public));
        request = match by {
            Entrance::Session(browser) => {
                let cookie = format!("__Host-samplit_session={}", browser.token());
                request.header("cookie", cookie)
            }
            Entrance::Key(token) => request.header("authorization", format!("Bearer {token}")),
            Entrance::Nobody => request,
        };
        let request = request.body(Full::default()).unwrap();
        self.server.begin(request).await
    }

    /// Notes a cell that is not true.
    fn expect(&self, is_true: bool, case: &str, found: impl std::fmt::Display) {
        if !is_true {
            self.faults.lock().push(format!("{case}: {found}"));
        }
    }

    /// `by` may.
    async fn let_through(&self, by: Entrance<'_>, asked: &Asked, things: &Tenant, case: &str) {
        if asked.is_stream() {
            let status = self.begins(by, asked, things).await;
            self.expect(status == StatusCode::OK, case, status);
            return;
        }
        let answer = self.ask(by, asked, things).await;
        self.expect(asked.is_let_through(&answer), case, asked.said(&answer));
    }

    /// `by` may not; `codes` are the ways in which that may be said.
    async fn refused(
        &self,
        by: Entrance<'_>,
        asked: &Asked,
        things: &Tenant,
        codes: &[&str],
        case: &str,
    ) {
        let answer = self.ask(by, asked, things).await;
        let (status, shown) = (answer.status.as_u16().to_string(), asked.said(&answer));
        // Pages and other protocols say it without a code of ours.
        let has_code = shown.contains(' ');
        let fits = |code: &str| shown == *code || (!has_code && code.starts_with(&status));
        self.expect(codes.iter().any(|code| fits(code)), case, &shown);
    }
}

/// Goes through one line for one role: with a session, then with keys.
async fn walk_line(walk: &Walk<'_>, line: &Line, role: Role) {
    let cell = line.cells[role.as_str()].as_str();
    let changes = line
        .requests
        .iter()
        .any(|asked| asked.method != Method::GET);
    let kept = &walk.kept[&role];
    // Something new, so that what one cell changes the next does not find changed.
    let fresh = async || match changes {
        true => Some(Person::new(&walk.admin, role).await),
        false => None,
    };
    let target = async || match cell {
        "all" => Some(Person::new(&walk.admin, Role::Client).await),
        _ => None,
    };
    let new = if cell == "no" { None } else { fresh().await };
    let person = new.as_ref().unwrap_or(kept);
    let other = target().await;
    let things = &other.as_ref().unwrap_or(person).things;
    let session = Entrance::Session(&person.browser);
    for asked in &line.requests {
        let case = format!("{} {}: {role} {cell}", asked.method, asked.pattern);
        let theirs = &walk.stranger.things;
        match cell {
            "all" | "yes" => walk.let_through(session, asked, things, &case).await,
            "own" => {
                if asked.pattern.contains('{') {
                    let codes = ["404 not_found"];
                    walk.refused(session, asked, theirs, &codes, &case).await;
                }
                walk.let_through(session, asked, things, &case).await;
            }
            "no" => {
                let codes = ["403 admin_only"];
                walk.refused(session, asked, theirs, &codes, &case).await;
            }
            "key" => {
                let codes = ["401 unauthenticated"];
                walk.refused(session, asked, things, &codes, &case).await;
            }
            other => panic!("{}: what is `{other}`?", line.use_case),
        }
        walk.shows(session, asked, (cell, things), &case).await;
    }
    for &scope in Scope::ALL {
        let answer = line.cells[scope.as_str()].as_str();
        assert!(["yes", "no"].contains(&answer), "{}", line.use_case);
        let may = answer == "yes";
        let new = if may && cell != "no" {
            fresh().await
        } else {
            None
        };
        let person = new.as_ref().unwrap_or(kept);
        let other = if may { target().await } else { None };
        let things = &other.as_ref().unwrap_or(person).things;
        let key = match &new {
            Some(new) => new.key(scope).await,
            None => walk.keys[&(role, scope)].clone(),
        };
        let by = Entrance::Key(&key);
        for asked in line.requests.iter().filter(|asked| !asked.is_page) {
            let (method, pattern) = (&asked.method, &asked.pattern);
            let case = format!("{method} {pattern}: key of {role} for {scope}, {answer}");
            if may && cell != "no" {
                walk.let_through(by, asked, things, &case).await;
            } else if may {
                let codes = ["403 admin_only"];
                let theirs = &walk.stranger.things;
                walk.refused(by, asked, theirs, &codes, &case).await;
            } else {
                let mut codes = vec!["403 forbidden", "403 session_only", "401 unauthenticated"];
                if cell == "no" {
                    codes.push("403 admin_only");
                }
                walk.refused(by, asked, things, &codes, &case).await;
            }
        }
    }
}

impl Walk<'_> {
    /// A list holds what it should: something of everybody's, or of one's own and nothing of a stranger's.
    async fn shows(
        &self,
        by: Entrance<'_>,
        asked: &Asked,
        (cell, things): (&str, &Tenant),
        case: &str,
    ) {
        let is_list = asked.method == Method::GET && !asked.is_page && !asked.pattern.contains('{');
        if !is_list || !["all", "own"].contains(&cell) {
            return;
        }
        let answer = self.ask(by, asked, things).await;
        let holds = |things: &Tenant| things.ids.values().any(|id| answer.text().contains(id));
        self.expect(holds(things), case, answer.text());
        if cell == "own" {
            let ids = self.stranger.things.ids.iter();
            for (name, id) in ids.filter(|(name, _)| name.ends_with("id")) {
                let is_shown = answer.text().contains(id);
                self.expect(
                    !is_shown,
                    case,
                    format_args!("shows the {name} of a stranger"),
                );
            }
        }
    }

    /// What everybody may, and what no account adds to.
    async fn open_to_all(&self, line: &Line, cell: &str) {
        let client = &self.kept[&Role::Client];
        for asked in &line.requests {
            let case = format!("{} {}: {cell}", asked.method, asked.pattern);
            let things = &client.things;
            let answer = self.ask(Entrance::Nobody, asked, things).await;
            if cell == "open" {
                let status = answer.status.as_u16();
                let is_open = !matches!(status, 401 | 403 | 404 | 405 | 500..);
                self.expect(is_open, &case, status);
                continue;
            }
            for by in [
                Entrance::Session(&client.browser),
                Entrance::Session(&self.admin),
                Entrance::Key(&self.keys[&(Role::Admin, Scope::Manage)]),
            ] {
                let same = self.ask(by, asked, things).await;
                let (same, other) = (same.summary(), answer.summary());
                self.expect(same == other, &case, format_args!("{same}, {other}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_table_is_true() {
    let (server, _database) = server().await;
    let admin = set_up(&server).await;
    let mut kept = BTreeMap::new();
    let mut keys = BTreeMap::new();
    for &role in Role::ALL {
        let person = Person::new(&admin, role).await;
        for &scope in Scope::ALL {
            keys.insert((role, scope), person.key(scope).await);
        }
        kept.insert(role, person);
    }
    let walk = Walk {
        server: &server,
        stranger: Person::new(&admin, Role::Client).await,
        admin,
        kept,
        keys,
        faults: Mutex::default(),
    };
    let lines = lines();
    for line in &lines {
        let cells: BTreeSet<&str> = line.cells.values().map(String::as_str).collect();
        match cells.first() {
            Some(cell @ (&"open" | &"token")) if cells.len() == 1 => {
                walk.open_to_all(line, cell).await;
            }
            _ => {
                for &role in Role::ALL {
                    walk_line(&walk, line, role).await;
                }
            }
        }
    }
    // Keys open no page.
    for (method, pattern) in pages() {
        if method == Method::GET
            && !pattern.contains('{')
            && !["/login", "/forgot"].contains(&pattern)
        {
            let asked = Asked::read(&format!("{method} {pattern}"));
            let by = Entrance::Key(&walk.keys[&(Role::Admin, Scope::Manage)]);
            let answer = walk.ask(by, &asked, &walk.stranger.things).await;
            let status = answer.status;
            walk.expect(status == StatusCode::SEE_OTHER, pattern, status);
        }
    }
    let faults = walk.faults.lock();
    assert!(faults.is_empty(), "not as the table says: {faults:#?}");
}

#[test]
fn every_route_and_page_stands_in_the_table() {
    let lines = lines();
    let requests = lines.iter().flat_map(|line| &line.requests);
    let named: BTreeSet<(String, &str)> = requests
        .map(|asked| (asked.method.to_string(), asked.pattern.as_str()))
        .collect();
    let all = routes().into_iter().chain(pages());
    let missing: Vec<String> = all
        .filter(|(method, pattern)| !named.contains(&(method.to_string(), *pattern)))
        .map(|(method, pattern)| format!("{method} {pattern}"))
        .collect();
    assert!(
        missing.is_empty(),
        "say in docs/ROLES.md who may: {missing:#?}"
    );
}
