//! What is kept and sent, and what the visitor has a say in.

use serde_json::{Value as Json, json};

use super::site::{Site, experiment, on_a_site, open, until, value, with_trigger};

const LISTEN: &str = "<script>
    document.addEventListener('samplit:ready', (event) => window.ready_ = event.detail);
</script>";
const READY: &str = "window.ready_";
const TEXT: &str = "document.querySelector('h1').textContent";
const KEPT: &str = "Object.keys(localStorage).concat(Object.keys(sessionStorage)).filter((key) => key.startsWith('samplit')).sort()";

fn treated(site: &Site, head: &str, end: &str) {
    site.page(
        "/",
        &format!("{LISTEN}{head}"),
        &format!("<h1>Control</h1>{end}"),
    );
    site.set("selectors", json!([{"url": "*", "css": ["h1"]}]));
    site.answers(&[experiment("e", &["css:h1"], json!({"text": "Variant"}))]);
}

#[tokio::test]
async fn without_consent_nothing_is_sent_or_kept_until_it_is_given() {
    for answer in ["denied", "pending"] {
        on_a_site(async |page, site| {
            treated(site, "", &format!("<script>samplit.consent('{answer}'); samplit.convert('goal')</script>"));
            open(page, site, "/", "samplit.variants && getComputedStyle(document.querySelector('h1')).visibility === 'visible'").await;
            assert_eq!(value(page, TEXT).await, "Control");
            assert_eq!(value(page, KEPT).await, json!([]));
            assert_eq!(site.asked(), [Json::Null; 0]);

            value(page, "samplit.consent('granted')").await;
            until(page, &format!("{TEXT} === 'Variant'")).await;
            site.until(|site| site.events_of("exposure").len() == 1).await;
            // What was done before the answer counts where the visitor was only not asked yet.
            if answer == "pending" {
                site.until(|site| site.events_of("conversion").len() == 1).await;
            }
            assert!(value(page, "localStorage.samplit_visitor").await.is_string());

            value(page, "samplit.consent('denied')").await;
            assert_eq!(value(page, TEXT).await, "Control");
            assert_eq!(value(page, KEPT).await, json!([]));
            value(page, "(samplit.convert('goal'), history.pushState(null, '', '/next'))").await;
            // Had anything been sent meanwhile, it would be there before this.
            value(page, "(window.ready_ = undefined, samplit.consent('granted'))").await;
            until(page, READY).await;
            let urls: Vec<_> = site.asked().iter().map(|asked| asked["url"].clone()).collect();
            let at = |path: &str| json!(format!("{}{path}", site.origin));
            assert_eq!(urls, [at("/"), at("/next")]);
            let before = usize::from(answer == "pending");
            assert_eq!(site.events_of("conversion").len(), before);
            // Whoever comes back is somebody new, and sees it for the first time.
            site.until(|site| site.events_of("exposure").len() == 2).await;
        })
        .await;
    }
}

#[tokio::test]
async fn global_privacy_control_is_kept_where_the_site_keeps_it() {
    on_a_site(async |page, site| {
        let head = "<script>Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})</script>";
        treated(site, head, "");
        open(page, site, "/", "window.samplit?.variants").await;
        value(page, "samplit.consent('granted')").await;
        assert_eq!(value(page, TEXT).await, "Control");
        assert_eq!(value(page, KEPT).await, json!([]));
        assert_eq!(site.asked(), [Json::Null; 0]);

        site.set("gpc", json!(false));
        open(page, site, "/", READY).await;
        assert_eq!(site.asked().len(), 1);
        assert_eq!(value(page, TEXT).await, "Variant");
    })
    .await;
}

