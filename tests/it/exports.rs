//! Exports and reporting views: what they hold is what there is, in an order that stays.

use std::collections::HashSet;

use futures_util::TryStreamExt as _;
use samplit_domain::{ExperimentDraft, Mode, Transition};
use samplit_engine::{Cell, Engine, ErrorKind, Experiment, ExperimentId, Export, Principal, Row};
use samplit_tests::{connect, database, draft, engine, start, step};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::adopt::{ID, ROWS, adopted};
use crate::{conversion, visitor};

const ALL: [Export; 4] = [
    Export::Assignments,
    Export::Conversions,
    Export::Results,
    Export::Timeline,
];

async fn rows(engine: &Engine, id: ExperimentId, export: Export, after: Option<&str>) -> Vec<Row> {
    let me = Principal::system();
    let pages = engine.export(&me, id, export, after).await.unwrap();
    let pages: Vec<Vec<Row>> = pages.try_collect().await.unwrap();
    pages.concat()
}

/// The cell of a column as text; empty where there is nothing.
fn cell(export: Export, row: &Row, column: &str) -> String {
    let columns = export.columns();
    assert_eq!(row.len(), columns.len(), "{export:?}");
    let position = columns.iter().position(|name| *name == column);
    match &row[position.unwrap_or_else(|| panic!("{export:?} has no {column}"))] {
        Cell::Null => String::new(),
        Cell::Bool(yes) => yes.to_string(),
        Cell::Count(count) => count.to_string(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) | Cell::Json(text) => text.clone(),
        Cell::Time(at) => at.to_string(),
    }
}

fn column(export: Export, rows: &[Row], name: &str) -> Vec<String> {
    rows.iter().map(|row| cell(export, row, name)).collect()
}

/// Lets visitors in, of whom every third converts, and says how many of each there are.
async fn busy(engine: &Engine, id: ExperimentId, visitors: std::ops::Range<u32>) {
    let me = Principal::system();
    for number in visitors {
        let name = format!("v{number}");
        engine.assign(&me, id, visitor(&name)).await.unwrap();
        if number % 3 == 0 {
            engine.convert(&me, id, conversion(&name)).await.unwrap();
        }
    }
}

/// A draft that learns from its first visitor on, so that there are many snapshots.
fn eager(elements: &[usize]) -> ExperimentDraft {
    let mut draft = draft(elements);
    draft.allocation.warm_up = 0;
    draft
}

fn factorial() -> ExperimentDraft {
    let mut draft = eager(&[2, 2]);
    draft.allocation.mode = Mode::Factorial;
    draft
}

