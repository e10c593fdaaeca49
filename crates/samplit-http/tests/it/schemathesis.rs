//! Schemathesis asks what the document allows, and what it does not, and looks whether what is answered
//! is in the document. Where it cannot be installed the test says so and is skipped.
//!
//! It is told who asks and what there is (`providers/schemathesis_hooks.py`), or it would learn of most
//! operations that nobody may ask them. What ends something, ends what is there to be ended: never the key
//! or the session that asks.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hyper::Method;
use samplit_devpg::TestDatabase;
use samplit_engine::{EngineConfig, Secret};
use samplit_http::HttpConfig;
use serde_json::{Map, Value as Json, json};

use crate::browser::{Browser, PASSWORD, set_up};
use crate::ofrep_providers::{folder, installed, run};
use crate::support::{Server, draft, signer};
use crate::tenants::their_funnel;

/// What is wanted of the registry.
const WANTED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/providers/schemathesis.txt"
);

/// What tells it of the server.
const HOOKS: &str = include_str!("../providers/schemathesis_hooks.py");

/// No fault of ours, and nothing that the document does not have.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";

/// How many operations have to be reached, out of a hundred.
const REACHED: usize = 80;

/// What there is of each thing that operations end.
const SPARE: usize = 6;

/// The page that shows, and asks.
const ORIGIN: &str = "https://shop.example";

async fn schemathesis(folder: &Path) -> Result<PathBuf, String> {
    run(Path::new("python3"), &["-m", "venv", "."], folder).await?;
    let install = ["-m", "pip", "install", "--quiet", "--requirement", WANTED];
    run(&folder.join("bin/python"), &install, folder).await?;
    Ok(folder.join("bin/st"))
}

async fn stage() -> (Server, TestDatabase) {
    let database = samplit_tests::database().await;
    let config = EngineConfig {
        secret: Some(Secret::new(&[[5; 32]]).unwrap()),
        signers: [signer()].into(),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    (Server::start(engine, HttpConfig::default()).await, database)
}

async fn made(browser: &Browser<'_>, path: &str, body: &Json) -> Json {
    let answer = browser.ask(Method::POST, path, body).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json()
}

fn id(made: &Json) -> String {
    made["id"].as_str().unwrap().to_owned()
}

/// One of everything, several of what operations end, and what each operation is told of it.
struct Facts<'s> {
    admin: Browser<'s>,
    headers: Json,
    ids: Map<String, Json>,
    operations: Map<String, Json>,
}

impl<'s> Facts<'s> {
    async fn of(server: &'s Server) -> Self {
        let admin = set_up(server).await;
        let key = json!({"name": "schemathesis", "scopes": ["manage", "assign", "read"]});
        let key = made(&admin, "/v1/keys", &key).await;
        let key = format!("Bearer {}", key["token"].as_str().unwrap());
        let mut facts = Self {
            admin,
            headers: json!({"Authorization": key}),
            ids: Map::new(),
            operations: Map::new(),
        };
        facts.experiments().await;
        facts.site().await;
        facts.things().await;
        facts.funnels().await;
        facts.leads().await;
        facts.people(server).await;
        facts.good_bodies();
        facts
    }

    /// What one operation is told.
    fn tell(&mut self, operation: &str, fact: Json) {
        let told = self
            .operations
            .entry(operation)
            .or_insert_with(|| json!({}));
        let Json::Object(fact) = fact else {
            panic!("a fact is an object, not {fact}");
        };
        told.as_object_mut().unwrap().extend(fact);
    }

    /// A new experiment that has had a visitor.
    async fn started(&self, key: Option<&str>) -> Json {
        let mut plan = draft();
        plan["key"] = json!(key);
        let experiment = made(&self.admin, "/v1/experiments", &plan).await;
        let path = format!("/v1/experiments/{}", id(&experiment));
        made(&self.admin, &format!("{path}/start"), &json!({})).await;
        let visit = json!({"visitor_id": "ada", "context": {"device": "phone"}});
        made(&self.admin, &format!("{path}/assign"), &visit).await;
        experiment
    }

