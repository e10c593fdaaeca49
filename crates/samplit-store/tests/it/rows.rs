//! Rows that are read in bulk, and rows that should have been there.

use samplit_domain::{
    Allocation, Element, ElementId, Experiment, ExperimentId, ExperimentType, Goal, GoalId,
    GoalKind, GoalTrigger, Hypothesis, Status, Stopping, Strategy, Variant, VariantId,
};
use samplit_store::elements::VariantCount;
use samplit_store::experiments::Listing;
use samplit_store::{Database, Error, assignments, elements, experiments, trail};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{client, migrated, one_connection};

/// An experiment with `elements` elements, each with a variant more than the one before, and two
/// goals. All ids follow from `number`, and so does the time of its creation.
fn experiment(number: u128, elements: u128) -> Experiment {
    let id = |kind: u128, index: u128| Uuid::from_u128(number << 64 | kind << 32 | index);
    let variant = |element: u128, index: u128| Variant {
        id: VariantId(id(2, element << 8 | index)),
        name: format!("variant {index}"),
        content: json!({ "number": index.to_string() }),
        is_control: index == 0,
        is_active: true,
        total_allocations: 0,
        total_conversions: 0,
    };
    let element = |index: u128| Element {
        // Ids that run against the order.
        id: ElementId(id(1, 100 - index)),
        name: format!("element {index}"),
        selector: None,
        fallback_selectors: Vec::new(),
        element_type: None,
        original_content: None,
        variants: (0..index + 2).map(|v| variant(index, v)).collect(),
    };
    let goal = |index: u128, is_primary| Goal {
        id: GoalId(id(3, index)),
        name: format!("goal {index}"),
        is_primary,
        kind: GoalKind::Value,
        default_value: 1.0,
        trigger: is_primary.then(|| GoalTrigger::Event {
            name: "done".to_owned(),
        }),
    };
    let created_at = OffsetDateTime::UNIX_EPOCH + Duration::hours(i64::try_from(number).unwrap());
    Experiment {
        id: ExperimentId(id(0, 0)),
        user_id: None,
        name: format!("experiment {number}"),
        key: Some(format!("experiment-{number}")),
        description: None,
        target_url: None,
        status: Status::Draft,
        experiment_type: ExperimentType::AbTest,
        traffic_allocation: 1.0,
        strategy: Strategy::Adaptive,
        allocation: Allocation::default(),
        stopping: Stopping::default(),
        hypothesis: Some(Hypothesis {
            statement: "More is better.".to_owned(),
            minimum_effect: Some(0.05),
        }),
        registration: None,
        elements: (0..elements).map(element).collect(),
        goals: vec![goal(1, true), goal(0, false)],
        declared_winner: Default::default(),
        metadata: json!({}),
        version: 1,
        created_at,
        updated_at: created_at,
        started_at: None,
        completed_at: None,
        archived_at: None,
    }
}

async fn insert(pool: &Database, experiment: &Experiment) {
    let inserted: Result<(), Error> = pool
        .run_tx("insert", |session| {
            Box::pin(experiments::insert(session, experiment))
        })
        .await;
    inserted.unwrap();
}

#[tokio::test]
async fn a_page_of_experiments_takes_four_statements() {
    let database = migrated().await;
    let url = database.url();
    let writer = Database::connect(one_connection(url)).await.unwrap();
    let expected: Vec<Experiment> = (1..=3)
        .rev()
        .map(|number| experiment(number, number))
        .collect();
    for experiment in &expected {
        insert(&writer, experiment).await;
    }

    let reader = Database::connect(one_connection(url)).await.unwrap();
    let listing = Listing {
        limit: 10,
        ..Listing::default()
    };
    let listed = reader.run(|session| Box::pin(experiments::list(session, &listing)));
    assert_eq!(listed.await.unwrap(), expected);
    assert_eq!(executions(&reader).await, 4);

    for experiment in &expected {
        let read = reader.run(|session| Box::pin(experiments::read(session, experiment.id)));
        assert_eq!(read.await.unwrap().as_ref(), Some(experiment));
    }
    let absent = ExperimentId(Uuid::nil());
    let missing = reader.run(|session| Box::pin(experiments::read(session, absent)));
    assert_eq!(missing.await.unwrap(), None);
}