#[tokio::test]
async fn behind_every_cursor_comes_exactly_the_rest() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    for draft in [eager(&[3]), eager(&[2, 2]), factorial()] {
        let id = start(&engine, draft).await.id;
        busy(&engine, id, 0..30).await;
        for export in ALL {
            let all = rows(&engine, id, export, None).await;
            assert!(all.len() > 2, "{export:?}");
            // Of the results, the moment of reading differs.
            let without_time = |rows: &[Row]| -> Vec<Row> {
                let kept = |row: &Row| match export {
                    Export::Results => row[..row.len() - 1].to_vec(),
                    _ => row.clone(),
                };
                rows.iter().map(kept).collect()
            };
            for (index, row) in all.iter().enumerate() {
                let after = cell(export, row, "cursor");
                let rest = rows(&engine, id, export, Some(&after)).await;
                assert_eq!(
                    without_time(&rest),
                    without_time(&all[index + 1..]),
                    "{export:?} {after}"
                );
            }
        }
        assert_eq!(rows(&engine, id, Export::Assignments, None).await.len(), 30);
        assert_eq!(rows(&engine, id, Export::Conversions, None).await.len(), 10);
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn those_who_come_meanwhile_shift_nothing_and_come_later() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let (me, id) = (Principal::system(), start(&engine, eager(&[2])).await.id);
    busy(&engine, id, 0..40).await;
    for export in [Export::Assignments, Export::Conversions, Export::Timeline] {
        let before = rows(&engine, id, export, None).await;
        let pages = engine.export(&me, id, export, None).await.unwrap();
        // Begun; now somebody comes.
        let next = engine.trail(&me, id, 0, 1_000).await.unwrap().len();
        let next = u32::try_from(next).unwrap() * 1_000;
        busy(&engine, id, next..next + 9).await;
        let pages: Vec<Vec<Row>> = pages.try_collect().await.unwrap();
        let cursors = |rows: &[Row]| column(export, rows, "cursor");
        assert_eq!(cursors(&pages.concat()), cursors(&before), "{export:?}");
        let last = cursors(&before).pop().unwrap();
        let late = cursors(&rows(&engine, id, export, Some(&last)).await);
        let all = cursors(&rows(&engine, id, export, None).await);
        assert!(!late.is_empty(), "{export:?}");
        assert_eq!([cursors(&before), late].concat(), all, "{export:?}");
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn a_thousand_times_as_many_rows_take_no_larger_page() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let (me, experiment) = (Principal::system(), start(&engine, draft(&[2])).await);
    let client = connect(database.url()).await;
    // Half of them older than the trail, half in it, some of which converted.
    let made_up = "WITH v AS (SELECT min(v.id::text)::uuid AS id FROM element_variants v), \
        older AS (INSERT INTO assignments (experiment_id, variant_id, user_identifier, converted_at) \
            SELECT $1, v.id, 'old' || n, CASE WHEN n % 10 = 0 THEN now() END \
            FROM v, generate_series(1, 100000) n), \
        trail AS (INSERT INTO algorithm_audit_trail (experiment_id, sequence_number, decision_type, \
                decision_data, previous_hash, current_hash) \
            SELECT $1, n + 1, 'assignment', '{}', repeat('0', 64), repeat('0', 64) \
            FROM generate_series(1, 100000) n RETURNING id, sequence_number), \
        head AS (UPDATE audit_heads SET size = 100001 WHERE experiment_id = $1) \
        INSERT INTO assignments (id, experiment_id, variant_id, user_identifier, snapshot_seq, \
            converted_at, conversion_seq) \
        SELECT t.id, $1, v.id, 'new' || sequence_number, 1, \
            CASE WHEN sequence_number % 10 = 0 THEN now() END, \
            CASE WHEN sequence_number % 10 = 0 THEN sequence_number END FROM v, trail t";
    client.execute(made_up, &[&experiment.id.0]).await.unwrap();
    for (export, expected) in [
        (Export::Assignments, 200_000),
        (Export::Conversions, 20_000),
    ] {
        let mut pages = engine
            .export(&me, experiment.id, export, None)
            .await
            .unwrap();
        let (mut count, mut cursors) = (0, HashSet::new());
        while let Some(page) = pages.try_next().await.unwrap() {
            assert!(page.len() <= 1_000, "{export:?}: {}", page.len());
            count += page.len();
            cursors.extend(column(export, &page, "cursor"));
        }
        assert_eq!((count, cursors.len()), (expected, expected), "{export:?}");
    }
    // Nothing is read ahead of who asks: what is gone by then is not there.
    let mut pages = engine
        .export(&me, experiment.id, Export::Assignments, None)
        .await
        .unwrap();
    let first = pages.try_next().await.unwrap().unwrap();
    client
        .batch_execute("DELETE FROM assignments")
        .await
        .unwrap();
    let rest: Vec<Vec<Row>> = pages.try_collect().await.unwrap();
    assert_eq!((first.len(), rest.concat().len()), (1_000, 0));
    engine.shutdown().await;
}

#[tokio::test]
async fn an_adopted_database_is_exported_before_and_after_its_trail_begins() {
    let database = adopted(ROWS).await;
    let client = connect(database.url()).await;
    // What the original program never filled in.
    client
        .batch_execute(
            "UPDATE assignments SET session_id = NULL, context = NULL, assigned_at = NULL,
                 conversion_value = NULL, variant_id = NULL WHERE user_identifier = 'visitor 5'",
        )
        .await
        .unwrap();
    // The views do not wait for the first request.
    equal_plain_counts(&client, ID).await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let export = Export::Assignments;
    let old = rows(&engine, ID, export, None).await;
    assert_eq!(old.len(), 1_000);
    let names: HashSet<String> = column(export, &old, "visitor_id").into_iter().collect();
    assert_eq!(names.len(), 1_000);
    let bare = old
        .iter()
        .find(|row| cell(export, row, "visitor_id") == "visitor 5");
    let bare = bare.unwrap();
    for empty in [
        "sequence_number",
        "assigned_at",
        "session_id",
        "context",
        "value",
    ] {
        assert_eq!(cell(export, bare, empty), "", "{empty}");
    }
    let converted = rows(&engine, ID, Export::Conversions, None).await;
    assert_eq!(converted.len(), 200);
    // The last cursor of what is old is where the new begins.
    let last = cell(export, old.last().unwrap(), "cursor");
    let last_converted = cell(Export::Conversions, converted.last().unwrap(), "cursor");
    engine
        .convert(&me, ID, conversion("visitor 1"))
        .await
        .unwrap();
    let mut assigned = 0;
    for number in 0..20 {
        let name = format!("new {number}");
        assigned += usize::from(engine.assign(&me, ID, visitor(name)).await.unwrap().is_new);
    }
    let new = rows(&engine, ID, export, Some(&last)).await;
    assert!(assigned > 0);
    assert_eq!(new.len(), assigned);
    let new = rows(&engine, ID, Export::Conversions, Some(&last_converted)).await;
    assert_eq!(
        column(Export::Conversions, &new, "visitor_id"),
        ["visitor 1"]
    );
    equal_plain_counts(&client, ID).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn an_erased_visitor_is_a_row_that_nobody_can_name() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    busy(&engine, id, 0..4).await;
    engine.erase_visitor(&me, "v0").await.unwrap();
    for export in [Export::Assignments, Export::Conversions] {
        let all = rows(&engine, id, export, None).await;
        let names = column(export, &all, "visitor_id");
        let expected: &[&str] = match export {
            Export::Assignments => &["", "v1", "v2", "v3"],
            _ => &["", "v3"],
        };
        assert_eq!(names, expected);
        assert_eq!(cell(export, &all[0], "context"), "{}");
        assert_ne!(cell(export, &all[0], "converted_at"), "");
        assert_eq!(cell(export, &all[0], "variant").len(), 1);
    }
    let client = connect(database.url()).await;
    let erased = "SELECT count(*) FILTER (WHERE is_erased), count(DISTINCT pseudonym) \
        FROM reporting_assignments";
    let row = client.query_one(erased, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 4));
    equal_plain_counts(&client, id).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn the_timeline_adds_up_to_the_results_and_the_views_to_the_rows() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let client = connect(database.url()).await;
    for draft in [eager(&[3]), eager(&[2, 3]), factorial()] {
        let experiment = start(&engine, draft).await;
        busy(&engine, experiment.id, 0..60).await;
        adds_up(&engine, &experiment).await;
        equal_plain_counts(&client, experiment.id).await;
        step(&engine, &experiment, Transition::Complete).await;
        equal_plain_counts(&client, experiment.id).await;
    }
    let before: Experiment = engine
        .create_experiment(&Principal::system(), draft(&[2]))
        .await
        .unwrap();
    equal_plain_counts(&client, before.id).await;
    for export in [Export::Assignments, Export::Conversions, Export::Timeline] {
        assert_eq!(
            rows(&engine, before.id, export, None).await,
            Vec::<Row>::new()
        );
    }
    engine.shutdown().await;
}

