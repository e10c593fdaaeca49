//! Exposures and goals: counted when they happen, sent once, and again where that helps.

use std::time::Duration;

use samplit_http::snippet_source;
use serde_json::json;

use super::site::{PATIENT, experiment, on_a_site, open, until, value, with_trigger};

const LISTEN: &str = "<script>
    document.addEventListener('samplit:ready', (event) => window.ready_ = event.detail);
    document.addEventListener('samplit:exposure', (event) => (window.exposed_ ??= []).push(event.detail));
</script>";
const READY: &str = "window.ready_";

#[tokio::test]
async fn two_experiments_are_counted_each_when_it_is_seen() {
    on_a_site(async |page, site| {
        site.page("/", LISTEN, "<h1>Control</h1><div style='height: 5000px'></div><h2>Below</h2>");
        site.answers(&[
            experiment("above", &["css:h1"], json!({"text": "Variant"})),
            experiment("below", &["css:h2"], json!({})),
            experiment("away", &["css:h1"], json!({"hidden": false})),
        ]);
        open(page, site, "/", READY).await;
        site.until(|site| site.events().len() == 2).await;
        assert_eq!(site.reports().len(), 1, "gathered");
        value(page, "document.querySelector('h2').scrollIntoView()").await;
        site.until(|site| site.events().len() == 3).await;
        let seen: Vec<_> = site.events().iter().map(|event| event["experiment_id"].clone()).collect();
        assert_eq!(seen[2], "below");
        let pushed = value(page, "window.dataLayer").await;
        assert_eq!(
            pushed[0],
            json!({"event": "samplit_exposure", "experiment_id": "above", "experiment_name": "experiment above",
                "variant_id": "variant above", "variant_name": "B"})
        );
        assert_eq!(value(page, "exposed_.length").await, 3);
        assert_eq!(value(page, "samplit.variants().map(({variant}) => variant.id)").await,
            json!(["variant above", "variant below", "variant away"]));
    })
    .await;
}

#[tokio::test]
async fn a_click_that_leaves_the_page_is_counted_once() {
    on_a_site(async |page, site| {
        let trigger = json!({"type": "click", "selector": {"type": "css", "value": "a.buy"}});
        let goal = with_trigger(experiment("e", &["css:a"], json!({})), trigger);
        site.answers_at("/", &[goal]);
        let body = "<a class=buy href=/thanks onclick='event.stopPropagation()'><b>Buy</b></a>";
        site.page("/", LISTEN, body);
        site.page("/thanks", LISTEN, "Thanks");
        open(page, site, "/", READY).await;
        site.until(|site| site.events().len() == 1).await;
        // No timer will do it: only the end of the page can.
        value(
            page,
            "(window.setTimeout = () => 0, document.querySelector('b').click(), document.querySelector('b').click())",
        )
        .await;
        until(page, "location.pathname === '/thanks' && window.ready_").await;
        site.until(|site| site.events_of("conversion").len() == 1)
            .await;
        // And once more from the start: whatever is sent is the same event.
        open(page, site, "/", READY).await;
        value(page, "document.querySelector('b').click()").await;
        until(page, "location.pathname === '/thanks' && window.ready_").await;
        let conversions = site.events_of("conversion");
        let event = &conversions[0];
        assert!(conversions.iter().all(|again| again == event));
        assert_eq!(event["goal"], "goal");
        assert!(event["event_id"].as_str().is_some_and(|id| id.len() == 32));
    })
    .await;
}

#[tokio::test]
async fn goals_are_reached_on_other_pages_and_by_calls_before_the_file_is_there() {
    on_a_site(async |page, site| {
        let named = |id: &str, trigger| {
            let mut experiment = with_trigger(experiment(id, &["css:h1"], json!({})), trigger);
            experiment["goal"]["name"] = json!(format!("goal {id}"));
            experiment
        };
        site.answers_at("/", &[
            named("page", json!({"type": "page_view", "url": "http://*/thanks*"})),
            named("submit", json!({"type": "submit", "selector": {"type": "id", "value": "form"}})),
            named("event", json!({"type": "event", "name": "signed up"})),
            named("value", json!(null)),
        ]);
        site.page("/", LISTEN, "<h1>Control</h1>");
        let calls = "samplit.convert('goal value', {value: 12.5, event_id: 'order-1'}); samplit.convert('unknown')";
        let body = format!("<form id=form onsubmit='event.preventDefault()'><button>Go</button></form><script>{calls}</script>");
        site.page("/thanks", LISTEN, &body);
        open(page, site, "/", READY).await;
        site.until(|site| site.events().len() == 4).await;
        open(page, site, "/thanks?order=1", READY).await;
        value(page, "(document.querySelector('button').click(), samplit.event('other'), samplit.event('signed up'))").await;
        site.until(|site| site.events_of("conversion").len() == 4).await;
        let mut reached: Vec<_> = site.events_of("conversion").iter()
            .map(|event| (event["goal"].as_str().unwrap().to_owned(), event["value"].clone())).collect();
        reached.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(reached, [
            ("goal event".to_owned(), json!(null)), ("goal page".to_owned(), json!(null)),
            ("goal submit".to_owned(), json!(null)), ("goal value".to_owned(), json!(12.5)),
        ]);
        let conversions = site.events_of("conversion");
        assert!(conversions.iter().any(|event| event["event_id"] == "order-1"));
    })
    .await;
}

