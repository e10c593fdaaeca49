//! Pages that go on without loading, and render again what was changed.

use serde_json::json;

use super::flicker::{SAMPLER, shown};
use super::site::{experiment, on_a_site, open, until, value};

/// A small single-page app: every page has the same headline node, and a view that is made anew.
const APP: &str = "<h1>Home</h1><div id=view></div><script>
    window.visits_ = [];
    document.addEventListener('samplit:ready', () => visits_.push(location.pathname));
    window.render_ = (title) => {
        document.querySelector('h1').firstChild.data = title;
        document.querySelector('#view').innerHTML = '<p>' + title + ' text</p>';
    };
    window.go_ = (path, title) => { history.pushState({title}, '', path); render_(title); };
    addEventListener('popstate', (event) => render_(event.state?.title ?? 'Home'));
    render_('Home');
</script>";
const SHOWN: &str =
    "[document.querySelector('h1').textContent, document.querySelector('p').textContent]";

/// Three navigations, whichever way they are followed.
async fn three_navigations(head: &str) {
    on_a_site(async |page, site| {
        site.page("/", head, APP);
        let home = || {
            experiment(
                "home",
                &["css:h1"],
                json!({"text": "Variant", "class": {"add": ["b"]}}),
            )
        };
        let text = || experiment("text", &["css:#view p"], json!({"text": "Variant text"}));
        site.answers_at("/", &[home(), text()]);
        site.answers_at("/two", &[text()]);
        site.set("selectors", json!([{"url": "*", "css": ["#view p"]}]));
        open(page, site, "/", "window.visits_?.length === 1").await;
        assert_eq!(value(page, SHOWN).await, json!(["Variant", "Variant text"]));

        // Rendered again: the same node with the old text, and a new node.
        value(page, "render_('Home')").await;
        until(
            page,
            "document.querySelector('h1').textContent === 'Variant'",
        )
        .await;
        assert_eq!(value(page, SHOWN).await, json!(["Variant", "Variant text"]));
        value(page, "document.querySelector('h1').className = 'own'").await;
        until(page, "document.querySelector('h1').className === 'own b'").await;

        value(page, "go_('/two', 'Two')").await;
        until(page, "visits_.length === 2").await;
        assert_eq!(value(page, SHOWN).await, json!(["Two", "Variant text"]));
        assert_eq!(
            value(page, "document.querySelector('h1').className").await,
            "own"
        );

        value(page, "go_('/three', 'Three')").await;
        until(page, "visits_.length === 3").await;
        assert_eq!(value(page, SHOWN).await, json!(["Three", "Three text"]));

        value(page, "history.go(-2)").await;
        until(page, "visits_.length === 4").await;
        assert_eq!(value(page, SHOWN).await, json!(["Variant", "Variant text"]));

        // The same place again is no new page.
        value(page, "history.replaceState({}, '', location.href)").await;
        value(page, "samplit.refresh()").await;
        until(page, "visits_.length === 5").await;
        let urls: Vec<_> = site
            .asked()
            .iter()
            .map(|asked| asked["url"].clone())
            .collect();
        let at = |path: &str| json!(format!("{}{path}", site.origin));
        assert_eq!(urls, [at("/"), at("/two"), at("/three"), at("/"), at("/")]);
        site.until(|site| site.events_of("exposure").len() == 2)
            .await;
        let visitors: Vec<_> = site
            .asked()
            .iter()
            .map(|asked| asked["visitor_id"].clone())
            .collect();
        assert_eq!(visitors[1..], vec![json!("visitor-1"); 4]);
    })
    .await;
}

#[tokio::test]
async fn an_app_is_followed_by_the_navigation_api() {
    three_navigations("").await;
}

