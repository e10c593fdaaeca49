//! What each status means to a visitor.

use samplit_engine::{ErrorKind, ExperimentChange, NotRecorded, Principal, Status, Transition};
use samplit_tests::{database, draft, engine, start, step};

use crate::{conversion, visitor};

#[tokio::test]
async fn a_visitor_is_told_what_the_status_allows() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let draft_experiment = engine.create_experiment(&me, draft(&[2])).await.unwrap();
    let id = draft_experiment.id;

    let refused = engine.assign(&me, id, visitor("v")).await.unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::NotRunning(Status::Draft));

    let active = step(&engine, &draft_experiment, Transition::Start).await;
    assert!(active.started_at.is_some());
    let first = engine.assign(&me, id, visitor("v")).await.unwrap();
    assert!(first.is_new && first.in_experiment);
    let again = engine.assign(&me, id, visitor("v")).await.unwrap();
    assert!(!again.is_new);
    assert_eq!(again.variants, first.variants);

    step(&engine, &active, Transition::Pause).await;
    let known = engine.assign(&me, id, visitor("v")).await.unwrap();
    assert_eq!(known.variants, first.variants);
    let new = engine.assign(&me, id, visitor("w")).await.unwrap();
    assert_eq!(new.reason, Some(NotRecorded::Paused));
    assert_eq!(
        new.variants[0], active.elements[0].variants[0].id,
        "control"
    );
    let counted = engine.convert(&me, id, conversion("v")).await.unwrap();
    assert!(!counted.duplicate);

    step(&engine, &active, Transition::Resume).await;
    let winner = active.elements[0].variants[1].id;
    let declared = [(active.elements[0].id, winner)].into();
    engine
        .transition(&me, id, Transition::Complete, declared, None)
        .await
        .unwrap();
    let over = engine.assign(&me, id, visitor("v")).await.unwrap();
    assert_eq!(
        (over.reason, over.variants[0]),
        (Some(NotRecorded::Completed), winner)
    );

    step(&engine, &active, Transition::Archive).await;
    let refused = engine.assign(&me, id, visitor("v")).await.unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::NotRunning(Status::Archived));
    engine.shutdown().await;
}

#[tokio::test]
async fn a_second_engine_hears_of_a_pause() {
    let database = database().await;
    let (first, second) = (
        engine(database.url(), 1).await,
        engine(database.url(), 2).await,
    );
    let me = Principal::system();
    let experiment = start(&first, draft(&[2])).await;
    second
        .assign(&me, experiment.id, visitor("a"))
        .await
        .unwrap();
    step(&first, &experiment, Transition::Pause).await;
    // Whether the notification has arrived or not: the version under the lock decides.
    let new = second
        .assign(&me, experiment.id, visitor("b"))
        .await
        .unwrap();
    assert_eq!(new.reason, Some(NotRecorded::Paused));
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test]
async fn conversions_need_an_assignment_and_count_once() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let id = start(&engine, draft(&[2])).await.id;
    let unknown = engine
        .convert(&me, id, conversion("nobody"))
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), &ErrorKind::NotAssigned);

    engine.assign(&me, id, visitor("v")).await.unwrap();
    let event = |event: &str| {
        let mut request = conversion("v");
        request.event_id = Some(event.to_owned());
        request.value = Some(2.5);
        request
    };
    let first = engine.convert(&me, id, event("e1")).await.unwrap();
    let retry = engine.convert(&me, id, event("e1")).await.unwrap();
    assert_eq!(first, retry, "a retry of the same event is told the same");
    assert!((first.value - 2.5).abs() < f64::EPSILON);
    let other = engine.convert(&me, id, event("e2")).await.unwrap();
    assert!(other.duplicate);
    assert_eq!(engine.results(&me, id).await.unwrap().conversions, 1);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_deactivated_variant_is_not_drawn_any_more_and_kept_by_its_visitors() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let experiment = start(&engine, draft(&[3])).await;
    let gone = experiment.elements[0].variants[2].id;
    let mut kept = None;
    for number in 0..60 {
        let name = format!("early-{number}");
        let assigned = engine
            .assign(&me, experiment.id, visitor(&name))
            .await
            .unwrap();
        if assigned.variants[0] == gone {
            kept = Some(name);
        }
    }
    engine
        .set_variant_active(&me, experiment.id, gone, false)
        .await
        .unwrap();
    for number in 0..60 {
        let late = visitor(format!("late-{number}"));
        let assigned = engine.assign(&me, experiment.id, late).await.unwrap();
        assert_ne!(assigned.variants[0], gone);
    }
    engine.verify(&me, experiment.id).await.unwrap().unwrap();
    let early = visitor(kept.expect("one of sixty had it"));
    assert_eq!(
        engine
            .assign(&me, experiment.id, early)
            .await
            .unwrap()
            .variants[0],
        gone
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn what_keeps_its_name_keeps_its_id_when_a_draft_is_replaced() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let before = engine.create_experiment(&me, draft(&[3])).await.unwrap();
    let gone = before.elements[0].variants[2].id;
    engine
        .set_variant_active(&me, before.id, gone, false)
        .await
        .unwrap();
    let mut next = draft(&[3]);
    next.elements[0].variants[1].name = "new".to_owned();
    let change = ExperimentChange {
        replace: Some(next),
        ..ExperimentChange::default()
    };
    let after = engine
        .update_experiment(&me, before.id, change, None)
        .await
        .unwrap();
    let stored = engine.experiment(&me, before.id).await.unwrap();
    assert_eq!(after.elements, stored.elements);
    assert_eq!(after.elements[0].id, before.elements[0].id);
    let (old, new) = (&before.elements[0].variants, &after.elements[0].variants);
    assert_eq!((new[0].id, new[2].id), (old[0].id, old[2].id));
    assert_ne!(new[1].id, old[1].id);
    assert!(!new[2].is_active, "it was deactivated");
    engine.shutdown().await;
}
