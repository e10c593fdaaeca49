//! Every kind of experiment as its page shows it: combinations, values, several elements, segments.

use futures_util::future::join_all;
use samplit_engine::{
    Assign, Convert, Experiment, ExperimentDraft, GoalDraft, GoalKind, Mode, Principal, Role,
    Strategy, Transition,
};
use serde_json::{Map, json};

use super::{
    axe::assert_accessible,
    desk::{Desk, at_the_desk},
};
use crate::{chromium::emulate, page::photograph_as};

/// A draft whose elements and variants have names that people give.
fn draft(name: &str, elements: &[(&str, &[&str])]) -> ExperimentDraft {
    let sizes: Vec<usize> = elements
        .iter()
        .map(|(_, variants)| variants.len())
        .collect();
    let mut draft = samplit_tests::draft(&sizes);
    draft.name = name.to_owned();
    draft.strategy = Strategy::Fixed;
    for (element, (name, variants)) in draft.elements.iter_mut().zip(elements) {
        element.name = (*name).to_owned();
        for (variant, name) in element.variants.iter_mut().zip(*variants) {
            variant.name = (*name).to_owned();
        }
    }
    draft
}

async fn run(desk: &Desk, who: &Principal, draft: ExperimentDraft) -> Experiment {
    let made = desk.engine.create_experiment(who, draft).await.unwrap();
    let start = Transition::Start;
    let started = desk
        .engine
        .transition(who, made.id, start, Default::default(), None);
    started.await.unwrap()
}

/// Visitors, of whom so many of a thousand convert as `per_thousand` says of the places of what they were
/// shown, with the value that it gives them.
async fn visit(
    desk: &Desk,
    who: &Principal,
    experiment: &Experiment,
    count: u32,
    converts: impl Fn(&[usize], &str, u32) -> Option<f64>,
) {
    let numbers: Vec<u32> = (0..count).collect();
    for wave in numbers.chunks(200) {
        let visitors = wave.iter().map(async |&number| {
            let visitor = format!("visitor-{number}");
            let device = ["phone", "desk", "desk", "tablet"][usize::try_from(number % 4).unwrap()];
            let assign = Assign {
                visitor: visitor.clone(),
                context: Map::from_iter([("device".to_owned(), json!(device))]),
                ..Assign::default()
            };
            let got = desk
                .engine
                .assign(who, experiment.id, assign)
                .await
                .unwrap();
            let places: Vec<usize> = experiment
                .elements
                .iter()
                .zip(got.variants.iter())
                .map(|(element, shown)| {
                    let mut variants = element.variants.iter();
                    variants.position(|known| known.id == *shown).unwrap()
                })
                .collect();
            // Spread like draws, and the same ones each time.
            let draw = number.wrapping_mul(2_654_435_761) % 1_000;
            if let Some(value) = converts(&places, device, draw) {
                let convert = Convert {
                    visitor,
                    value: Some(value),
                    ..Convert::default()
                };
                desk.engine
                    .convert(who, experiment.id, convert)
                    .await
                    .unwrap();
            }
        });
        join_all(visitors).await;
    }
}

/// Looks at a page by day and by night, on a desk and on a phone.
async fn look(desk: &Desk, path: &str, name: &str) {
    desk.open(path).await;
    for (width, scheme) in [
        (1280, "light"),
        (1280, "dark"),
        (390, "light"),
        (390, "dark"),
    ] {
        emulate(&desk.page, width, 900, scheme).await;
        assert_accessible(desk, &format!("{name} at {width}, {scheme}")).await;
    }
    photograph_as(&desk.page, &format!("dashboard-{name}")).await;
}

/// What an element reads. In one go, because the part of the page that moves may be another in between.
async fn read(desk: &Desk, css: &str) -> String {
    let script = format!("return document.querySelector({}).innerText", json!(css));
    let said = desk.run(&script).await;
    said.as_str().unwrap_or_default().replace('\u{202f}', " ")
}

