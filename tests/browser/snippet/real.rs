//! The snippet, the real server and PostgreSQL together: what pages show, what is counted, how long it
//! takes.

use fantoccini::Client;
use samplit_domain::{GoalKind, GoalTrigger, Selector, SelectorType};
use samplit_engine::{
    Engine, Experiment, GoalDraft, InstallationDraft, NewApiKey, Principal, Role, Scope,
    SelectorDraft, Transition,
};
use samplit_http::{Drain, HttpConfig, Listeners, serve, snippet_source};
use serde_json::json;
use tokio::{net::TcpListener, sync::oneshot};

use crate::chromium::clear_cache;

use super::site::{PATIENT, Site, on_a_site, open, until, value};

/// A browser, a site, an account on a real server, and the stub for pages of that site.
pub(super) async fn with_account(
    test: impl AsyncFnOnce(&Client, &Site, &Engine, &Principal, &str),
) {
    let database = samplit_tests::database().await;
    let engine = samplit_tests::engine(database.url(), 1).await;
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", public.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let listeners = Listeners { public, ops: None };
    let stopping = async move {
        let _ = stopped.await;
    };
    let config = HttpConfig {
        // So that the browser may keep the script.
        public_url: Some(api.parse().unwrap()),
        ..HttpConfig::default()
    };
    let served = tokio::spawn(serve(listeners, engine.clone(), config, stopping));
    on_a_site(async |page, site| {
        let owner = account(&engine).await;
        let domain = site.origin.strip_prefix("http://").unwrap();
        let installation = InstallationDraft::new("Shop", domain);
        let installation = engine
            .create_installation(&owner, &installation)
            .await
            .unwrap();
        let script = format!("{api}/s/{}.js", installation.token);
        let stub = snippet_source::stub(&script, installation.hide_timeout_ms);
        test(page, site, &engine, &owner, &stub).await;
    })
    .await;
    drop(stop);
    assert_eq!(served.await.unwrap(), Drain::Complete);
}

/// A browser, a site with `head` and the snippet on its pages, and the experiment that runs on it.
async fn with_server(head: &str, test: impl AsyncFnOnce(&Client, &Site, &Engine, &Experiment)) {
    with_account(async |page, site, engine, owner, stub| {
        let body = "<h1>Control</h1><a id=buy href=/thanks>Buy</a>";
        site.plain_page(
            "/",
            format!("<!doctype html><head>{head}{LISTEN}{stub}</head><body>{body}</body>"),
        );
        site.plain_page(
            "/thanks",
            format!("<!doctype html><head>{head}{LISTEN}{stub}</head><body>Thanks</body>"),
        );
        let experiment = run(engine, owner, site).await;
        test(page, site, engine, &experiment).await;
    })
    .await;
}

const LISTEN: &str = "<script>
    document.addEventListener('samplit:ready', (event) => { window.at_ = performance.now(); window.ready_ = event.detail; });
</script>";
const READY: &str = "window.ready_";

async fn account(engine: &Engine) -> Principal {
    let new = NewApiKey {
        email: "owner@example.com".to_owned(),
        role: Role::Client,
        name: "test".to_owned(),
        scopes: Scope::ALL.to_vec(),
        expires_at: None,
    };
    let key = engine.create_api_key(new).await.unwrap();
    engine.authenticate(&key.token).await.unwrap()
}

async fn run(engine: &Engine, owner: &Principal, site: &Site) -> Experiment {
    let mut draft = samplit_tests::draft(&[2]);
    draft.target_url = Some(format!("{}/", site.origin));
    draft.elements[0].selector = Some(SelectorDraft {
        kind: "css".to_owned(),
        value: "h1".to_owned(),
    });
    draft.goals = vec![GoalDraft {
        name: "bought".to_owned(),
        kind: GoalKind::Conversion,
        default_value: 1.0,
        trigger: Some(GoalTrigger::Click {
            selector: Selector {
                kind: SelectorType::Id,
                value: "buy".to_owned(),
            },
        }),
    }];
    let made = engine.create_experiment(owner, draft).await.unwrap();
    let start = engine.transition(owner, made.id, Transition::Start, Default::default(), None);
    start.await.unwrap()
}

/// Opens the page as somebody who has never been there.
async fn first_visit(page: &Client, site: &Site) {
    let _ = page
        .execute("localStorage.clear(); sessionStorage.clear()", Vec::new())
        .await;
    page.delete_all_cookies().await.unwrap();
    clear_cache(page).await;
    value(page, "(window.ready_ = undefined)").await;
    open(page, site, "/", READY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_real_server_decides_is_shown_and_counted() {
    with_server(PATIENT, async |page, site, engine, experiment| {
        let me = Principal::system();
        for visit in 0..4 {
            first_visit(page, site).await;
            // The engine's drafts call the content of their variants `variant 0` and so on.
            assert_eq!(value(page, "ready_.in_time").await, true);
            let shown = value(page, "document.querySelector('h1').textContent").await;
            let expected = value(
                page,
                "samplit.variants()[0].variant.is_control ? 'variant 0' : 'variant 1'",
            )
            .await;
            assert_eq!(shown, expected);
            let visitor = value(page, "JSON.parse(localStorage.samplit_visitor)").await;
            // Storage is gone, the cookie is not: the same visitor, the same variant.
            value(page, "(localStorage.clear(), window.ready_ = undefined)").await;
            open(page, site, "/", READY).await;
            assert_eq!(
                value(page, "JSON.parse(localStorage.samplit_visitor)").await,
                visitor
            );
            assert_eq!(
                value(page, "document.querySelector('h1').textContent").await,
                shown
            );
            if visit > 0 {
                value(page, "document.querySelector('#buy').click()").await;
                until(page, "location.pathname === '/thanks' && window.ready_").await;
            }
        }
        samplit_tests::eventually(async || {
            let results = engine.results(&me, experiment.id).await.unwrap();
            let arms = &results.elements[0].arms;
            let total =
                |count: fn(&samplit_engine::ArmResults) -> u64| arms.iter().map(count).sum::<u64>();
            total(|arm| arm.assignments) == 4
                && total(|arm| arm.exposures) == 4
                && total(|arm| arm.conversions) == 3
        })
        .await;
        assert_eq!(value(page, "document.cookie").await, json!(""));
    })
    .await;
}

/// Prints the time from the beginning of a page to the applied variant: `just snippet-timing`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, and asserts nothing"]
#[expect(clippy::print_stdout, reason = "what it is for")]
async fn time_to_applied_variant() {
    with_server("", async |page, site, _, _| {
        for kind in ["first", "return"] {
            let mut times = Vec::new();
            let mut painted = Vec::new();
            let mut late = 0;
            while times.len() < 100 {
                if kind == "first" {
                    first_visit(page, site).await;
                } else {
                    value(page, "(window.ready_ = undefined)").await;
                    open(page, site, "/", READY).await;
                }
                if value(page, "ready_.in_time").await == false {
                    late += 1;
                    continue;
                }
                times.push(value(page, "at_").await.as_f64().unwrap());
                let paint = "performance.getEntriesByName('first-contentful-paint')[0]";
                until(page, paint).await;
                painted.push(
                    value(page, &format!("{paint}.startTime"))
                        .await
                        .as_f64()
                        .unwrap(),
                );
            }
            println!("{kind} visit: {late} more were late");
            for (what, mut times) in [("applied", times), ("painted", painted)] {
                times.sort_by(f64::total_cmp);
                println!(
                    "{kind} visit, {what}: p50 {:.0} ms, p95 {:.0} ms",
                    times[49], times[94]
                );
            }
        }
    })
    .await;
}
