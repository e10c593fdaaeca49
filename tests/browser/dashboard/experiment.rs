//! The page of an experiment: live traffic moves it, it says what to do, and completes with a winner.

use std::{collections::BTreeMap, sync::Arc};

use fantoccini::Locator;
use futures_util::future::join_all;
use samplit_domain::ManualClock;
use samplit_engine::{
    Assign, Clock as _, Convert, Engine, EngineConfig, Experiment, Hypothesis, Principal, Role,
    Status, SystemClock, Transition,
};
use serde_json::{Map, json};
use time::Duration;

use super::{
    axe::assert_accessible,
    desk::{Desk, at_the_desk},
};
use crate::{chromium::emulate, page::photograph_as};

/// Days of visitors before today.
const DAYS: u32 = 12;

/// An experiment of three variants of `who` that has run for twelve days.
async fn with_history(desk: &Desk, who: &Principal) -> Experiment {
    let now = SystemClock.now();
    let clock = Arc::new(ManualClock::new(
        now - Duration::days(DAYS.into()) - Duration::HOUR,
    ));
    let config = EngineConfig {
        clock: Arc::clone(&clock) as _,
        ..samplit_tests::config(5)
    };
    let past = samplit_tests::engine_with(&desk.database, config).await;
    let mut draft = samplit_tests::draft(&[3]);
    draft.name = "Words on the button".to_owned();
    draft.description = Some("Does a friendlier call to action bring more orders?".to_owned());
    draft.hypothesis = Some(Hypothesis {
        statement: "“Get my coffee” brings more orders than “Buy”.".to_owned(),
        minimum_effect: Some(0.01),
    });
    draft.stopping.min_visitors_per_arm = 500;
    draft.stopping.threshold = Some(0.000_5);
    let names = ["Buy", "Get my coffee", "Add to basket"];
    for (variant, name) in draft.elements[0].variants.iter_mut().zip(names) {
        variant.name = name.to_owned();
    }
    let experiment = past.create_experiment(who, draft).await.unwrap();
    let (start, none) = (Transition::Start, BTreeMap::new());
    let started = past.transition(who, experiment.id, start, none, None).await;
    let experiment = started.unwrap();
    for half in 0..2 * DAYS {
        visit(&past, who, &experiment, half, 160 + 17 * (half % 5)).await;
        clock.advance(Duration::hours(12));
    }
    past.shutdown().await;
    experiment
}