#[tokio::test]
async fn an_app_is_followed_where_there_is_no_navigation_api() {
    let head = "<script>Object.defineProperty(window, 'navigation', {value: undefined})</script>";
    three_navigations(head).await;
    on_a_site(async |page, site| {
        site.page("/", head, APP);
        open(page, site, "/", "window.visits_?.length === 1").await;
        let is_wrapped = "!/native/.test(history.pushState)";
        assert_eq!(value(page, is_wrapped).await, true);
        value(page, "samplit.consent('denied')").await;
        assert_eq!(value(page, is_wrapped).await, false);
    })
    .await;
}

#[tokio::test]
async fn what_a_page_leaves_is_restored_unless_the_page_has_changed_it() {
    on_a_site(async |page, site| {
        let body = "<h1>Old <b>headline</b></h1><a href=/a class=one style='color: red'>link</a><img alt=old>";
        let head = "<script>window.visits_ = []; document.addEventListener('samplit:ready', () => visits_.push(1))</script>";
        site.page("/", head, body);
        site.answers_at("/", &[
            experiment("1", &["css:h1"], json!({"html": "<i>New</i>"})),
            experiment("2", &["css:a"], json!({"text": "new", "href": "/b", "class": {"add": ["two"]}, "style": {"color": "blue"}})),
            experiment("3", &["css:img"], json!({"alt": "new"})),
        ]);
        open(page, site, "/", "window.visits_?.length === 1").await;
        assert_eq!(value(page, "document.querySelector('h1').innerHTML").await, "<i>New</i>");
        value(page, "(window.kept_ = document.querySelector('a').firstChild, history.pushState(null, '', '/other'))").await;
        until(page, "visits_.length === 2").await;
        let found = value(page, "[document.querySelector('h1').outerHTML, document.querySelector('a').outerHTML, document.querySelector('img').outerHTML]").await;
        assert_eq!(found, json!([
            "<h1>Old <b>headline</b></h1>",
            "<a href=\"/a\" class=\"one\" style=\"color: red;\">link</a>",
            "<img alt=\"old\">",
        ]));
        assert_eq!(value(page, "kept_ === document.querySelector('a').firstChild").await, true);
    })
    .await;
}

#[tokio::test]
async fn a_page_that_fights_back_wins_and_nothing_goes_round_for_ever() {
    on_a_site(async |page, site| {
        site.page(
            "/",
            "<script>
                window.fights_ = 0;
                new MutationObserver(() => {
                    const h1 = document.querySelector('h1');
                    if (h1 && h1.textContent !== 'Control') { fights_++; h1.textContent = 'Control'; }
                }).observe(document, {subtree: true, childList: true, characterData: true});
                document.addEventListener('samplit:ready', () => setTimeout(() => window.isOver_ = true, 200));
            </script>",
            "<h1>Control</h1>",
        );
        site.answers(&[experiment("e", &["css:h1"], json!({"text": "Variant"}))]);
        open(page, site, "/", "window.isOver_").await;
        assert_eq!(value(page, "document.querySelector('h1').textContent").await, "Control");
        let fights = value(page, "fights_").await.as_u64().unwrap();
        assert!((2..=20).contains(&fights), "{fights}");
    })
    .await;
}

#[tokio::test]
async fn no_frame_of_a_navigation_shows_control() {
    on_a_site(async |page, site| {
        site.set(
            "selectors",
            json!([{"url": format!("{}/two", site.origin), "css": ["h1"]}]),
        );
        site.answers(&[]);
        site.answers_at(
            "/two",
            &[experiment("e", &["css:h1"], json!({"text": "Variant"}))],
        );
        site.page("/", SAMPLER, APP);
        open(page, site, "/", "window.visits_?.length === 1").await;
        site.hold("answer");
        value(
            page,
            "(go_('/two', 'Two'), setTimeout(() => fetch('/release/answer'), 100))",
        )
        .await;
        until(
            page,
            "visits_.length === 2 && frames_.at(-1).text === 'Variant'",
        )
        .await;
        let seen = ["Home visible", "Two hidden", "Variant visible"];
        assert_eq!(shown(page).await, seen);
    })
    .await;
}
