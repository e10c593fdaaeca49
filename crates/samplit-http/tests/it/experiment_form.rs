//! The list of experiments and their form, sent as a browser without scripts sends it.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use samplit_engine::{Assign, Principal};
use serde_json::{Value as Json, json};

use crate::desk::Desk;
use crate::support::draft;

const NEW: &str = "/experiments/new";

/// What the form sends of an element with two variants, of which the second has a text.
const FILLED: &[(&str, &str)] = &[
    ("/name", "Headline"),
    ("/target_url:clears", "https://shop.test/*"),
    ("/traffic_allocation:percent", "50"),
    ("/elements/0/name", "h1"),
    ("/elements/0/selector/type", "css"),
    ("/elements/0/selector/value", "h1"),
    ("/elements/0/fallback_selectors:lines", "xpath: //h1"),
    ("/elements/0/variants/0/name", "Original"),
    ("/elements/0/variants/0/is_control:boolean", "true"),
    ("/elements/0/variants/1/name", "Bold"),
    ("/elements/0/variants/1/is_control:boolean", "false"),
    ("/elements/0/variants/1/content/text", "Buy <now>"),
    (
        "/elements/0/variants/1/content/style:lines",
        "color: red\r\nmargin:",
    ),
    ("/elements/0/variants/1/more:json", "{\"own\": 1}"),
    ("/allocation_strategy", "adaptive"),
    ("/goals/0/name", "signup"),
    ("/goals/0/trigger/type", "click"),
    ("/goals/0/trigger/selector/type", "id"),
    ("/goals/0/trigger/selector/value", "go"),
    ("/goals/0/trigger/url", "left over"),
    ("/stopping/rule", "p_best"),
    ("/stopping/threshold:number:clears", "0.9"),
    ("/stopping/planned_rate:percent", "3"),
    ("/hypothesis/minimum_effect:percent", "20"),
    ("/forecast/visitors_per_day:number", "2 000"),
];

/// The same with other fields in place of some.
fn with<'f>(changes: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    let kept = FILLED
        .iter()
        .filter(|(name, _)| changes.iter().all(|(other, _)| other != name));
    kept.chain(changes).copied().collect()
}

/// The id of the experiment that a browser is sent to.
fn id(place: &str) -> String {
    let rest = place.strip_prefix("/experiments/").unwrap();
    rest.split('?').next().unwrap().to_owned()
}

