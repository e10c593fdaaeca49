//! The activity log: whatever is changed is noted, by whom, in the request that did it.
//!
//! The test goes through every route that changes something. One that is added has to be gone through,
//! too, or named in [`NO_CHANGE`] with the reason.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hyper::Method;
use parking_lot::Mutex;
use samplit_domain::Action;
use samplit_engine::{
    EngineConfig, Secret, WebhookAnswer, WebhookFailure, WebhookRequest, WebhookSender,
};
use samplit_http::{FetchFailure, FetchedPage, HttpConfig, PageFetcher, routes};
use samplit_tests::{Client, connect};
use serde_json::{Value as Json, json};

use crate::browser::{Browser, PASSWORD, setup_token, token_of};
use crate::support::{Server, draft, signer};

/// Routes that take something in and change nothing that is managed.
const NO_CHANGE: [(&str, &str); 17] = [
    // Traffic: the trail says what was decided.
    ("POST", "/v1/experiments/{id}/assign"),
    ("POST", "/v1/experiments/{id}/assign/batch"),
    ("POST", "/v1/experiments/{id}/convert"),
    ("POST", "/v1/experiments/{id}/convert/batch"),
    ("POST", "/ofrep/v1/evaluate/flags/{key}"),
    ("POST", "/ofrep/v1/evaluate/flags"),
    ("POST", "/v1/page"),
    ("POST", "/v1/events"),
    ("POST", "/v1/leads"),
    ("POST", "/integrations/wordpress/orders"),
    // Shops tell of orders; that one was taken out is noted, see the tests of Shopify.
    ("POST", "/integrations/shopify/webhooks"),
    ("POST", "/integrations/shopify/webhooks/{hook}"),
    // Stripe tells of subscriptions, which is noted: see the tests of plans.
    ("POST", "/integrations/stripe/webhooks"),
    // Questions.
    ("POST", "/v1/forecast"),
    // Links that are signed and not stored, and change nothing by themselves.
    ("POST", "/v1/experiments/{id}/preview"),
    ("POST", "/integrations/shopify/install"),
    // Signs what is there, as the server does by itself.
    ("POST", "/v1/experiments/{id}/audit/checkpoint"),
];

/// Shows the page that it is given.
#[derive(Debug, Default)]
struct Canned(Mutex<String>);

impl PageFetcher for Canned {
    fn fetch<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<FetchedPage, FetchFailure>> {
        Box::pin(async move {
            Ok(FetchedPage {
                status: 200,
                body: self.0.lock().clone(),
            })
        })
    }
}

/// A receiver of webhooks that is gone.
#[derive(Debug)]
struct Gone;

impl WebhookSender for Gone {
    fn send<'a>(
        &'a self,
        _: &'a WebhookRequest,
    ) -> BoxFuture<'a, Result<WebhookAnswer, WebhookFailure>> {
        Box::pin(async {
            Ok(WebhookAnswer {
                status: 410,
                ..WebhookAnswer::default()
            })
        })
    }
}

/// Somebody who changes things, and looks at what is noted.
struct Walk<'s> {
    browser: Browser<'s>,
    client: Client,
    routes: BTreeSet<(String, &'static str)>,
    actions: BTreeSet<String>,
}