    async fn experiments(&mut self) {
        let main = self.started(Some("flag")).await;
        let path = format!("/v1/experiments/{}", id(&main));
        let sign = format!("{path}/audit/checkpoint");
        let signed = self.admin.ask(Method::POST, &sign, &json!({})).await;
        assert!(signed.status.is_success(), "{}", signed.text());
        self.ids.insert("id".into(), json!(id(&main)));
        self.ids.insert("key".into(), json!("flag"));
        // Whoever is erased is nobody who is asked for.
        self.ids.insert("visitor".into(), json!("bob"));
        self.ids.insert("asset".into(), json!("frame.js"));
        self.tell(
            "GET /assets/dashboard/canvas/{asset}",
            json!({"ids": {"asset": "editor.js"}}),
        );
        let variant = |of: &Json| id(&of["elements"][0]["variants"][1]);
        self.ids.insert("variant_id".into(), json!(variant(&main)));
        let visit = json!({"body": {"visitor_id": "ada"}});
        for operation in ["assign", "convert"] {
            self.tell(
                &format!("POST /v1/experiments/{{id}}/{operation}"),
                visit.clone(),
            );
        }
        for (rest, query) in [
            ("segments", json!({"key": "device"})),
            ("audit/receipt", json!({"visitor": "ada"})),
            ("audit/proof/inclusion", json!({"sequence": 1})),
            ("audit/proof/consistency", json!({"first": 1})),
            ("what-if", json!({"shares": "0.5,0.5"})),
        ] {
            let operation = format!("GET /v1/experiments/{{id}}/{rest}");
            self.tell(&operation, json!({"query": query}));
        }
        // What changes or ends an experiment has some of its own: drafts, and such that run.
        let (mut drafts, mut running) = (Vec::new(), Vec::new());
        for _ in 0..SPARE {
            drafts.push(id(&made(&self.admin, "/v1/experiments", &draft()).await));
            running.push(self.started(None).await);
        }
        let ids: Vec<String> = running.iter().map(id).collect();
        for operation in [
            "pause",
            "resume",
            "complete",
            "audit/seal",
            "audit/redactions",
        ] {
            let operation = format!("POST /v1/experiments/{{id}}/{operation}");
            self.tell(&operation, json!({"ids": {"id": ids}}));
        }
        for operation in [
            "POST /v1/experiments/{id}/start",
            "POST /v1/experiments/{id}/archive",
        ] {
            self.tell(operation, json!({"ids": {"id": drafts}}));
        }
        self.tell("PATCH /v1/experiments/{id}", json!({"ids": {"id": drafts}}));
        self.tell(
            "GET /v1/experiments/{id}/audit/draw-key",
            json!({"ids": {"id": ids}}),
        );
        let variants: Vec<String> = running.iter().map(variant).collect();
        for operation in ["activate", "deactivate"] {
            let operation =
                format!("POST /v1/experiments/{{id}}/variants/{{variant_id}}/{operation}");
            self.tell(
                &operation,
                json!({"ids": {"id": ids, "variant_id": variants}}),
            );
        }
        let redaction = json!({"body": {"sequence_number": 3, "reason": "because"}});
        self.tell("POST /v1/experiments/{id}/audit/redactions", redaction);
    }

