//! A visitor moves through a funnel on real pages: the snippet, the real server and PostgreSQL together.

use fantoccini::Client;
use samplit_domain::{
    FunnelCanvas, FunnelCondition, FunnelEdge, FunnelNode, FunnelNodeId, FunnelStep, GoalTrigger,
    Selector, SelectorType,
};
use samplit_engine::{Engine, Funnel, FunnelTransition, NewFunnel, Principal};
use samplit_tests::eventually;
use serde_json::json;
use uuid::Uuid;

use super::{
    real::with_account,
    site::{PATIENT, Site, open, until, value},
};

const LISTEN: &str = "<script>
    window.visits_ = 0;
    document.addEventListener('samplit:ready', () => visits_++);
</script>";

/// Everything on one page; the form and the link lead nowhere by themselves.
const BODY: &str = "<a id=start href=/tour>Start</a><button id=tour onclick=\"samplit.event('toured')\">Tour</button>
    <form id=signup onsubmit='event.preventDefault()'><button>Sign up</button></form>";

fn by_id(value: &str) -> Selector {
    Selector {
        kind: SelectorType::Id,
        value: value.to_owned(),
    }
}

fn id(number: u128) -> FunnelNodeId {
    FunnelNodeId(Uuid::from_u128(number))
}

/// A page, a click, an event, a form.
async fn funnel(engine: &Engine, owner: &Principal, site: &Site) -> Funnel {
    let click = GoalTrigger::Click {
        selector: by_id("start"),
    };
    let event = GoalTrigger::Event {
        name: "toured".to_owned(),
    };
    let submit = GoalTrigger::Submit {
        selector: by_id("signup"),
    };
    let steps = [
        FunnelStep::Page {
            url: Some(format!("{}/", site.origin)),
        },
        FunnelStep::Action {
            trigger: Some(click),
        },
        FunnelStep::Action {
            trigger: Some(event),
        },
        FunnelStep::Conversion {
            trigger: Some(submit),
        },
    ];
    activate(engine, owner, steps).await
}

/// Makes and activates a funnel of these steps, one behind the other.
async fn activate(engine: &Engine, owner: &Principal, steps: [FunnelStep; 4]) -> Funnel {
    let nodes = (1..).zip(steps).map(|(number, step)| FunnelNode {
        id: id(number),
        step,
        name: format!("step {number}"),
        x: 0.0,
        y: 0.0,
        experiment_id: None,
    });
    let edges = (1..4).map(|number| FunnelEdge {
        id: Uuid::from_u128(100 + number).into(),
        source: id(number),
        target: id(number + 1),
        condition: FunnelCondition::Always,
    });
    let new = NewFunnel {
        name: "Sign up".to_owned(),
        description: None,
        window_hours: 168,
        canvas: FunnelCanvas {
            nodes: nodes.collect(),
            edges: edges.collect(),
            ..FunnelCanvas::default()
        },
    };
    let made = engine.create_funnel(owner, new).await.unwrap();
    let activate = engine.move_funnel(owner, made.id, FunnelTransition::Activate, None);
    activate.await.unwrap()
}

/// Waits until so many visitors have come to each step.
async fn reached(engine: &Engine, owner: &Principal, funnel: &Funnel, expected: [u64; 4]) {
    eventually(async || {
        let results = engine.funnel_results(owner, funnel.id, None).await.unwrap();
        let reached = results.steps.iter().map(|step| step.reached);
        reached.eq(expected)
    })
    .await;
}

async fn click(page: &Client, what: &str) {
    value(page, &format!("document.querySelector('{what}').click()")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_goes_by_page_click_event_and_form_and_only_in_that_order() {
    with_account(async |page, site, engine, owner, stub| {
        let funnel = funnel(engine, owner, site).await;
        let html = format!("<!doctype html><head>{PATIENT}{LISTEN}{stub}</head><body>{BODY}</body>");
        for path in ["/", "/tour", "/elsewhere"] {
            site.plain_page(path, html.clone());
        }
        // Who comes by another door is not in the funnel, and has nothing to tell.
        open(page, site, "/elsewhere", "window.visits_ === 1").await;
        let goals = "JSON.parse(localStorage.samplit_goals).map(({id}) => +id.slice(-1))";
        assert_eq!(value(page, goals).await, json!([]));

        // From page to page.
        open(page, site, "/", "window.visits_ === 1").await;
        reached(engine, owner, &funnel, [1, 0, 0, 0]).await;
        assert_eq!(value(page, goals).await, json!([4, 3, 2]));
        click(page, "#start").await;
        until(page, "location.pathname === '/tour' && window.visits_ === 1").await;
        reached(engine, owner, &funnel, [1, 1, 0, 0]).await;
        click(page, "#tour").await;
        reached(engine, owner, &funnel, [1, 1, 1, 0]).await;
        click(page, "form button").await;
        reached(engine, owner, &funnel, [1, 1, 1, 1]).await;

        // Somebody else, in a page that never loads anew. The form is sent too early, and counts once it
        // is sent again behind the other steps, from another view.
        value(page, "(localStorage.clear(), sessionStorage.clear())").await;
        page.delete_all_cookies().await.unwrap();
        open(page, site, "/", "window.visits_ === 1").await;
        reached(engine, owner, &funnel, [2, 1, 1, 1]).await;
        value(page, "document.querySelector('#start').addEventListener('click', (event) => event.preventDefault())").await;
        click(page, "form button").await;
        until(page, &format!("{goals}.join() === '3,2'")).await;
        click(page, "#start").await;
        click(page, "#tour").await;
        reached(engine, owner, &funnel, [2, 2, 2, 1]).await;
        value(page, "history.pushState(null, '', '/#more')").await;
        until(page, "window.visits_ === 2").await;
        click(page, "form button").await;
        reached(engine, owner, &funnel, [2, 2, 2, 2]).await;
        let results = engine.funnel_results(owner, funnel.id, None).await.unwrap();
        assert_eq!((results.entered, results.converted), (2, 2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_at_once_before_the_next_view_is_a_step_before_it() {
    with_account(async |page, site, engine, owner, stub| {
        let seen = |path: &str| FunnelStep::Page {
            url: Some(format!("{}{path}", site.origin)),
        };
        let by_click = GoalTrigger::Click {
            selector: by_id("start"),
        };
        let event = GoalTrigger::Event {
            name: "toured".to_owned(),
        };
        let steps = [
            seen("/"),
            FunnelStep::Action {
                trigger: Some(by_click),
            },
            seen("/tour"),
            FunnelStep::Conversion {
                trigger: Some(event),
            },
        ];
        let funnel = activate(engine, owner, steps).await;
        let body =
            "<button id=start onclick=\"history.pushState(null, '', '/tour')\">Start</button>";
        let html =
            format!("<!doctype html><head>{PATIENT}{LISTEN}{stub}</head><body>{body}</body>");
        site.plain_page("/", html);
        open(page, site, "/", "window.visits_ === 1").await;
        reached(engine, owner, &funnel, [1, 0, 0, 0]).await;
        click(page, "#start").await;
        until(page, "window.visits_ === 2").await;
        reached(engine, owner, &funnel, [1, 1, 1, 0]).await;
        // What the page's own code tells comes in its order, too.
        value(
            page,
            "(samplit.event('toured'), history.pushState(null, '', '/elsewhere'))",
        )
        .await;
        until(page, "window.visits_ === 3").await;
        let results = engine.funnel_results(owner, funnel.id, None).await.unwrap();
        assert_eq!(results.converted, 1);
    })
    .await;
}
