//! Funnels: the drawing and its rows are one thing, whoever saves at once and whatever breaks in between.

use std::collections::BTreeSet;

use samplit_engine::{
    Engine, ErrorKind, Funnel, FunnelCanvas, FunnelChange, FunnelCondition, FunnelEdge, FunnelNode,
    FunnelNodeId, FunnelStatus, FunnelStep, FunnelTransition, GoalTrigger, NewFunnel, Principal,
    Transition,
};
use samplit_tests::{Client, connect, database, draft, engine, eventually, start, step};
use uuid::Uuid;

use crate::pages::account;

fn node(engine: &Engine, name: &str, step: FunnelStep) -> FunnelNode {
    FunnelNode {
        id: engine.new_id().into(),
        step,
        name: name.to_owned(),
        x: 12.5,
        y: -80.0,
        experiment_id: None,
    }
}

fn edge(engine: &Engine, source: FunnelNodeId, target: FunnelNodeId) -> FunnelEdge {
    FunnelEdge {
        id: engine.new_id().into(),
        source,
        target,
        condition: FunnelCondition::Always,
    }
}

fn page(url: &str) -> FunnelStep {
    FunnelStep::Page {
        url: Some(url.to_owned()),
    }
}

/// From a page over an action to a conversion.
fn checkout(engine: &Engine) -> NewFunnel {
    let event = |name: &str| {
        let name = name.to_owned();
        Some(GoalTrigger::Event { name })
    };
    let added = FunnelStep::Action {
        trigger: event("added"),
    };
    let bought = FunnelStep::Conversion {
        trigger: event("bought"),
    };
    let nodes = vec![
        node(engine, "Shop", page("https://shop.test/*")),
        node(engine, "Cart", added),
        node(engine, "Order", bought),
    ];
    let ways = nodes.windows(2);
    let edges = ways.map(|pair| edge(engine, pair[0].id, pair[1].id));
    NewFunnel {
        name: "Checkout".to_owned(),
        description: None,
        window_hours: 168,
        canvas: FunnelCanvas {
            edges: edges.collect(),
            nodes,
            ..FunnelCanvas::default()
        },
    }
}

async fn made(engine: &Engine, new: NewFunnel) -> Funnel {
    engine
        .create_funnel(&Principal::system(), new)
        .await
        .unwrap()
}

/// What `doctor` says of funnels.
async fn findings(engine: &Engine) -> Vec<String> {
    let checks = engine.doctor().await.unwrap();
    let check = checks
        .into_iter()
        .find(|check| check.name == "funnels are drawn as their rows say");
    let findings = check.unwrap().findings.into_iter();
    findings
        .map(|finding| format!("{}: {}", finding.place(), finding.what))
        .collect()
}

