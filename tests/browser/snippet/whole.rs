//! A variant is shown whole or not at all, and only what is shown counts.

use std::collections::BTreeSet;

use serde_json::json;

use super::site::{Site, experiment, on_a_site, open, value};

const LISTEN: &str = "<script>
    window.warnings_ = [];
    console.warn = (...words) => warnings_.push(words.map(String).join(' '));
    document.addEventListener('samplit:ready', (event) => window.ready_ = event.detail);
</script>";

#[tokio::test]
async fn what_is_refused_or_fails_changes_nothing_and_does_not_count() {
    let refused = [
        ("css:.x", json!({"class": {"add": ["a"]}, "text": 4})),
        ("css:.x", json!({"text": "a", "html": "<script>1</script>"})),
        ("css:.x", json!({"text": "a", "href": "javascript:1"})),
        ("css:.x", json!({"text": "a", "src": "javascript:1"})),
        (
            "css:.x",
            json!({"text": "a", "style": {"colour": "red", "color": "reddish"}}),
        ),
        (
            "css:.x",
            json!({"text": "a", "attributes": {"onclick": "1"}}),
        ),
        // These fail only when they are made, with the others made before.
        ("css:.x", json!({"text": "a", "attributes": {"1 b": "c"}})),
        (
            "css:.x",
            json!({"style": {"margin": "7px"}, "class": {"add": ["ok", "a b"]}}),
        ),
        ("css:iframe", json!({"attributes": {"title": "a"}})),
        ("css:)", json!({"text": "a"})),
        ("xpath:((", json!({"text": "a"})),
    ];
    on_a_site(async |page, site| {
        let html = "<p class=x style='margin-left: 3px'>Control</p>";
        let frame = "<iframe width=40 height=20></iframe>";
        site.page("/", LISTEN, &format!("{html}{frame}<h1>Control</h1>"));
        let good = experiment("good", &["css:h1"], json!({"text": "Shown", "style": {"color": "red", "-moz-none": "1"}}));
        for (selector, content) in &refused {
            site.answers(&[experiment("bad", &[selector], content.clone()), good.clone()]);
            open(page, site, "/", "window.ready_").await;
            let visits = site.asked().len();
            // A page that is left may send an event twice, and the server knows it by its id.
            let seen = |site: &Site| {
                let ids = site.events_of("exposure").into_iter();
                ids.map(|event| event["event_id"].to_string()).collect::<BTreeSet<_>>().len()
            };
            site.until(|site| seen(site) == visits).await;
            let found = value(page, "[document.querySelector('p').outerHTML, document.querySelector('iframe').outerHTML]").await;
            let expected = json!([
                "<p class=\"x\" style=\"margin-left: 3px;\">Control</p>",
                "<iframe width=\"40\" height=\"20\"></iframe>"
            ]);
            let as_written = html.replace("=x", "=\"x\"").replace('\'', "\"");
            let untouched = json!([as_written, expected[1]]);
            assert!(found == expected || found == untouched, "{content}: {found}");
            if !selector.contains(['(', ')']) {
                let warnings = value(page, "warnings_").await;
                let said = warnings[0].as_str().unwrap_or_default();
                assert!(said.contains("experiment bad"), "{content}: {warnings}");
            }
            assert_eq!(value(page, "document.querySelector('h1').textContent").await, "Shown");
        }
        let seen = site.events_of("exposure");
        assert!(seen.iter().all(|event| event["experiment_id"] == "good"), "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn html_that_the_policy_of_the_page_keeps_out_keeps_its_variant_out() {
    on_a_site(async |page, site| {
        let policy = "script-src 'nonce-n1' 'strict-dynamic'; require-trusted-types-for 'script'; trusted-types another";
        let head = LISTEN.replace("<script", "<script nonce=n1");
        site.page_with_policy("/", &head, "<p>Control</p><h1>Control</h1>", Some(policy));
        let content = json!({"class": {"add": ["a"]}, "html": "<b>Variant</b>"});
        site.answers(&[
            experiment("bad", &["css:p"], content),
            experiment("good", &["css:h1"], json!({"text": "Shown"})),
        ]);
        open(page, site, "/", "window.ready_").await;
        site.until(|site| !site.events_of("exposure").is_empty()).await;
        assert_eq!(site.events_of("exposure")[0]["experiment_id"], "good");
        assert_eq!(site.events_of("exposure").len(), 1);
        let left = "[document.querySelector('p').textContent, document.querySelector('p').className]";
        assert_eq!(value(page, left).await, json!(["Control", ""]));
    })
    .await;
}