impl Walk<'_> {
    /// Changes something, which has to be noted as `expected` and nothing else.
    async fn step(
        &mut self,
        (method, pattern): (Method, &'static str),
        path: &str,
        body: Json,
        expected: &[Action],
    ) -> Json {
        let answer = self.browser.ask(method.clone(), path, &body).await;
        let text = answer.text().to_owned();
        assert!(answer.status.is_success(), "{method} {path}: {text}");
        let request = answer.header("x-request-id").to_owned();
        let noted = self
            .client
            .query(
                "SELECT action, subject_kind, actor_kind, detail::text FROM activity_log \
                 WHERE request_id = $1 ORDER BY id",
                &[&request],
            )
            .await
            .unwrap();
        let mut actions: Vec<String> = noted.iter().map(|row| row.get(0)).collect();
        let mut expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        self.actions.extend(actions.iter().cloned());
        actions.sort();
        expected.sort();
        assert_eq!(actions, expected, "{method} {path}");
        for row in &noted {
            let (actor, detail): (String, String) = (row.get(2), row.get(3));
            assert_eq!(actor, "user", "{method} {path}");
            let secrets = [
                "ss_",
                "ln_",
                "sk_",
                "pk_",
                "ws_",
                "whsec_",
                "t0ken",
                PASSWORD,
                "ada",
                "192.0.2.7",
            ];
            for secret in secrets {
                assert!(!detail.contains(secret), "{detail} holds {secret}");
            }
        }
        self.routes.insert((method.to_string(), pattern));
        serde_json::from_str(&text).unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one walk through every route")]
async fn every_change_is_noted_in_the_request_that_made_it() {
    use Action as A;
    let database = samplit_tests::database().await;
    let exported = tempfile::tempdir().unwrap();
    let config = EngineConfig {
        secret: Some(Secret::new(&[[5; 32]]).unwrap()),
        signers: [signer()].into(),
        checkpoint_directory: Some(exported.path().to_owned()),
        checkpoint_every: std::time::Duration::from_secs(3_600),
        webhook_sender: Some(Arc::new(Gone)),
        webhook_every: std::time::Duration::from_millis(10),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let page = Arc::new(Canned::default());
    let http = HttpConfig {
        page_fetcher: Some(Arc::<Canned>::clone(&page) as Arc<dyn PageFetcher>),
        ..HttpConfig::default()
    };
    let server = Server::start(engine, http).await;
    let mut walk = Walk {
        browser: Browser::new(&server),
        client: connect(database.url()).await,
        routes: BTreeSet::new(),
        actions: BTreeSet::new(),
    };
    let (post, patch, delete) = (Method::POST, Method::PATCH, Method::DELETE);
    let id = |json: &Json| json["id"].as_str().unwrap().to_owned();

    // Coming in.
    let token = setup_token(&server.engine).await;
    let first = json!({"token": token, "email": "admin@example.org", "password": PASSWORD});
    let path = "/v1/links/redeem";
    let all = [A::ServerSetUp, A::PasswordChanged, A::UserSignedIn];
    walk.step((post.clone(), path), path, first, &all).await;
    let path = "/v1/session";
    let end = (delete.clone(), path);
    walk.step(end, path, Json::Null, &[A::SessionEnded]).await;
    let login = json!({"email": "admin@example.org", "password": PASSWORD});
    let begin = (post.clone(), path);
    walk.step(begin, path, login.clone(), &[A::UserSignedIn])
        .await;

    // One's own account.
    let path = "/v1/account";
    let name = json!({"name": "Ana"});
    walk.step((patch.clone(), path), path, name, &[A::UserChanged])
        .await;
    let path = "/v1/account/password";
    let new = json!({"current": PASSWORD, "new": "another sentence"});
    let change = (post.clone(), path);
    walk.step(change, path, new, &[A::PasswordChanged]).await;
    let login = json!({"email": "admin@example.org", "password": "another sentence"});
    let (path, begin) = ("/v1/session", (post.clone(), "/v1/session"));
    walk.step(begin, path, login, &[A::UserSignedIn]).await;
    let elsewhere = Browser::new(&server);
    elsewhere
        .sign_in("admin@example.org", "another sentence")
        .await;
    let other = elsewhere.get("/v1/session").await.json();
    let path = format!("/v1/sessions/{}", id(&other));
    let end = (delete.clone(), "/v1/sessions/{session_id}");
    walk.step(end, &path, Json::Null, &[A::SessionEnded]).await;

    // Keys.
    let path = "/v1/keys";
    let key = json!({"name": "ci", "scopes": ["read"]});
    let made = walk
        .step((post.clone(), path), path, key, &[A::KeyCreated])
        .await;
    let path = format!("/v1/keys/{}", id(&made));
    let rotate = (post.clone(), "/v1/keys/{key_id}/rotate");
    walk.step(
        rotate,
        &format!("{path}/rotate"),
        Json::Null,
        &[A::KeyRotated],
    )
    .await;
    let revoke = (delete.clone(), "/v1/keys/{key_id}");
    walk.step(revoke, &path, Json::Null, &[A::KeyRevoked]).await;

    // Other accounts.
    let path = "/v1/users";
    let bea = json!({"email": "bea@example.org"});
    let invite = (post.clone(), path);
    let invited = walk.step(invite, path, bea, &[A::UserInvited]).await;
    token_of(invited["link"]["url"].as_str().unwrap());
    let path = format!("/v1/users/{}", id(&invited["user"]));
    let update = (patch.clone(), "/v1/users/{user_id}");
    for (change, action) in [
        (json!({"role": "admin"}), A::UserChanged),
        (json!({"disabled": true}), A::UserDisabled),
        (json!({"disabled": false}), A::UserEnabled),
    ] {
        walk.step(update.clone(), &path, change, &[action]).await;
    }
    let link = (post.clone(), "/v1/users/{user_id}/link");
    walk.step(link, &format!("{path}/link"), Json::Null, &[A::LinkCreated])
        .await;

    // Plans, and who is on which.
    let put = Method::PUT;
    let team = json!({"title": "Team", "max_active_experiments": 1, "max_seats": 2});
    let save = (put.clone(), "/v1/plans/{name}");
    walk.step(save, "/v1/plans/team", team, &[A::PlanSaved])
        .await;
    let set = (put, "/v1/users/{user_id}/subscription");
    let team = json!({"plan": "team"});
    walk.step(
        set,
        &format!("{path}/subscription"),
        team,
        &[A::SubscriptionSet],
    )
    .await;
    server.engine.note_plan_limits().await.unwrap();
    let near = "SELECT actor_kind FROM activity_log WHERE action = 'plan.limit_near'";
    let near = walk.client.query_one(near, &[]).await.unwrap();
    assert_eq!(near.get::<_, &str>(0), "system");
    walk.actions.insert(A::PlanLimitNear.to_string());
    for (path, action) in [
        ("/v1/onboarding/dismiss", A::OnboardingDismissed),
        ("/v1/onboarding/reopen", A::OnboardingReopened),
    ] {
        let route = (post.clone(), path);
        walk.step(route, path, Json::Null, &[action]).await;
    }

    // Addresses that hear of it.
    for url in ["https://a.example/t0ken", "https://b.example/t0ken"] {
        let (path, create) = ("/v1/webhooks", (post.clone(), "/v1/webhooks"));
        let hook = walk
            .step(create, path, json!({"url": url}), &[A::WebhookCreated])
            .await;
        if url.contains("//b.") {
            // It stays, until it is found to be gone.
            continue;
        }
        let path = format!("{path}/{}", id(&hook));
        let change = (patch.clone(), "/v1/webhooks/{webhook_id}");
        let body = json!({"description": "team", "events": ["experiment.paused"]});
        walk.step(change, &path, body, &[A::WebhookChanged]).await;
        for (pattern, rest, action) in [
            (
                "/v1/webhooks/{webhook_id}/rotate",
                "rotate",
                A::WebhookRotated,
            ),
            ("/v1/webhooks/{webhook_id}/test", "test", A::WebhookTested),
        ] {
            let route = (post.clone(), pattern);
            walk.step(route, &format!("{path}/{rest}"), Json::Null, &[action])
                .await;
        }
        let sent = walk.browser.get(&format!("{path}/deliveries")).await.json();
        let pattern = "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay";
        let again = format!("{path}/deliveries/{}/replay", id(&sent["data"][0]));
        let route = (post.clone(), pattern);
        walk.step(route, &again, Json::Null, &[A::WebhookReplayed])
            .await;
        let gone = (delete.clone(), "/v1/webhooks/{webhook_id}");
        walk.step(gone, &path, Json::Null, &[A::WebhookDeleted])
            .await;
    }

    // A funnel.
    let path = "/v1/funnels";
    let bought = json!({"trigger": {"type": "event", "name": "bought"}});
    let node = "0197f0a0-0000-7000-8000-0000000000a";
    let funnel = json!({
        "name": "Checkout",
        "nodes": [
            {"id": format!("{node}1"), "type": "page", "name": "Shop", "config": {"url": "https://shop.test/"}},
            {"id": format!("{node}2"), "type": "conversion", "name": "Order", "config": bought},
        ],
        "edges": [{"source": format!("{node}1"), "target": format!("{node}2")}],
    });
    let create = (post.clone(), path);
    let funnel = walk.step(create, path, funnel, &[A::FunnelCreated]).await;
    let path = format!("{path}/{}", id(&funnel));
    let change = (patch.clone(), "/v1/funnels/{funnel_id}");
    let body = json!({"description": "From the shop to the order"});
    walk.step(change, &path, body, &[A::FunnelChanged]).await;
    for (pattern, rest, action) in [
        (
            "/v1/funnels/{funnel_id}/duplicate",
            "duplicate",
            A::FunnelCreated,
        ),
        (
            "/v1/funnels/{funnel_id}/activate",
            "activate",
            A::FunnelActivated,
        ),
        ("/v1/funnels/{funnel_id}/pause", "pause", A::FunnelPaused),
        ("/v1/funnels/{funnel_id}/resume", "resume", A::FunnelResumed),
        (
            "/v1/funnels/{funnel_id}/archive",
            "archive",
            A::FunnelArchived,
        ),
    ] {
        let route = (post.clone(), pattern);
        walk.step(route, &format!("{path}/{rest}"), Json::Null, &[action])
            .await;
    }

    // A site.
    let path = "/v1/installations";
    let site = json!({"name": "Site", "domain": "shop.test", "platform": "wordpress"});
    let create = (post.clone(), path);
    let site = walk
        .step(create, path, site, &[A::InstallationCreated])
        .await;
    site["token"]
        .as_str()
        .unwrap()
        .clone_into(&mut page.0.lock());
    let path = format!("/v1/installations/{}", id(&site));
    for (method, pattern, rest, body, action) in [
        (
            &patch,
            "/v1/installations/{installation_id}",
            "",
            json!({"name": "Shop"}),
            A::InstallationChanged,
        ),
        (
            &post,
            "/v1/installations/{installation_id}/verify",
            "/verify",
            Json::Null,
            A::InstallationVerified,
        ),
        (
            &post,
            "/v1/installations/{installation_id}/rotate",
            "/rotate",
            Json::Null,
            A::InstallationRotated,
        ),
        (
            &post,
            "/v1/installations/{installation_id}/signing-secret",
            "/signing-secret",
            Json::Null,
            A::SigningSecretMade,
        ),
    ] {
        let route = (method.clone(), pattern);
        walk.step(route, &format!("{path}{rest}"), body, &[action])
            .await;
    }

    // A form on it, and what becomes of the lead.
    let form = json!({"token": site["token"], "url": "https://shop.test/", "email": "ada@b.test"});
    let from = [("origin", "https://shop.test")];
    let sent = elsewhere.ask_with(post.clone(), "/v1/leads", &form, &from);
    assert_eq!(sent.await.summary(), "202");
    let lead = walk.browser.get("/v1/leads").await.json();
    let lead = format!("/v1/leads/{}", id(&lead["data"][0]));
    let change = (patch.clone(), "/v1/leads/{lead_id}");
    let body = json!({"status": "contacted", "note": "ada called"});
    walk.step(change, &lead, body, &[A::LeadChanged]).await;
    let gone = (delete.clone(), "/v1/leads/{lead_id}");
    walk.step(gone, &lead, Json::Null, &[A::LeadErased]).await;

    // An experiment, edited on the page, too.
    let create = (post.clone(), "/v1/experiments");
    let created = [A::ExperimentCreated];
    let plan = walk
        .step(create, "/v1/experiments", draft(), &created)
        .await;
    let experiment = format!("/v1/experiments/{}", id(&plan));
    let open = (post.clone(), "/v1/installations/{installation_id}/editor");
    let body = json!({"experiment_id": plan["id"], "url": "https://shop.test/"});
    let opened = [A::EditorLinkCreated];
    let link = walk
        .step(open, &format!("{path}/editor"), body, &opened)
        .await;
    edit(&server, &mut walk, link["url"].as_str().unwrap()).await;
    let off = (delete.clone(), "/v1/installations/{installation_id}");
    walk.step(off, &path, Json::Null, &[A::InstallationDisabled])
        .await;
    let change = (patch.clone(), "/v1/experiments/{id}");
    for body in [
        json!({"name": "Colour"}),
        json!({"allocation": {"warm_up": 5}}),
    ] {
        walk.step(change.clone(), &experiment, body, &[A::ExperimentChanged])
            .await;
    }
    let variant = id(&plan["elements"][0]["variants"][1]);
    for (pattern, rest, body, action) in [
        (
            "/v1/experiments/{id}/start",
            "start".to_owned(),
            Json::Null,
            A::ExperimentStarted,
        ),
        (
            "/v1/experiments/{id}/pause",
            "pause".to_owned(),
            Json::Null,
            A::ExperimentPaused,
        ),
        (
            "/v1/experiments/{id}/resume",
            "resume".to_owned(),
            Json::Null,
            A::ExperimentResumed,
        ),
        (
            "/v1/experiments/{id}/variants/{variant_id}/deactivate",
            format!("variants/{variant}/deactivate"),
            Json::Null,
            A::VariantDeactivated,
        ),
        (
            "/v1/experiments/{id}/variants/{variant_id}/activate",
            format!("variants/{variant}/activate"),
            Json::Null,
            A::VariantActivated,
        ),
    ] {
        let route = (post.clone(), pattern);
        walk.step(route, &format!("{experiment}/{rest}"), body, &[action])
            .await;
    }

    // Who was told of the start is gone, which nobody asked for.
    let off = "SELECT detail->>'name', detail->>'reason', actor_kind, request_id FROM activity_log \
        WHERE action = 'webhook.switched_off'";
    samplit_tests::eventually(async || !walk.client.query(off, &[]).await.unwrap().is_empty())
        .await;
    let off = walk.client.query_one(off, &[]).await.unwrap();
    let told = [off.get(0), off.get(1), off.get::<_, &str>(2)];
    assert_eq!(told, ["b.example", "gone", "system"]);
    assert_eq!(off.get::<_, Option<String>>(3), None);
    walk.actions.insert(A::WebhookSwitchedOff.to_string());

    // Visitors, and those who are none.
    for visitor in ["ada", "bob"] {
        let visit = json!({"visitor_id": visitor});
        let assigned = server.engine.clone();
        drop(assigned);
        let assign = format!("{experiment}/assign");
        let assigned = walk.browser.ask(post.clone(), &assign, &visit).await;
        assert_eq!(assigned.summary(), "200");
    }
    let path = "/v1/exclusions";
    let rule = json!({"kind": "ip", "value": "192.0.2.7"});
    let create = (post.clone(), path);
    let rule = walk.step(create, path, rule, &[A::ExclusionCreated]).await;
    let path = format!("/v1/exclusions/{}", id(&rule));
    let change = (patch.clone(), "/v1/exclusions/{exclusion_id}");
    let off = json!({"is_active": false});
    walk.step(change, &path, off, &[A::ExclusionChanged]).await;
    let gone = (delete.clone(), "/v1/exclusions/{exclusion_id}");
    walk.step(gone, &path, Json::Null, &[A::ExclusionDeleted])
        .await;
    let erase = (delete.clone(), "/v1/visitors/{visitor}");
    let twice = [A::VisitorErased, A::VisitorErased];
    walk.step(erase, "/v1/visitors/ada", Json::Null, &twice)
        .await;

    // The trail.
    let redact = (post.clone(), "/v1/experiments/{id}/audit/redactions");
    let body = json!({"sequence_number": 4, "reason": "asked to"});
    let path = format!("{experiment}/audit/redactions");
    walk.step(redact, &path, body, &[A::TrailRedacted]).await;
    let hold = "UPDATE audit_heads SET hold = 'looked odd'";
    walk.client.batch_execute(hold).await.unwrap();
    let go_on = (
        post.clone(),
        "/v1/experiments/{id}/audit/acknowledge-restore",
    );
    let path = format!("{experiment}/audit/acknowledge-restore");
    let body = json!({"reason": "it was fine"});
    walk.step(go_on, &path, body, &[A::RestoreAcknowledged])
        .await;
    for (pattern, rest, body, action) in [
        (
            "/v1/experiments/{id}/complete",
            "complete",
            json!({}),
            A::ExperimentCompleted,
        ),
        (
            "/v1/experiments/{id}/audit/seal",
            "audit/seal",
            json!({"close_window": true}),
            A::TrailSealed,
        ),
        (
            "/v1/experiments/{id}/archive",
            "archive",
            json!({}),
            A::ExperimentArchived,
        ),
    ] {
        let route = (post.clone(), pattern);
        walk.step(route, &format!("{experiment}/{rest}"), body, &[action])
            .await;
    }

    // A shop that nobody can reach any more.
    let shop = "INSERT INTO platform_installations (user_id, platform, domain, installation_token) \
        SELECT id, 'shopify', 's.myshopify.com', 'x' FROM users WHERE email = 'admin@example.org' \
        RETURNING id::text";
    let shop: String = walk.client.query_one(shop, &[]).await.unwrap().get(0);
    let pattern = "/integrations/shopify/{installation_id}/uninstall";
    let path = format!("/integrations/shopify/{shop}/uninstall");
    let route = (post, pattern);
    walk.step(route, &path, Json::Null, &[A::ShopRemoved]).await;

    for (method, pattern) in routes() {
        if [Method::GET, Method::OPTIONS].contains(&method) {
            continue;
        }
        let named = NO_CHANGE.contains(&(method.as_str(), pattern));
        let walked = walk.routes.contains(&(method.to_string(), pattern));
        assert!(named != walked, "{method} {pattern}: is it noted?");
    }
    // Connecting a shop is in the tests of Shopify, what Stripe tells in those of plans.
    let elsewhere = [A::ShopConnected, A::SubscriptionChanged];
    let all = Action::ALL
        .iter()
        .filter(|action| !elsewhere.contains(action));
    let all: BTreeSet<String> = all.map(ToString::to_string).collect();
    assert_eq!(walk.actions, all);
}

/// Adds a variant in the editor and takes it away again, by its token.
async fn edit(server: &Server, walk: &mut Walk<'_>, url: &str) {
    let token = url.split("samplit_edit=").nth(1).unwrap();
    let token = token.split(['&', '#']).next().unwrap();
    let editor = Browser::new(server);
    let token = format!("Bearer edit.{token}");
    let headers = [
        ("authorization", token.as_str()),
        ("origin", "https://shop.test"),
    ];
    let shown = editor
        .ask_with(Method::GET, "/v1/editor", &Json::Null, &headers)
        .await;
    let element = shown.json()["elements"][0]["id"].clone();
    let add = json!({"element": element, "variant": {"name": "new", "content": {}}});
    let path = "/v1/editor/variants";
    let added = editor.ask_with(Method::POST, path, &add, &headers).await;
    assert!(added.status.is_success(), "{}", added.text());
    let variants = added.json()["elements"][0]["variants"].clone();
    let mut variants = variants.as_array().unwrap().iter();
    let variant = variants.find(|variant| variant["name"] == "new").unwrap();
    let path = format!("{path}/{}", variant["id"].as_str().unwrap());
    let removed = editor
        .ask_with(Method::DELETE, &path, &Json::Null, &headers)
        .await;
    assert!(removed.status.is_success(), "{}", removed.text());
    for (answer, method, pattern) in [
        (added, "POST", "/v1/editor/variants"),
        (removed, "DELETE", "/v1/editor/variants/{variant_id}"),
    ] {
        let request = answer.header("x-request-id").to_owned();
        let noted = "SELECT action FROM activity_log WHERE request_id = $1";
        let noted = walk.client.query_one(noted, &[&request]).await.unwrap();
        let action: String = noted.get(0);
        assert_eq!(action, "experiment.changed");
        walk.routes.insert((method.to_owned(), pattern));
    }
}