async fn count(client: &Client, what: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {what}");
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

fn codes(kind: &ErrorKind) -> Vec<String> {
    match kind {
        ErrorKind::Invalid(violations) => violations
            .0
            .iter()
            .map(|v| format!("{} {}", v.pointer, v.code))
            .collect(),
        ErrorKind::Conflict { code, .. } => vec![(*code).to_owned()],
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_drawn_stands_in_rows_and_comes_back_as_it_was() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let experiment = start(&engine, draft(&[2])).await;
    let mut new = checkout(&engine);
    new.canvas.nodes[0].experiment_id = Some(experiment.id);
    new.canvas.viewport.zoom = 0.1 + 0.2;
    new.canvas.nodes[2].y = f64::MIN_POSITIVE;
    let variant = experiment.elements[0].variants[1].id;
    new.canvas.edges[0].condition = FunnelCondition::Variant {
        experiment_id: Some(experiment.id),
        variant_id: Some(variant),
    };
    let funnel = made(&engine, new).await;
    assert_eq!(engine.funnel(&me, funnel.id).await.unwrap(), funnel);
    assert_eq!(findings(&engine).await, [""; 0]);

    // As SQL sees it.
    let client = connect(database.url()).await;
    let rows = client
        .query(
            "SELECT n.node_type, n.name, n.config #>> '{trigger,name}', n.experiment_id, e.condition_type, \
             e.condition->>'variant_id' FROM funnel_nodes n \
             LEFT JOIN funnel_edges e ON e.source_node_id = n.id ORDER BY n.name DESC",
            &[],
        )
        .await
        .unwrap();
    let row = |at: usize| {
        let row: &tokio_postgres::Row = &rows[at];
        let [kind, name] = [0, 1].map(|at| row.get::<_, String>(at));
        let [event, condition, variant] = [2, 4, 5].map(|at| row.get::<_, Option<String>>(at));
        (
            kind,
            name,
            event,
            row.get::<_, Option<Uuid>>(3),
            condition,
            variant,
        )
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        row(0),
        (
            "page".to_owned(),
            "Shop".to_owned(),
            None,
            Some(experiment.id.0),
            some("variant"),
            Some(variant.to_string()),
        )
    );
    let cart = ("action".to_owned(), "Cart".to_owned());
    assert_eq!(
        row(2),
        (cart.0, cart.1, some("added"), None, some("always"), None)
    );

    // Another drawing: of what stays, the row stays.
    let old = "SELECT array_agg(created_at ORDER BY id) FROM funnel_nodes WHERE name <> 'Cart'";
    client
        .batch_execute("UPDATE funnel_nodes SET created_at = created_at - interval '1 day'")
        .await
        .unwrap();
    let before: Vec<time::OffsetDateTime> = client.query_one(old, &[]).await.unwrap().get(0);
    let FunnelCanvas { mut nodes, .. } = funnel.canvas.clone();
    let gone = nodes.remove(1);
    nodes[0].x = 1.0;
    let edges = vec![edge(&engine, nodes[0].id, nodes[1].id)];
    let change = FunnelChange {
        nodes: Some(nodes.clone()),
        edges: Some(edges.clone()),
        ..FunnelChange::default()
    };
    let changed = engine
        .update_funnel(&me, funnel.id, change, Some(1))
        .await
        .unwrap();
    assert_eq!((changed.version, &changed.canvas.nodes), (2, &nodes));
    assert_eq!(changed.canvas.viewport, funnel.canvas.viewport);
    let after: Vec<time::OffsetDateTime> = client.query_one(old, &[]).await.unwrap().get(0);
    assert_eq!(after, before);
    assert_eq!(count(&client, "funnel_edges").await, 1);
    let gone = format!("funnel_nodes WHERE id = '{}'", gone.id);
    assert_eq!(count(&client, &gone).await, 0);
    assert_eq!(engine.funnel(&me, funnel.id).await.unwrap(), changed);
    assert_eq!(findings(&engine).await, [""; 0]);
    engine.shutdown().await;
}

#[tokio::test]
async fn of_those_who_save_at_once_one_wins() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let funnel = made(&engine, checkout(&engine)).await;
    let mut saves = tokio::task::JoinSet::new();
    for at in 0..8 {
        let (engine, me) = (engine.clone(), me.clone());
        let mut nodes = funnel.canvas.nodes.clone();
        nodes.push(node(&engine, &format!("of {at}"), FunnelStep::Decision {}));
        let (id, change) = (
            funnel.id,
            FunnelChange {
                nodes: Some(nodes),
                ..FunnelChange::default()
            },
        );
        saves.spawn(async move { engine.update_funnel(&me, id, change, Some(1)).await });
    }
    let mut won = Vec::new();
    for save in saves.join_all().await {
        match save {
            Ok(saved) => won.push(saved),
            Err(error) => assert_eq!(*error.kind(), ErrorKind::VersionMismatch { current: 2 }),
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(engine.funnel(&me, funnel.id).await.unwrap(), won[0]);
    let client = connect(database.url()).await;
    assert_eq!(count(&client, "funnel_nodes").await, 4);
    assert_eq!(findings(&engine).await, [""; 0]);
    engine.shutdown().await;
}

/// Everything that is stored of funnels.
async fn stored(client: &Client) -> Vec<String> {
    let mut stored = Vec::new();
    for table in ["funnels", "funnel_nodes", "funnel_edges"] {
        let rows = format!("SELECT to_jsonb(t)::text FROM {table} t ORDER BY id");
        let rows = client.query(&rows, &[]).await.unwrap();
        stored.extend(rows.iter().map(|row| row.get(0)));
    }
    stored
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_in_the_middle_leaves_drawing_and_rows_as_they_were() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let funnel = made(&engine, checkout(&engine)).await;
    let client = connect(database.url()).await;
    let before = stored(&client).await;
    let mut nodes = funnel.canvas.nodes.clone();
    nodes[0].name = "Elsewhere".to_owned();
    nodes.push(node(&engine, "New", FunnelStep::Decision {}));
    let change = FunnelChange {
        edges: Some(vec![edge(&engine, nodes[2].id, nodes[3].id)]),
        nodes: Some(nodes),
        ..FunnelChange::default()
    };

    // The connection is lost when the drawing, the nodes and some of the edges are written.
    client
        .batch_execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
                 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END';
             CREATE TRIGGER die AFTER INSERT ON funnel_edges FOR EACH ROW EXECUTE FUNCTION die()",
        )
        .await
        .unwrap();
    let broken = engine.update_funnel(&me, funnel.id, change.clone(), None);
    let broken = broken.await.unwrap_err();
    let is_away = matches!(broken.kind(), ErrorKind::Unavailable { .. });
    assert!(is_away, "{broken:?}");
    assert_eq!(stored(&client).await, before);
    let copy = engine.duplicate_funnel(&me, funnel.id).await;
    assert!(copy.is_err());
    assert_eq!(stored(&client).await, before);

    // The caller hangs up there.
    client
        .batch_execute(
            "CREATE OR REPLACE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS \
                 'BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END';
             SELECT pg_advisory_lock(4711)",
        )
        .await
        .unwrap();
    let save = {
        let (engine, me, change) = (engine.clone(), me.clone(), change.clone());
        tokio::spawn(async move { engine.update_funnel(&me, funnel.id, change, None).await })
    };
    let waits = "pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = \
        (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually(async || count(&client, waits).await == 1).await;
    save.abort();
    assert!(save.await.unwrap_err().is_cancelled());
    client
        .batch_execute("SELECT pg_advisory_unlock(4711)")
        .await
        .unwrap();
    eventually(async || count(&client, waits).await == 0).await;
    assert_eq!(engine.funnel(&me, funnel.id).await.unwrap(), funnel);

    // With nothing in the way it is saved, and nothing of it was before.
    client
        .batch_execute("DROP TRIGGER die ON funnel_edges")
        .await
        .unwrap();
    let saved = engine.update_funnel(&me, funnel.id, change, Some(1));
    assert_eq!(saved.await.unwrap().version, 2);
    assert_eq!(findings(&engine).await, [""; 0]);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_funnel_is_activated_once_it_has_no_fault_and_then_keeps_its_shape() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let experiment = start(&engine, draft(&[2])).await;
    step(&engine, &experiment, Transition::Pause).await;
    let mut new = checkout(&engine);
    let last = new.canvas.edges.pop().unwrap();
    new.canvas.nodes[0].step = FunnelStep::Page { url: None };
    new.canvas.nodes[1].experiment_id = Some(experiment.id);
    let funnel = made(&engine, new).await;
    let faults = engine.check_funnel(&me, funnel.id).await.unwrap();
    let told: Vec<_> = faults
        .iter()
        .map(|fault| format!("{} {}", fault.pointer, fault.code))
        .collect();
    let expected = [
        "/nodes conversion_required",
        "/nodes/0/config/url required",
        "/nodes/1/experiment_id not_running",
        "/nodes/1 dead_end",
        "/nodes/2 one_entry",
    ];
    assert_eq!(told, expected);
    assert_eq!(faults[1].node_id, Some(funnel.canvas.nodes[0].id));
    let advance = async |transition| {
        let moved = engine.move_funnel(&me, funnel.id, transition, None).await;
        moved.map_err(|error| codes(error.kind()))
    };
    let refused = advance(FunnelTransition::Activate).await.unwrap_err();
    assert_eq!(refused, expected);
    for transition in [FunnelTransition::Pause, FunnelTransition::Resume] {
        assert_eq!(
            advance(transition).await.unwrap_err(),
            ["illegal_transition"]
        );
    }

    step(&engine, &experiment, Transition::Resume).await;
    let mut edges = funnel.canvas.edges.clone();
    edges.push(last);
    let mut nodes = funnel.canvas.nodes.clone();
    nodes[0].step = page("https://shop.test/*");
    let change = FunnelChange {
        nodes: Some(nodes.clone()),
        edges: Some(edges),
        ..FunnelChange::default()
    };
    let save = async |change| {
        let saved = engine.update_funnel(&me, funnel.id, change, None).await;
        saved.map_err(|error| codes(error.kind()))
    };
    save(change).await.unwrap();
    assert!(
        engine
            .check_funnel(&me, funnel.id)
            .await
            .unwrap()
            .is_empty()
    );
    let active = advance(FunnelTransition::Activate).await.unwrap();
    let since = active.activated_at;
    assert_eq!(
        (active.status, since.is_some()),
        (FunnelStatus::Active, true)
    );

    // Where it is drawn and what it is called may change, what it is may not.
    let shape = FunnelChange {
        edges: Some(Vec::new()),
        ..FunnelChange::default()
    };
    let mut moved = nodes.clone();
    moved[0].x += 5.0;
    moved[1].name = "Basket".to_owned();
    let looks = FunnelChange {
        name: Some("To the till".to_owned()),
        window_hours: Some(24),
        nodes: Some(moved.clone()),
        ..FunnelChange::default()
    };
    for transition in [
        FunnelTransition::Pause,
        FunnelTransition::Resume,
        FunnelTransition::Archive,
    ] {
        assert_eq!(save(shape.clone()).await.unwrap_err(), ["not_a_draft"]);
        let saved = save(looks.clone()).await.unwrap();
        assert_eq!((saved.window_hours, &saved.canvas.nodes), (24, &moved));
        let next = advance(transition).await.unwrap();
        assert_eq!(next.activated_at, since, "of the first time");
    }
    let over = advance(FunnelTransition::Resume).await.unwrap_err();
    assert_eq!(over, ["illegal_transition"]);
    assert_eq!(findings(&engine).await, [""; 0]);

    // A copy begins anew.
    let copy = engine.duplicate_funnel(&me, funnel.id).await.unwrap();
    assert_eq!(copy.name, "To the till (copy)");
    assert_eq!((copy.status, copy.version), (FunnelStatus::Draft, 1));
    assert_eq!((copy.window_hours, copy.activated_at), (24, None));
    let ids = |funnel: &Funnel| -> BTreeSet<_> {
        funnel.canvas.nodes.iter().map(|node| node.id).collect()
    };
    assert!(ids(&copy).is_disjoint(&ids(&active)));
    let id = copy.id;
    let again = engine.move_funnel(&me, id, FunnelTransition::Activate, Some(1));
    assert_eq!(again.await.unwrap().status, FunnelStatus::Active);
    engine.shutdown().await;
}

#[tokio::test]
async fn ids_of_another_funnel_and_experiments_of_another_account_are_refused() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let first = made(&engine, checkout(&engine)).await;
    let client = connect(database.url()).await;
    let before = stored(&client).await;
    let refused = async |new: NewFunnel| {
        let refused = engine.create_funnel(&me, new).await.unwrap_err();
        codes(refused.kind())
    };
    let mut new = checkout(&engine);
    new.canvas.nodes[0].id = first.canvas.nodes[1].id;
    new.canvas.edges[0].source = first.canvas.nodes[1].id;
    assert_eq!(refused(new).await, ["/nodes/0/id taken"]);
    let mut new = checkout(&engine);
    new.canvas.edges[1].id = first.canvas.edges[0].id;
    assert_eq!(refused(new).await, ["/edges/1/id taken"]);

    let experiment = start(&engine, draft(&[2])).await;
    let users = "WITH u AS (INSERT INTO users (email, password_hash) VALUES ('b@example.org', '!') \
        RETURNING id) UPDATE experiments SET user_id = (SELECT id FROM u)";
    client.batch_execute(users).await.unwrap();
    let nobody = engine.new_id().into();
    for id in [experiment.id, nobody] {
        let mut new = checkout(&engine);
        new.canvas.nodes[2].experiment_id = Some(id);
        new.canvas.edges[0].condition = FunnelCondition::Variant {
            experiment_id: Some(id),
            variant_id: None,
        };
        let expected = [
            "/nodes/2/experiment_id unknown",
            "/edges/0/condition/experiment_id unknown",
        ];
        assert_eq!(refused(new.clone()).await, expected);
        let change = FunnelChange {
            nodes: Some(new.canvas.nodes),
            edges: Some(new.canvas.edges),
            ..FunnelChange::default()
        };
        let refused = engine.update_funnel(&me, first.id, change, None).await;
        assert_eq!(codes(refused.unwrap_err().kind()), expected);
    }
    assert_eq!(stored(&client).await, before, "nothing is half-written");
    engine.shutdown().await;
}

#[tokio::test]
async fn doctor_finds_what_is_not_drawn_as_its_row_says() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let funnel = made(&engine, checkout(&engine)).await;
    let client = connect(database.url()).await;
    assert_eq!(findings(&engine).await, [""; 0]);
    let node = funnel.canvas.nodes[0].id;
    let edge = funnel.canvas.edges[1].id;
    for (sql, expected) in [
        (
            format!("UPDATE funnel_nodes SET position_x = 13 WHERE id = '{node}'"),
            format!("node {node} is not drawn as its row says"),
        ),
        (
            format!("UPDATE funnel_nodes SET config = '{{\"url\": null}}' WHERE id = '{node}'"),
            format!("node {node} is not drawn as its row says"),
        ),
        (
            format!("DELETE FROM funnel_edges WHERE id = '{edge}'"),
            format!("edge {edge} is drawn and has no row"),
        ),
        (
            "UPDATE funnels SET canvas_data = jsonb_set(canvas_data, '{nodes,0,name}', '\"x\"')"
                .to_owned(),
            format!("node {node} is not drawn as its row says"),
        ),
        (
            "UPDATE funnels SET canvas_data = jsonb_set(canvas_data, '{edges}', \
             (canvas_data->'edges') - 1)"
                .to_owned(),
            format!("edge {edge} has a row and is not drawn"),
        ),
    ] {
        let (nodes, edges) = ("saved_nodes", "saved_edges");
        client
            .batch_execute(&format!(
                "CREATE TABLE {nodes} AS TABLE funnel_nodes; CREATE TABLE {edges} AS TABLE funnel_edges; \
                 CREATE TABLE saved_funnels AS TABLE funnels; {sql}"
            ))
            .await
            .unwrap();
        let expected = format!("funnel {}: {expected}", funnel.id);
        assert_eq!(findings(&engine).await, [expected], "{sql}");
        client
            .batch_execute(&format!(
                "DELETE FROM funnel_edges; DELETE FROM funnel_nodes; \
                 INSERT INTO funnel_nodes TABLE {nodes}; INSERT INTO funnel_edges TABLE {edges}; \
                 UPDATE funnels SET canvas_data = s.canvas_data FROM saved_funnels s; \
                 DROP TABLE {nodes}, {edges}, saved_funnels"
            ))
            .await
            .unwrap();
        assert_eq!(findings(&engine).await, [""; 0]);
    }
    // What somebody else drew, by rules of their own.
    client
        .batch_execute("UPDATE funnels SET canvas_data = '{\"nodes\": {\"a\": 1}}'")
        .await
        .unwrap();
    let found = findings(&engine).await;
    assert!(found[0].contains("canvas_data"), "{found:?}");
    engine.shutdown().await;
}