#[tokio::test]
async fn a_visitor_is_known_again_by_storage_and_on_one_page_without() {
    on_a_site(async |page, site| {
        treated(site, "", "");
        open(page, site, "/", READY).await;
        open(page, site, "/?again", READY).await;
        assert_eq!(site.asked()[0]["visitor_id"], Json::Null);
        assert_eq!(site.asked()[1]["visitor_id"], "visitor-1");
        assert_eq!(site.asked()[0]["session_id"], site.asked()[1]["session_id"]);
        assert_eq!(site.asked()[0]["context"]["device"], "desktop");
    })
    .await;
    on_a_site(async |page, site| {
        let blocked = "<script>for (const name of ['localStorage', 'sessionStorage'])
            Object.defineProperty(window, name, {get() { throw new DOMException('no', 'SecurityError'); }})</script>";
        treated(site, blocked, "");
        open(page, site, "/", READY).await;
        assert_eq!(value(page, TEXT).await, "Variant");
        site.until(|site| site.events_of("exposure").len() == 1).await;
        value(page, "samplit.convert('goal')").await;
        site.until(|site| site.events_of("conversion").len() == 1).await;
        value(page, "(window.ready_ = 0, samplit.refresh())").await;
        until(page, READY).await;
        assert_eq!(site.asked()[1]["visitor_id"], "visitor-1");
    })
    .await;
}

/// Counts the answers that the page has dealt with.
const ANSWERS: &str = "<script>
    window.answers_ = 0;
    const fetch_ = window.fetch;
    window.fetch = async (...asked) => {
        const answer = await fetch_(...asked);
        setTimeout(() => answers_++);
        return answer;
    };
</script>";

/// All that is kept, as it is written.
const STORED: &str = "[localStorage, sessionStorage].map((area) => Object.entries(area).filter(
    ([key]) => key.startsWith('samplit')).sort())";

#[tokio::test]
async fn a_preview_is_shown_leaves_no_trace_and_counts_for_nothing() {
    on_a_site(async |page, site| {
        let goal = "<button>Buy</button>";
        treated(site, "", goal);
        let preview = || {
            let mut preview = experiment("e", &["css:h1"], json!({"text": "Preview"}));
            preview["reason"] = json!("preview");
            preview["in_experiment"] = json!(false);
            let click = json!({"type": "click", "selector": {"type": "css", "value": "button"}});
            let mut other = with_trigger(experiment("f", &["css:h1"], json!({})), click);
            other["reason"] = json!("preview");
            other["in_experiment"] = json!(false);
            [preview, other]
        };
        let visit = async || {
            open(page, site, "/?samplit_preview=signed.token", READY).await;
            assert_eq!(value(page, TEXT).await, "Preview");
            value(
                page,
                "(samplit.convert('goal'), document.querySelector('button').click())",
            )
            .await;
            // Another page of the same load, which ends after all that was asked before.
            value(page, "(window.ready_ = undefined, samplit.refresh())").await;
            until(page, READY).await;
        };
        // Somebody who was never here.
        site.answers(&preview());
        visit().await;
        assert_eq!(site.asked()[0]["preview"], "signed.token");
        assert_eq!(
            value(page, "[ready_.visitor_id, window.dataLayer ?? null]").await,
            json!([null, null])
        );
        assert_eq!(value(page, STORED).await, json!([[], []]));

        site.plain_page("/nothing", "<!doctype html>Nothing of ours".to_owned());
        // Whose visits before left a goal, and an event that the server did not want yet.
        treated(site, ANSWERS, goal);
        site.fails("/v1/events", &[(429, Some("3600"))]);
        open(page, site, "/", "window.answers_ === 2").await;
        assert_eq!(site.reports().len(), 1);
        page.goto(&format!("{}/nothing", site.origin))
            .await
            .unwrap();
        until(
            page,
            "location.pathname === '/nothing' && localStorage.samplit_queue",
        )
        .await;
        let before = value(page, STORED).await;
        site.answers(&preview());
        visit().await;
        // Shops note the visitor of this event, and nobody's place takes another.
        assert_eq!(
            value(page, "ready_.visitor_id").await,
            site.asked()[3]["visitor_id"]
        );
        page.goto(&format!("{}/nothing", site.origin))
            .await
            .unwrap();
        until(page, "location.pathname === '/nothing'").await;
        assert_eq!(value(page, STORED).await, before);
        assert_eq!((site.reports().len(), site.events().len()), (1, 0));

        // The next page of the same visitor counts again, and is the first that does.
        treated(site, "", goal);
        open(page, site, "/", READY).await;
        assert_eq!(site.asked().last().unwrap().get("preview"), None);
        site.until(|site| site.events_of("exposure").len() == 2)
            .await;
        assert_eq!(site.events().len(), 2);
    })
    .await;
}
