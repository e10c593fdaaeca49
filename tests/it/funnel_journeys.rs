//! Visitors move through funnels: what pages tell, in which order, and who is left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use samplit_domain::{
    ExclusionKind, FunnelCanvas, FunnelCondition, FunnelEdge, FunnelNode, FunnelNodeId, FunnelStep,
    GoalTrigger, Happened, Installation, ManualClock, PageEvent, Selector, SelectorType, Visit,
    from_micros,
};
use samplit_engine::{
    Engine, EngineConfig, ErrorKind, EventOutcome, ExperimentId, Funnel, FunnelResults,
    FunnelTransition, LeadDraft, LeadSubmission, NewExclusion, NewFunnel, NotRecorded, PageView,
    Principal,
};
use samplit_tests::{Client, config, connect, database, engine, engine_with};
use serde_json::{Map, json};
use time::Duration;
use uuid::Uuid;

use crate::pages::{account, install, on_page, run};

/// A node. `number` is the last part of its id, `of` the first, as no two funnels share ids.
pub(crate) fn node(of: u128, number: u128, step: FunnelStep) -> FunnelNode {
    FunnelNode {
        id: id(of, number),
        step,
        name: format!("step {number}"),
        x: 0.0,
        y: 0.0,
        experiment_id: None,
    }
}

pub(crate) fn id(of: u128, number: u128) -> FunnelNodeId {
    FunnelNodeId(Uuid::from_u128((of << 64) + number))
}

pub(crate) fn edge(of: u128, ends: (u128, u128), condition: FunnelCondition) -> FunnelEdge {
    let (source, target) = ends;
    FunnelEdge {
        id: Uuid::from_u128((of << 64) + 1_000 * source + target).into(),
        source: id(of, source),
        target: id(of, target),
        condition,
    }
}

pub(crate) fn page(path: &str) -> FunnelStep {
    let url = Some(format!("https://shop.test{path}"));
    FunnelStep::Page { url }
}

pub(crate) fn selector(css: &str) -> Selector {
    Selector {
        kind: SelectorType::Css,
        value: css.to_owned(),
    }
}

/// Page, click, page, event, form: the five steps of a shop.
pub(crate) fn shop(of: u128) -> FunnelCanvas {
    let click = GoalTrigger::Click {
        selector: selector("#buy"),
    };
    let event = GoalTrigger::Event {
        name: "trial".to_owned(),
    };
    let submit = GoalTrigger::Submit {
        selector: selector("form"),
    };
    let always = |ends| edge(of, ends, FunnelCondition::Always);
    FunnelCanvas {
        nodes: vec![
            node(of, 1, page("/")),
            node(
                of,
                2,
                FunnelStep::Action {
                    trigger: Some(click),
                },
            ),
            node(of, 3, page("/pricing")),
            node(
                of,
                4,
                FunnelStep::Action {
                    trigger: Some(event),
                },
            ),
            node(
                of,
                5,
                FunnelStep::Conversion {
                    trigger: Some(submit),
                },
            ),
        ],
        edges: vec![
            always((1, 2)),
            always((2, 3)),
            always((3, 4)),
            always((4, 5)),
        ],
        ..FunnelCanvas::default()
    }
}

/// Makes and activates a funnel.
pub(crate) async fn activate(engine: &Engine, owner: &Principal, canvas: FunnelCanvas) -> Funnel {
    let new = NewFunnel {
        name: "Shop".to_owned(),
        description: None,
        window_hours: 168,
        canvas,
    };
    let made = engine.create_funnel(owner, new).await.unwrap();
    let activate = engine.move_funnel(owner, made.id, FunnelTransition::Activate, None);
    activate.await.unwrap()
}

pub(crate) fn visit<'a>(visitor: &'a str, url: &'a str) -> Visit<'a> {
    Visit {
        visitor,
        url: Some(url),
        ..Visit::default()
    }
}