#[tokio::test(flavor = "multi_thread")]
async fn combinations_are_told_in_words_with_what_each_change_adds() {
    at_the_desk(async |desk| {
        let who = desk.enter("ana@example.org", Role::Client).await;
        let mut draft = draft(
            "Headline with button",
            &[
                ("Headline", &["As it was", "With the price"]),
                ("Button", &["Grey", "Green", "Large"]),
            ],
        );
        draft.allocation.mode = Mode::Factorial;
        let experiment = run(desk, &who, draft).await;
        // The price helps and so does green, but not both together.
        visit(desk, &who, &experiment, 6_000, |places, _, draw| {
            let rate = match places {
                [1, 1] => 110,
                [1, _] => 190,
                [_, 1] => 180,
                _ => 100,
            };
            (draw < rate).then_some(1.0)
        })
        .await;
        let path = format!("/experiments/{}", experiment.id);
        look(desk, &path, "experiment-factorial").await;
        let arms = read(desk, ".arms").await;
        assert!(
            arms.contains("Headline: “With the price”") && arms.contains("Button: “Green”"),
            "{arms}"
        );
        let effects = read(desk, "[aria-label='Effects']").await;
        for part in [
            "Which change makes the difference",
            "The changes are not independent",
            "“With the price” together with “Green” brings",
            "5 effects at once",
        ] {
            assert!(effects.contains(part), "lacks {part}: {effects}");
        }
        let pairs = read(desk, "#pairs-0").await;
        assert!(
            pairs.contains("Headline and Button") && pairs.contains("less together"),
            "{pairs}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_stand_beside_conversions_and_say_who_decides() {
    at_the_desk(async |desk| {
        let who = desk.enter("ana@example.org", Role::Client).await;
        let mut draft = draft(
            "Free delivery from 50",
            &[(
                "Delivery",
                &["Always 4.90", "Free from 50", "Free for members"],
            )],
        );
        draft.goals = vec![GoalDraft {
            name: "order".to_owned(),
            kind: GoalKind::Value,
            default_value: 30.0,
            trigger: None,
        }];
        let experiment = run(desk, &who, draft).await;
        // Fewer order from 50 on, and more each; members order most, little, and now and then a lot.
        visit(desk, &who, &experiment, 4_500, |places, _, draw| {
            let (rate, value) = match places[0] {
                0 => (100, 30.0 + f64::from(draw % 7)),
                1 => (80, 58.0 + f64::from(draw % 23)),
                _ => (160, if draw < 8 { 150.0 } else { 9.0 }),
            };
            (draw < rate).then_some(value)
        })
        .await;
        let path = format!("/experiments/{}", experiment.id);
        desk.open(&path).await;
        // In one go, because the part of the page that moves may be another in between.
        desk.run("document.querySelector('#more-values-0').open = true")
            .await;
        let value = read(desk, "[aria-label='Value']").await;
        for part in [
            "What a visitor is worth",
            "Conversions decide",
            "by conversions another",
            "Read these means with care",
            "weigh like",
            "what the others are compared with",
        ] {
            assert!(value.contains(part), "lacks {part}: {value}");
        }
        look(desk, &path, "experiment-value").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_elements_are_judged_one_by_one_and_by_segment() {
    at_the_desk(async |desk| {
        let who = desk.enter("ana@example.org", Role::Client).await;
        let experiment = run(
            desk,
            &who,
            draft(
                "Start page",
                &[
                    ("Picture", &["Beans", "Cup"]),
                    (
                        "Claim",
                        &["Roasted today", "From small farms", "Delivered tomorrow"],
                    ),
                ],
            ),
        )
        .await;
        visit(desk, &who, &experiment, 6_000, |places, device, draw| {
            let lift = if device == "phone" { 130 } else { 10 };
            (draw < 100 + u32::try_from(places[0]).unwrap() * lift).then_some(1.0)
        })
        .await;
        let path = format!("/experiments/{}", experiment.id);
        look(desk, &path, "experiment-elements").await;
        let elements = read(desk, "[aria-label='Elements']").await;
        assert!(
            elements.contains("2 elements, judged one by one") && elements.contains("“Cup”"),
            "{elements}"
        );
        desk.run("document.querySelector(\"a[href='#draw-1']\").click()")
            .await;
        assert!(desk.place().await.ends_with("#draw-1"));

        look(
            desk,
            &format!("{path}?segment=device&combinations=all"),
            "experiment-segments",
        )
        .await;
        let segments = read(desk, "[aria-labelledby='segments']").await;
        for part in [
            "9 comparisons with control",
            "still stand",
            "stands out",
            "tablet",
        ] {
            assert!(segments.contains(part), "lacks {part}: {segments}");
        }
        let together = read(desk, "[aria-labelledby='together']").await;
        assert!(together.contains("Cup + From small farms"), "{together}");
    })
    .await;
}

#[tokio::test]
async fn the_form_says_how_elements_go_together_and_what_is_too_much() {
    at_the_desk(async |desk| {
        desk.enter("ana@example.org", Role::Client).await;
        desk.open("/experiments/new").await;
        desk.fill("#f-name", "Start page").await;
        desk.press("Add another element").await;
        desk.wait_for("#f-elements-1-name").await;
        desk.press("Next").await;
        desk.wait_for("fieldset[data-step='2']:not([hidden])").await;
        let mode = read(desk, "[aria-labelledby='mode']").await;
        assert!(mode.contains("2 × 2 = 4 now, at most 64"), "{mode}");
        desk.press("Add a variant of element 1").await;
        desk.wait_for("#f-elements-0-variants-2-content-text").await;
        let mode = read(desk, "[aria-labelledby='mode']").await;
        assert!(mode.contains("3 × 2 = 6 now"), "{mode}");
        desk.click("input[value='factorial']").await;
        for (width, scheme) in [(1280, "light"), (390, "dark")] {
            emulate(&desk.page, width, 900, scheme).await;
            assert_accessible(desk, &format!("mode at {width}, {scheme}")).await;
        }
        photograph_as(&desk.page, "dashboard-experiment-mode").await;
        desk.press("Next").await;
        desk.wait_for("fieldset[data-step='3']:not([hidden])").await;
        desk.click("input[name='/goals/0/kind'][value='value']")
            .await;
        let goal = read(desk, "[aria-labelledby='goal']").await;
        assert!(
            goal.contains("still decides about traffic") && goal.contains("takes several times"),
            "{goal}"
        );
        photograph_as(&desk.page, "dashboard-experiment-value-goal").await;
        desk.press("Create the draft").await;
        desk.wait_for("#plan").await;
        let plan = read(desk, "[aria-labelledby='plan']").await;
        assert!(
            plan.contains("Every combination is a variant: 3 × 2 = 6")
                && plan.contains("the value per visitor is measured beside"),
            "{plan}"
        );
    })
    .await;
}
