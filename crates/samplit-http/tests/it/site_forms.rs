//! The pages of installations, visitors, exclusions, forecast and back-test, without scripts.

use hyper::Method;
use samplit_engine::{Assign, Principal};
use serde_json::{Value as Json, json};

use crate::desk::Desk;
use crate::support::draft;

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_added_changed_rotated_and_ended() {
    let mut desk = Desk::open().await;
    desk.get("/installations").await.has(&["No site yet"]);
    let wrong = [
        ("/name", "Shop"),
        ("/domain", "https://shop.test/"),
        ("do", "add"),
    ];
    let refused = desk.send("/installations", &wrong).await;
    refused
        .refuses(&[("f-domain", "This must be the host of a site")])
        .has(&["value=\"Shop\""]);
    let added = [
        ("/name", "Shop"),
        ("/domain", "shop.test"),
        ("/platform", "wordpress"),
        ("do", "add"),
    ];
    let made = desk.send("/installations", &added).await;
    let path = made.goes().split('?').next().unwrap().to_owned();
    desk.get("/installations")
        .await
        .has(&["shop.test", "snippet not seen"]);
    let page = desk.get(&path).await;
    page.has(&["id=\"snippet\"", "&#60;script", "Not seen"]);
    let token = |page: &str| page.split("pk_").nth(1).unwrap()[..43].to_owned();
    let before = token(page.text());

    assert!(
        desk.send(&path, &[("do", "rotate")])
            .await
            .goes()
            .ends_with("installation_rotated")
    );
    let rotated = desk.get(&path).await;
    assert_ne!(token(rotated.text()), before);
    rotated.has(&["is good until"]);

    let settings = [
        ("/name", "Shop"),
        ("/domain", "shop.test"),
        ("/origins:lines", "https://pay.test\nnonsense"),
        ("/hide_timeout_ms:number", "5000"),
        ("version", "2"),
        ("do", "save"),
    ];
    let refused = desk.send(&path, &settings).await;
    refused.refuses(&[
        ("f-origins", "Line 2"),
        ("f-hide-timeout-ms", "This must be between"),
    ]);
    let secret = desk.send(&path, &[("do", "secret")]).await;
    secret.has(&["shown this once", "value=\"Shop\""]);

    // This server fetches no pages, and the picker wants a draft.
    let verify = desk
        .send(
            &path,
            &[("/verify/url", "https://other.test/"), ("do", "verify")],
        )
        .await;
    verify.refuses(&[("f-verify-url", "This is no page of the installation")]);
    let picker = desk
        .send(
            &path,
            &[("/picker/url", "https://shop.test/"), ("do", "picker")],
        )
        .await;
    assert_eq!(picker.status, 422);

    let typo = [("confirm", "Sho"), ("do", "disable")];
    let refused = desk.send(&path, &typo).await;
    refused.refuses(&[("f-confirm", "This must be exactly \u{201c}Shop\u{201d}.")]);
    let sure = [("confirm", "Shop"), ("do", "disable")];
    assert!(
        desk.send(&path, &sure)
            .await
            .goes()
            .ends_with("installation_disabled")
    );
    desk.get(&path)
        .await
        .has(&["opens nothing", "Enable it again"]);
    assert!(
        desk.send(&path, &[("do", "enable")])
            .await
            .goes()
            .ends_with("installation_enabled")
    );

    desk.enter_as("other@example.org").await;
    assert_eq!(desk.get(&path).await.status, 404);
    for wish in [
        "save",
        "rotate",
        "secret",
        "disable",
        "enable",
        "verify",
        "picker",
        "disconnect",
    ] {
        let refused = desk.send(&path, &[("do", wish), ("confirm", "Shop")]).await;
        assert_eq!(refused.status, 404, "{wish}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_is_erased_after_it_was_told_what_that_means() {
    let desk = Desk::open().await;
    let path = desk.server.started().await;
    let id = path.rsplit('/').next().unwrap().parse().unwrap();
    let request = Assign {
        visitor: "v <1>".to_owned(),
        ..Assign::default()
    };
    let (engine, system) = (&desk.server.engine, Principal::system());
    engine.assign(&system, id, request).await.unwrap();

    desk.get("/visitors")
        .await
        .has(&["Which visitor?", "cannot be undone"]);
    let refused = desk
        .send("/visitors", &[("/visitor_id", ""), ("do", "find")])
        .await;
    assert_eq!(refused.status, 422);
    let found = desk
        .send("/visitors", &[("/visitor_id", "v <1>"), ("do", "find")])
        .await;
    found.has(&[
        "an assignment in 1 experiment",
        "Button colour",
        "v &#60;1&#62;",
    ]);
    let unsure = [("/visitor_id", "v <1>"), ("confirm", "v"), ("do", "erase")];
    let refused = desk.send("/visitors", &unsure).await;
    refused.refuses(&[("f-confirm", "This must be exactly")]);
    let sure = [
        ("/visitor_id", "v <1>"),
        ("confirm", "v <1>"),
        ("do", "erase"),
    ];
    let erased = desk.send("/visitors", &sure).await;
    erased.has(&["The visitor is erased", "1 row of 1 experiment"]);
    desk.send("/visitors", &sure)
        .await
        .has(&["nothing to erase"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_added_switched_and_deleted() {
    let desk = Desk::open().await;
    let id = desk.server.create(&draft()).await;
    desk.get("/exclusions")
        .await
        .has(&["No rule yet", "Button colour"]);
    let wrong = [("/kind", "cidr"), ("/value", "192.0.2.0/99"), ("do", "add")];
    let refused = desk.send("/exclusions", &wrong).await;
    assert_eq!(refused.status, 422);
    refused.has(&["id=\"f-value-error\"", "value=\"192.0.2.0/99\""]);
    let office = [
        ("/kind", "cidr"),
        ("/value", "192.0.2.0/24"),
        ("/experiment_id", id.as_str()),
        ("do", "add"),
    ];
    assert!(
        desk.send("/exclusions", &office)
            .await
            .goes()
            .ends_with("exclusion_added")
    );
    desk.get("/exclusions")
        .await
        .has(&["192.0.2.0/24", "in force", "Button colour</a>"]);
    let rules = desk.server.get("/v1/exclusions").await.json();
    let rule = rules["data"][0]["id"].as_str().unwrap();
    for (wish, code) in [
        ("off", "exclusion_off"),
        ("on", "exclusion_on"),
        ("off", "exclusion_off"),
        ("delete", "exclusion_deleted"),
    ] {
        let pressed = format!("{wish} {rule}");
        let done = desk.send("/exclusions", &[("do", pressed.as_str())]).await;
        assert!(done.goes().ends_with(code), "{wish}");
    }
    let gone = format!("delete {rule}");
    assert_eq!(
        desk.send("/exclusions", &[("do", gone.as_str())])
            .await
            .status,
        404
    );
    desk.get(&format!("/exclusions?experiment={id}"))
        .await
        .has(&["Nobody so far"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_stands_in_its_address() {
    let desk = Desk::open().await;
    desk.get("/forecast")
        .await
        .has(&["outlook-days", "Finds the best"]);
    let plan = "%2Fstopping%2Fplanned_rate%3Apercent=20&%2Fhypothesis%2Fminimum_effect%3Apercent=50\
        &%2Fforecast%2Fvisitors_per_day%3Anumber=5000&%2Fforecast%2Fvariants%3Anumber=3\
        &%2Fstopping%2Fmin_days%3Anumber=3&%2Fstopping%2Fmin_visitors_per_arm%3Anumber=100";
    let told = desk.get(&format!("/forecast?{plan}")).await;
    told.has(&["value=\"20\"", "3 days", "&#38;%2Fforecast%2Fvariants"]);
    let missing = plan.replace("=5000", "=none");
    let asked = desk.get(&format!("/forecast?{missing}")).await;
    assert_eq!(asked.status, 200);
    asked.has(&["Fill in the visitors a day", "value=\"none\""]);
    // The plan goes on into the form of an experiment.
    let form = desk.get(&format!("/experiments/new?{plan}")).await;
    form.has(&[
        "name=\"/stopping/planned_rate:percent\" value=\"20\"",
        "value=\"5000\"",
    ]);
}

/// A form with a file.
fn upload(file: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = String::new();
    for (name, text) in fields {
        body.push_str(&format!(
            "--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n"
        ));
    }
    body.push_str(&format!(
        "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"old.csv\"\r\n\
         Content-Type: text/csv\r\n\r\n{file}\r\n--cut--\r\n"
    ));
    body.into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_tests_are_run_again_in_a_page_that_grows() {
    let desk = Desk::open().await;
    let send = async |body: Vec<u8>| {
        let kind = "multipart/form-data; boundary=cut";
        desk.send_body("/backtest", kind, body.into()).await
    };
    desk.get("/backtest")
        .await
        .has(&["multipart/form-data", "test_id,headline"]);
    let file = "test_id,headline,impressions,clicks\n<a>,One,4000,40\n<a>,Two,4000,400\n";
    let told = send(upload(file, &[("/value:number", "2.5")])).await;
    assert_eq!(told.status, 200);
    told.has(&[
        "class=\"at\"",
        "class=\"worked",
        "&#60;a&#62;",
        "conversions more",
        "at 2.5 each",
        "</html>",
    ]);
    assert!(
        told.header("content-security-policy")
            .contains("form-action 'self'")
    );

    let refused = send(upload("", &[])).await;
    refused.refuses(&[("f-file", "This is missing; choose a CSV file.")]);
    let refused = send(upload("a,b\n1,2\n", &[("/allocation/floor:percent", "70")])).await;
    refused
        .refuses(&[("f-file", "This cannot be used: line 1: there is no column")])
        .has(&["value=\"70\""]);
    let much = "x".repeat(10 * 1024 * 1024);
    let refused = send(upload(&much, &[])).await;
    assert_eq!(refused.status, 413);
    refused.has(&["The body may have at most 10485760 bytes", "id=\"f-file\""]);
    let text = desk.send_body("/backtest", "text/csv", file.into()).await;
    assert_eq!(text.status, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_other_sites_and_of_nobody_change_nothing() {
    let desk = Desk::open().await;
    let before: Json = desk.server.get("/v1/installations").await.json();
    for path in [
        "/installations",
        "/experiments/new",
        "/exclusions",
        "/visitors",
        "/backtest",
    ] {
        let fields = "%2Fname=x&%2Fdomain=shop.test";
        for (header, value) in [
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.test"),
        ] {
            let request = desk.bare(Method::POST, path).header(header, value);
            let answer = desk.server.send(request.body(fields.into()).unwrap()).await;
            assert_eq!(answer.status, 403, "{path} {header}");
        }
        let request = hyper::Request::post(format!("http://{}{path}", desk.server.public));
        let request = request.header("sec-fetch-site", "same-origin");
        let answer = desk.server.send(request.body(fields.into()).unwrap()).await;
        assert_eq!(answer.goes(), "/login", "{path}");
    }
    let after = desk.server.get("/v1/installations").await.json();
    assert_eq!(
        (before["data"].clone(), after["data"].clone()),
        (json!([]), json!([]))
    );
}
