//! The pages of funnels, without scripts.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use serde_json::json;

use crate::desk::Desk;

/// The path of the funnel whose canvas `place` is.
fn path(place: &str) -> String {
    let (path, rest) = place.split_once("/edit").unwrap();
    assert!(rest.starts_with("?done="), "{place}");
    path.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_funnel_is_made_set_up_activated_and_archived_by_forms() {
    let desk = Desk::open().await;
    desk.get("/funnels").await.has(&["No funnel yet"]);
    let nameless = [("/name", ""), ("template", "shop")];
    desk.send("/funnels/new", &nameless)
        .await
        .refuses(&[("f-name", "This is missing")])
        .has(&["value=\"shop\" checked"]);
    let made = desk
        .send(
            "/funnels/new",
            &[("/name", "Check<out>"), ("template", "shop")],
        )
        .await;
    let path = path(made.goes());
    // Without scripts the steps are a table; with them, what the canvas begins with is all there.
    let edit = desk.get(&format!("{path}/edit")).await;
    edit.has(&[
        "Check&#60;out&#62;",
        "<noscript>",
        "*/products/*",
        "Event “purchase”",
        "data-tag=\"&#34;v1&#34;\"",
        "&#34;type&#34;:&#34;conversion&#34;",
        "Yes: nothing is missing",
    ]);
    let settings = |hours| {
        [
            ("version", "1"),
            ("/name", "Checkout"),
            ("/description:clears", "Of the shop"),
            ("/window_hours:number", hours),
        ]
    };
    let edit = format!("{path}/edit");
    desk.send(&edit, &settings("0"))
        .await
        .refuses(&[("f-window-hours", "This must be between 1 and 2160")]);
    let saved = desk.send(&edit, &settings("72")).await;
    assert!(saved.goes().ends_with("funnel_saved"));
    // Somebody who still has the page before may not save over it.
    let stale = desk.send(&edit, &settings("24")).await;
    assert_eq!(stale.status, 412, "{}", stale.text());

    let active = desk
        .send(&format!("{path}/activate"), &[("version", "2")])
        .await;
    assert!(active.goes().ends_with("funnel_activated"));
    desk.get(&path)
        .await
        .has(&["Nobody has come in yet", "Window: 3 days"]);
    desk.get("/funnels")
        .await
        .has(&["Checkout", "Of the shop", "data-status=\"active\""]);
    let again = desk.send(&format!("{path}/activate"), &[]).await;
    assert_eq!(again.status, 409, "{}", again.text());
    let paused = desk.send(&format!("{path}/pause"), &[]).await;
    assert!(paused.goes().ends_with("funnel_paused"));

    let copy = desk.send(&format!("{path}/duplicate"), &[]).await;
    let copy = self::path(copy.goes());
    assert_ne!(copy, path);
    desk.get(&copy)
        .await
        .has(&["Checkout (copy)", "Can it start?"]);
    let archive = format!("{path}/archive");
    desk.send(&archive, &[("confirm", "Check")])
        .await
        .refuses(&[("f-confirm", "This must be exactly")]);
    let archived = desk.send(&archive, &[("confirm", "Checkout")]).await;
    assert!(archived.goes().ends_with("funnel_archived"));
    desk.get(&path).await.has(&["data-status=\"archived\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_draft_from_starting_stands_on_its_page_once() {
    let desk = Desk::open().await;
    let made = desk
        .send(
            "/funnels/new",
            &[("/name", "Unfinished"), ("template", "blank")],
        )
        .await;
    let path = path(made.goes());
    let id = path.trim_start_matches("/funnels/");
    let node = |id: u32, kind: &str, config: serde_json::Value| {
        json!({
            "id": format!("0197f0a0-0000-7000-8000-{id:012}"), "type": kind, "name": format!("Step {id}"),
            "x": 0, "y": 0, "config": config,
        })
    };
    let drawing = json!({
        "nodes": [node(1, "page", json!({})), node(2, "wait", json!({"hours": 24}))],
        "edges": [],
    });
    let answer = desk
        .server
        .patch(&format!("/v1/funnels/{id}"), &drawing)
        .await;
    assert_eq!(answer.summary(), "200");
    // Each fault is said beside the name of its step.
    desk.get(&path).await.has(&[
        "<span>Needs a conversion that can be reached.</span>",
        "<strong>Step 1</strong><span>The address must be the URL of a page.</span>",
        "<strong>Step 2</strong><span>No edge leads here, and the funnel begins elsewhere.</span>",
    ]);
    let refused = desk.send(&format!("{path}/activate"), &[]).await;
    assert_eq!(refused.status, 422);
    refused.has(&["It cannot start yet"]);
    assert_eq!(refused.text().matches("Needs a conversion").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_funnel_whose_visitors_cannot_be_counted_is_listed_and_paused_all_the_same() {
    let desk = Desk::open().await;
    let made = desk
        .send(
            "/funnels/new",
            &[("/name", "Checkout"), ("template", "shop")],
        )
        .await;
    let path = path(made.goes());
    desk.send(&format!("{path}/activate"), &[]).await.goes();
    let counted = "<td class=\"number\">0</td>";
    desk.get("/funnels").await.has(&["Checkout", counted]);
    desk.get(&path).await.has(&["Step by step"]);
    desk.sabotage("ALTER TABLE funnel_visits RENAME TO lost")
        .await;
    let list = desk.get("/funnels").await;
    list.has(&["Checkout", "data-status=\"active\""]);
    assert!(!list.text().contains(counted));
    let pause = format!("action=\"{path}/pause\"");
    desk.get(&path)
        .await
        .has(&["What came of this funnel cannot be shown now", &pause]);
    let paused = desk.send(&format!("{path}/pause"), &[]).await;
    assert!(paused.goes().ends_with("funnel_paused"));
}