pub(crate) async fn see(
    engine: &Engine,
    site: &Installation,
    visitor: &str,
    path: &str,
) -> PageView {
    let url = format!("https://shop.test{path}");
    let (visit, nothing) = (visit(visitor, &url), Map::new());
    engine.page(site, &visit, &nothing).await.unwrap()
}

/// What a page reports of a node or an edge that it was told to watch for.
pub(crate) fn did(step: Uuid) -> PageEvent {
    PageEvent {
        id: format!("did {step}"),
        experiment_id: ExperimentId(step),
        what: Happened::Conversion {
            goal: Some("step".to_owned()),
            value: None,
        },
    }
}

/// Reports steps, and says in words what became of each.
async fn report(engine: &Engine, site: &Installation, visitor: &str, steps: &[Uuid]) -> String {
    let events: Vec<_> = steps.iter().map(|step| did(*step)).collect();
    let visit = visit(visitor, "https://shop.test/");
    let outcomes = engine.page_events(site, &visit, &events).await.unwrap();
    words(&outcomes)
}

fn words(outcomes: &[EventOutcome]) -> String {
    let words = outcomes.iter().map(|outcome| match outcome {
        EventOutcome::Recorded => "recorded".to_owned(),
        EventOutcome::Duplicate => "duplicate".to_owned(),
        EventOutcome::NotReached => "not_reached".to_owned(),
        EventOutcome::NotRecorded(reason) => reason.as_str().to_owned(),
        EventOutcome::Refused(error) => format!("{:?}", error.kind()),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The numbers of what a page watches for.
fn watched(view: &PageView) -> Vec<u64> {
    view.steps
        .iter()
        .map(|step| step.id.as_u64_pair().1)
        .collect()
}

/// Per visitor the numbers of the nodes in order, erased ones as `?`.
pub(crate) async fn journeys(client: &Client) -> BTreeMap<String, Vec<u64>> {
    let rows = "SELECT coalesce(v.user_identifier, '?'), array_agg(s.node_id::text ORDER BY s.position), \
        bool_and(v.last_step_at >= s.reached_at), count(*) = count(DISTINCT s.position) \
        FROM funnel_visits v LEFT JOIN funnel_steps s ON (s.funnel_id, s.visit_id) = (v.funnel_id, v.id) \
        GROUP BY v.funnel_id, v.id, v.user_identifier";
    let rows = client.query(rows, &[]).await.unwrap();
    let journeys = rows.iter().map(|row| {
        assert!(row.get::<_, bool>(2) && row.get::<_, bool>(3));
        let nodes: Vec<String> = row.get(1);
        let numbers = nodes
            .iter()
            .map(|id| id.parse::<Uuid>().unwrap().as_u64_pair().1);
        (row.get(0), numbers.collect())
    });
    journeys.collect()
}

pub(crate) async fn results(engine: &Engine, owner: &Principal, funnel: &Funnel) -> FunnelResults {
    engine.funnel_results(owner, funnel.id, None).await.unwrap()
}

#[tokio::test]
async fn five_steps_in_order_and_what_comes_too_early_is_none() {
    let database = database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_767_323_045_000_000)));
    let config = EngineConfig {
        clock: Arc::<ManualClock>::clone(&clock),
        ..config(1)
    };
    let engine = engine_with(database.url(), config).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    let stranger = account(&engine, "stranger@example.org").await;
    let elsewhere = install(&engine, &stranger).await;
    let funnel = activate(&engine, &owner, shop(1)).await;
    let step = |number| id(1, number).0;
    let minute = || clock.advance(Duration::MINUTE);

    assert_eq!(
        watched(&see(&engine, &site, "a", "/elsewhere").await),
        [0; 0]
    );
    assert_eq!(report(&engine, &site, "a", &[step(2)]).await, "not_reached");
    // The farthest first.
    assert_eq!(watched(&see(&engine, &site, "a", "/").await), [5, 4, 2]);
    minute();
    see(&engine, &site, "a", "/pricing").await;
    let early = report(&engine, &site, "a", &[step(5), step(2), step(2)]).await;
    assert_eq!(early, "not_reached recorded duplicate");
    minute();
    assert_eq!(watched(&see(&engine, &site, "a", "/pricing").await), [5, 4]);
    minute();
    assert_eq!(
        report(&engine, &site, "a", &[step(4), step(5)]).await,
        "recorded recorded"
    );
    assert_eq!(watched(&see(&engine, &site, "a", "/").await), [0; 0]);

    see(&engine, &site, "b", "/").await;
    see(&engine, &site, "c", "/").await;
    report(&engine, &site, "c", &[step(2)]).await;
    // Of another account there is no such step.
    let other = report(&engine, &elsewhere, "b", &[step(2)]).await;
    assert_eq!(other, "NotFound(\"experiment\")");
    see(&engine, &elsewhere, "d", "/").await;

    let client = connect(database.url()).await;
    let expected = [
        ("a", vec![1, 2, 3, 4, 5]),
        ("b", vec![1]),
        ("c", vec![1, 2]),
    ];
    let expected = expected.map(|(name, steps)| (name.to_owned(), steps));
    assert_eq!(journeys(&client).await, expected.into());

    let now = results(&engine, &owner, &funnel).await;
    assert_eq!(
        (now.entered, now.converted, now.in_progress, now.abandoned),
        (3, 1, 2, 0)
    );
    let steps: Vec<_> = now
        .steps
        .iter()
        .map(|s| (s.reached, s.dropped, s.in_progress, s.median_seconds))
        .collect();
    assert_eq!(
        steps,
        [
            (3, 0, 1, None),
            // Half of a minute and no time at all.
            (2, 0, 1, Some(30.0)),
            (1, 0, 0, Some(60.0)),
            (1, 0, 0, Some(60.0)),
            (1, 0, 0, Some(0.0)),
        ]
    );
    assert_eq!(now.steps[1].rate_of_entered, Some(2.0 / 3.0));
    let flows: Vec<_> = now.flows.iter().map(|flow| flow.visitors).collect();
    assert_eq!(flows, [2, 1, 1, 1]);
    clock.advance(Duration::days(7));
    let later = results(&engine, &owner, &funnel).await;
    assert_eq!((later.in_progress, later.abandoned), (0, 2));
    assert_eq!((later.steps[0].dropped, later.steps[1].dropped), (1, 1));
    assert_eq!(report(&engine, &site, "b", &[step(2)]).await, "not_reached");

    let refused = engine
        .funnel_results(&stranger, funnel.id, None)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::NotFound("funnel"));
    let by = Some(ExperimentId(step(1)));
    let refused = engine
        .funnel_results(&owner, funnel.id, by)
        .await
        .unwrap_err();
    assert!(
        matches!(refused.kind(), ErrorKind::Invalid(violations) if violations.0[0].pointer == "?by")
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn ways_are_open_to_a_variant_and_results_tell_variants_apart() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    let experiment = run(&engine, &owner, on_page("headline")).await;
    let variants = &experiment.elements[0].variants;
    let (control, other) = (variants[0].id, variants[1].id);
    let only = |variant| FunnelCondition::Variant {
        experiment_id: Some(experiment.id),
        variant_id: Some(variant),
    };
    let done = |name: &str| FunnelStep::Conversion {
        trigger: Some(GoalTrigger::Event {
            name: name.to_owned(),
        }),
    };
    let mut first = node(2, 1, page("/"));
    first.experiment_id = Some(experiment.id);
    let canvas = FunnelCanvas {
        nodes: vec![
            first,
            node(2, 2, FunnelStep::Decision {}),
            node(2, 3, done("a")),
            node(2, 4, done("b")),
        ],
        edges: vec![
            edge(2, (1, 2), FunnelCondition::Always),
            edge(2, (2, 3), only(control)),
            edge(2, (2, 4), only(other)),
        ],
        ..FunnelCanvas::default()
    };
    let funnel = activate(&engine, &owner, canvas).await;
    let mut expected = BTreeMap::from([(control, (0, 0)), (other, (0, 0))]);
    for number in 0..40 {
        let name = format!("visitor-{number}");
        let shown = see(&engine, &site, &name, "/").await;
        let variant = shown.experiments[0].variants[0];
        let (entered, converted) = expected.get_mut(&variant).unwrap();
        *entered += 1;
        let told = report(&engine, &site, &name, &[id(2, 3).0, id(2, 4).0]).await;
        let is_control = variant == control;
        assert_eq!(
            told,
            if is_control {
                "recorded not_reached"
            } else {
                "not_reached recorded"
            }
        );
        *converted += 1;
    }
    assert!(
        expected.values().all(|(entered, _)| *entered > 5),
        "{expected:?}"
    );
    let results = results(&engine, &owner, &funnel).await;
    let told = &results.experiments[0];
    assert_eq!(
        (told.experiment_id, told.node_id),
        (experiment.id, Some(id(2, 1)))
    );
    let found = told
        .variants
        .iter()
        .map(|v| (v.variant_id, (v.entered, v.converted)));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
    assert_eq!(told.variants[0].name, "A");
    let of = |step: usize| {
        let reach = results.steps[step].by_variant.iter();
        reach.map(|reach| reach.reached).collect::<Vec<_>>()
    };
    let entered = vec![expected[&control].0, expected[&other].0];
    assert_eq!(of(0), entered);
    assert_eq!(of(1), [0; 0], "no experiment stands there");
    let by = engine
        .funnel_results(&owner, funnel.id, Some(experiment.id))
        .await
        .unwrap();
    let reached = |step: usize| {
        by.steps[step]
            .by_variant
            .iter()
            .map(|r| r.reached)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (reached(1), reached(2), reached(3)),
        (entered.clone(), vec![entered[0], 0], vec![0, entered[1]])
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn a_lead_is_a_conversion_of_the_account_that_it_is_left_with() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    let stranger = account(&engine, "stranger@example.org").await;
    let form = Some("demo".to_owned());
    let trigger = Some(GoalTrigger::Lead { form });
    let canvas = FunnelCanvas {
        nodes: vec![
            node(8, 1, page("/")),
            node(8, 2, FunnelStep::Conversion { trigger }),
        ],
        edges: vec![edge(8, (1, 2), FunnelCondition::Always)],
        ..FunnelCanvas::default()
    };
    let funnel = activate(&engine, &owner, canvas).await;
    assert_eq!(see(&engine, &site, "a", "/").await.steps, []);
    let page = visit("a", "");
    let (mine, theirs) = (owner.user_id.unwrap(), stranger.user_id.unwrap());
    let converted = async || results(&engine, &owner, &funnel).await.converted;
    for (account, form) in [(theirs, Some("demo")), (mine, None), (mine, Some("news"))] {
        let lead = engine.lead_captured(account, &page, form);
        lead.await.unwrap();
        assert_eq!(converted().await, 0);
    }
    for _ in 0..2 {
        let lead = engine.lead_captured(mine, &page, Some("demo"));
        lead.await.unwrap();
        assert_eq!(converted().await, 1);
    }
    // Somebody else sends the form.
    see(&engine, &site, "b", "/").await;
    let draft = LeadDraft {
        email: Some("b@example.org".to_owned()),
        form: Some("demo".to_owned()),
        ..LeadDraft::default()
    };
    let sent = LeadSubmission {
        draft,
        is_trapped: false,
    };
    let captured = engine.capture_lead(&site, &visit("b", ""), sent).await;
    captured.unwrap();
    assert_eq!(converted().await, 2);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_double_click_is_one_step_and_a_lead_is_left_out_as_a_page_is() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    let lead = || {
        let trigger = Some(GoalTrigger::Lead { form: None });
        FunnelStep::Conversion { trigger }
    };
    let canvas = FunnelCanvas {
        nodes: vec![
            node(9, 1, page("/")),
            node(9, 2, lead()),
            node(9, 3, lead()),
        ],
        edges: vec![
            edge(9, (1, 2), FunnelCondition::Always),
            edge(9, (2, 3), FunnelCondition::Always),
        ],
        ..FunnelCanvas::default()
    };
    activate(&engine, &owner, canvas).await;
    let client = connect(database.url()).await;
    let rule = NewExclusion {
        experiment_id: None,
        kind: ExclusionKind::Cookie,
        value: "staff=1".to_owned(),
        is_active: true,
    };
    engine.create_exclusion(&owner, rule).await.unwrap();
    for (visitor, cookies, expected) in
        [("staff", Some("staff=1"), vec![1]), ("a", None, vec![1, 2])]
    {
        see(&engine, &site, visitor, "/").await;
        for _ in 0..2 {
            let draft = LeadDraft {
                email: Some(format!("{visitor}@example.org")),
                ..LeadDraft::default()
            };
            let sent = LeadSubmission {
                draft,
                is_trapped: false,
            };
            let visit = Visit {
                cookies,
                ..visit(visitor, "")
            };
            engine.capture_lead(&site, &visit, sent).await.unwrap();
        }
        assert_eq!(journeys(&client).await[visitor], expected);
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn nodes_edges_and_experiments_have_ids_of_their_own() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let experiment = run(&engine, &owner, on_page("headline")).await;
    let refused = async |canvas| {
        let new = NewFunnel {
            name: "Shop".to_owned(),
            description: None,
            window_hours: 168,
            canvas,
        };
        let refused = engine.create_funnel(&owner, new).await.unwrap_err();
        let ErrorKind::Invalid(violations) = refused.kind() else {
            panic!("{refused:?}");
        };
        let told = violations
            .0
            .iter()
            .map(|v| format!("{} {}", v.pointer, v.code));
        told.collect::<Vec<_>>().join(", ")
    };
    let mut canvas = shop(10);
    canvas.edges[1].id = canvas.nodes[3].id.0.into();
    assert_eq!(refused(canvas).await, "/edges/1/id duplicate");
    let mut canvas = shop(10);
    canvas.edges[3].id = experiment.id.0.into();
    assert_eq!(refused(canvas).await, "/edges/3/id taken");
    let mut canvas = shop(10);
    canvas.edges.clear();
    canvas.nodes[4].id = experiment.id.0.into();
    assert_eq!(refused(canvas).await, "/nodes/4/id taken");
    engine.shutdown().await;
}

#[tokio::test]
async fn nothing_is_recorded_of_who_is_left_out_nor_while_the_funnel_rests() {
    let database = database().await;
    let (engine, other) = (
        engine(database.url(), 1).await,
        engine(database.url(), 2).await,
    );
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    let funnel = activate(&engine, &owner, shop(3)).await;
    let client = connect(database.url()).await;
    let url = "https://shop.test/";
    let base = visit("left out", url);
    let bot = Visit {
        user_agent: Some("Googlebot/2.1 (+http://www.google.com/bot.html)"),
        ..base
    };
    let private = Visit { gpc: true, ..base };
    for left_out in [bot, private] {
        let shown = engine.page(&site, &left_out, &Map::new()).await.unwrap();
        assert_eq!(shown.steps, []);
    }
    see(&engine, &site, "known", "/").await;
    let rule = NewExclusion {
        experiment_id: None,
        kind: ExclusionKind::Ip,
        value: "192.0.2.7".to_owned(),
        is_active: true,
    };
    engine.create_exclusion(&owner, rule).await.unwrap();
    let from_there = |visitor| Visit {
        ip: Some("192.0.2.7".parse().unwrap()),
        ..visit(visitor, url)
    };
    let excluded = engine
        .page(&site, &from_there("left out"), &Map::new())
        .await
        .unwrap();
    assert_eq!(excluded.steps, []);
    let click = [did(id(3, 2).0)];
    let told = engine
        .page_events(&site, &from_there("known"), &click)
        .await
        .unwrap();
    assert_eq!(words(&told), NotRecorded::Excluded.as_str());

    // The other process believes that it is active, and records nothing all the same.
    see(&other, &site, "other", "/").await;
    let known =
        [("known", vec![1]), ("other", vec![1])].map(|(name, steps)| (name.to_owned(), steps));
    assert_eq!(journeys(&client).await, known.clone().into());
    let pause = engine.move_funnel(&owner, funnel.id, FunnelTransition::Pause, None);
    pause.await.unwrap();
    assert_eq!(
        report(&engine, &site, "known", &[id(3, 2).0]).await,
        "NotFound(\"experiment\")"
    );
    assert_eq!(
        report(&other, &site, "known", &[id(3, 2).0]).await,
        "not_reached"
    );
    see(&engine, &site, "new", "/").await;
    see(&other, &site, "new", "/").await;
    assert_eq!(journeys(&client).await, known.into());
    let resume = engine.move_funnel(&owner, funnel.id, FunnelTransition::Resume, None);
    resume.await.unwrap();
    assert_eq!(
        report(&engine, &site, "known", &[id(3, 2).0]).await,
        "recorded"
    );
    for engine in [engine, other] {
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn an_erased_visitor_leaves_the_counts_and_begins_anew() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    let mut canvas = shop(4);
    canvas.edges[0].condition = FunnelCondition::Segment {
        key: "city".to_owned(),
        value: "Annaberg".to_owned(),
    };
    let funnel = activate(&engine, &owner, canvas).await;
    let context = json!({"city": "Annaberg", "email": "anna@example.org"});
    let page = visit("anna", "https://shop.test/");
    engine
        .page(&site, &page, context.as_object().unwrap())
        .await
        .unwrap();
    assert_eq!(
        report(&engine, &site, "anna", &[id(4, 2).0]).await,
        "recorded"
    );
    let client = connect(database.url()).await;
    let kept = "SELECT context::text FROM funnel_visits";
    let kept: String = client.query_one(kept, &[]).await.unwrap().get(0);
    assert_eq!(
        kept, r#"{"city": ["Annaberg"]}"#,
        "what an edge asks for, and nothing else"
    );

    let erasure = engine.erase_visitor(&owner, "anna").await.unwrap();
    assert_eq!((erasure.experiments, erasure.rows), (0, 1));
    for table in ["funnel_visits", "funnel_steps"] {
        let traces = format!("SELECT count(*) FROM {table} t WHERE t::text ~* 'anna'");
        let traces: i64 = client.query_one(&traces, &[]).await.unwrap().get(0);
        assert_eq!(traces, 0, "{table}");
    }
    assert_eq!(
        report(&engine, &site, "anna", &[id(4, 3).0]).await,
        "NotFound(\"experiment\")"
    );
    assert_eq!(
        report(&engine, &site, "anna", &[id(4, 2).0]).await,
        "not_reached"
    );
    see(&engine, &site, "anna", "/").await;
    let found = results(&engine, &owner, &funnel).await;
    assert_eq!((found.entered, found.steps[1].reached), (2, 1));
    assert_eq!(engine.erase_visitor(&owner, "anna").await.unwrap().rows, 1);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_page_shows_what_it_shows_also_where_its_step_cannot_be_recorded() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    run(&engine, &owner, on_page("headline")).await;
    activate(&engine, &owner, shop(5)).await;
    assert_eq!(watched(&see(&engine, &site, "a", "/").await), [5, 4, 2]);
    let client = connect(database.url()).await;
    client
        .batch_execute("ALTER TABLE funnel_steps RENAME TO away")
        .await
        .unwrap();
    let shown = see(&engine, &site, "b", "/").await;
    assert!(shown.experiments[0].in_experiment);
    assert_eq!(shown.steps, []);
    // What was done comes again.
    let click = [did(id(5, 2).0)];
    let failed = engine
        .page_events(&site, &visit("a", "https://shop.test/"), &click)
        .await;
    assert_eq!(failed.unwrap_err().kind(), &ErrorKind::Internal);
    client
        .batch_execute("ALTER TABLE away RENAME TO funnel_steps")
        .await
        .unwrap();
    assert_eq!(report(&engine, &site, "a", &[id(5, 2).0]).await, "recorded");
    engine.shutdown().await;
}
