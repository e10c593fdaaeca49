//! Pre-registration: what is registered, and every way of not keeping to it.

use std::sync::Arc;

use samplit_engine::{
    Engine, EngineConfig, ErrorKind, Experiment, ExperimentDraft, Hash, Hypothesis, ManualClock,
    Principal, Stopping, StoppingRule, Strategy, Transition, from_micros,
};
use samplit_tests::{config, connect, database, draft, engine, engine_with, start, step};

use crate::{conversion, sound, visitor};

fn registered(visitors: f64) -> ExperimentDraft {
    ExperimentDraft {
        hypothesis: Some(Hypothesis {
            statement: "A \"red\" button sells more \u{1f534}".to_owned(),
            minimum_effect: Some(0.05),
        }),
        stopping: Stopping {
            rule: StoppingRule::Visitors,
            threshold: Some(visitors),
            min_visitors_per_arm: 0,
            min_days: 0.0,
            ..Stopping::default()
        },
        traffic_allocation: 0.5,
        ..draft(&[2])
    }
}

async fn codes(engine: &Engine, experiment: &Experiment) -> Vec<&'static str> {
    let me = Principal::system();
    let report = engine.registration(&me, experiment.id).await.unwrap();
    let results = engine.results(&me, experiment.id).await.unwrap();
    assert_eq!(results.registration, report);
    report
        .deviations
        .iter()
        .map(|deviation| deviation.code)
        .collect()
}

#[tokio::test]
async fn what_is_registered_stands_in_the_genesis() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let plain = start(&engine, draft(&[2])).await;
    let none = engine.registration(&me, plain.id).await.unwrap();
    assert_eq!((none.as_str(), none.sha256), ("none", None));

    let drafted = engine
        .create_experiment(&me, registered(10.0))
        .await
        .unwrap();
    let none = engine.registration(&me, drafted.id).await.unwrap();
    assert_eq!(none.as_str(), "none");
    let experiment = step(&engine, &drafted, Transition::Start).await;
    let report = engine.registration(&me, experiment.id).await.unwrap();
    assert_eq!(report.as_str(), "as_registered");
    let document = report.registered.unwrap();
    assert_eq!(
        document["hypothesis"]["minimum_effect_f64"],
        "3fa999999999999a"
    );
    assert_eq!(document["stopping"]["rule"], "visitors");
    assert_eq!(document["goal"]["name"], "conversion");
    let genesis = engine
        .trail(&me, experiment.id, 0, 1)
        .await
        .unwrap()
        .remove(0);
    let hash = report.sha256.unwrap().to_string();
    assert_eq!(genesis.decision_data["hypothesis_sha256"], hash.as_str());
    // By hand: SHA-256 of the text with sorted keys and no space, which serde_json writes as well.
    let text = serde_json::to_string(&document).unwrap();
    assert_eq!(Hash::of(text.as_bytes()).to_string(), hash);
    sound(&engine, experiment.id).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn whatever_is_changed_by_hand_is_told() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let experiment = start(&engine, registered(10.0)).await;
    let client = connect(database.url()).await;
    for (change, undo, expected) in [
        (
            "UPDATE experiments SET registration = jsonb_set(registration, \
             '{hypothesis,statement}', '\"less\"')",
            "UPDATE experiments SET registration = jsonb_set(registration, \
             '{hypothesis,statement}', hypothesis -> 'statement')",
            vec!["registration_altered", "hypothesis_changed"],
        ),
        (
            "UPDATE experiments SET hypothesis = jsonb_set(hypothesis, '{minimum_effect}', '0.5')",
            "UPDATE experiments SET hypothesis = jsonb_set(hypothesis, '{minimum_effect}', '0.05')",
            vec!["hypothesis_changed"],
        ),
        (
            "UPDATE goals SET name = 'clicks'",
            "UPDATE goals SET name = 'conversion'",
            vec!["goal_changed"],
        ),
        (
            "UPDATE experiments SET stopping_rule = jsonb_set(stopping_rule, '{threshold}', '5')",
            "UPDATE experiments SET stopping_rule = jsonb_set(stopping_rule, '{threshold}', '10')",
            vec!["stopping_changed"],
        ),
        (
            "UPDATE experiments SET allocation_config = \
             jsonb_set(allocation_config, '{policy}', '\"top_two\"')",
            "UPDATE experiments SET allocation_config = \
             jsonb_set(allocation_config, '{policy}', '\"thompson\"')",
            vec!["allocation_changed"],
        ),
        (
            "UPDATE experiments SET traffic_allocation = 0.75",
            "UPDATE experiments SET traffic_allocation = 0.5",
            vec!["traffic_changed"],
        ),
        (
            // A stub of a redaction counts for a payload, not for a registration.
            "UPDATE experiments SET metadata = registration, registration = (SELECT \
             jsonb_build_object('payload_sha256', decision_data ->> 'hypothesis_sha256') \
             FROM algorithm_audit_trail WHERE sequence_number = 1)",
            "UPDATE experiments SET registration = metadata",
            vec![
                "registration_altered",
                "hypothesis_changed",
                "goal_changed",
                "stopping_changed",
                "allocation_changed",
                "traffic_changed",
            ],
        ),
        (
            "UPDATE experiments SET registration = NULL",
            "UPDATE experiments SET registration = metadata",
            vec!["registration_missing"],
        ),
    ] {
        client.batch_execute(change).await.unwrap();
        assert_eq!(codes(&engine, &experiment).await, expected, "{change}");
        client.batch_execute(undo).await.unwrap();
        assert_eq!(codes(&engine, &experiment).await, [""; 0], "{undo}");
    }
    engine.shutdown().await;
}

