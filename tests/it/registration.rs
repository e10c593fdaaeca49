//! Pre-registration: what is registered, and every way of not keeping to it.

use std::sync::Arc;

use samplit_engine::{
    Engine, EngineConfig, ErrorKind, Experiment, ExperimentDraft, Hash, Hypothesis, ManualClock,
    Principal, Stopping, StoppingRule, Transition, from_micros,
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