    /// A site, what its pages ask, and the editor that a link opens on them.
    async fn site(&mut self) {
        let site = json!({"name": "Shop", "domain": "shop.example", "platform": "wordpress"});
        let main = made(&self.admin, "/v1/installations", &site).await;
        let token = main["token"].as_str().unwrap();
        self.ids.insert("installation_id".into(), json!(id(&main)));
        self.ids.insert("token".into(), json!(token));
        let mut spare = Vec::new();
        for number in 0..SPARE {
            let site = json!({"name": "Spare", "domain": format!("spare-{number}.example")});
            spare.push(id(&made(&self.admin, "/v1/installations", &site).await));
        }
        for operation in [
            "DELETE /v1/installations/{installation_id}",
            "POST /v1/installations/{installation_id}/rotate",
            "PATCH /v1/installations/{installation_id}",
        ] {
            self.tell(operation, json!({"ids": {"installation_id": spare}}));
        }
        let page = json!({"Origin": ORIGIN, "User-Agent": "Mozilla/5.0"});
        let url = format!("{ORIGIN}/pricing");
        for operation in ["POST /v1/page", "POST /v1/events"] {
            let mut body = json!({"token": token, "visitor_id": "ada"});
            if operation.ends_with("page") {
                body["url"] = json!(url);
            }
            self.tell(operation, json!({"headers": page, "body": body}));
        }
        let mut plan = draft();
        let third = json!({"name": "blue", "content": {"class": "blue"}});
        plan["elements"][0]["variants"]
            .as_array_mut()
            .unwrap()
            .push(third);
        let plan = made(&self.admin, "/v1/experiments", &plan).await;
        let path = format!("/v1/installations/{}/editor", id(&main));
        let link = json!({"experiment_id": id(&plan), "url": url});
        let link = made(&self.admin, &path, &link).await;
        let bearer = format!("Bearer edit.{}", link["token"].as_str().unwrap());
        let editor = json!({"headers": {"Authorization": bearer, "Origin": ORIGIN}});
        for operation in [
            "GET /v1/editor",
            "POST /v1/editor/variants",
            "DELETE /v1/editor/variants/{variant_id}",
        ] {
            self.tell(operation, editor.clone());
        }
        let third = id(&plan["elements"][0]["variants"][2]);
        let operation = "DELETE /v1/editor/variants/{variant_id}";
        self.tell(operation, json!({"ids": {"variant_id": third}}));
        let operation = "POST /v1/installations/{installation_id}/editor";
        self.tell(
            operation,
            json!({"body": {"experiment_id": id(&plan), "url": url}}),
        );
        let preview = json!({"body": {"variants": {}, "url": url}});
        self.tell("POST /v1/experiments/{id}/preview", preview);
    }

    /// Rules and webhooks.
    async fn things(&mut self) {
        let rule = |number| json!({"kind": "ip", "value": format!("192.0.2.{number}")});
        let rules = (0..=SPARE).map(rule).collect();
        self.several(("/v1/exclusions", "exclusion_id"), rules)
            .await;
        let hook = |number| json!({"url": format!("https://hooks.example/{number}")});
        let hooks = (0..=SPARE).map(hook).collect();
        self.several(("/v1/webhooks", "webhook_id"), hooks).await;
        // A webhook that has something to be told of.
        self.started(None).await;
        let hook = self.ids["webhook_id"].as_str().unwrap();
        let told = format!("/v1/webhooks/{hook}/deliveries");
        let told = self.admin.get(&told).await.json();
        self.ids
            .insert("delivery_id".into(), json!(id(&told["data"][0])));
    }

    /// Funnels that could be started, and some that may be ended.
    async fn funnels(&mut self) {
        let main = their_funnel(&self.admin).await;
        self.ids.insert("funnel_id".into(), json!(id(&main)));
        let mut spare = Vec::new();
        for _ in 0..SPARE {
            spare.push(id(&their_funnel(&self.admin).await));
        }
        for step in ["activate", "pause", "resume", "archive"] {
            let operation = format!("POST /v1/funnels/{{funnel_id}}/{step}");
            self.tell(&operation, json!({"ids": {"funnel_id": spare}}));
        }
        let operation = "PATCH /v1/funnels/{funnel_id}";
        let name = json!({"ids": {"funnel_id": spare}, "body": {"name": "Another"}});
        self.tell(operation, name);
        self.tell("POST /v1/funnels", json!({"body": {"name": "Another"}}));
    }

    /// People who have written to the site, and plans.
    async fn leads(&mut self) {
        let page = [("origin", ORIGIN)];
        let form = |number: usize| {
            json!({"token": self.ids["token"], "url": format!("{ORIGIN}/contact"),
                "email": format!("lead-{number}@example.org")})
        };
        let mut ids = Vec::new();
        for number in 0..=SPARE {
            let path = "/v1/leads";
            let form = form(number);
            let sent = self.admin.ask_with(Method::POST, path, &form, &page).await;
            assert!(sent.status.is_success(), "{}", sent.text());
            let leads = self.admin.get(path).await.json();
            ids.push(id(&leads["data"][0]));
        }
        let another = form(SPARE + 1);
        let headers = json!({"Origin": ORIGIN, "User-Agent": "Mozilla/5.0"});
        let told = json!({"headers": headers, "body": another});
        self.tell("POST /v1/leads", told);
        self.ids.insert("lead_id".into(), json!(ids.remove(0)));
        self.tell(
            "DELETE /v1/leads/{lead_id}",
            json!({"ids": {"lead_id": ids}}),
        );
        self.tell(
            "PATCH /v1/leads/{lead_id}",
            json!({"body": {"note": "called"}}),
        );
        self.ids.insert("name".into(), json!("team"));
        let plan = json!({"body": {"title": "Team"}});
        self.tell("PUT /v1/plans/{name}", plan);
        let plan = json!({"body": {"plan": "self_hosted"}});
        self.tell("PUT /v1/users/{user_id}/subscription", plan);
    }

