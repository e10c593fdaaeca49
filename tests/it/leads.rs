//! Leads under several engines at once, and what their statements cost.

use std::sync::Arc;

use futures_util::future::join_all;
use samplit_engine::{
    CapturedLead, GoalDraft, GoalKind, GoalTrigger, LeadDraft, LeadFilter, LeadSubmission, Page,
    Principal, Visit,
};
use samplit_tests::{connect, database, draft, engine};

use crate::pages::{account, install, run};
use crate::{sound, visitor};

#[tokio::test(flavor = "multi_thread")]
async fn what_two_replicas_take_in_at_once_is_one_lead_and_one_conversion() {
    let database = database().await;
    let engines = [
        engine(database.url(), 1).await,
        engine(database.url(), 2).await,
    ];
    let owner = account(&engines[0], "owner@example.org").await;
    let site = Arc::new(install(&engines[0], &owner).await);
    let mut about = draft(&[2]);
    about.goals = vec![GoalDraft {
        name: "lead".to_owned(),
        kind: GoalKind::Conversion,
        default_value: 1.0,
        trigger: Some(GoalTrigger::Lead { form: None }),
    }];
    let experiment = run(&engines[0], &owner, about).await;
    let me = Principal::system();
    for engine in &engines {
        let assigned = engine.assign(&me, experiment.id, visitor("ada")).await;
        assigned.unwrap();
    }

    let clicks = (0..100).map(|click| {
        let (engine, site) = (engines[click % 2].clone(), Arc::clone(&site));
        async move {
            let draft = LeadDraft {
                email: Some("ada@example.org".to_owned()),
                ..LeadDraft::default()
            };
            let visit = Visit {
                visitor: "ada",
                ..Visit::default()
            };
            let submission = LeadSubmission {
                draft,
                is_trapped: false,
            };
            engine
                .capture_lead(&site, &visit, submission)
                .await
                .unwrap()
        }
    });
    let captured = join_all(clicks).await;
    let new = captured
        .iter()
        .filter(|one| matches!(one, CapturedLead::New(_)));
    assert_eq!(new.count(), 1);
    let page = Page {
        cursor: None,
        limit: 10,
    };
    let found = engines[1].leads(&me, &LeadFilter::default(), &page).await;
    let found = found.unwrap().data;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].experiment_id, Some(experiment.id));
    let results = engines[0].results(&me, experiment.id).await.unwrap();
    assert_eq!((results.visitors, results.conversions), (1, 1));
    sound(&engines[0], experiment.id).await;
    for engine in engines {
        engine.shutdown().await;
    }
}

/// However many leads there are, and whatever the plan was made for.
#[tokio::test]
async fn leads_are_read_from_their_indexes() {
    let database = database().await;
    let client = connect(database.url()).await;
    client
        .batch_execute(
            "INSERT INTO users (email, password_hash) SELECT n || '@example.org', '!'
                 FROM generate_series(1, 20) n;
             INSERT INTO platform_installations (user_id, platform) SELECT id, 'custom' FROM users;
             INSERT INTO leads (user_id, installation_id, email, status, source, created_at)
                 SELECT i.user_id, i.id, n || '@example.org', (ARRAY['new', 'contacted', 'lost'])[1 + n % 3],
                     'contact', '2026-01-01'::timestamptz + n * interval '1 minute'
                 FROM platform_installations i, generate_series(1, 1000) n;
             ANALYZE leads;
             SET plan_cache_mode = force_generic_plan",
        )
        .await
        .unwrap();
    let id = "'0197f0a0-0000-7000-8000-000000000001'";
    let list = "NULL, NULL, NULL, NULL, NULL, NULL, NULL, 51";
    for (name, arguments, index) in [
        ("LIST_LEADS", list.to_owned(), "idx_leads_created"),
        (
            "LIST_LEADS_IN",
            format!("{list}, 'new'"),
            "idx_leads_status",
        ),
        ("LIST_LEADS_OF", format!("{list}, {id}"), "idx_leads_user"),
        (
            "LIST_LEADS_OF_IN",
            format!("{list}, 'new', {id}"),
            "idx_leads_",
        ),
        (
            "FIND_LEAD_AGAIN",
            format!(
                "{id}, 'x', {id}, '2026-01-01', 'contact', 'a@b.test', NULL, NULL, NULL, 'Hi', '{{}}'"
            ),
            "idx_leads_user",
        ),
    ] {
        let statements = samplit_store::statements();
        let statement = statements.iter().find(|statement| statement.name == name);
        let sql = statement.unwrap().sql;
        let prepare = format!("PREPARE asked AS {sql}");
        client.batch_execute(&prepare).await.unwrap();
        let explain = format!("EXPLAIN EXECUTE asked({arguments})");
        let plan = client.query(&explain, &[]).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        assert!(
            plan.contains(index) && !plan.contains("Seq Scan"),
            "{name}: {plan}"
        );
        client.batch_execute("DEALLOCATE asked").await.unwrap();
    }
}
