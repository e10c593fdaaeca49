//! Pages: who may open them and for how long, how what runs there is known, what is counted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use samplit_devpg::DevPg;
use samplit_domain::{
    Happened, Installation, InstallationDraft, InstallationStatus, ManualClock, Mode, PageEvent,
    SelectorDraft, Visit, from_micros,
};
use samplit_engine::{
    Assigned, Engine, EngineConfig, ErrorKind, EventOutcome, Experiment, ExperimentDraft,
    InstallationChange, NewApiKey, NotRecorded, Principal, Role, Scope, Transition,
};
use samplit_tests::{config, connect, database, draft, engine, engine_with, eventually};
use time::Duration;

use crate::{sound, visitor};

/// Somebody with an account.
pub(crate) async fn account(engine: &Engine, email: &str) -> Principal {
    let new = NewApiKey {
        email: email.to_owned(),
        role: Role::Client,
        name: "test".to_owned(),
        scopes: Scope::ALL.to_vec(),
        expires_at: None,
    };
    let key = engine.create_api_key(new).await.unwrap();
    engine.authenticate(&key.token).await.unwrap()
}

pub(crate) async fn install(engine: &Engine, owner: &Principal) -> Installation {
    let draft = InstallationDraft::new("Shop", "shop.test");
    engine.create_installation(owner, &draft).await.unwrap()
}

/// A draft whose first element a page can find.
pub(crate) fn on_page(name: &str) -> ExperimentDraft {
    let mut draft = draft(&[2]);
    name.clone_into(&mut draft.name);
    draft.elements[0].selector = Some(SelectorDraft {
        kind: "css".to_owned(),
        value: "#buy".to_owned(),
    });
    draft
}

pub(crate) async fn run(engine: &Engine, owner: &Principal, draft: ExperimentDraft) -> Experiment {
    let made = engine.create_experiment(owner, draft).await.unwrap();
    let start = engine.transition(owner, made.id, Transition::Start, Default::default(), None);
    start.await.unwrap()
}

fn visit(visitor: &str) -> Visit<'_> {
    Visit {
        visitor,
        url: Some("https://shop.test/"),
        ..Visit::default()
    }
}

/// What a page shows a visitor.
pub(crate) async fn show(engine: &Engine, site: &Installation, visitor: &str) -> Vec<Assigned> {
    let view = engine
        .page(site, &visit(visitor), &Default::default())
        .await;
    view.unwrap().experiments
}

pub(crate) fn exposure(experiment: &Experiment) -> PageEvent {
    PageEvent {
        id: "exposure".to_owned(),
        experiment_id: experiment.id,
        what: Happened::Exposure,
    }
}

/// Each is an event of its own.
pub(crate) fn miss(experiment: &Experiment, url: &str) -> PageEvent {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    PageEvent {
        id: format!("miss {}", NUMBER.fetch_add(1, Ordering::Relaxed)),
        experiment_id: experiment.id,
        what: Happened::NoMatch {
            element_id: experiment.elements[0].id,
            url: url.to_owned(),
        },
    }
}

pub(crate) async fn report(
    engine: &Engine,
    site: &Installation,
    visitor: &str,
    events: &[PageEvent],
) -> Vec<EventOutcome> {
    let outcomes = engine.page_events(site, &visit(visitor), events).await;
    outcomes.unwrap()
}