    /// Several of a kind, of which all but the first may be deleted.
    async fn several(&mut self, (path, name): (&str, &str), bodies: Vec<Json>) {
        let mut ids = Vec::new();
        for body in bodies {
            ids.push(id(&made(&self.admin, path, &body).await));
        }
        let main = ids.remove(0);
        self.ids.insert(name.to_owned(), json!(main));
        let operation = format!("DELETE {path}/{{{name}}}");
        self.tell(&operation, json!({"ids": {name: ids}}));
    }

    /// Accounts, sessions and keys that may be changed and ended.
    async fn people(&mut self, server: &'s Server) {
        let cookie = |browser: &Browser<'_>| {
            json!({
                "Cookie": format!("__Host-samplit_session={}", browser.token()),
                "Sec-Fetch-Site": "same-origin",
            })
        };
        let (mut users, mut ending, mut links) = (vec![], vec![], vec![]);
        let (mut sessions, mut keys) = (vec![], vec![]);
        for number in 0..SPARE {
            let email = format!("u{number}@example.org");
            let (_, browser) = self.admin.welcome(&email, "client").await;
            ending.push(cookie(&browser));
            // Somebody who has not come yet, and another one who is changed before.
            let (_, token) = self
                .admin
                .invite(&format!("v{number}@example.org"), "client")
                .await;
            links.push(json!({"token": token, "password": PASSWORD}));
            let (user, _) = self
                .admin
                .invite(&format!("w{number}@example.org"), "client")
                .await;
            users.push(user);
            // Signed in elsewhere, too; that session is ended from here.
            let elsewhere = Browser::new(server);
            let admin = elsewhere.sign_in("admin@example.org", PASSWORD).await;
            assert!(admin.status.is_success(), "{}", admin.text());
            let session = elsewhere.get("/v1/session").await.json();
            sessions.push(id(&session));
            let key = json!({"name": "spare", "scopes": ["read"]});
            keys.push(id(&made(&self.admin, "/v1/keys", &key).await));
        }
        self.ids.insert("user_id".into(), json!(users));
        self.ids.insert("key_id".into(), json!(keys));
        self.ids.insert("session_id".into(), json!(sessions));
        // Who signs out, who chooses another password, and who changes nothing but a name.
        let (last, rest) = ending.split_at(SPARE / 3);
        let (change, stay) = rest.split_at(SPARE / 3);
        self.tell("DELETE /v1/session", json!({"headers": last}));
        self.tell("PATCH /v1/account", json!({"headers": stay}));
        let password = json!({"current": PASSWORD, "new": "another long sentence"});
        let password = json!({"headers": change, "bodies": [password]});
        self.tell("POST /v1/account/password", password);
        let own = json!({"headers": cookie(&self.admin)});
        for operation in [
            "GET /v1/session",
            "GET /v1/sessions",
            "DELETE /v1/sessions/{session_id}",
        ] {
            self.tell(operation, own.clone());
        }
        let body = json!({"email": "admin@example.org", "password": PASSWORD});
        let same = json!({"Sec-Fetch-Site": "same-origin"});
        self.tell("POST /v1/session", json!({"headers": same, "body": body}));
        self.tell(
            "POST /v1/links/redeem",
            json!({"headers": same, "bodies": links}),
        );
    }

    /// Bodies that are taken, of what is seldom made up by chance.
    fn good_bodies(&mut self) {
        let site = json!({"name": "Another", "domain": "another.example"});
        let rule = json!({"kind": "visitor", "value": "robot"});
        let element = json!({
            "element": null, "name": "Headline", "selector": {"type": "css", "value": "h1"},
            "variant": {"name": "Friendly", "content": {"text": "Hi there"}},
        });
        for (operation, body) in [
            ("POST /v1/experiments", draft()),
            (
                "PATCH /v1/experiments/{id}",
                json!({"description": "another"}),
            ),
            ("POST /v1/editor/variants", element),
            ("POST /v1/installations", site),
            (
                "PATCH /v1/installations/{installation_id}",
                json!({"name": "Renamed"}),
            ),
            ("POST /v1/exclusions", rule),
            (
                "PATCH /v1/exclusions/{exclusion_id}",
                json!({"is_active": true}),
            ),
            (
                "POST /v1/webhooks",
                json!({"url": "https://hooks.example/"}),
            ),
            (
                "PATCH /v1/webhooks/{webhook_id}",
                json!({"description": "another"}),
            ),
            (
                "POST /v1/keys",
                json!({"name": "another", "scopes": ["read"]}),
            ),
            ("POST /v1/users", json!({"email": "another@example.org"})),
            ("PATCH /v1/account", json!({"name": "Another"})),
        ] {
            self.tell(operation, json!({"bodies": [body]}));
        }
    }

    fn json(&self) -> Json {
        json!({"headers": self.headers, "ids": self.ids, "operations": self.operations})
    }
}

