//! Making things in the dashboard: an experiment from nothing in three steps, a site, an erasure, a file
//! of old tests.

use samplit_engine::{Experiment, ExperimentFilter, Page, Principal, Role};
use serde_json::json;

use super::desk::{Desk, at_the_desk};
use crate::page::photograph_as;

const EMAIL: &str = "ana@example.org";

async fn experiments(desk: &Desk) -> Vec<Experiment> {
    let page = Page {
        cursor: None,
        limit: 100,
    };
    let all = ExperimentFilter::default();
    let system = Principal::system();
    let found = desk.engine.experiments(&system, &all, &page).await;
    found.unwrap().data
}

/// Which step is in sight.
async fn step(desk: &Desk) -> String {
    let shown = desk
        .run(
            "return [...document.querySelectorAll('fieldset[data-step]:not([hidden])')] \
             .map((fieldset) => fieldset.dataset.step).join();",
        )
        .await;
    shown.as_str().unwrap().to_owned()
}

async fn choose(desk: &Desk, css: &str, value: &str) {
    let script = format!(
        "const field = document.querySelector({}); field.value = {}; \
         field.dispatchEvent(new Event('input', {{ bubbles: true }}));",
        json!(css),
        json!(value)
    );
    desk.run(&script).await;
}

#[tokio::test]
async fn an_experiment_is_made_in_three_steps_from_nothing() {
    at_the_desk(async |desk| {
        desk.enter(EMAIL, Role::Admin).await;
        desk.open("/experiments").await;
        photograph_as(&desk.page, "dashboard-experiments-empty").await;
        desk.press("Create your first experiment").await;
        desk.arrive("/experiments/new").await;
        assert_eq!(step(desk).await, "1");

        // Nothing goes on without a name; the step with the error is the one that is shown.
        desk.press("Next").await;
        desk.wait_for("#f-name-error").await;
        assert_eq!(desk.text("#f-name-error").await, "This is missing.");
        assert_eq!(step(desk).await, "1");
        photograph_as(&desk.page, "dashboard-experiment-error").await;
        desk.fill("#f-name", "Headline of the pricing page").await;
        desk.fill("#f-target-url", "https://shop.example.org/pricing*")
            .await;
        desk.fill("#f-elements-0-selector-value", "h1").await;
        desk.press("Next").await;
        desk.wait_for("fieldset[data-step='2']:not([hidden])").await;
        assert_eq!(step(desk).await, "2");

        desk.fill("#f-elements-0-variants-1-content-text", "Pay by the month")
            .await;
        desk.press("Add a variant").await;
        desk.wait_for("#f-elements-0-variants-2-content-text").await;
        desk.fill(
            "#f-elements-0-variants-2-content-text",
            "One price for everybody",
        )
        .await;
        assert_eq!(step(desk).await, "2");
        photograph_as(&desk.page, "dashboard-experiment-variants").await;
        desk.press("Next").await;
        desk.wait_for("fieldset[data-step='3']:not([hidden])").await;

        // What is asked depends on what was chosen, and the forecast follows what is typed.
        let is_hidden =
            "return !document.querySelector('#f-goals-0-trigger-selector-value').offsetParent;";
        assert_eq!(desk.run(is_hidden).await, json!(true));
        choose(desk, "#f-goals-0-trigger-type", "click").await;
        assert_eq!(desk.run(is_hidden).await, json!(false));
        let before = desk.text(".outlook-days").await;
        desk.fill("#f-forecast-visitors-per-day", "50000").await;
        samplit_tests::eventually(async || desk.text(".outlook-days").await != before).await;
        photograph_as(&desk.page, "dashboard-experiment-goal").await;

        desk.press("Create the draft").await;
        desk.wait_for("#f-goals-0-trigger-selector-value-error")
            .await;
        assert_eq!(step(desk).await, "3");
        desk.fill("#f-goals-0-trigger-selector-value", "#buy").await;
        desk.press("Create the draft").await;
        samplit_tests::eventually(async || !experiments(desk).await.is_empty()).await;
        let made = &experiments(desk).await[0];
        assert_eq!(made.name, "Headline of the pricing page");
        let texts = made.elements[0].variants.iter().map(|v| v.content.clone());
        assert_eq!(
            texts.collect::<Vec<_>>(),
            [
                json!({}),
                json!({ "text": "Pay by the month" }),
                json!({ "text": "One price for everybody" })
            ]
        );
        desk.arrive(&format!("/experiments/{}", made.id)).await;

        desk.open(&format!("/experiments/{}/edit", made.id)).await;
        desk.fill("#f-name", "Prices").await;
        // The Enter key goes on to the next step, and does not remove anything.
        desk.key("Enter").await;
        desk.wait_for("fieldset[data-step='2']:not([hidden])").await;
        desk.press("Save the draft").await;
        samplit_tests::eventually(async || experiments(desk).await[0].name == "Prices").await;
        assert_eq!(experiments(desk).await[0].elements[0].variants.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn nothing_typed_is_lost_when_the_session_ends() {
    at_the_desk(async |desk| {
        desk.enter(EMAIL, Role::Admin).await;
        desk.open("/experiments/new").await;
        desk.fill("#f-name", "Long thought about").await;
        desk.page.delete_all_cookies().await.unwrap();
        desk.press("Next").await;
        desk.wait_for(".callout.trouble").await;
        let kept = "return document.querySelector('#f-name').value;";
        assert_eq!(desk.run(kept).await, json!("Long thought about"));
        assert_eq!(step(desk).await, "1");
        // Somebody who signs in meanwhile goes on from there.
        let link = desk.engine.sign_in_link(&Principal::system(), EMAIL).await;
        let join = format!(
            "return fetch({}, {{ method: 'POST', body: new URLSearchParams() }}).then((answer) => answer.ok);",
            json!(link.unwrap().path.unwrap())
        );
        assert_eq!(desk.run(&join).await, json!(true));
        desk.press("Next").await;
        samplit_tests::eventually(async || step(desk).await == "2").await;
    })
    .await;
}

#[tokio::test]
async fn a_site_is_added_and_ends_by_its_name() {
    at_the_desk(async |desk| {
        desk.enter(EMAIL, Role::Client).await;
        desk.open("/installations").await;
        photograph_as(&desk.page, "dashboard-installations-empty").await;
        desk.fill("#f-name", "Coffee shop").await;
        desk.fill("#f-domain", "shop").await;
        desk.press("Add the site").await;
        desk.wait_for("#f-domain-error").await;
        desk.fill("#f-domain", "shop.example.org").await;
        desk.press("Add the site").await;
        desk.wait_for("#snippet").await;
        assert!(desk.text("#snippet").await.contains("pk_"));
        assert!(desk.text(".notice").await.contains("Paste its snippet"));

        desk.press("Look for it now").await;
        desk.wait_for(".callout[data-kind='bad']").await;
        desk.click("details.danger > summary").await;
        desk.fill("#f-confirm", "Coffee").await;
        desk.press("Disable it").await;
        desk.wait_for("#f-confirm-error").await;
        photograph_as(&desk.page, "dashboard-installation-confirm").await;
        desk.fill("#f-confirm", "Coffee shop").await;
        desk.press("Disable it").await;
        desk.wait_for(".callout[data-kind='warn']").await;
        desk.press("Enable it again").await;
        desk.wait_for(".notice").await;
    })
    .await;
}

#[tokio::test]
async fn a_visitor_is_erased_after_a_confirmation() {
    at_the_desk(async |desk| {
        let who = desk.enter(EMAIL, Role::Client).await;
        let experiment = desk
            .engine
            .create_experiment(&who, samplit_tests::draft(&[2]))
            .await
            .unwrap();
        let start = samplit_engine::Transition::Start;
        desk.engine
            .transition(&who, experiment.id, start, Default::default(), None)
            .await
            .unwrap();
        let visit = samplit_engine::Assign {
            visitor: "visitor-7".to_owned(),
            ..samplit_engine::Assign::default()
        };
        desk.engine
            .assign(&who, experiment.id, visit)
            .await
            .unwrap();

        desk.open("/visitors").await;
        desk.fill("#f-visitor-id", "visitor-7").await;
        desk.press("Find the visitor").await;
        desk.wait_for("#f-confirm").await;
        photograph_as(&desk.page, "dashboard-visitor-found").await;
        desk.press("Erase for good").await;
        desk.wait_for("#f-confirm-error").await;
        desk.fill("#f-confirm", "visitor-7").await;
        desk.press("Erase for good").await;
        desk.wait_for(".callout[data-kind='good']").await;
        photograph_as(&desk.page, "dashboard-visitor-erased").await;
        let left = desk
            .engine
            .experiments_of_visitor(&who, "visitor-7")
            .await
            .unwrap();
        assert!(left.is_empty());
    })
    .await;
}

/// Tests as they might have been run, some of which have a winner.
fn old_tests() -> String {
    let mut file = "test_id,headline,impressions,clicks\n".to_owned();
    for number in 0..24_u32 {
        for arm in 0..3_u32 {
            // Some tests have a variant that is twice as good, some have none.
            let rate = if arm == number % 3 && number % 2 == 0 {
                110
            } else {
                55
            };
            let clicks = rate + (number * 7 + arm * 13) % 9;
            file.push_str(&format!("story-{number:02},Headline {arm},2000,{clicks}\n"));
        }
    }
    file
}

#[tokio::test]
async fn old_tests_are_uploaded_and_told() {
    at_the_desk(async |desk| {
        desk.enter(EMAIL, Role::Client).await;
        desk.open("/backtest").await;
        desk.press("Run the tests again").await;
        desk.wait_for("#f-file-error").await;
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("old.csv");
        std::fs::write(&file, old_tests()).unwrap();
        let field = desk
            .page
            .find(fantoccini::Locator::Css("#f-file"))
            .await
            .unwrap();
        field.send_keys(file.to_str().unwrap()).await.unwrap();
        desk.fill("#f-value", "40").await;
        desk.press("Run the tests again").await;
        desk.wait_for(".worked .callout").await;
        let verdict = desk.text(".worked .callout h2").await;
        assert!(verdict.contains("conversions more"), "{verdict}");
        let is_gone = "return document.querySelector('.working').offsetParent === null;";
        assert_eq!(
            desk.run(is_gone).await,
            json!(true),
            "the progress steps back"
        );
        super::axe::assert_accessible(desk, "backtest-result").await;
        photograph_as(&desk.page, "dashboard-backtest-result").await;
    })
    .await;
}
