//! The first experiment, from an empty install to its end, as one person does it in one go.

use samplit_engine::{NewApiKey, Principal, Role, Scope};
use serde_json::json;

use super::{
    axe::assert_accessible,
    desk::{Desk, at_the_desk},
    door::{EMAIL, PASSWORD, sign_out},
};
use crate::{http::Api, page::photograph_as};

/// A person at the desk, whose moves are counted.
struct Person<'d> {
    desk: &'d Desk,
    clicks: u32,
    keys: u32,
}

/// How long a person takes for one move, in seconds: the keystroke-level model (Card, Moran & Newell 1980,
/// Communications of the ACM 23(7)). To look and to decide, to point and to press, a key at 40 words a
/// minute.
const THINK: f64 = 1.35;
const POINT: f64 = 1.1;
const PRESS: f64 = 0.2;
const KEY: f64 = 0.28;

impl<'d> Person<'d> {
    fn new(desk: &'d Desk) -> Self {
        Self {
            desk,
            clicks: 0,
            keys: 0,
        }
    }

    async fn press(&mut self, words: &str) {
        self.clicks += 1;
        self.desk.press(words).await;
    }

    async fn click(&mut self, css: &str) {
        self.clicks += 1;
        self.desk.click(css).await;
    }

    /// Clicks into a field and types.
    async fn fill(&mut self, css: &str, words: &str) {
        self.clicks += 1;
        self.keys += u32::try_from(words.chars().count()).unwrap();
        self.desk.fill(css, words).await;
    }

    /// What the moves so far take, in seconds.
    fn seconds(&self) -> f64 {
        f64::from(self.clicks) * (THINK + POINT + PRESS) + f64::from(self.keys) * KEY
    }

    #[expect(clippy::print_stdout, reason = "the numbers are worth seeing")]
    fn report(&self, until: &str) {
        println!(
            "until {until}: {} clicks and {} keys, about {:.0} s for a person",
            self.clicks,
            self.keys,
            self.seconds()
        );
    }
}

/// Visitors of a site, by the API as a service asks it; more convert who see something new.
async fn visitors(api: &Api, experiment: &str, wave: u32) {
    let path = format!("/v1/experiments/{experiment}");
    for number in 0..60 {
        let visitor = format!("visitor-{wave}-{number}");
        let visit = json!({ "visitor_id": visitor });
        let got = api.post(&format!("{path}/assign"), &visit).await;
        let is_control = got["variants"][0]["variant"] == "Original";
        if number % (if is_control { 10 } else { 4 }) == 0 {
            api.post(&format!("{path}/convert"), &visit).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_experiment_is_made_started_watched_and_completed_in_one_go() {
    at_the_desk(async |desk| {
        let mut person = Person::new(desk);
        let link = desk.engine.setup_link(&Principal::system()).await.unwrap();
        desk.open(&link.path.unwrap()).await;
        person.fill("#f-email", EMAIL).await;
        person.fill("#f-password", PASSWORD).await;
        person.press("Make the account").await;
        desk.arrive("/").await;

        person.press("Make an experiment").await;
        desk.arrive("/experiments/new").await;
        person.fill("#f-name", "Price page").await;
        person.press("Next").await;
        desk.wait_for("fieldset[data-step='2']:not([hidden])").await;
        let text = "#f-elements-0-variants-1-content-text";
        person.fill(text, "Pay by the month").await;
        person.press("Next").await;
        desk.wait_for("fieldset[data-step='3']:not([hidden])").await;
        person.press("Create the draft").await;
        desk.wait_for("#start").await;
        person.press("Start the experiment").await;
        desk.wait_for("[data-state='live']").await;
        person.report("it runs");
        // By a model of a person and not by a clock: what the page asks for, not how fast the machine is.
        assert!(person.seconds() < 120.0, "{} s", person.seconds());

        let place = desk.place().await;
        let experiment = place.split(['/', '?']).nth(2).unwrap().to_owned();
        let key = NewApiKey {
            email: EMAIL.to_owned(),
            role: Role::Admin,
            name: "shop".to_owned(),
            scopes: Scope::ALL.to_vec(),
            expires_at: None,
        };
        let key = desk.engine.create_api_key(key).await.unwrap();
        let api = Api::new(&desk.base, &key.token);
        desk.run("window.loaded = true").await;
        let shown =
            "return Number(document.querySelector('#visitors').textContent.replace(/\\D/g, ''))";
        for wave in 1..=3 {
            visitors(&api, &experiment, wave).await;
            let expected = json!(60 * wave);
            samplit_tests::eventually(async || desk.run(shown).await == expected).await;
        }
        assert_eq!(
            desk.run("return window.loaded").await,
            true,
            "it was not loaded again"
        );
        assert_accessible(desk, "the first experiment").await;
        photograph_as(&desk.page, "dashboard-first-experiment").await;

        person.click("#complete > summary").await;
        person
            .fill("#complete [name='confirm']", "Price page")
            .await;
        person.press("Complete the experiment").await;
        desk.wait_for(".notice").await;
        let headline = desk.text(".verdict .headline").await;
        assert!(
            headline.starts_with("Completed: everybody gets"),
            "{headline}"
        );
        let over = api.get(&format!("/v1/experiments/{experiment}")).await;
        assert_eq!(over["status"], "completed");
        person.clicks += 1;
        sign_out(desk).await;
        person.report("it is over");
        desk.open(&place).await;
        desk.arrive("/login").await;
    })
    .await;
}
