//! A database that the original program made, with visitors in it, served by the engine.

use std::process::Command;

use samplit_devpg::{DevPg, TestDatabase};
use samplit_engine::{
    ExperimentFilter, ExperimentId, NewApiKey, NotRecorded, Page, PageOf, Principal, Repairs,
    Scope, Status, Transition, UserFilter, UserId,
};
use samplit_tests::{connect, engine};
use uuid::Uuid;

use crate::{conversion, sound, visitor};

/// An active experiment with one element and two variants, and a thousand visitors of 60 % and 40 %.
pub(crate) const ROWS: &str = "
    INSERT INTO users (id, email, password_hash) VALUES
        ('00000000-0000-4000-8000-000000000001', 'ana@example.com', 'x');
    INSERT INTO experiments (id, user_id, name, status, traffic_allocation) VALUES
        ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001',
         'Hero', 'active', 0.5);
    INSERT INTO experiment_elements (id, experiment_id, name, selector_type, selector_value,
            fallback_selectors) VALUES
        ('00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000002',
         'Headline', 'css', 'h1', '[\".headline\", {\"type\": \"id\", \"value\": \"title\"}]');
    INSERT INTO element_variants (id, element_id, name, content, is_control, variant_order) VALUES
        ('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000003',
         'A', '{\"text\": \"a\"}', TRUE, 0),
        ('00000000-0000-4000-8000-00000000000b', '00000000-0000-4000-8000-000000000003',
         'B', '{\"text\": \"b\"}', FALSE, 1);
    INSERT INTO assignments (experiment_id, variant_id, user_identifier, converted_at)
        SELECT '00000000-0000-4000-8000-000000000002',
            CASE WHEN n % 5 < 3 THEN '00000000-0000-4000-8000-00000000000a'::uuid
            ELSE '00000000-0000-4000-8000-00000000000b' END,
            'visitor ' || n, CASE WHEN n % 5 = 3 THEN now() END
        FROM generate_series(1, 1000) n;
";

/// A database of the original program, with `rows`, brought to our schema.
pub(crate) async fn adopted(rows: &str) -> TestDatabase {
    let pg = DevPg::shared().await;
    let database = pg.create_from_template("template1").await.unwrap();
    let seed = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../sql/tests/fixtures/seed.sql"
    );
    let psql = Command::new(pg.bin("psql"))
        .args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-f",
            seed,
            database.url(),
        ])
        .status()
        .unwrap();
    assert!(psql.success());
    let mut client = connect(database.url()).await;
    client.batch_execute(rows).await.unwrap();
    let options = samplit_sql::Options::default();
    samplit_sql::baseline(&mut client, &options).await.unwrap();
    samplit_sql::up(&mut client, &options).await.unwrap();
    database
}

pub(crate) const ID: ExperimentId = ExperimentId(Uuid::from_u128(0x4000_8000_0000_0000_0002));