#[tokio::test]
async fn a_token_is_believed_for_a_while_and_the_one_before_it_for_a_day() {
    let database = database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_767_323_045_000_000)));
    let with_clock = |seed| EngineConfig {
        clock: Arc::<ManualClock>::clone(&clock),
        ..config(seed)
    };
    let engine = engine_with(database.url(), with_clock(1)).await;
    let other = engine_with(database.url(), with_clock(2)).await;
    let owner = account(&engine, "owner@example.org").await;
    let first = install(&engine, &owner).await;
    let opens = async |engine: &Engine, token: &str| match engine.open_installation(token).await {
        Ok(found) => found.id == first.id,
        Err(error) => {
            assert_eq!(error.kind(), &ErrorKind::UnknownInstallation);
            false
        }
    };
    assert!(opens(&engine, &first.token).await && opens(&other, &first.token).await);

    let second = engine
        .rotate_installation(&owner, first.id, None, false)
        .await
        .unwrap();
    clock.advance(Duration::HOUR * 23);
    for engine in [&engine, &other] {
        assert!(opens(engine, &first.token).await && opens(engine, &second.token).await);
    }
    clock.advance(Duration::HOUR);
    assert!(!opens(&engine, &first.token).await);
    // The other process has to read it again, which it does beside the next request.
    eventually(async || !opens(&other, &first.token).await).await;
    assert!(opens(&other, &second.token).await);

    // Two rotations in a row only for whoever insists: then the last token before is good alone.
    let third = engine
        .rotate_installation(&owner, first.id, None, false)
        .await
        .unwrap();
    let again = engine.rotate_installation(&owner, first.id, None, false);
    let refused = again.await.unwrap_err();
    let is_refused = |kind: &ErrorKind| matches!(kind, ErrorKind::Conflict { code, .. } if *code == "rotated_lately");
    assert!(is_refused(refused.kind()), "{refused}");
    assert!(opens(&engine, &second.token).await);
    let fourth = engine
        .rotate_installation(&owner, first.id, None, true)
        .await
        .unwrap();
    assert!(!opens(&engine, &second.token).await);
    assert!(opens(&engine, &third.token).await && opens(&engine, &fourth.token).await);

    let off = InstallationChange {
        status: Some(InstallationStatus::Disabled),
        ..InstallationChange::default()
    };
    assert!(opens(&other, &fourth.token).await);
    engine
        .update_installation(&owner, first.id, &off, None)
        .await
        .unwrap();
    assert!(!opens(&engine, &fourth.token).await);
    assert!(opens(&other, &fourth.token).await, "believed for 30 s");
    clock.advance(Duration::seconds(30));
    eventually(async || !opens(&other, &fourth.token).await).await;

    let (nobody, draft) = (
        Principal::system(),
        InstallationDraft::new("Shop", "shop.test"),
    );
    let refused = engine.create_installation(&nobody, &draft).await;
    let refused = refused.unwrap_err();
    assert!(matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "no_account",
            ..
        }
    ));
    engine.shutdown().await;
    other.shutdown().await;
}

#[tokio::test]
async fn what_another_process_starts_is_soon_on_pages_and_what_it_stops_at_once() {
    let database = database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_767_323_045_000_000)));
    let here = EngineConfig {
        clock: Arc::<ManualClock>::clone(&clock),
        ..config(1)
    };
    let refresh = here.refresh_every;
    let here = engine_with(database.url(), here).await;
    let there = engine(database.url(), 2).await;
    let owner = account(&here, "owner@example.org").await;
    let site = install(&here, &owner).await;
    let number = async || show(&here, &site, "v").await.len();
    assert_eq!(number().await, 0);
    let first = run(&here, &owner, on_page("here")).await;
    assert_eq!(number().await, 1);
    run(&there, &owner, on_page("there")).await;
    assert_eq!(number().await, 1);
    clock.advance(Duration::try_from(refresh).unwrap());
    eventually(async || number().await == 2).await;

    let end = there.transition(
        &owner,
        first.id,
        Transition::Complete,
        Default::default(),
        None,
    );
    end.await.unwrap();
    eventually(async || number().await == 1).await;
    here.shutdown().await;
    there.shutdown().await;
}

