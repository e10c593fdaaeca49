//! The dashboard as a browser without scripts sees it: doors, forms, refusals, and what pages forbid.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use http_body_util::Full;
use hyper::{Method, Request};
use samplit_engine::{Principal, Redeem, Role};
use samplit_http::HttpConfig;
use samplit_tests::connect;
use serde_json::json;

use crate::support::{Answer, Server, create_key_as, server};

/// What a browser sends along.
struct Browser<'s> {
    server: &'s Server,
    cookie: String,
    site: &'static str,
}

impl<'s> Browser<'s> {
    fn new(server: &'s Server) -> Self {
        Self {
            server,
            cookie: String::new(),
            site: "same-origin",
        }
    }

    /// Signed in as a new account.
    async fn signed_in(server: &'s Server, email: &str, role: Role) -> Self {
        create_key_as(&server.engine, email, role).await;
        let system = Principal::system();
        let link = server.engine.sign_in_link(&system, email).await.unwrap();
        let path = link.path.unwrap();
        let token = path.trim_start_matches("/join/");
        let signed_in = server.engine.redeem(token, Redeem::default()).await;
        Self {
            cookie: format!("__Host-samplit_session={}", signed_in.unwrap().token),
            ..Self::new(server)
        }
    }

    async fn send(&self, method: Method, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.server.public))
            .header("accept", "text/html,*/*")
            .header("cookie", &self.cookie)
            .header("sec-fetch-site", self.site)
            .header("content-type", "application/x-www-form-urlencoded");
        let request = request.body(Full::from(body)).unwrap();
        self.server.send(request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, form).await
    }
}

/// The status, and where it leads.
fn way(answer: &Answer) -> String {
    let place = answer.headers.get("location");
    let place = place.map_or("", |place| place.to_str().unwrap());
    format!("{} {place}", answer.status.as_u16())
        .trim_end()
        .to_owned()
}