#[tokio::test]
async fn old_visitors_keep_their_variant_and_new_ones_profit_from_what_was_learnt() {
    let database = adopted(ROWS).await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let id = ID;
    let b = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_000b);
    // The original let everybody in by another gate; whoever has a row keeps it.
    for number in 1..=40 {
        let old = engine
            .assign(&me, id, visitor(format!("visitor {number}")))
            .await
            .unwrap();
        assert!(old.in_experiment && !old.is_new, "visitor {number}");
        assert_eq!(old.variants[0].0 == b, number % 5 >= 3, "visitor {number}");
    }
    let twice = engine
        .convert(&me, id, conversion("visitor 3"))
        .await
        .unwrap();
    assert!(twice.duplicate, "it had converted before");
    let once = engine
        .convert(&me, id, conversion("visitor 1"))
        .await
        .unwrap();
    assert!(!once.duplicate);

    let results = engine.results(&me, id).await.unwrap();
    let arms = &results.elements[0].arms;
    assert_eq!((arms[0].assignments, arms[0].conversions), (600, 1));
    assert_eq!((arms[1].assignments, arms[1].conversions), (400, 200));
    assert!(
        arms[1].weight > 0.9,
        "200 of 400 against 0 of 600: {arms:?}"
    );
    assert_eq!(results.experiment.elements[0].fallback_selectors.len(), 2);

    let mut inside = 0;
    for number in 0..200 {
        let new = engine
            .assign(&me, id, visitor(format!("new {number}")))
            .await
            .unwrap();
        inside += u64::from(new.in_experiment);
    }
    // Half of the traffic, give or take four standard deviations.
    assert!((72..=128).contains(&inside), "{inside}");
    let report = engine.verify(&me, id).await.unwrap().unwrap();
    let replay = report.replay.unwrap();
    assert_eq!(replay.assignments, inside);
    assert_eq!(
        replay.totals[0].iter().map(|total| total.n).sum::<u64>(),
        1_000 + inside
    );
    for check in engine.doctor().await.unwrap() {
        assert!(check.is_passed(), "{check:?}");
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn a_row_without_a_variant_has_seen_control() {
    let rows = format!(
        "{ROWS} INSERT INTO assignments (experiment_id, user_identifier) \
         VALUES ('00000000-0000-4000-8000-000000000002', 'nobody');"
    );
    let database = adopted(&rows).await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let seen = engine.assign(&me, ID, visitor("nobody")).await.unwrap();
    assert!(seen.in_experiment);
    assert_eq!(seen.variants[0], seen.experiment.elements[0].variants[0].id);
    let results = engine.results(&me, ID).await.unwrap();
    assert_eq!(results.elements[0].arms[0].assignments, 601);

    // Carried rows convert and are erased like any others, and nothing of them looks wrong.
    engine.convert(&me, ID, conversion("nobody")).await.unwrap();
    for name in ["nobody", "visitor 3"] {
        let erased = engine.erase_visitor(&me, name).await.unwrap();
        assert_eq!((erased.experiments, erased.rows), (1, 1));
        let returned = engine.assign(&me, ID, visitor(name)).await.unwrap();
        assert_eq!(returned.reason, Some(NotRecorded::Erased));
    }
    sound(&engine, ID).await;
    assert_eq!(engine.repair().await.unwrap(), Repairs::default());
    engine.shutdown().await;
}

#[tokio::test]
async fn a_paused_experiment_brings_its_visitors_along_when_it_is_resumed() {
    let database = adopted(&ROWS.replace("'active'", "'paused'")).await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let resumed = engine
        .transition(&me, ID, Transition::Resume, Default::default(), None)
        .await
        .unwrap();
    assert_eq!(resumed.status, Status::Active);
    let results = engine.results(&me, ID).await.unwrap();
    assert_eq!((results.visitors, results.conversions), (1_000, 200));
    let counters: i64 =
        engine.experiment(&me, ID).await.unwrap().elements[0].variants[0].total_allocations;
    assert_eq!(counters, 600);
    for number in 1..=40 {
        let old = engine
            .assign(&me, ID, visitor(format!("visitor {number}")))
            .await
            .unwrap();
        assert!(old.in_experiment && !old.is_new, "visitor {number}");
    }
    for check in engine.doctor().await.unwrap() {
        assert!(check.is_passed(), "{check:?}");
    }
    engine.shutdown().await;
}

/// The original columns may be NULL. What has no moment has its place in lists all the same, and a cursor
/// comes to it.
#[tokio::test]
async fn rows_without_a_moment_stand_in_their_lists() {
    let rows = format!(
        "{ROWS}
        INSERT INTO experiments (user_id, name, created_at)
            SELECT '00000000-0000-4000-8000-000000000001', 'old ' || n,
                CASE WHEN n % 2 = 0 THEN NULL ELSE now() END FROM generate_series(1, 9) n;
        UPDATE experiments SET created_at = NULL, started_at = '2019-05-01' WHERE name = 'Hero';
        INSERT INTO users (email, password_hash, created_at, updated_at)
            SELECT n || '@example.com', 'x', NULL, NULL FROM generate_series(1, 3) n;
        INSERT INTO platform_installations (user_id, platform, domain, installation_token, created_at)
            SELECT '00000000-0000-4000-8000-000000000001', 'custom', n || '.example.com', 'pk_' || n, NULL
            FROM generate_series(1, 3) n;"
    );
    let database = adopted(&rows).await;
    let client = connect(database.url()).await;
    // A program that says NULL in so many words goes on to work.
    client
        .batch_execute(
            "INSERT INTO experiments (user_id, name, created_at)
                VALUES ('00000000-0000-4000-8000-000000000001', 'old 10', NULL);
             UPDATE experiments SET created_at = NULL WHERE name = 'old 1'",
        )
        .await
        .unwrap();
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let owner = UserId(Uuid::from_u128(0x4000_8000_0000_0000_0001));
    let owner = engine
        .users(&me, &UserFilter::default(), &page(None, 100))
        .await
        .unwrap()
        .data
        .into_iter()
        .find(|user| user.id == owner)
        .unwrap();
    let key = engine
        .create_api_key(NewApiKey {
            email: owner.email,
            role: owner.role,
            name: "test".to_owned(),
            scopes: Scope::ALL.to_vec(),
            expires_at: None,
        })
        .await
        .unwrap();
    let owner = engine.authenticate(&key.token).await.unwrap();

    for who in [&me, &owner] {
        let mut names = walk(async |page| {
            let filter = ExperimentFilter::default();
            engine.experiments(who, &filter, page).await.unwrap()
        })
        .await;
        assert_eq!(
            names.last().unwrap().name,
            "Hero",
            "started in 2019, it is the oldest"
        );
        names.sort_by_key(|experiment| experiment.name.len());
        assert_eq!(names.len(), 11);
    }
    let users = walk(async |page| {
        engine
            .users(&me, &UserFilter::default(), page)
            .await
            .unwrap()
    });
    assert_eq!(users.await.len(), 4);
    let sites = walk(async |page| engine.installations(&owner, page).await.unwrap());
    assert_eq!(sites.await.len(), 3);
    engine.shutdown().await;
}

fn page(cursor: Option<String>, limit: usize) -> Page {
    Page { cursor, limit }
}

/// Everything in a list, two at a time.
async fn walk<T>(list: impl AsyncFn(&Page) -> PageOf<T>) -> Vec<T> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let more = list(&page(cursor, 2)).await;
        found.extend(more.data);
        cursor = more.next_cursor;
        if cursor.is_none() {
            return found;
        }
    }
}
