//! Lists of experiments: what is found, at which cost, and how those that are listed stand.

use samplit_engine::{ExperimentDraft, ExperimentFilter, Mode, Page, Principal, Standing};
use samplit_tests::{connect, database, draft, engine, engine_with, fixed, start};

use crate::{conversion, visitor};

fn named(name: &str, key: Option<&str>, url: Option<&str>) -> ExperimentDraft {
    ExperimentDraft {
        name: name.to_owned(),
        key: key.map(str::to_owned),
        target_url: url.map(str::to_owned),
        ..draft(&[2])
    }
}

#[tokio::test]
async fn a_text_is_looked_for_in_name_key_and_address_as_it_stands() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    for draft in [
        named("Headline", None, Some("https://shop.test/sale_2026*")),
        named("50% off", Some("sale-banner"), None),
        named("Footer", None, None),
    ] {
        engine.create_experiment(&me, draft).await.unwrap();
    }
    let found = async |query: &str| {
        let filter = ExperimentFilter {
            query: Some(query.to_owned()),
            ..ExperimentFilter::default()
        };
        let page = Page {
            cursor: None,
            limit: 10,
        };
        let found = engine.experiments(&me, &filter, &page).await.unwrap();
        found.data.into_iter().map(|e| e.name).collect::<Vec<_>>()
    };
    assert_eq!(found("SALE").await, ["50% off", "Headline"]);
    assert_eq!(found("foot").await, ["Footer"]);
    assert_eq!(found("shop.test").await, ["Headline"]);
    // What is special in a pattern is a character like others.
    assert_eq!(found("%").await, ["50% off"]);
    assert_eq!(found("sale_").await, ["Headline"]);
    assert_eq!(found("\\").await, [""; 0]);
    engine.shutdown().await;
}

/// However many experiments others have, and whatever the plan was made for.
#[tokio::test]
async fn the_list_of_an_account_is_read_from_its_index() {
    let database = database().await;
    let client = connect(database.url()).await;
    let statement = samplit_store::statements()
        .iter()
        .find(|statement| statement.name == "LIST_EXPERIMENTS_OF")
        .unwrap()
        .sql;
    let arguments = "(NULL, NULL, NULL, NULL, 51, '0197f0a0-0000-7000-8000-000000000001')";
    let prepared = format!(
        "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
         SET enable_bitmapscan = off; PREPARE listed AS {statement}"
    );
    client.batch_execute(&prepared).await.unwrap();
    let plan = client
        .query(&format!("EXPLAIN EXECUTE listed{arguments}"), &[])
        .await
        .unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("using idx_experiments_user"), "{plan}");
    let condition = plan.lines().find(|line| line.contains("Index Cond"));
    let condition = condition.unwrap();
    assert!(
        condition.contains("user_id") && condition.contains("ROW(created_at, id) <"),
        "{plan}"
    );
    assert!(!plan.contains("Sort"), "{plan}");
}

#[tokio::test]
async fn the_line_of_a_list_agrees_with_the_results() {
    let database = database().await;
    let engine = engine_with(database.url(), fixed(3)).await;
    let me = Principal::system();
    let created = engine.create_experiment(&me, draft(&[3, 2])).await.unwrap();
    let nothing = Standing::of(&created).unwrap();
    assert_eq!((nothing.visitors, nothing.leaders.len()), (0, 0));

    let experiment = start(&engine, draft(&[3, 2])).await;
    for number in 0..120 {
        let name = format!("visitor-{number}");
        let assigned = engine.assign(&me, experiment.id, visitor(&name)).await;
        let better = experiment.elements[0].variants[1].id;
        if assigned.unwrap().variants[0] == better && number % 2 == 0 {
            let converted = engine.convert(&me, experiment.id, conversion(&name)).await;
            converted.unwrap();
        }
    }
    let listed = engine.experiment(&me, experiment.id).await.unwrap();
    let standing = Standing::of(&listed).unwrap();
    let results = engine.results(&me, experiment.id).await.unwrap();
    assert_eq!(standing.visitors, results.visitors);
    assert_eq!(standing.conversions, results.conversions);
    assert_eq!(standing.leaders.len(), 2);
    for (leader, draw) in standing.leaders.iter().zip(&results.elements) {
        assert_eq!(leader.element, draw.name);
        let arm = draw
            .arms
            .iter()
            .max_by(|a, b| a.p_best.total_cmp(&b.p_best));
        let arm = arm.unwrap();
        assert_eq!(leader.variant, arm.name);
        assert!((leader.p_best - arm.p_best).abs() < 1e-9, "{leader:?}");
        let fewest = draw.arms.iter().map(|arm| arm.assignments).min();
        assert_eq!(Some(leader.fewest_visitors), fewest);
    }
    assert_eq!(
        standing.leaders[0].variant,
        listed.elements[0].variants[1].name
    );

    let mut combined = draft(&[2, 2]);
    combined.allocation.mode = Mode::Factorial;
    let combined = start(&engine, combined).await;
    engine
        .assign(&me, combined.id, visitor("one"))
        .await
        .unwrap();
    let combined = engine.experiment(&me, combined.id).await.unwrap();
    let standing = Standing::of(&combined).unwrap();
    assert_eq!((standing.visitors, standing.leaders.len()), (1, 0));
    engine.shutdown().await;
}