/// What an element reads. In one go, because the part of the page that moves may be another in between.
async fn read(desk: &Desk, css: &str) -> String {
    let script = format!("return document.querySelector({}).innerText;", json!(css));
    desk.run(&script)
        .await
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// A wave of visitors, of whom more convert with the second variant.
async fn visit(engine: &Engine, who: &Principal, experiment: &Experiment, wave: u32, count: u32) {
    let visitors = (0..count).map(async |number| {
        let visitor = format!("visitor-{wave}-{number}");
        let device = if number % 3 == 0 { "phone" } else { "desk" };
        let assign = Assign {
            visitor: visitor.clone(),
            context: Map::from_iter([("device".to_owned(), json!(device))]),
            ..Assign::default()
        };
        let got = engine.assign(who, experiment.id, assign).await.unwrap();
        let variants = &experiment.elements[0].variants;
        let shown = variants
            .iter()
            .position(|one| one.id == got.variants[0])
            .unwrap();
        let per_thousand = [84, 131, 90][shown];
        if (wave * 7_919 + number * 104_729) % 1_000 < per_thousand {
            let convert = Convert {
                visitor,
                ..Convert::default()
            };
            engine.convert(who, experiment.id, convert).await.unwrap();
        }
    });
    join_all(visitors).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_traffic_moves_the_page_and_a_winner_ends_it() {
    at_the_desk(async |desk| {
        let who = desk.enter("ana@example.org", Role::Client).await;
        let experiment = with_history(desk, &who).await;
        let path = format!("/experiments/{}", experiment.id);
        desk.open(&path).await;
        desk.wait_for("[data-state='live']").await;
        let headline = read(desk, ".verdict .headline").await;
        assert!(headline.starts_with("“Get my coffee” "), "{headline}");
        let said = read(desk, ".verdict").await;
        assert!(said.contains("likely to be the best"), "{said}");
        assert!(said.contains("per 1000 visitors"), "{said}");
        for (width, scheme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
            emulate(&desk.page, width, 900, scheme).await;
            assert_accessible(desk, &format!("experiment at {width}, {scheme}")).await;
        }
        photograph_as(&desk.page, "dashboard-experiment").await;

        // What is open stays open, and what has the focus keeps it, while the numbers move.
        desk.click("#table-traffic-0 > summary").await;
        desk.click("#more-arms-0 > summary").await;
        desk.run("window.loaded = true; document.querySelector('#more-arms-0 > summary').focus();")
            .await;
        let before = read(desk, "#visitors").await;
        visit(&desk.engine, &who, &experiment, 1_000, 200).await;
        samplit_tests::eventually(async || read(desk, "#visitors").await != before).await;
        let kept = "return window.loaded && document.activeElement.closest('details').id === 'more-arms-0' \
                    && document.querySelectorAll('#live details[open]').length;";
        assert_eq!(desk.run(kept).await, json!(2), "not reloaded, not closed, focus kept");

        // Hidden, it holds no connection; shown again, it is fresh.
        desk.open(&format!("{path}?segment=device#segments")).await;
        let segments = desk.text("[aria-label^='Segments']").await;
        assert!(segments.contains("phone") && segments.contains("desk"), "{segments}");

        complete(desk, &who, &experiment, &path).await;
    })
    .await;
}

async fn complete(desk: &Desk, who: &Principal, experiment: &Experiment, path: &str) {
    desk.open(path).await;
    desk.click("#complete > summary").await;
    desk.fill("#complete [name='confirm']", "words on the button")
        .await;
    desk.press("Complete the experiment").await;
    desk.wait_for("#complete[open] .error").await;
    let stays = desk.engine.experiment(who, experiment.id).await.unwrap();
    assert_eq!(stays.status, Status::Active);

    // The leader is chosen unless somebody chooses otherwise.
    let chosen = desk.run("return document.querySelector('#complete :checked').closest('label').textContent.trim();").await;
    assert_eq!(chosen, json!("Get my coffee"));
    desk.run(
        "document.querySelector(\"#complete [name='confirm']\").value = 'Words on the button';",
    )
    .await;
    desk.press("Complete the experiment").await;
    desk.wait_for(".notice").await;
    let over = desk.engine.experiment(who, experiment.id).await.unwrap();
    assert_eq!(over.status, Status::Completed);
    let element = &experiment.elements[0];
    assert_eq!(over.declared_winner[&element.id], element.variants[1].id);
    let headline = read(desk, ".verdict .headline").await;
    assert_eq!(headline, "Completed: everybody gets “Get my coffee”");
    photograph_as(&desk.page, "dashboard-experiment-completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_tells_every_decision_and_verifies() {
    at_the_desk(async |desk| {
        let who = desk.enter("ana@example.org", Role::Client).await;
        let experiment = samplit_tests::draft(&[2]);
        let experiment = desk
            .engine
            .create_experiment(&who, experiment)
            .await
            .unwrap();
        let path = format!("/experiments/{}", experiment.id);
        desk.open(&path).await;
        let ready = desk.text("#main").await;
        assert!(
            ready.contains("Ready to start?") && ready.contains("What is tested"),
            "{ready}"
        );
        assert_accessible(desk, "draft").await;
        photograph_as(&desk.page, "dashboard-experiment-draft").await;
        desk.press("Start the experiment").await;
        desk.wait_for(".notice").await;
        let waiting = read(desk, ".verdict .headline").await;
        assert_eq!(waiting, "Waiting for the first visitor");
        visit(&desk.engine, &who, &experiment, 1, 60).await;

        desk.open(&format!("{path}/trail")).await;
        let told = desk.text(".trail").await;
        assert!(
            told.contains("Assignment Visitor") && told.contains("got “"),
            "{told}"
        );
        assert!(told.contains("Conversion Visitor"), "{told}");
        desk.page
            .find(Locator::LinkText("Older"))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
        desk.arrive(&format!("{path}/trail")).await;
        let told = desk.text(".trail").await;
        assert!(told.contains("The trail begins"), "{told}");
        desk.press("Verify now").await;
        desk.wait_for("#verdict").await;
        let verdict = desk.text("#verdict").await;
        assert!(verdict.contains("Sound: nothing was changed"), "{verdict}");
        assert_accessible(desk, "trail").await;
        photograph_as(&desk.page, "dashboard-trail").await;

        desk.open(&format!("{path}/trail?sequence=1")).await;
        let proof = desk.text("[aria-labelledby='inclusion']").await;
        assert!(proof.contains("Leaf"), "{proof}");
        desk.open(&format!("{path}/trail?visitor=nobody")).await;
        let none = desk.text("[aria-labelledby='receipt'] .callout").await;
        assert!(!none.is_empty());
    })
    .await;
}
