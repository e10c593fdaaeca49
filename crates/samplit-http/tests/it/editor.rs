//! Links that show chosen variants, and links that open the editor of a draft.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::sync::Arc;

use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use samplit_domain::{ManualClock, from_micros};
use samplit_engine::{EngineConfig, Scope, Secret};
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::support::{Answer, Server, create_key, draft, server};

const SITE: &str = "https://shop.test";
const PAGE: &str = "https://shop.test/pricing";

struct Shop {
    server: Server,
    database: samplit_devpg::TestDatabase,
    clock: Arc<ManualClock>,
    installation: String,
    token: String,
}

async fn shop() -> Shop {
    let database = samplit_tests::database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_767_323_045_000_000)));
    let config = EngineConfig {
        secret: Some(Secret::new(&[[9; 32]]).unwrap()),
        clock: Arc::clone(&clock) as _,
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let server = Server::start(engine, HttpConfig::default()).await;
    let body = json!({"name": "Shop", "domain": "shop.test"});
    let made = server.post("/v1/installations", &body).await.json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Shop {
        installation: text("id"),
        token: text("token"),
        server,
        database,
        clock,
    }
}

impl Shop {
    async fn preview(&self, token: &str) -> Answer {
        let body = json!({"token": self.token, "url": PAGE, "visitor_id": "v", "preview": token});
        let request = Request::post(format!("http://{}/v1/page", self.server.public))
            .header("origin", SITE)
            .header("content-type", "text/plain");
        let request = request.body(Full::from(body.to_string()));
        self.server.send(request.unwrap()).await
    }

    async fn preview_of(&self, id: &str, variants: Json) -> String {
        let path = format!("/v1/experiments/{id}/preview");
        let body = json!({"variants": variants});
        let answer = self.server.post(&path, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    async fn edit_link(&self, experiment: &str, url: &str) -> Answer {
        let path = format!("/v1/installations/{}/editor", self.installation);
        let body = json!({"experiment_id": experiment, "url": url});
        self.server.post(&path, &body).await
    }

    /// The token of a link that edits `experiment`.
    async fn edit_token(&self, experiment: &str) -> String {
        let answer = self.edit_link(experiment, PAGE).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// What the picker sends from a page of `origin`.
    async fn edit(
        &self,
        method: Method,
        path: &str,
        token: &str,
        origin: &str,
        body: &Json,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}/v1/editor{path}", self.server.public))
            .header("origin", origin)
            .header("authorization", format!("Bearer edit.{token}"))
            .header("content-type", "application/json");
        let request = request.body(Full::from(body.to_string()));
        self.server.send(request.unwrap()).await
    }

    /// How many rows each table has.
    async fn rows(&self) -> String {
        let client = samplit_tests::connect(self.database.url()).await;
        let count =
            "SELECT string_agg(table_name || ' ' || (xpath('/row/count/text()', query_to_xml(
                format('SELECT count(*) FROM %I', table_name), false, true, '')))[1]::text, ', '
                ORDER BY table_name)
            FROM information_schema.tables WHERE table_schema = 'public'";
        client.query_one(count, &[]).await.unwrap().get(0)
    }
}

