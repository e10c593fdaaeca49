//! The first steps of a new account, by really doing them: a site that carries the snippet, an experiment
//! that is started.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use samplit_engine::{Limits, PlanDraft, Principal, Role};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    axe::assert_accessible,
    desk::{Desk, at_the_desk},
};
use crate::page::photograph_as;

/// How many steps the list says are done.
async fn done(desk: &Desk) -> String {
    desk.open("/").await;
    let count = "return document.querySelector('[data-onboarding] .card-head p')?.textContent.trim() ?? 'away';";
    let count = desk.run(count).await;
    count.as_str().unwrap().to_owned()
}

/// A customer's site with one page.
async fn serve_site(listener: TcpListener, html: String) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let html = html.clone();
            let answer = service_fn(move |_: Request<Incoming>| {
                let mut page = Response::new(Full::new(Bytes::from(html.clone())));
                let kind = header::HeaderValue::from_static("text/html; charset=utf-8");
                page.headers_mut().insert(header::CONTENT_TYPE, kind);
                async move { Ok::<_, Infallible>(page) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_steps_are_done_by_doing_them() {
    at_the_desk(async |desk| {
        let who = desk.enter("ana@example.org", Role::Client).await;
        assert_eq!(done(desk).await, "1 of 5 done");
        assert_accessible(desk, "onboarding").await;
        photograph_as(&desk.page, "dashboard-onboarding-begun").await;

        // Put away, and taken out again.
        desk.press("Put this list away").await;
        desk.wait_for(".notice").await;
        assert_eq!(done(desk).await, "away");
        desk.open("/settings").await;
        photograph_as(&desk.page, "dashboard-onboarding-away").await;
        desk.press("Show the first steps again").await;
        desk.wait_for("[data-onboarding]").await;

        // A site, with the line that the page says.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let domain = listener.local_addr().unwrap().to_string();
        desk.press("Add a site").await;
        desk.arrive("/installations").await;
        desk.fill("#f-name", "Coffee shop").await;
        desk.fill("#f-domain", &domain).await;
        desk.press("Add the site").await;
        desk.wait_for("#snippet").await;
        let line = desk.text("#snippet").await;
        assert_eq!(done(desk).await, "2 of 5 done");
        let html = format!("<!doctype html><head>{line}</head><body><h1>Coffee</h1></body>");
        let site = serve_site(listener, html).await;
        desk.page.goto(&format!("http://{domain}/")).await.unwrap();
        let all = samplit_engine::Page {
            cursor: None,
            limit: 1,
        };
        samplit_tests::eventually(async || {
            let sites = desk.engine.installations(&who, &all).await.unwrap();
            sites.data[0].verified_at.is_some()
        })
        .await;
        assert_eq!(done(desk).await, "3 of 5 done");
        photograph_as(&desk.page, "dashboard-onboarding-verified").await;

        // An experiment on it.
        desk.press("Make an experiment").await;
        desk.arrive("/experiments/new").await;
        desk.fill("#f-name", "Headline").await;
        desk.fill("#f-elements-0-selector-value", "h1").await;
        desk.press("Next").await;
        desk.wait_for("fieldset[data-step='2']:not([hidden])").await;
        desk.fill("#f-elements-0-variants-1-content-text", "Tea")
            .await;
        desk.press("Next").await;
        desk.wait_for("fieldset[data-step='3']:not([hidden])").await;
        desk.press("Create the draft").await;
        desk.wait_for("#start").await;
        let experiment = desk.place().await;
        let experiment = experiment.split('?').next().unwrap();
        assert_eq!(done(desk).await, "4 of 5 done");
        desk.open(experiment).await;
        desk.press("Start the experiment").await;
        desk.wait_for(".notice").await;
        assert_eq!(done(desk).await, "away", "all is done");
        let now = desk.engine.onboarding(&who).await.unwrap();
        assert!(now.completed_at.is_some() && now.dismissed_at.is_none());
        photograph_as(&desk.page, "dashboard-onboarding-done").await;
        site.abort();
    })
    .await;
}

/// A plan of which some is used, much, and all.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_made_and_shows_what_is_used_of_it() {
    at_the_desk(async |desk| {
        let who = desk.enter("ana@example.org", Role::Admin).await;
        desk.open("/plans").await;
        photograph_as(&desk.page, "dashboard-plans-empty").await;
        desk.fill("#f-name", "team").await;
        desk.press("Make the plan").await;
        desk.wait_for("#f-title-error").await;
        assert_accessible(desk, "plans with an error").await;
        desk.fill("#f-title", "Team").await;
        desk.fill("#f-max-active-experiments", "1").await;
        desk.fill("#f-max-monthly-visitors", "100").await;
        desk.press("Make the plan").await;
        desk.wait_for(".notice").await;
        let user = who.user_id.unwrap();
        desk.open(&format!("/users/{user}")).await;
        let choose = "const field = document.querySelector('#f-plan'); field.value = 'team'; return field.value;";
        assert_eq!(desk.run(choose).await, json!("team"));
        desk.press("Put it on this plan").await;
        desk.wait_for(".notice").await;
        photograph_as(&desk.page, "dashboard-user-plan").await;
        let limits = Limits {
            active_experiments: Some(1),
            monthly_visitors: Some(100),
            seats: Some(25),
        };
        let team = PlanDraft {
            title: "Team".to_owned(),
            limits,
            provider_price_id: Some("price_1S8KqTeamMonthly".to_owned()),
        };
        let me = Principal::system();
        desk.engine.save_plan(&me, "team", team).await.unwrap();

        let draft = samplit_tests::draft(&[2]);
        let made = desk.engine.create_experiment(&who, draft).await.unwrap();
        desk.open(&format!("/experiments/{}", made.id)).await;
        desk.press("Start the experiment").await;
        desk.wait_for(".notice").await;
        for visitor in 0..85 {
            let visit = samplit_engine::Assign {
                visitor: format!("visitor-{visitor}"),
                ..samplit_engine::Assign::default()
            };
            desk.engine.assign(&who, made.id, visit).await.unwrap();
        }
        desk.open("/plan").await;
        assert_accessible(desk, "plan").await;
        let said = desk.text("main").await;
        for words in ["1 of 1", "85 of 100", "1 of 25"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        photograph_as(&desk.page, "dashboard-plan-used").await;
        desk.open("/").await;
        desk.wait_for(".callout[data-limit='active_experiments']").await;
        photograph_as(&desk.page, "dashboard-overview-limits").await;

        // One more is refused where it is asked for.
        let draft = samplit_tests::draft(&[2]);
        let more = desk.engine.create_experiment(&who, draft).await.unwrap();
        desk.open(&format!("/experiments/{}", more.id)).await;
        desk.press("Start the experiment").await;
        desk.wait_for(".callout[data-kind='bad']").await;
        let refusal = desk.text(".callout[data-kind='bad']").await;
        assert!(refusal.contains("room for 1 running"), "{refusal}");
        desk.open("/plans").await;
        photograph_as(&desk.page, "dashboard-plans-sold").await;
    })
    .await;
}