#[tokio::test]
async fn twenty_experiments_of_a_page_share_a_batch() {
    let pg = DevPg::start().await.unwrap();
    pg.create_database("page").await.unwrap();
    let url = pg.url("page");
    let mut client = connect(&url).await;
    let options = samplit_sql::Options::default();
    samplit_sql::up(&mut client, &options).await.unwrap();
    let setup = engine(&url, 1).await;
    let owner = account(&setup, "owner@example.org").await;
    let site = install(&setup, &owner).await;
    for number in 0..20 {
        run(&setup, &owner, on_page(&format!("experiment {number}"))).await;
    }
    setup.shutdown().await;
    setup.database().close();
    client
        .batch_execute("ALTER DATABASE page SET log_statement = 'all'")
        .await
        .unwrap();
    let engine = engine(&url, 2).await;
    show(&engine, &site, "first").await;
    let log = pg.directory().join("log");
    let before = std::fs::read_to_string(&log).unwrap().len();
    let shown = show(&engine, &site, "second").await;
    assert_eq!(shown.len(), 20);
    assert!(shown.iter().all(|assigned| assigned.is_new));
    engine.shutdown().await;
    let text = std::fs::read_to_string(&log).unwrap();
    // One per lane, as all of them wait when the lanes first look.
    let batches = text[before..].matches("-- INSERT_ASSIGNMENTS").count();
    assert!((1..=2).contains(&batches), "{batches}");
}