async fn shown(desk: &Desk, id: &str) -> Json {
    desk.server
        .get(&format!("/v1/experiments/{id}"))
        .await
        .json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_becomes_a_draft_as_the_api_would_make_it() {
    let desk = Desk::open().await;
    let blank = desk.get(NEW).await;
    blank.has(&[
        "New experiment",
        "data-step=\"1\"",
        "Variant B",
        "outlook-days",
    ]);

    let made = desk.send(NEW, FILLED).await;
    let place = made.goes();
    assert!(place.ends_with("?done=experiment_created"), "{place}");
    let experiment = shown(&desk, &id(place)).await;
    assert_eq!(experiment["status"], "draft");
    assert_eq!(experiment["traffic_allocation"], 0.5);
    let variant = &experiment["elements"][0]["variants"][1];
    let content =
        json!({ "text": "Buy <now>", "style": { "color": "red", "margin": null }, "own": 1 });
    assert_eq!(variant["content"], content);
    assert_eq!(
        experiment["elements"][0]["fallback_selectors"],
        json!([{ "type": "xpath", "value": "//h1" }])
    );
    let trigger = json!({ "type": "click", "selector": { "type": "id", "value": "go" } });
    assert_eq!(experiment["goals"][0]["trigger"], trigger);
    assert_eq!(experiment["stopping"]["threshold"], 0.9);
    // Nothing was announced, so nothing is registered.
    assert_eq!(experiment["hypothesis"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_stand_beside_their_fields_and_what_was_typed_stays() {
    let desk = Desk::open().await;
    let wrong = [
        ("/name", ""),
        ("/elements/0/variants/1/content/style:lines", "red"),
        ("/goals/0/trigger/selector/value", ""),
        ("/traffic_allocation:percent", "150"),
    ];
    let refused = desk.send(NEW, &with(&wrong)).await;
    refused
        .refuses(&[("f-elements-0-variants-1-content-style", "Line 1 must be")])
        .has(&["value=\"Bold\"", "Buy &#60;now&#62;", "data-step=\"2\""]);
    let refused = desk.send(NEW, &with(&[wrong[0], wrong[2], wrong[3]])).await;
    refused
        .refuses(&[
            ("f-name", "This is missing."),
            ("f-traffic-allocation", "This must be between 0 and 1."),
            ("f-goals-0-trigger-selector-value", "This is missing."),
        ])
        .has(&["value=\"150\"", "data-step=\"1\"", "href=\"#f-name\""]);
    let refused = desk
        .send(NEW, &with(&[("/elements/0/variants/1/more:json", "{")]))
        .await;
    refused.refuses(&[("f-elements-0-variants-1-more", "This is not valid JSON")]);
    let list = desk.server.get("/v1/experiments").await.json();
    assert_eq!(list["data"], json!([]), "nothing was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_checked_one_by_one_and_the_form_changes_shape() {
    let desk = Desk::open().await;
    let press = async |wish: &'static str, changes: &[(&'static str, &'static str)]| {
        let mut fields = with(changes);
        fields.push(("do", wish));
        desk.send(NEW, &fields).await
    };
    let late = ("/goals/0/name", "");
    press("check 1", &[late]).await.has(&["data-step=\"2\""]);
    press("check 2", &[late]).await.has(&["data-step=\"3\""]);
    let refused = press("check 1", &[("/name", ""), late]).await;
    refused.refuses(&[("f-name", "This is missing.")]);
    assert!(!refused.text().contains("f-goals-0-name-error"));

    let grown = press("add_variant 0", &[("/name", "")]).await;
    assert_eq!(grown.status, 200);
    grown.has(&[
        "name=\"/elements/0/variants/2/name\"",
        "value=\"Variant C\"",
        "Buy &#60;now&#62;",
    ]);
    assert!(
        !grown.text().contains("class=\"error\""),
        "nobody wants to keep it yet"
    );
    let grown = press("add_element", &[]).await;
    grown.has(&[
        "name=\"/elements/1/variants/1/name\"",
        "value=\"Element 2\"",
    ]);
    let shrunk = press("remove_variant 0 1", &[]).await;
    assert!(!shrunk.text().contains("value=\"Bold\""));
    press("forecast", &[])
        .await
        .has(&["outlook-days", "data-step=\"3\""]);
    let unknown = press("forecast", &[("/forecast/visitors_per_day:number", "")]).await;
    unknown.has(&["Fill in the visitors a day"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_edited_as_a_whole_and_not_over_a_newer_one() {
    let desk = Desk::open().await;
    let id = desk.server.create(&draft()).await;
    let path = format!("/experiments/{id}/edit");
    let form = desk.get(&path).await;
    form.has(&[
        "Edit Button colour",
        "value=\"#buy\"",
        "name=\"version\" value=\"1\"",
    ]);
    // A class that is no list has no field of its own.
    form.has(&["&#34;class&#34;: &#34;green&#34;"]);

    let mut fields = with(&[("/target_url:clears", ""), ("/description:clears", "Why")]);
    fields.push(("version", "1"));
    let saved = desk.send(&path, &fields).await;
    assert_eq!(
        saved.goes(),
        format!("/experiments/{id}?done=experiment_saved")
    );
    let experiment = shown(&desk, &id).await;
    assert_eq!(
        (&experiment["name"], &experiment["target_url"]),
        (&json!("Headline"), &json!(null))
    );
    assert_eq!(experiment["elements"][0]["name"], "h1");

    let stale = desk.send(&path, &fields).await;
    assert_eq!(stale.status, 412);
    stale.has(&["Somebody changed it meanwhile"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_runs_only_a_little_changes() {
    let desk = Desk::open().await;
    let path = desk.server.started().await;
    let id = path.rsplit('/').next().unwrap().to_owned();
    let edit = format!("/experiments/{id}/edit");
    let form = desk.get(&edit).await;
    form.has(&["What cannot change", &format!("/experiments/new?like={id}")]);
    assert!(!form.text().contains("/elements/0"));
    let fields = [
        ("/name", "Renamed"),
        ("/description:clears", ""),
        ("/target_url:clears", ""),
        ("/traffic_allocation:percent", "100"),
        ("version", "2"),
    ];
    let saved = desk.send(&edit, &fields).await;
    assert!(saved.goes().ends_with("?done=experiment_saved"));
    assert_eq!(shown(&desk, &id).await["name"], "Renamed");
    let less = [
        ("/name", "Renamed"),
        ("/traffic_allocation:percent", "10"),
        ("version", "3"),
    ];
    let refused = desk.send(&edit, &less).await;
    assert!(refused.status.is_client_error(), "{}", refused.text());
    refused.has(&["callout", "value=\"10\""]);
    assert_eq!(shown(&desk, &id).await["traffic_allocation"], 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_like_another_has_its_own_name_and_no_key() {
    let desk = Desk::open().await;
    let mut body = draft();
    body["key"] = json!("button");
    let id = desk.server.create(&body).await;
    let form = desk.get(&format!("{NEW}?like={id}")).await;
    form.has(&["value=\"Button colour (copy)\"", "value=\"#buy\""]);
    form.has(&["name=\"/key:clears\" value=\"\""]);
    let nobody = "0197f0a0-0000-7000-8000-000000000001";
    assert_eq!(desk.get(&format!("{NEW}?like={nobody}")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_searched_and_says_how_each_stands() {
    let mut desk = Desk::open().await;
    desk.get("/experiments").await.has(&["No experiment yet"]);
    let path = desk.server.started().await;
    let id = path.rsplit('/').next().unwrap().parse().unwrap();
    for visitor in 0..3 {
        let request = Assign {
            visitor: visitor.to_string(),
            ..Assign::default()
        };
        let (engine, system) = (&desk.server.engine, Principal::system());
        engine.assign(&system, id, request).await.unwrap();
    }
    let mut other = draft();
    other["name"] = json!("A <b>");
    other["target_url"] = json!("https://shop.test/sale");
    desk.server.create(&other).await;
    let list = desk.get("/experiments").await;
    list.has(&[
        "Button colour",
        "Too early to say",
        ">3</td>",
        "A &#60;b&#62;",
        "Not started",
    ]);
    let found = desk.get("/experiments?q=sale&status=draft").await;
    found.has(&[
        "A &#60;b&#62;",
        "value=\"sale\"",
        "/experiments?status=active&#38;q=sale",
    ]);
    assert!(!found.text().contains("Button colour"));
    desk.get("/experiments?q=nothing")
        .await
        .has(&["Nothing fits"]);
    assert_eq!(desk.get("/experiments?status=gone").await.status, 422);

    let edit = format!("/experiments/{id}/edit");
    desk.enter_as("other@example.org").await;
    desk.get("/experiments").await.has(&["No experiment yet"]);
    assert_eq!(desk.get(&edit).await.status, 404);
    assert_eq!(desk.send(&edit, &[("/name", "mine")]).await.status, 404);
}