/// A page with everything that pages forbid, and nothing of it in them.
fn assert_page(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "same-origin");
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let html = answer.text();
    for inline in [
        " style=",
        "<style",
        " onclick=",
        "javascript:",
        "http://",
        "https://",
    ] {
        assert!(!html.contains(inline), "{inline}: {html}");
    }
    for script in html.split("<script").skip(1) {
        assert!(
            script.starts_with(" type=\"module\" src=\"/assets/"),
            "{script}"
        );
    }
    assert_eq!(html.matches("<h1").count(), 1, "{html}");
    assert_eq!(html.matches("<main").count(), 1, "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_go_to_the_door_and_come_back() {
    let (server, _database) = server(HttpConfig::default()).await;
    let stranger = Browser::new(&server);
    for (path, door) in [
        ("/", "303 /login"),
        ("/settings", "303 /login?next=%2Fsettings"),
        ("/users?q=a%20b", "303 /login?next=%2Fusers%3Fq%3Da%2520b"),
        ("/keys/new", "303 /login?next=%2Fkeys%2Fnew"),
        ("/activity", "303 /login?next=%2Factivity"),
    ] {
        assert_eq!(way(&stranger.get(path).await), door, "{path}");
    }
    // What was sent is lost, so there is nothing to come back to.
    assert_eq!(way(&stranger.post("/keys/new", &[]).await), "303 /login");
    for path in ["/login", "/forgot"] {
        assert_page(&stranger.get(path).await, 200);
    }
    // The next page is one of ours, or none.
    let page = stranger.get("/login?next=//evil.test/").await;
    assert!(!page.text().contains("evil"), "{}", page.text());
    assert_page(&stranger.get("/join/ln_nobody").await, 410);
    let user = Browser::signed_in(&server, "ana@example.org", Role::Admin).await;
    assert_eq!(way(&user.get("/login?next=/keys").await), "303 /keys");
    assert_eq!(way(&user.get("/login?next=//evil.test/").await), "303 /");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_forbid_what_they_do_not_need() {
    let (server, _database) = server(HttpConfig::default()).await;
    let user = Browser::signed_in(&server, "ana@example.org", Role::Admin).await;
    for path in [
        "/",
        "/settings",
        "/keys",
        "/webhooks",
        "/keys/new",
        "/users",
        "/users/new",
        "/activity",
    ] {
        let page = user.get(path).await;
        assert_page(&page, 200);
        assert_eq!(
            page.text().matches("aria-current=\"").count() % 2,
            0,
            "{path}"
        );
    }
    let page = user.get("/settings?done=account_saved").await;
    assert!(page.text().contains("Your account was changed."));
    let page = user.get("/settings?done=%3Cscript%3E").await;
    assert!(!page.text().contains("class=\"notice\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_a_page_for_people_and_a_problem_for_programs() {
    let (server, _database) = server(HttpConfig::default()).await;
    let user = Browser::signed_in(&server, "ana@example.org", Role::Client).await;
    let nobody = "0197f0a0-0000-7000-8000-000000000001";
    for path in [
        "/nothing".to_owned(),
        "/keys/7".to_owned(),
        format!("/keys/{nobody}"),
    ] {
        let page = user.get(&path).await;
        assert_page(&page, 404);
        // Whoever is signed in keeps the navigation.
        assert!(page.text().contains("ana@example.org"), "{path}");
        assert!(page.text().contains(page.header("x-request-id")), "{path}");
    }
    assert_page(&user.get("/logout").await, 405);
    assert_page(&user.get("/users").await, 403);
    assert_eq!(server.get("/nothing").await.summary(), "404 not_found");
    let answer = user.get("/v1/keys/7").await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_are_taken_from_our_pages_only() {
    let (server, _database) = server(HttpConfig::default()).await;
    let mut user = Browser::signed_in(&server, "ana@example.org", Role::Client).await;
    let form = [("/name", "stolen"), ("/scopes/-", "manage")];
    for site in ["cross-site", "same-site", "none"] {
        user.site = site;
        for path in [
            "/keys/new",
            "/logout",
            "/settings/account",
            "/settings/password",
        ] {
            assert_page(&user.post(path, &form).await, 403);
        }
        let login = [("/email", "ana@example.org"), ("/password", "x")];
        assert_page(&user.post("/login", &login).await, 403);
    }
    user.site = "same-origin";
    assert!(!user.get("/keys").await.text().contains("stolen"));
    assert_eq!(way(&user.get("/settings").await), "200");
    let json = user.server.request(Method::POST, "/keys/new");
    let json = json
        .header("cookie", &user.cookie)
        .header("sec-fetch-site", "same-origin");
    let answer = server.send(json.body(Full::from("{}")).unwrap()).await;
    assert_page(&answer, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_comes_back_with_what_was_typed() {
    let (server, _database) = server(HttpConfig::default()).await;
    let user = Browser::signed_in(&server, "ana@example.org", Role::Admin).await;
    let form = [
        ("/email", "no \"mail\""),
        ("/name", "<b>"),
        ("/role", "king"),
    ];
    let page = user.post("/users/new", &form).await;
    assert_page(&page, 422);
    let html = page.text();
    for part in [
        "value=\"no &#34;mail&#34;\"",
        "value=\"&#60;b&#62;\"",
        "id=\"f-role-error\">\u{201c}king\u{201d} is not one of",
        "href=\"#f-role\"",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let form = [("/email", "no mail"), ("/role", "admin")];
    let page = user.post("/users/new", &form).await;
    assert_page(&page, 422);
    let html = page.text();
    for part in [
        "aria-describedby=\"f-email-error\" aria-invalid=\"true\"",
        "id=\"f-email-error\">This must be an email",
        "value=\"admin\" checked",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let twice = [("/email", "ana@example.org"), ("/role", "client")];
    assert_page(&user.post("/users/new", &twice).await, 409);
    assert_page(
        &user.post("/users/new", &[("/a", "1"), ("/a/b", "2")]).await,
        400,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_others_are_not_there() {
    let (server, _database) = server(HttpConfig::default()).await;
    let ana = Browser::signed_in(&server, "ana@example.org", Role::Client).await;
    let ben = Browser::signed_in(&server, "ben@example.org", Role::Client).await;
    let page = ana.get("/keys").await;
    let at = page.text().find("/keys/0").unwrap();
    let path = page.text()[at..at + "/keys/".len() + 36].to_owned();
    assert_page(&ana.get(&path).await, 200);
    assert_page(&ben.get(&path).await, 404);
    let confirm = [("confirm", "test")];
    assert_page(&ben.post(&format!("{path}/revoke"), &confirm).await, 404);
    assert_page(&ben.post(&format!("{path}/rotate"), &[]).await, 404);
    assert_page(
        &ana.post(&format!("{path}/revoke"), &[("confirm", "Test")])
            .await,
        422,
    );
    let answer = ana.post(&format!("{path}/revoke"), &confirm).await;
    assert_eq!(way(&answer), "303 /keys?done=key_revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_says_what_runs_and_what_needs_somebody() {
    let (server, database) = server(HttpConfig::default()).await;
    let owner = Browser::signed_in(&server, "owner@example.org", Role::Client).await;
    let other = Browser::signed_in(&server, "other@example.org", Role::Client).await;
    let first = "Your first steps";
    assert!(owner.get("/").await.text().contains(first));

    let experiment = server.started().await;
    let site = json!({"name": "Shop", "domain": "shop.example.org"});
    assert_eq!(
        server.post("/v1/installations", &site).await.summary(),
        "201"
    );
    let page = owner.get("/").await;
    assert_page(&page, 200);
    for part in [
        "One experiment is running. One thing needs you.",
        "“Shop” was never seen",
        "Waiting for the first visitor.",
        "Share of new visitors: grey 50\u{202f}%, green 50\u{202f}%",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }

    for visitor in 0..20 {
        let visitor = json!({"visitor_id": visitor.to_string()});
        let assigned = server.post(&format!("{experiment}/assign"), &visitor).await;
        assert_eq!(assigned.summary(), "200");
    }
    let hold = "UPDATE audit_heads SET hold = 'it is behind what was signed'";
    connect(database.url())
        .await
        .execute(hold, &[])
        .await
        .unwrap();
    let page = owner.get("/").await;
    for part in [
        "2 things need you.",
        "The trail of “Button colour” is on hold",
        "it is behind what was signed",
        "Too early to tell who leads",
        "20 visitors",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(other.get("/").await.text().contains(first));
}