#[tokio::test]
async fn pages_at_the_same_time_decide_the_same_and_the_trail_is_sound() {
    let database = database().await;
    let engines = [
        engine(database.url(), 1).await,
        engine(database.url(), 2).await,
    ];
    let owner = account(&engines[0], "owner@example.org").await;
    let site = install(&engines[0], &owner).await;
    let mut experiments = Vec::new();
    for number in 0..3 {
        let draft = on_page(&format!("experiment {number}"));
        experiments.push(run(&engines[0], &owner, draft).await);
    }
    let asked = (0..40).map(|number| show(&engines[number % 2], &site, ["a", "b"][number / 2 % 2]));
    let shown = join_all(asked).await;
    let mut seen = BTreeSet::new();
    for (number, page) in shown.iter().enumerate() {
        assert_eq!(page.len(), 3);
        for assigned in page {
            let assignment = assigned.assignment_id.unwrap();
            seen.insert((
                assigned.experiment_id,
                number / 2 % 2,
                assignment,
                assigned.variants.to_vec(),
            ));
        }
    }
    assert_eq!(seen.len(), 6, "{seen:?}");

    // The same exposure from many tabs counts once.
    let events = experiments.iter().map(exposure).collect::<Vec<_>>();
    let reports = (0..20).map(|number| report(&engines[number % 2], &site, "a", &events));
    let outcomes = join_all(reports).await.into_iter().flatten();
    let recorded = outcomes.filter(|outcome| matches!(outcome, EventOutcome::Recorded));
    assert_eq!(recorded.count(), 3);
    for experiment in &experiments {
        let results = engines[0].results(&owner, experiment.id).await.unwrap();
        let exposures: u64 = results.elements[0]
            .arms
            .iter()
            .map(|arm| arm.exposures)
            .sum();
        assert_eq!((results.visitors, exposures), (2, 1));
        sound(&engines[0], experiment.id).await;
    }
    for engine in engines {
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn exposures_are_counted_by_arm_of_combinations_too() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    let mut factorial = draft(&[2, 3]);
    factorial.allocation.mode = Mode::Factorial;
    for element in &mut factorial.elements {
        element.selector = on_page("").elements[0].selector.clone();
    }
    let mut independent = factorial.clone();
    independent.allocation.mode = Mode::Independent;
    let (factorial, independent) = (
        run(&engine, &owner, factorial).await,
        run(&engine, &owner, independent).await,
    );
    let events = [exposure(&factorial), exposure(&independent)];
    for number in 0..30 {
        let name = format!("visitor-{number}");
        show(&engine, &site, &name).await;
        // Every second one leaves before anything is seen.
        if number % 2 == 0 {
            report(&engine, &site, &name, &events).await;
        }
    }
    for experiment in [&factorial, &independent] {
        let results = engine.results(&owner, experiment.id).await.unwrap();
        for element in &results.elements {
            let seen: u64 = element.arms.iter().map(|arm| arm.exposures).sum();
            assert_eq!(seen, 15, "{}", element.name);
            for arm in &element.arms {
                assert!(arm.exposures <= arm.assignments, "{arm:?}");
            }
        }
    }
    // Counted by the rows themselves.
    let client = connect(database.url()).await;
    let by_variant = "SELECT a.variant_id::text, count(*)::int8 FROM exposures x \
        JOIN assignments a ON a.id = x.assignment_id AND a.experiment_id = x.experiment_id \
        WHERE x.experiment_id::text = $1 GROUP BY 1";
    let rows = client
        .query(by_variant, &[&independent.id.to_string()])
        .await
        .unwrap();
    let results = engine.results(&owner, independent.id).await.unwrap();
    for row in rows {
        let variant: String = row.get(0);
        let mut arms = results.elements[0].arms.iter();
        let arm = arms
            .find(|arm| arm.variants[0].to_string() == variant)
            .unwrap();
        assert_eq!(i64::try_from(arm.exposures).unwrap(), row.get::<_, i64>(1));
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn nothing_of_an_erased_visitor_is_left_of_pages() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    let experiment = run(&engine, &owner, on_page("a")).await;
    let events = [
        exposure(&experiment),
        miss(&experiment, "https://shop.test/?me=anna"),
    ];
    show(&engine, &site, "anna").await;
    report(&engine, &site, "anna", &events).await;
    let erasure = engine.erase_visitor(&owner, "anna").await.unwrap();
    assert_eq!(erasure.rows, 1);

    let client = connect(database.url()).await;
    for table in [
        "assignments",
        "exposures",
        "variant_exposures",
        "selector_misses",
    ] {
        let traces = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%anna%'");
        let traces: i64 = client.query_one(&traces, &[]).await.unwrap().get(0);
        assert_eq!(traces, 0, "{table}");
    }
    let results = engine.results(&owner, experiment.id).await.unwrap();
    let seen: u64 = results.elements[0]
        .arms
        .iter()
        .map(|arm| arm.exposures)
        .sum();
    assert_eq!(seen, 1, "the counts stay");
    let shown = show(&engine, &site, "anna").await;
    assert_eq!(shown[0].reason, Some(NotRecorded::Erased));
    let refused = report(&engine, &site, "anna", &events[..1]).await;
    let EventOutcome::Refused(error) = &refused[0] else {
        panic!("{refused:?}")
    };
    assert_eq!(error.kind(), &ErrorKind::NotAssigned);
    engine.shutdown().await;
}

#[tokio::test]
async fn strangers_cannot_fill_the_list_of_misses() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    let (experiment, other) = (
        run(&engine, &owner, on_page("a")).await,
        run(&engine, &owner, on_page("b")).await,
    );
    for part in 0..25 {
        let page = |number: usize| format!("https://shop.test/{}", part * 50 + number);
        let events: Vec<_> = (0..50).map(|n| miss(&experiment, &page(n))).collect();
        report(&engine, &site, "v", &events).await;
    }
    let first = || miss(&experiment, "https://shop.test/0");
    report(&engine, &site, "v", &[first(), first()]).await;
    let misses = engine.selector_misses(&owner, experiment.id).await.unwrap();
    assert_eq!(misses.len(), 1_000);
    assert_eq!(
        (misses[0].page.as_str(), misses[0].misses),
        ("shop.test/0", 3)
    );
    report(&engine, &site, "v", &[miss(&other, "https://shop.test/")]).await;
    assert_eq!(
        engine
            .selector_misses(&owner, other.id)
            .await
            .unwrap()
            .len(),
        1
    );

    // An element of another experiment is none of this one's.
    let mut foreign = miss(&experiment, "https://shop.test/0");
    foreign.experiment_id = other.id;
    let refused = report(&engine, &site, "v", &[foreign]).await;
    assert!(
        matches!(refused[0], EventOutcome::Refused(_)),
        "{refused:?}"
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn a_page_and_an_assign_decide_alike() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    let mut half = on_page("half");
    half.traffic_allocation = 0.5;
    let experiment = run(&engine, &owner, half).await;
    let mut outside = 0;
    for number in 0..40 {
        let name = format!("visitor-{number}");
        let page = show(&engine, &site, &name).await.remove(0);
        let assigned = engine
            .assign(&owner, experiment.id, visitor(name))
            .await
            .unwrap();
        assert!(!assigned.is_new);
        let of = |a: &Assigned| (a.variants.to_vec(), a.reason, a.assignment_id);
        assert_eq!(of(&page), of(&assigned));
        outside += usize::from(page.reason == Some(NotRecorded::Traffic));
    }
    assert!((1..40).contains(&outside), "{outside}");
    engine.shutdown().await;
}

/// A hold passes: what is told to be final now is never sent again.
#[tokio::test]
async fn what_a_held_trail_cannot_count_is_not_given_up_and_holds_up_nothing_else() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    let held = run(&engine, &owner, on_page("held")).await;
    let other = run(&engine, &owner, on_page("other")).await;
    show(&engine, &site, "v").await;
    let client = connect(database.url()).await;
    client
        .execute(
            "UPDATE audit_heads SET hold = 'a test' WHERE experiment_id = $1",
            &[&held.id.0],
        )
        .await
        .unwrap();
    let conversion = |experiment: &Experiment| PageEvent {
        id: format!("conversion-{}", experiment.id),
        experiment_id: experiment.id,
        what: Happened::Conversion {
            goal: None,
            value: None,
        },
    };
    let events = [conversion(&held), conversion(&other), exposure(&other)];
    let refused = engine.page_events(&site, &visit("v"), &events).await;
    assert!(matches!(
        refused.unwrap_err().kind(),
        ErrorKind::OnHold { .. }
    ));
    client
        .execute("UPDATE audit_heads SET hold = NULL", &[])
        .await
        .unwrap();
    let outcomes = report(&engine, &site, "v", &events).await;
    assert!(
        matches!(
            outcomes[..],
            [
                EventOutcome::Recorded,
                // The same event again: it counted, and so it is told.
                EventOutcome::Recorded | EventOutcome::Duplicate,
                EventOutcome::Duplicate
            ]
        ),
        "{outcomes:?}"
    );
    sound(&engine, held.id).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn who_asks_not_to_be_tracked_is_shown_the_winner_as_such() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let site = install(&engine, &owner).await;
    let running = run(&engine, &owner, on_page("running")).await;
    let over = run(&engine, &owner, on_page("over")).await;
    let winner = (over.elements[0].id, over.elements[0].variants[1].id);
    let complete = engine.transition(&owner, over.id, Transition::Complete, [winner].into(), None);
    complete.await.unwrap();
    let private = Visit {
        gpc: true,
        visitor: "",
        ..visit("")
    };
    let view = engine.page(&site, &private, &Default::default()).await;
    let shown = view.unwrap().experiments;
    for (id, reason) in [
        (running.id, NotRecorded::Privacy),
        (over.id, NotRecorded::Completed),
    ] {
        let found = shown.iter().find(|shown| shown.experiment_id == id);
        assert_eq!(found.unwrap().reason, Some(reason));
    }
    let long = format!("https://shop.test/?{}", "x".repeat(8_192));
    let visit = Visit {
        url: Some(&long),
        ..visit("v")
    };
    let refused = engine.page(&site, &visit, &Default::default()).await;
    assert!(matches!(refused.unwrap_err().kind(), ErrorKind::Invalid(_)));
    engine.shutdown().await;
}