/// How many of the store's statements have run on the one connection of `pool`.
async fn executions(pool: &Database) -> i64 {
    let connection = pool.acquire().await.unwrap();
    let sql = "SELECT sum(generic_plans + custom_plans)::bigint FROM pg_prepared_statements \
        WHERE statement LIKE '-- %'";
    connection.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn an_update_of_what_does_not_exist_fails_for_good() {
    let database = migrated().await;
    let pool = Database::connect(one_connection(database.url()))
        .await
        .unwrap();
    let stored = experiment(1, 1);
    insert(&pool, &stored).await;
    let (known, unknown) = (stored.elements[0].variants[0].id, Uuid::from_u128(1));
    let count = |id| VariantCount {
        id,
        allocations: 1,
        conversions: 0,
    };

    let counted = pool.run(|session| {
        Box::pin(async move { elements::count(session, &[count(known.0), count(unknown)]).await })
    });
    check(counted.await, "COUNT_VARIANTS touched 1 rows instead of 2");
    let sealed = [String::new(), String::new()];
    let set = pool.run(|session| {
        let (ids, sealed) = ([known.0, unknown], &sealed);
        Box::pin(async move { elements::set_algorithm_state(session, &ids, sealed).await })
    });
    check(set.await, "SET_ALGORITHM_STATE touched 1 rows instead of 2");
    let absent = experiment(2, 1);
    let updated = pool.run(|session| Box::pin(experiments::update(session, &absent)));
    check(
        updated.await,
        "UPDATE_EXPERIMENT touched 0 rows instead of 1",
    );
}

fn check(outcome: Result<(), Error>, expected: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert!(!error.is_retryable(), "{error:?}");
    assert!(!error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn a_conversion_that_came_second_is_worth_another_try() {
    let database = migrated().await;
    let pool = Database::connect(one_connection(database.url()))
        .await
        .unwrap();
    let stored = experiment(1, 1);
    insert(&pool, &stored).await;
    let row = Uuid::from_u128(7);
    let sql = "INSERT INTO assignments (id, experiment_id, variant_id, user_identifier) \
        VALUES ($1, $2, $3, 'visitor')";
    let variant = stored.elements[0].variants[0].id;
    let client = client(database.url()).await;
    client
        .execute(sql, &[&row, &stored.id.0, &variant.0])
        .await
        .unwrap();
    let conversion = [assignments::NewConversion {
        experiment_id: stored.id.0,
        assignment_id: row,
        converted_at: stored.created_at,
        value: 1.0,
        event_id: "event".to_owned(),
        sequence: 2,
    }];
    let convert = || pool.run(|session| Box::pin(assignments::convert(session, &conversion)));
    convert().await.unwrap();
    let second = convert().await.unwrap_err();
    assert!(second.is_retryable(), "{second:?}");
}

#[tokio::test]
async fn a_variant_is_switched_only_as_one_of_its_experiment() {
    let database = migrated().await;
    let pool = Database::connect(one_connection(database.url()))
        .await
        .unwrap();
    let (own, other) = (experiment(1, 1), experiment(2, 1));
    insert(&pool, &own).await;
    insert(&pool, &other).await;
    let variant = own.elements[0].variants[1].id;
    let switch =
        |of| pool.run(move |session| Box::pin(elements::set_active(session, of, variant, false)));
    check(
        switch(other.id).await,
        "SET_VARIANT_ACTIVE touched 0 rows instead of 1",
    );
    let is_active = async || {
        let read = pool.run(|session| Box::pin(experiments::read(session, own.id)));
        let read: Experiment = read.await.unwrap().unwrap();
        read.variant(variant).unwrap().is_active
    };
    assert!(is_active().await);
    switch(own.id).await.unwrap();
    assert!(!is_active().await);
}

/// What is wrong in the database, which only the request that asked for it may have to pay for.
fn inconsistency<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    let error = outcome.unwrap_err();
    assert!(error.is_about_data(), "{error:?}");
    assert!(!error.is_retryable(), "{error:?}");
    assert!(!error.is_unavailable(), "{error:?}");
    let (table, column, detail) = error.inconsistency().unwrap();
    format!("{table}.{column}: {detail}")
}

#[tokio::test]
async fn a_value_that_cannot_be_decoded_is_named_and_refused() {
    let database = migrated().await;
    let pool = Database::connect(one_connection(database.url()))
        .await
        .unwrap();
    let stored = experiment(1, 1);
    insert(&pool, &stored).await;
    let client = client(database.url()).await;
    let (id, variant) = (stored.id.0, stored.elements[0].variants[0].id.0);

    let spoil = format!(
        "INSERT INTO assignments (id, experiment_id, variant_id, user_identifier, assigned_at) VALUES \
         ('00000000-0000-0000-0000-000000000001', '{id}', '{variant}', 'spoiled', 'infinity'), \
         ('00000000-0000-0000-0000-000000000002', '{id}', '{variant}', 'sound', now())"
    );
    client.batch_execute(&spoil).await.unwrap();
    let find = async |visitor: &'static str| {
        let rows = pool.run(|session| {
            Box::pin(async move { assignments::find(session, &[id], &[visitor]).await })
        });
        rows.await
    };
    assert_eq!(find("sound").await.unwrap().len(), 1);
    assert_eq!(
        inconsistency(find("spoiled").await),
        "assignments.assigned_at: row 00000000-0000-0000-0000-000000000001: \
         value too large to decode"
    );

    // JSON knows numbers beyond those of Rust.
    let spoil = "UPDATE element_variants SET content = '{\"price\": 1e400}' WHERE id = $1";
    client.execute(spoil, &[&variant]).await.unwrap();
    let read = async || -> Result<Option<Experiment>, Error> {
        let read = pool.run(|session| Box::pin(experiments::read(session, stored.id)));
        read.await
    };
    let found = inconsistency(read().await);
    let place = format!("element_variants.content: row {variant}: ");
    assert!(found.starts_with(&place), "{found}");

    let mend = "UPDATE element_variants SET content = '{}' WHERE id = $1";
    client.execute(mend, &[&variant]).await.unwrap();
    assert!(read().await.unwrap().is_some());
    let spoil = "UPDATE experiments SET started_at = '-infinity' WHERE id = $1";
    client.execute(spoil, &[&id]).await.unwrap();
    let found = inconsistency(read().await);
    let place = format!("experiments.started_at: row {id}: ");
    assert!(found.starts_with(&place), "{found}");
}

#[tokio::test]
async fn an_entry_that_cannot_be_decoded_is_named_by_its_place() {
    let database = migrated().await;
    let pool = Database::connect(one_connection(database.url()))
        .await
        .unwrap();
    let stored = experiment(1, 1);
    insert(&pool, &stored).await;
    let id = stored.id;
    // Past the triggers and the checks, as somebody who tampers would.
    let spoil = format!(
        "SET session_replication_role = replica; \
         ALTER TABLE algorithm_audit_trail DROP CONSTRAINT algorithm_audit_trail_created_at_check; \
         INSERT INTO algorithm_audit_trail (experiment_id, sequence_number, decision_type, \
         decision_data, previous_hash, current_hash, created_at) \
         SELECT '{}', n, 'reallocation', '{{}}', repeat('0', 64), md5(n::text) || md5(n::text), \
         CASE n WHEN 2 THEN 'infinity' ELSE now() END FROM generate_series(1, 3) AS n",
        id.0
    );
    client(database.url())
        .await
        .batch_execute(&spoil)
        .await
        .unwrap();
    let expected = "algorithm_audit_trail.created_at: entry 2: value too large to decode";
    let page = |after| pool.run(move |session| Box::pin(trail::page(session, id, after, 3, 10)));
    assert_eq!(page(2).await.unwrap().len(), 1);
    assert_eq!(inconsistency(page(0).await), expected);
    let entry = pool.run(|session| Box::pin(trail::entry(session, id, 2)));
    assert_eq!(inconsistency(entry.await), expected);
    let snapshots = pool.run(|session| Box::pin(trail::snapshots(session, id)));
    assert_eq!(inconsistency(snapshots.await), expected);
}