/// Whatever somebody makes of the columns, the experiment can be read, serves, and the report says so.
#[tokio::test]
async fn what_cannot_be_read_any_more_is_a_deviation() {
    let database = database().await;
    let first = engine(database.url(), 1).await;
    let me = Principal::system();
    let experiment = start(&first, registered(10.0)).await;
    let id = experiment.id;
    first.shutdown().await;
    let client = connect(database.url()).await;
    client
        .batch_execute("CREATE TABLE saved AS SELECT hypothesis, registration FROM experiments")
        .await
        .unwrap();
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let values = [
        "\"text\"",
        "null",
        "[]",
        "{}",
        "{\"statement\": 5}",
        "{\"statement\": \"x\", \"minimum_effect\": \"much\"}",
        "{\"statement\": \"x\", \"minimum_effect\": 1e400}",
        deep.as_str(),
    ];
    for (seed, value) in (2..).zip(values) {
        for column in ["hypothesis", "registration"] {
            client
                .batch_execute(&format!("UPDATE experiments SET {column} = '{value}'"))
                .await
                .unwrap();
            // Nothing in memory from before.
            let engine = engine(database.url(), seed).await;
            let codes = codes(&engine, &experiment).await;
            let expected = if column == "hypothesis" {
                &["hypothesis_changed"][..]
            } else {
                &[
                    "registration_altered",
                    "hypothesis_changed",
                    "goal_changed",
                    "stopping_changed",
                    "allocation_changed",
                    "traffic_changed",
                ]
            };
            assert_eq!(codes, expected, "{column} {value}");
            let name = format!("{column}-{seed}");
            engine.assign(&me, id, visitor(&name)).await.unwrap();
            // A change of something else does not write what was read of it.
            let renamed = samplit_engine::ExperimentChange {
                name: Some(name),
                ..Default::default()
            };
            engine
                .update_experiment(&me, id, renamed, None)
                .await
                .unwrap();
            let is_kept =
                format!("SELECT {column}::text = '{value}'::jsonb::text FROM experiments");
            let is_kept: bool = client.query_one(&is_kept, &[]).await.unwrap().get(0);
            assert!(is_kept, "{column} {value}");
            engine.shutdown().await;
            client
                .batch_execute(&format!(
                    "UPDATE experiments SET {column} = saved.{column} FROM saved"
                ))
                .await
                .unwrap();
        }
    }
    let engine = engine(database.url(), 1_000).await;
    assert_eq!(codes(&engine, &experiment).await, [""; 0]);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_draft_is_refused_when_its_start_would_be() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let registered = |elements: &[usize], statement: &str| {
        let mut registered = ExperimentDraft {
            hypothesis: Some(Hypothesis {
                statement: statement.to_owned(),
                minimum_effect: None,
            }),
            ..draft(elements)
        };
        registered.allocation.floor = 0.001;
        registered
    };
    let refusal = async |draft: ExperimentDraft| match engine.create_experiment(&me, draft).await {
        Ok(experiment) => {
            step(&engine, &experiment, Transition::Start).await;
            None
        }
        Err(error) => match error.kind() {
            ErrorKind::Invalid(violations) => Some(violations.0[0].code),
            kind => panic!("{kind:?}"),
        },
    };
    // The first entry of a registered experiment is longer, by the hash of the document. Names of
    // some length fit without it, and not with it.
    let named = |letters: usize| {
        let mut draft = registered(&[26, 26, 26], "some are better");
        let variants = draft.elements.iter_mut().flat_map(|e| &mut e.variants);
        for (index, variant) in variants.enumerate() {
            let more = letters / 78 + usize::from(index < letters % 78);
            variant.name.push_str(&"x".repeat(more));
        }
        draft
    };
    let bare = |letters| ExperimentDraft {
        hypothesis: None,
        ..named(letters)
    };
    let (mut low, mut high) = (0, 78 * 200);
    assert_eq!(refusal(bare(low)).await, None);
    assert_eq!(refusal(bare(high)).await, Some("too_many_arms"));
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        if refusal(bare(middle)).await.is_none() {
            low = middle;
        } else {
            high = middle;
        }
    }
    assert_eq!(refusal(named(low)).await, Some("too_many_arms"));
    assert_eq!(refusal(named(low - 120)).await, None);

    // A document that is too long.
    let mut long = registered(&[26; 20], &"\u{1f534}".repeat(2_000));
    long.strategy = Strategy::Fixed;
    for variant in long.elements.iter_mut().flat_map(|e| &mut e.variants) {
        variant.weight = Some(1.0 / 26.0);
    }
    assert_eq!(refusal(long).await, Some("not_registrable"));
    engine.shutdown().await;
}