/// How often each operation was answered how.
fn answered(folder: &Path) -> BTreeMap<String, BTreeMap<u64, usize>> {
    let lines = std::fs::read_to_string(folder.join("answers.ndjson")).unwrap();
    let mut answered = BTreeMap::<String, BTreeMap<u64, usize>>::new();
    for line in lines.lines() {
        let line: Json = serde_json::from_str(line).unwrap();
        let operation = line["operation"].as_str().unwrap().to_owned();
        let status = line["status"].as_u64().unwrap();
        *answered
            .entry(operation)
            .or_default()
            .entry(status)
            .or_default() += 1;
    }
    answered
}

/// Whether an answer comes from the operation itself: not from the door, and not because the path or the
/// method is none.
fn is_reached(status: u64) -> bool {
    matches!(status, 200..400 | 400 | 409..=412 | 422)
}

/// Cases for each operation: `SAMPLIT_SCHEMATHESIS`, else a few.
#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::print_stdout,
    reason = "how many cases there were, and what they did not reach"
)]
async fn nothing_is_answered_that_is_not_in_the_document() {
    let folder = folder("schemathesis");
    let Some(program) = installed("schemathesis", schemathesis(&folder).await) else {
        return;
    };
    let (server, _database) = stage().await;
    let facts = Facts::of(&server).await;
    std::fs::write(folder.join("facts.json"), facts.json().to_string()).unwrap();
    std::fs::write(folder.join("samplit_hooks.py"), HOOKS).unwrap();
    let base = format!("http://{}", server.public);
    let document = format!("{base}/openapi.json");
    #[expect(
        clippy::disallowed_methods,
        reason = "how long it looks is the tester's to say"
    )]
    let cases = std::env::var("SAMPLIT_SCHEMATHESIS").unwrap_or_else(|_| "4".to_owned());
    let program = program.to_str().unwrap();
    let arguments = [
        "SCHEMATHESIS_HOOKS=samplit_hooks",
        "PYTHONPATH=.",
        program,
        "run",
        &document,
        "--checks",
        CHECKS,
        "--phases",
        "examples,coverage,fuzzing,stateful",
        "--max-examples",
        &cases,
        "--seed",
        "1",
        "--no-shrink",
        // Else it makes up keys, and learns that they are not good.
        "--generation-with-security-parameters",
        "false",
        "--continue-on-failure",
        "--suppress-health-check",
        "all",
        // It does not end by itself.
        "--exclude-path",
        "/v1/experiments/{id}/results/stream",
    ];
    let said = run(Path::new("env"), &arguments, &folder).await;
    let answered = answered(&folder);
    let mut reached = 0;
    for (operation, statuses) in &answered {
        let good: usize = statuses.range(200..300).map(|(_, count)| count).sum();
        println!("{good:>5} of 2xx  {operation}  {statuses:?}");
        reached += usize::from(statuses.keys().any(|status| is_reached(*status)));
    }
    let said = said.unwrap_or_else(|failures| panic!("{failures}"));
    println!("{said}");
    println!("{reached} of {} operations were reached", answered.len());
    assert!(answered.len() > 100, "{}", answered.len());
    assert!(
        reached * 100 >= answered.len() * REACHED,
        "{reached} of {}",
        answered.len()
    );
}