#[tokio::test]
async fn what_fails_is_sent_again_with_the_same_id_and_when_the_server_says_so() {
    on_a_site(async |page, site| {
        site.page("/", LISTEN, "<h1>Control</h1>");
        site.answers(&[experiment("e", &["css:h1"], json!({"text": "Variant"}))]);
        site.fails(
            "/v1/events",
            &[(429, Some("2")), (503, Some("1")), (500, None)],
        );
        open(page, site, "/", READY).await;
        site.until(|site| !site.events().is_empty()).await;
        let reports = site.reports();
        assert_eq!(reports.len(), 4);
        assert!(reports[1] - reports[0] >= Duration::from_secs(2));
        assert!(reports[2] - reports[1] >= Duration::from_secs(1));

        // What the server does not want yet, the next page sends.
        site.fails("/v1/events", &[(429, Some("3600"))]);
        value(
            page,
            "(localStorage.removeItem('samplit_goals'), samplit.refresh())",
        )
        .await;
        open(page, site, "/?again", READY).await;
        site.until(|site| site.reports().len() == 5).await;
        let known = site.events().len();
        until(page, "window.exposed_").await;
        open(page, site, "/?once+more", READY).await;
        site.until(|site| site.events().len() >= known + 2).await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_down_or_refuses_leaves_the_page_as_it_is() {
    on_a_site(async |page, site| {
        site.page("/", LISTEN, "<h1 data-samplit>Control</h1>");
        site.answers(&[experiment("e", &["css:h1"], json!({"text": "Variant"}))]);
        let is_shown = "document.querySelector('h1') && getComputedStyle(document.querySelector('h1')).visibility === 'visible'";
        for status in [500, 429, 401] {
            site.fails("/v1/page", &[(status, Some("3600"))]);
            open(page, site, "/", &format!("window.ready_ && {is_shown}")).await;
            assert_eq!(value(page, "ready_.in_time").await, false);
            assert_eq!(value(page, "document.querySelector('h1').textContent").await, "Control");
        }
        // Nobody listens there: neither for the file nor for the question.
        site.set("api", json!("http://127.0.0.1:9"));
        open(page, site, "/", &format!("window.ready_ && {is_shown}")).await;
        let stub = snippet_source::stub("http://127.0.0.1:9/s/pk_test.js", 500);
        let html = format!("<!doctype html>{PATIENT}{stub}<h1 data-samplit>Control</h1>");
        site.plain_page("/gone", html);
        open(page, site, "/gone", is_shown).await;
        assert_eq!(site.events().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_page_that_is_a_goal_counts_while_the_server_wants_no_questions_and_when_it_is_left_at_once()
 {
    on_a_site(async |page, site| {
        let goal = |id: &str, url: &str| {
            let trigger = json!({"type": "page_view", "url": url});
            with_trigger(experiment(id, &["css:h1"], json!({})), trigger)
        };
        let learnt_there = goal("there", "http://*/left");
        site.answers_at("/", &[goal("limited", "http://*/limited"), goal("silent", "http://*/silent"), goal("left", "http://*/left")]);
        site.answers_at("/left", &[learnt_there]);
        let count = "<script>window.visits_ = 0; document.addEventListener('samplit:ready', () => visits_++);
            window.go_ = (path) => history.pushState(null, '', path)</script>";
        site.page("/", count, "<h1>Control</h1>");
        open(page, site, "/", "window.visits_ === 1").await;
        let converted = async |count: usize| site.until(|site| site.events_of("conversion").len() == count).await;

        // Left before the answer is there, which also brings a goal of its own.
        site.hold("answer");
        value(page, "go_('/left')").await;
        site.until(|site| site.asked().len() == 2).await;
        value(page, "go_('/elsewhere')").await;
        site.release("answer");
        converted(2).await;
        until(page, "visits_ === 2").await;

        site.fails("/v1/page", &[(429, Some("3600"))]);
        value(page, "go_('/limited')").await;
        converted(3).await;
        until(page, "visits_ === 3").await;
        let asked = site.asked().len();
        value(page, "go_('/silent')").await;
        converted(4).await;
        assert_eq!(site.asked().len(), asked);
        let mut reached: Vec<_> = site.events_of("conversion").iter().map(|event| event["experiment_id"].clone()).collect();
        reached.sort_by_key(ToString::to_string);
        assert_eq!(reached, ["left", "limited", "silent", "there"]);
    })
    .await;
}

#[tokio::test]
async fn one_event_that_several_experiments_wait_for_is_done_for_each_of_them() {
    on_a_site(async |page, site| {
        site.page("/", LISTEN, "<h1>Control</h1>");
        site.answers(&["a", "b", "c"].map(|id| experiment(id, &["css:h1"], json!({}))));
        open(page, site, "/", READY).await;
        value(
            page,
            "samplit.convert('goal', {event_id: 'order-1', value: 5})",
        )
        .await;
        site.until(|site| site.events_of("conversion").len() == 3)
            .await;
        let conversions = site.events_of("conversion");
        let mut of: Vec<_> = conversions
            .iter()
            .map(|event| event["experiment_id"].clone())
            .collect();
        of.sort_by_key(ToString::to_string);
        assert_eq!(of, ["a", "b", "c"]);
        // The server knows a repeat by it, also one that comes by another way than the page.
        assert!(
            conversions
                .iter()
                .all(|event| event["event_id"] == "order-1")
        );
        until(
            page,
            "JSON.parse(localStorage.samplit_goals).every((goal) => goal.isDone)",
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn what_a_page_says_of_a_conversion_is_made_sense_of_or_refused() {
    on_a_site(async |page, site| {
        let head = format!("{LISTEN}<script>window.warnings_ = []; console.warn = (...words) => warnings_.push(words.map(String).join(' '))</script>");
        site.page("/", &head, "<h1>Control</h1>");
        let named = |name: &str| {
            let mut experiment = experiment(name, &["css:h1"], json!({}));
            experiment["goal"]["name"] = json!(name);
            experiment
        };
        site.answers(&["goal", "plain", "zero"].map(named));
        open(page, site, "/", READY).await;
        let refused = "[
            {value: NaN}, {value: Infinity}, {value: -1}, {value: 1e13}, {value: 'a lot'}, {value: ''}, {value: ' '},
            {value: {}}, {value: [5, 6]}, {value: Symbol()}, {get value() { throw new Error('mine') }}, {event_id: ''}, {event_id: ' '},
            {event_id: Symbol()}, {event_id: 'x'.repeat(256)}, {event_id: 'a\\0'}, {event_id: '\\ud800'},
        ]";
        let call = format!(
            "{refused}.map((details) => {{
                try {{ return [samplit.convert('goal', details), samplit.event('goal', details)].length }}
                catch (error) {{ return String(error) }}
            }})"
        );
        let said = value(page, &call).await;
        let refused = said.as_array().unwrap();
        assert!(refused.iter().all(|one| *one == 2), "{said}");
        let warnings = value(page, "warnings_").await;
        assert_eq!(warnings.as_array().unwrap().len(), 2 * refused.len(), "{warnings}");
        assert!(warnings.to_string().contains("samplit"), "{warnings}");

        let calls = "[samplit.convert('goal', {value: '59.90', event_id: 1234}), samplit.convert('plain', null), samplit.convert('zero', {value: 0, event_id: null})]";
        value(page, &format!("{calls}.length")).await;
        site.until(|site| site.events_of("conversion").len() == 3).await;
        let conversions = site.events_of("conversion");
        let of = |goal: &str| conversions.iter().find(|event| event["goal"] == goal).unwrap();
        assert_eq!((&of("goal")["value"], &of("goal")["event_id"]), (&json!(59.9), &json!("1234")));
        assert_eq!(of("plain")["value"], json!(null));
        assert_eq!(of("zero")["value"], json!(0));
        assert_eq!(value(page, "warnings_.length").await, 2 * refused.len());
    })
    .await;
}