/// An experiment of `wanted` visitors by its rule that `came` visit before `winner` is declared.
async fn completed(engine: &Engine, came: usize, winner: Option<usize>) -> Experiment {
    let me = Principal::system();
    let experiment = start(
        engine,
        ExperimentDraft {
            traffic_allocation: 1.0,
            ..registered(40.0)
        },
    )
    .await;
    for number in 0..came {
        let name = format!("v{number}");
        let seen = engine
            .assign(&me, experiment.id, visitor(&name))
            .await
            .unwrap();
        // Only the second variant converts.
        if seen.variants[0] == experiment.elements[0].variants[1].id {
            engine
                .convert(&me, experiment.id, conversion(&name))
                .await
                .unwrap();
        }
    }
    let element = &experiment.elements[0];
    let winner = winner.map(|index| (element.id, element.variants[index].id));
    engine
        .transition(
            &me,
            experiment.id,
            Transition::Complete,
            winner.into_iter().collect(),
            None,
        )
        .await
        .unwrap()
}

#[tokio::test]
async fn the_end_is_judged_by_what_was_known_then() {
    let database = database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_767_323_045_000_000)));
    let config = EngineConfig {
        clock: Arc::<ManualClock>::clone(&clock),
        ..config(1)
    };
    let engine = engine_with(database.url(), config).await;
    let me = Principal::system();
    for (came, winner, expected) in [
        (60, Some(1), vec![]),
        (60, Some(0), vec!["winner_not_leader"]),
        (60, None, vec!["winner_not_leader"]),
        (20, Some(1), vec!["stopped_early"]),
    ] {
        let experiment = completed(&engine, came, winner).await;
        assert_eq!(
            codes(&engine, &experiment).await,
            expected,
            "{came} {winner:?}"
        );
    }
    // Control converts late, and would lead by now; it did not when the winner was declared.
    let experiment = completed(&engine, 60, Some(1)).await;
    clock.advance(time::Duration::hours(1));
    for number in 0..60 {
        match engine
            .convert(&me, experiment.id, conversion(format!("v{number}")))
            .await
        {
            Ok(_) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(codes(&engine, &experiment).await, [""; 0]);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_variant_taken_out_and_more_traffic_are_told() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let experiment = start(&engine, registered(10.0)).await;
    let variant = experiment.elements[0].variants[1].id;
    for is_active in [false, true] {
        engine
            .set_variant_active(&me, experiment.id, variant, is_active)
            .await
            .unwrap();
        assert_eq!(codes(&engine, &experiment).await, ["variant_deactivated"]);
    }
    let more = samplit_engine::ExperimentChange {
        traffic_allocation: Some(1.0),
        ..Default::default()
    };
    engine
        .update_experiment(&me, experiment.id, more, None)
        .await
        .unwrap();
    assert_eq!(
        codes(&engine, &experiment).await,
        ["traffic_changed", "variant_deactivated"]
    );
    let report = engine.registration(&me, experiment.id).await.unwrap();
    assert_eq!(
        report.deviations[0].detail,
        "traffic.share: registered 0.5, now 1"
    );
    let unknown = samplit_engine::ExperimentId(uuid::Uuid::nil());
    let unknown = engine.registration(&me, unknown).await.unwrap_err();
    assert!(matches!(unknown.kind(), ErrorKind::NotFound(_)));
    engine.shutdown().await;
}
