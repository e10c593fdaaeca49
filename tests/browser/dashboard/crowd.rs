//! A funnel that ways part in, with a crowd that went through it: for the pages that show what came of it.

use samplit_domain::{
    FunnelCanvas, FunnelCondition, FunnelEdge, FunnelNode, FunnelStep, FunnelTransition,
    GoalTrigger, Selector, SelectorType, Viewport,
};
use samplit_engine::{Experiment, Funnel, NewFunnel, Principal};
use uuid::Uuid;

use super::desk::Desk;

const LANDING: u128 = 1;
const PRICING: u128 = 2;
const TRIAL: u128 = 3;
const DEVICE: u128 = 4;
const LONG_FORM: u128 = 5;
const SHORT_FORM: u128 = 6;
const SIGNED_UP: u128 = 7;

/// How many came in.
pub(super) const CROWD: u32 = 1_200;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0xf0 << 64 | number)
}

/// Makes the funnel, activates it and lets the crowd go through. `experiment` runs on its first page.
pub(super) async fn busy_funnel(desk: &Desk, who: &Principal, experiment: &Experiment) -> Funnel {
    let new = NewFunnel {
        name: "From the start page to the sign-up".to_owned(),
        description: Some("All who come by the campaign of the spring.".to_owned()),
        window_hours: 168,
        canvas: canvas(experiment),
    };
    let funnel = desk.engine.create_funnel(who, new).await.unwrap();
    let activate = FunnelTransition::Activate;
    let funnel = desk.engine.move_funnel(who, funnel.id, activate, None);
    let funnel = funnel.await.unwrap();
    insert(desk, &funnel, experiment).await;
    funnel
}

fn canvas(experiment: &Experiment) -> FunnelCanvas {
    let page = |url: &str| FunnelStep::Page {
        url: Some(url.to_owned()),
    };
    let click = GoalTrigger::Click {
        selector: Selector {
            kind: SelectorType::Css,
            value: "#trial".to_owned(),
        },
    };
    let signup = GoalTrigger::Event {
        name: "signup".to_owned(),
    };
    let node = |number, name: &str, x, y, step| FunnelNode {
        id: id(number).into(),
        step,
        name: name.to_owned(),
        x,
        y,
        experiment_id: (number == LANDING).then_some(experiment.id),
    };
    let edge = |source, target, condition| FunnelEdge {
        id: id(100 + 10 * source + target).into(),
        source: id(source).into(),
        target: id(target).into(),
        condition,
    };
    let device = |value: &str| FunnelCondition::Segment {
        key: "device".to_owned(),
        value: value.to_owned(),
    };
    let always = FunnelCondition::Always;
    FunnelCanvas {
        nodes: vec![
            node(
                LANDING,
                "Start page",
                0.0,
                60.0,
                page("https://shop.example.org/"),
            ),
            node(
                PRICING,
                "Pricing",
                376.0,
                0.0,
                page("https://shop.example.org/pricing*"),
            ),
            node(
                TRIAL,
                "Asks for a trial",
                376.0,
                120.0,
                FunnelStep::Action {
                    trigger: Some(click),
                },
            ),
            node(
                DEVICE,
                "Which device?",
                752.0,
                60.0,
                FunnelStep::Decision {},
            ),
            node(
                LONG_FORM,
                "Form of two pages",
                1128.0,
                0.0,
                page("https://shop.example.org/join*"),
            ),
            node(
                SHORT_FORM,
                "Short form",
                1128.0,
                120.0,
                page("https://shop.example.org/m/join*"),
            ),
            node(
                SIGNED_UP,
                "Signed up",
                1504.0,
                60.0,
                FunnelStep::Conversion {
                    trigger: Some(signup),
                },
            ),
        ],
        edges: vec![
            edge(LANDING, PRICING, always.clone()),
            edge(LANDING, TRIAL, always.clone()),
            edge(PRICING, DEVICE, always.clone()),
            edge(TRIAL, DEVICE, always.clone()),
            edge(DEVICE, LONG_FORM, device("desktop")),
            edge(DEVICE, SHORT_FORM, device("mobile")),
            edge(LONG_FORM, SIGNED_UP, always.clone()),
            edge(SHORT_FORM, SIGNED_UP, always),
        ],
        viewport: Viewport::default(),
    }
}

/// Where visitor number `visitor` went; who saw a later variant goes further.
fn way(visitor: u32, variant: u32) -> Vec<u128> {
    // Spread over 0 to 999 without chance.
    let luck = visitor * 619 % 1_000 + 60 * variant;
    let second = if visitor.is_multiple_of(5) {
        TRIAL
    } else {
        PRICING
    };
    let (form, stay) = if visitor.is_multiple_of(3) {
        (SHORT_FORM, 560)
    } else {
        (LONG_FORM, 640)
    };
    let mut way = vec![LANDING];
    if luck > 380 {
        way.extend([second, DEVICE]);
    }
    if luck > stay {
        way.push(form);
    }
    if luck > stay + 190 {
        way.push(SIGNED_UP);
    }
    way
}

/// Puts the journeys where the server would have put them over two weeks.
async fn insert(desk: &Desk, funnel: &Funnel, experiment: &Experiment) {
    let variants = &experiment.elements[0].variants;
    let client = samplit_tests::connect(&desk.database).await;
    let visit = client
        .prepare(
            "INSERT INTO funnel_visits (funnel_id, id, user_identifier, entered_at, last_step_at,
                last_node_id, converted_at, variants)
             SELECT $1, $2, $3, entered, entered + (cardinality($5::uuid[]) - 1) * interval '7 minutes',
                $5[cardinality($5)], CASE WHEN $6 THEN entered + interval '28 minutes' END,
                jsonb_build_object($7::text, jsonb_build_array($8::text))
             FROM (SELECT now() - make_interval(mins => $4)) AS at(entered)",
        )
        .await
        .unwrap();
    let steps = client
        .prepare(
            "INSERT INTO funnel_steps (funnel_id, visit_id, node_id, position, reached_at, from_node_id)
             SELECT $1, $2, node, place - 1, v.entered_at + (place - 1) * (6 + $4 % 9) * interval '1 minute',
                ($3::uuid[])[place - 1]
             FROM unnest($3::uuid[]) WITH ORDINALITY AS way(node, place)
             JOIN funnel_visits v ON v.funnel_id = $1 AND v.id = $2",
        )
        .await
        .unwrap();
    client.batch_execute("BEGIN").await.unwrap();
    for visitor in 0..CROWD {
        let variant = visitor % u32::try_from(variants.len()).unwrap();
        let way = way(visitor, variant);
        let converted = way.ends_with(&[SIGNED_UP]);
        let way: Vec<Uuid> = way.into_iter().map(id).collect();
        let journey = id(10_000 + u128::from(visitor));
        let minutes = i32::try_from(visitor * 17 % 20_160).unwrap();
        let variant = variants[usize::try_from(variant).unwrap()].id.to_string();
        let name = format!("visitor-{visitor}");
        client
            .execute(
                &visit,
                &[
                    &funnel.id.0,
                    &journey,
                    &name,
                    &minutes,
                    &way,
                    &converted,
                    &experiment.id.to_string(),
                    &variant,
                ],
            )
            .await
            .unwrap();
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] = [
            &funnel.id.0,
            &journey,
            &way,
            &i32::try_from(visitor).unwrap(),
        ];
        client.execute(&steps, &parameters).await.unwrap();
    }
    client.batch_execute("COMMIT").await.unwrap();
}