fn addition() -> Json {
    json!({
        "element": null, "name": "Headline", "selector": {"type": "css", "value": "h1"},
        "fallback_selectors": [{"type": "id", "value": "top"}], "element_type": "headline",
        "original_content": {"text": "Hello"},
        "variant": {"name": "Friendly", "content": {"text": "Hi there"}},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_what_the_link_says_in_any_status_and_records_nothing() {
    let shop = shop().await;
    let mut body = draft();
    body["target_url"] = PAGE.into();
    let id = shop.server.create(&body).await;
    let path = format!("/v1/experiments/{id}");
    let element = shop.server.get(&path).await.json()["elements"][0].clone();
    let (element_id, second) = (&element["id"], &element["variants"][1]["id"]);
    let chosen = json!({element_id.as_str().unwrap(): second});
    let link = shop
        .server
        .post(&format!("{path}/preview"), &json!({"variants": chosen}))
        .await
        .json();
    let token = link["token"].as_str().unwrap();
    assert_eq!(link["url"], format!("{PAGE}?samplit_preview={token}"));
    let control = shop.preview_of(&id, json!({})).await;

    for step in ["", "start", "pause", "complete"] {
        if !step.is_empty() {
            let answer = shop
                .server
                .post(&format!("{path}/{step}"), &json!({}))
                .await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        }
        let before = shop.rows().await;
        assert!(before.contains("assignments 0"), "{before}");
        let page = shop.preview(token).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        assert!(page.headers.get("set-cookie").is_none());
        let page = page.json();
        assert_eq!(page["visitor_id"], Json::Null);
        assert_eq!(page["experiments"].as_array().unwrap().len(), 1, "{step}");
        let shown = &page["experiments"][0];
        assert_eq!(shown["reason"], "preview");
        assert_eq!(shown["in_experiment"], false);
        assert_eq!(shown["assignment_id"], Json::Null);
        assert_eq!(shown["elements"][0]["variant"]["id"], *second);
        let page = shop.preview(&control).await.json();
        let variant = &page["experiments"][0]["elements"][0]["variant"];
        assert_eq!(variant["is_control"], true);
        assert_eq!(shop.rows().await, before, "{step}");
        let results = shop.server.get(&path).await.json();
        let allocations = &results["elements"][0]["variants"][1]["total_allocations"];
        assert_eq!(*allocations, 0);
    }
    shop.server
        .post(&format!("{path}/archive"), &json!({}))
        .await;
    assert_eq!(shop.preview(token).await.json()["experiments"], json!([]));
    let late = shop
        .server
        .post(&format!("{path}/preview"), &json!({}))
        .await;
    assert_eq!(late.summary(), "409 experiment_not_running");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_good_links_of_the_account_preview() {
    let shop = shop().await;
    let id = shop.server.create(&draft()).await;
    let token = shop.preview_of(&id, json!({})).await;
    let path = format!("/v1/experiments/{id}/preview");
    let unknown = json!({"variants": {"0197f0a0-0000-7000-8000-000000000001": "x", "y": id}});
    let answer = shop.server.post(&path, &unknown).await;
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 2);
    let foreign = json!({"variants": {id.as_str(): id}});
    assert_eq!(
        shop.server.post(&path, &foreign).await.json()["errors"][0]["code"],
        "conflict"
    );

    let edit = shop.edit_token(&id).await;
    let forged = format!("{}x", &token[..token.len() - 1]);
    for bad in ["", "x.y", &forged, &edit] {
        assert_eq!(
            shop.preview(bad).await.summary(),
            "401 unknown_token",
            "{bad}"
        );
    }
    // Of another account.
    let other = create_key(
        &shop.server.engine,
        "other@example.org",
        Scope::ALL.to_vec(),
    )
    .await;
    let request = Request::post(format!("http://{}/v1/installations", shop.server.public))
        .header("authorization", format!("Bearer {other}"))
        .header("content-type", "application/json");
    let body = json!({"name": "Other", "domain": "shop.test"}).to_string();
    let made = shop
        .server
        .send(request.body(Full::from(body)).unwrap())
        .await;
    let theirs = Shop {
        token: made.json()["token"].as_str().unwrap().to_owned(),
        ..shop
    };
    assert_eq!(theirs.preview(&token).await.summary(), "401 unknown_token");
    theirs.clock.advance(time::Duration::days(8));
    assert_eq!(theirs.preview(&token).await.summary(), "401 token_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_editor_adds_and_takes_out_variants_of_its_draft() {
    let shop = shop().await;
    let empty = json!({"name": "Headline", "elements": [
        {"name": "placeholder", "variants": [{"name": "A", "is_control": true}, {"name": "B"}]},
    ]});
    let id = shop.server.create(&empty).await;
    let token = shop.edit_token(&id).await;
    let get = async || {
        let answer = shop.edit(Method::GET, "", &token, SITE, &Json::Null).await;
        assert_eq!(answer.header("access-control-allow-origin"), SITE);
        assert_eq!(answer.header("vary"), "Origin");
        answer.json()
    };
    let post = async |body: &Json| {
        shop.edit(Method::POST, "/variants", &token, SITE, body)
            .await
    };
    assert_eq!(get().await["elements"], json!([]));

    let added = post(&addition()).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
    let elements = added.json()["elements"].clone();
    assert_eq!(
        elements.as_array().unwrap().len(),
        1,
        "the placeholder made way"
    );
    assert_eq!(
        elements[0]["selector"],
        json!({"type": "css", "value": "h1"})
    );
    let names = |elements: &Json| {
        let variants = elements[0]["variants"].as_array().unwrap().iter();
        variants
            .map(|v| v["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&elements), ["Original", "Friendly"]);

    let element = &elements[0]["id"];
    let more = json!({"element": element, "variant": {"name": "Short", "content": {"text": "Hi"}}});
    let added = post(&more).await.json();
    assert_eq!(names(&added["elements"]), ["Original", "Friendly", "Short"]);
    // By the API it is the same.
    let through_api = shop
        .server
        .get(&format!("/v1/experiments/{id}"))
        .await
        .json();
    assert_eq!(names(&through_api["elements"]), names(&added["elements"]));
    assert_eq!(through_api["elements"][0]["id"], *element);

    assert_eq!(
        post(&more).await.summary(),
        "422 invalid /variant/name:duplicate"
    );
    assert_eq!(
        post(&addition()).await.summary(),
        "422 invalid /name:duplicate"
    );
    let without_selector = json!({"name": "x", "variant": {"name": "y", "content": {}}});
    assert_eq!(
        post(&without_selector).await.summary(),
        "422 invalid /selector:required"
    );

    let variant = |index: usize| {
        added["elements"][0]["variants"][index]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let delete = async |id: &str| {
        let path = format!("/variants/{id}");
        shop.edit(Method::DELETE, &path, &token, SITE, &Json::Null)
            .await
    };
    assert_eq!(delete(&variant(0)).await.summary(), "409 control");
    let left = delete(&variant(1)).await.json();
    assert_eq!(names(&left["elements"]), ["Original", "Short"]);
    assert_eq!(delete(&variant(1)).await.summary(), "404 not_found");
    assert_eq!(delete(&variant(2)).await.summary(), "409 last_variant");
    let mut second = addition();
    second["name"] = "Button".into();
    assert_eq!(post(&second).await.status, StatusCode::CREATED);
    let left = delete(&variant(2)).await.json();
    assert_eq!(
        left["elements"].as_array().unwrap().len(),
        1,
        "the element went, too"
    );

    let started = shop
        .server
        .post(&format!("/v1/experiments/{id}/start"), &json!({}))
        .await;
    assert_eq!(started.status, StatusCode::OK);
    assert_eq!(get().await["status"], "active");
    assert_eq!(post(&addition()).await.summary(), "409 not_a_draft");
    assert_eq!(shop.edit_link(&id, PAGE).await.summary(), "409 not_a_draft");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_editor_opens_to_its_link_on_its_site_only() {
    let shop = shop().await;
    let id = shop.server.create(&draft()).await;
    let elsewhere = shop.edit_link(&id, "https://evil.test/").await;
    assert_eq!(elsewhere.json()["errors"][0]["pointer"], "/url");
    let link = shop
        .edit_link(&id, "https://www.shop.test/a?b=c#d")
        .await
        .json();
    let token = link["token"].as_str().unwrap().to_owned();
    let url = format!("https://www.shop.test/a?b=c&samplit_edit={token}#d");
    assert_eq!(link["url"], url);

    let show = async |token: &str, origin: &str| {
        shop.edit(Method::GET, "", token, origin, &Json::Null).await
    };
    assert_eq!(
        show(&token, "https://www.shop.test").await.status,
        StatusCode::OK
    );
    let foreign = show(&token, "https://evil.test").await;
    assert_eq!(foreign.summary(), "403 origin_not_allowed");
    assert!(foreign.headers.get("access-control-allow-origin").is_none());
    let preview = shop.preview_of(&id, json!({})).await;
    let forged = format!("{}x", &token[..token.len() - 1]);
    for bad in ["", &forged, &preview] {
        assert_eq!(show(bad, SITE).await.summary(), "401 unknown_token");
    }
    // The token is no key of the API, nor a key one of the editor.
    let request = Request::get(format!("http://{}/v1/experiments/{id}", shop.server.public))
        .header("authorization", format!("Bearer edit.{token}"));
    let answer = shop
        .server
        .send(request.body(Full::default()).unwrap())
        .await;
    assert_eq!(answer.summary(), "401 unauthenticated");
    assert_eq!(
        shop.server.get("/v1/editor").await.summary(),
        "401 unknown_token"
    );

    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri(format!("http://{}/v1/editor/variants", shop.server.public))
        .header("origin", SITE);
    let preflight = shop
        .server
        .send(request.body(Full::default()).unwrap())
        .await;
    assert_eq!(preflight.status, StatusCode::NO_CONTENT);
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        "Authorization, Content-Type"
    );

    shop.server
        .delete(&format!("/v1/installations/{}", shop.installation))
        .await;
    assert_eq!(
        show(&token, SITE).await.summary(),
        "401 unknown_installation"
    );
    shop.clock.advance(time::Duration::hours(2));
    assert_eq!(show(&token, SITE).await.summary(), "401 token_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_there_are_no_links() {
    let (server, _database) = server(HttpConfig::default()).await;
    let id = server.create(&draft()).await;
    let answer = server
        .post(&format!("/v1/experiments/{id}/preview"), &json!({}))
        .await;
    assert_eq!(answer.summary(), "409 no_secret");
    let script = server.get("/assets/picker.js").await;
    assert_eq!(
        script.header("cross-origin-resource-policy"),
        "cross-origin"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_editor_of_a_disabled_account_is_closed() {
    let shop = shop().await;
    let id = shop.server.create(&draft()).await;
    let token = shop.edit_token(&id).await;
    let open = async || {
        let answer = shop.edit(Method::GET, "", &token, SITE, &Json::Null).await;
        answer.summary()
    };
    assert_eq!(open().await, "200");
    let client = samplit_tests::connect(shop.database.url()).await;
    let off = "UPDATE users SET disabled_at = now() WHERE email = 'owner@example.org'";
    client.batch_execute(off).await.unwrap();
    assert_eq!(open().await, "401 unknown_installation");
}