#[tokio::test]
async fn as_many_funnels_of_an_account_are_active_as_pages_look_at() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let owner = account(&engine, "owner@example.org").await;
    let client = connect(database.url()).await;
    let many = "INSERT INTO funnels (id, user_id, name, status) \
        SELECT gen_random_uuid(), $1, 'Another', 'active' FROM generate_series(1, 98)";
    let id = owner.user_id.unwrap().0;
    client.execute(many, &[&id]).await.unwrap();
    let mut funnels = Vec::new();
    for _ in 0..4 {
        let made = engine.create_funnel(&owner, checkout(&engine)).await;
        funnels.push(made.unwrap().id);
    }
    let advance = async |at: usize, transition| {
        let moved = engine.move_funnel(&owner, funnels[at], transition, None);
        moved.await.map(drop).map_err(|error| codes(error.kind()))
    };
    let full = Err(vec!["too_many_funnels".to_owned()]);
    // Of all that are activated at once, as many are as there is room for.
    let together = (0..4).map(|at| advance(at, FunnelTransition::Activate));
    let together = futures_util::future::join_all(together).await;
    let refused: Vec<_> = (0..4).filter(|at| together[*at] == full).collect();
    let active: Vec<_> = (0..4).filter(|at| together[*at].is_ok()).collect();
    assert_eq!((refused.len(), active.len()), (2, 2), "{together:?}");
    // Somebody else's are not counted.
    made(&engine, checkout(&engine)).await;
    advance(active[0], FunnelTransition::Pause).await.unwrap();
    advance(refused[0], FunnelTransition::Activate)
        .await
        .unwrap();
    assert_eq!(advance(active[0], FunnelTransition::Resume).await, full);
    engine.shutdown().await;
}