/// At its end the timeline says of each arm what the results say.
async fn adds_up(engine: &Engine, experiment: &Experiment) {
    let timeline = rows(engine, experiment.id, Export::Timeline, None).await;
    let results = rows(engine, experiment.id, Export::Results, None).await;
    assert!(timeline.len() > results.len());
    let last = &timeline[timeline.len() - results.len()..];
    for (at_last, result) in last.iter().zip(&results) {
        for (of_timeline, of_results) in [
            ("element", "element"),
            ("element_name", "element_name"),
            ("arm", "arm"),
            ("variant", "variant"),
            ("variant_ids", "variant_ids"),
            ("weight", "weight"),
            ("visitors_so_far", "visitors"),
            ("conversions_so_far", "conversions"),
        ] {
            assert_eq!(
                cell(Export::Timeline, at_last, of_timeline),
                cell(Export::Results, result, of_results),
                "{of_timeline}"
            );
        }
    }
}

/// Every view tells of the experiment what its rows tell.
async fn equal_plain_counts(client: &Client, id: ExperimentId) {
    let counts = async |what: &str| {
        let statement = format!(
            "SELECT count(*)::bigint, count(converted_at)::bigint, \
            coalesce(sum(conversion_value) FILTER (WHERE converted_at IS NOT NULL), 0)::float8 \
            FROM assignments WHERE experiment_id = $1 {what}"
        );
        let row = client.query_one(&statement, &[&id.0]).await.unwrap();
        (
            row.get::<_, i64>(0),
            row.get::<_, i64>(1),
            row.get::<_, f64>(2),
        )
    };
    let all = counts("").await;
    for view in ["reporting_experiments", "reporting_daily"] {
        let statement = format!(
            "SELECT coalesce(sum(visitors), 0)::bigint, \
            coalesce(sum(conversions), 0)::bigint, coalesce(sum(value_sum), 0)::float8 \
            FROM {view} WHERE experiment_id = $1"
        );
        let row = client.query_one(&statement, &[&id.0]).await.unwrap();
        let found = (
            row.get::<_, i64>(0),
            row.get::<_, i64>(1),
            row.get::<_, f64>(2),
        );
        assert_eq!(found, all, "{view}");
    }
    let rows = "SELECT count(*)::bigint, count(converted_at)::bigint, coalesce(sum(value), 0)::float8 \
        FROM reporting_assignments WHERE experiment_id = $1";
    let row = client.query_one(rows, &[&id.0]).await.unwrap();
    let found = (
        row.get::<_, i64>(0),
        row.get::<_, i64>(1),
        row.get::<_, f64>(2),
    );
    assert_eq!(found, all, "reporting_assignments");
    // An arm is the visitors who were shown all its variants.
    let arms = client
        .query(
            "SELECT variant_ids, visitors, conversions, value_sum FROM reporting_arms \
             WHERE experiment_id = $1",
            &[&id.0],
        )
        .await
        .unwrap();
    assert!(arms.len() > 1);
    for arm in arms {
        let variants: Vec<Uuid> = arm.get(0);
        let shown: Vec<String> = variants
            .iter()
            .map(|id| {
                format!(
                    "AND (variant_id = '{id}' OR EXISTS (SELECT FROM \
                     jsonb_each_text(metadata -> 'variants') WHERE value = '{id}'))"
                )
            })
            .collect();
        let expected = counts(&shown.concat()).await;
        let found = (
            arm.get::<_, i64>(1),
            arm.get::<_, i64>(2),
            arm.get::<_, f64>(3),
        );
        // Who has no variant in a row older than the trail counts for control from its start on.
        let nameless = counts("AND variant_id IS NULL").await.0;
        assert!(
            (expected.0..=expected.0 + nameless).contains(&found.0),
            "{variants:?}: {found:?} {expected:?}"
        );
        assert_eq!((found.1, found.2), (expected.1, expected.2), "{variants:?}");
    }
}

#[tokio::test]
async fn what_is_no_cursor_is_refused() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    for export in ALL {
        let refused = engine.export(&me, id, export, Some("page 2")).await.err();
        let refused = refused.unwrap();
        let ErrorKind::Invalid(violations) = refused.kind() else {
            panic!("{refused:?}");
        };
        assert_eq!(
            (&*violations.0[0].pointer, violations.0[0].code),
            ("/after", "malformed")
        );
        let nobody = ExperimentId(Uuid::from_u128(1));
        let unknown = engine.export(&me, nobody, export, None).await.err();
        assert_eq!(unknown.unwrap().kind(), &ErrorKind::NotFound("experiment"));
    }
    engine.shutdown().await;
}
