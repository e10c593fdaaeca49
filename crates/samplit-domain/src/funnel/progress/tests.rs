use proptest::prelude::*;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{FunnelDeed, FunnelFacts, FunnelMove, FunnelPlan};
use crate::{
    ExperimentId, FunnelCanvas, FunnelCondition, FunnelEdge, FunnelId, FunnelNode, FunnelNodeId,
    FunnelStep, GoalTrigger, Selector, SelectorType, VariantId, from_micros,
};

fn id(number: u128) -> FunnelNodeId {
    FunnelNodeId(Uuid::from_u128(number))
}

fn node(number: u128, step: FunnelStep) -> FunnelNode {
    FunnelNode {
        id: id(number),
        step,
        name: format!("node {number}"),
        x: 0.0,
        y: 0.0,
        experiment_id: None,
    }
}

fn page(path: &str) -> FunnelStep {
    let url = Some(format!("https://shop.test{path}"));
    FunnelStep::Page { url }
}

fn see(path: &str) -> FunnelDeed {
    FunnelDeed::Page(format!("https://shop.test{path}"))
}

fn click() -> GoalTrigger {
    let selector = Selector {
        kind: SelectorType::Css,
        value: "#buy".to_owned(),
    };
    GoalTrigger::Click { selector }
}

fn event(name: &str) -> GoalTrigger {
    let name = name.to_owned();
    GoalTrigger::Event { name }
}

fn action(trigger: GoalTrigger) -> FunnelStep {
    let trigger = Some(trigger);
    FunnelStep::Action { trigger }
}

fn conversion(trigger: GoalTrigger) -> FunnelStep {
    let trigger = Some(trigger);
    FunnelStep::Conversion { trigger }
}

fn edge((source, target): (u128, u128), condition: FunnelCondition) -> FunnelEdge {
    FunnelEdge {
        id: Uuid::from_u128(1_000 * source + target).into(),
        source: id(source),
        target: id(target),
        condition,
    }
}

fn plan(nodes: Vec<FunnelNode>, edges: Vec<FunnelEdge>) -> FunnelPlan {
    let canvas = FunnelCanvas {
        nodes,
        edges,
        ..FunnelCanvas::default()
    };
    FunnelPlan::new(FunnelId(Uuid::nil()), 168, &canvas)
}

fn hour(number: i64) -> OffsetDateTime {
    from_micros(1_767_323_045_000_000) + Duration::hours(number)
}

/// A visitor on the way.
#[derive(Default)]
struct Visitor {
    reached: Vec<(FunnelNodeId, OffsetDateTime)>,
    facts: FunnelFacts,
    context: serde_json::Map<String, serde_json::Value>,
}

impl Visitor {
    /// Does something, and says where that leads, as `node<from`.
    fn does(&mut self, plan: &FunnelPlan, deed: &FunnelDeed, now: OffsetDateTime) -> String {
        plan.note(&mut self.facts, &self.context, deed);
        let moves = plan.advance(&self.reached, &self.facts, deed, now);
        self.reached.extend(moves.iter().map(|one| (one.node, now)));
        let number = |id: FunnelNodeId| id.0.as_u128();
        let told = moves.iter().map(|one| match one.from {
            Some(from) => format!("{}<{}", number(one.node), number(from)),
            None => number(one.node).to_string(),
        });
        told.collect::<Vec<_>>().join(" ")
    }

    fn watched(&self, plan: &FunnelPlan, now: OffsetDateTime) -> Vec<u128> {
        let watched = plan.watched(&self.reached, &self.facts, now, 10);
        watched.iter().map(|watch| watch.id.as_u128()).collect()
    }
}

fn straight() -> FunnelPlan {
    let always = |ends| edge(ends, FunnelCondition::Always);
    plan(
        vec![
            node(4, conversion(event("paid"))),
            node(1, page("/")),
            node(2, action(click())),
            node(3, page("/cart*")),
        ],
        vec![always((3, 4)), always((1, 2)), always((2, 3))],
    )
}

#[test]
fn one_deed_is_one_step_and_only_in_order() {
    let plan = straight();
    let mut visitor = Visitor::default();
    for (deed, expected) in [
        (see("/cart"), ""),
        (FunnelDeed::Did(id(2)), ""),
        (see("/"), "1"),
        (see("/"), ""),
        (see("/cart"), ""),
        (FunnelDeed::Did(id(4)), ""),
        (FunnelDeed::Did(id(3)), ""),
        (FunnelDeed::Did(id(2)), "2<1"),
        (FunnelDeed::Did(id(2)), ""),
        (see("/cart?items=2"), "3<2"),
        (FunnelDeed::Did(id(4)), "4<3"),
        (see("/"), ""),
    ] {
        assert_eq!(visitor.does(&plan, &deed, hour(0)), expected, "{deed:?}");
    }
    let moves = plan.advance(&[], &FunnelFacts::default(), &see("/"), hour(0));
    let entry = FunnelMove {
        node: id(1),
        from: None,
        is_conversion: false,
    };
    assert_eq!(moves, [entry]);
}

#[test]
fn a_deed_that_fits_two_nodes_reaches_the_nearer_one() {
    let always = |ends| edge(ends, FunnelCondition::Always);
    let plan = plan(
        vec![
            node(1, page("/*")),
            node(2, page("/*")),
            node(3, FunnelStep::Decision {}),
            node(
                4,
                conversion(GoalTrigger::PageView {
                    url: "*".to_owned(),
                }),
            ),
        ],
        vec![always((1, 2)), always((2, 3)), always((3, 4))],
    );
    let mut visitor = Visitor::default();
    assert_eq!(visitor.does(&plan, &see("/a"), hour(0)), "1");
    assert_eq!(visitor.does(&plan, &see("/a"), hour(0)), "2<1 3<2");
    assert_eq!(visitor.does(&plan, &see("/a"), hour(0)), "4<3");
}

#[test]
fn the_window_begins_with_the_first_step() {
    let plan = straight();
    let mut visitor = Visitor::default();
    assert_eq!(visitor.does(&plan, &see("/"), hour(0)), "1");
    assert_eq!(
        visitor.does(&plan, &FunnelDeed::Did(id(2)), hour(167)),
        "2<1"
    );
    assert_eq!(visitor.watched(&plan, hour(167)), [4]);
    assert_eq!(visitor.does(&plan, &see("/cart"), hour(168)), "");
    assert_eq!(visitor.watched(&plan, hour(168)), [0; 0]);
}

#[test]
fn a_wait_is_over_when_the_visitor_next_does_something() {
    let always = |ends| edge(ends, FunnelCondition::Always);
    let plan = plan(
        vec![
            node(1, page("/")),
            node(2, FunnelStep::Wait { hours: Some(24) }),
            node(3, conversion(event("back"))),
        ],
        vec![always((1, 2)), always((2, 3))],
    );
    let mut visitor = Visitor::default();
    assert_eq!(visitor.does(&plan, &see("/"), hour(0)), "1");
    assert_eq!(visitor.does(&plan, &FunnelDeed::Did(id(3)), hour(23)), "");
    assert_eq!(
        visitor.does(&plan, &FunnelDeed::Did(id(3)), hour(24)),
        "2<1 3<2"
    );
}

#[test]
fn edges_ask_for_variant_segment_and_event() {
    let experiment = ExperimentId(Uuid::from_u128(9));
    let variant = VariantId(Uuid::from_u128(91));
    let conditions = [
        FunnelCondition::Variant {
            experiment_id: Some(experiment),
            variant_id: Some(variant),
        },
        FunnelCondition::Segment {
            key: "device".to_owned(),
            value: "phone".to_owned(),
        },
        FunnelCondition::Event {
            name: "opened".to_owned(),
        },
    ];
    let mut nodes = vec![node(1, page("/")), node(2, FunnelStep::Decision {})];
    let mut edges = vec![edge((1, 2), FunnelCondition::Always)];
    for (number, condition) in (3..).zip(conditions) {
        nodes.push(node(number, page("/next")));
        edges.push(edge((2, number), condition));
    }
    let plan = plan(nodes, edges);

    let mut nobody = Visitor::default();
    assert_eq!(nobody.does(&plan, &see("/"), hour(0)), "1 2<1");
    assert_eq!(nobody.does(&plan, &see("/next"), hour(0)), "");
    // The edge that waits for an event is watched, and not the pages.
    assert_eq!(nobody.watched(&plan, hour(0)), [2_005]);
    let told = FunnelDeed::Event(Uuid::from_u128(2_005).into(), "opened".to_owned());
    assert_eq!(plan.deed(Uuid::from_u128(2_005)), Some(told.clone()));
    assert_eq!(nobody.does(&plan, &told, hour(0)), "");
    assert_eq!(nobody.watched(&plan, hour(0)), [0; 0]);
    assert_eq!(nobody.does(&plan, &see("/next"), hour(0)), "5<2");

    let context = json!({"device": "phone", "name": "Ana"});
    let mut phone = Visitor {
        context: context.as_object().unwrap().clone(),
        ..Visitor::default()
    };
    assert_eq!(phone.does(&plan, &see("/"), hour(0)), "1 2<1");
    assert_eq!(json!(phone.facts.context), json!({"device": ["phone"]}));
    // At the desk now: the phone of the entry still counts, and so does what came last.
    for device in ["tablet", "desktop", "desktop"] {
        phone.context.insert("device".to_owned(), device.into());
        assert_eq!(phone.does(&plan, &see("/elsewhere"), hour(0)), "");
    }
    assert_eq!(
        json!(phone.facts.context),
        json!({"device": ["phone", "desktop"]})
    );
    phone
        .facts
        .variants
        .insert(experiment, vec![VariantId(Uuid::nil()), variant]);
    assert_eq!(phone.does(&plan, &see("/next"), hour(0)), "3<2 4<2");
}

#[test]
fn an_event_that_opens_a_way_may_be_the_step_itself() {
    let opened = FunnelCondition::Event {
        name: "opened".to_owned(),
    };
    let plan = plan(
        vec![node(1, page("/")), node(2, conversion(event("opened")))],
        vec![edge((1, 2), opened)],
    );
    let mut visitor = Visitor::default();
    assert_eq!(visitor.does(&plan, &see("/"), hour(0)), "1");
    // The edge first: a page tells in this order.
    assert_eq!(visitor.watched(&plan, hour(0)), [1_002, 2]);
    // And where there is room for one only, that one.
    let one = plan.watched(&visitor.reached, &visitor.facts, hour(0), 1);
    assert_eq!(one[0].id, Uuid::from_u128(1_002));
    assert_eq!(visitor.does(&plan, &FunnelDeed::Did(id(2)), hour(0)), "2<1");
}

#[test]
fn a_lead_counts_by_its_form_and_no_page_watches_for_it() {
    let by = |form: Option<&str>| {
        let form = form.map(str::to_owned);
        let always = |ends| edge(ends, FunnelCondition::Always);
        plan(
            vec![
                node(1, page("/")),
                node(2, conversion(GoalTrigger::Lead { form })),
            ],
            vec![always((1, 2))],
        )
    };
    let lead = |form: Option<&str>| FunnelDeed::Lead(form.map(str::to_owned));
    for (meant, form, expected) in [
        (None, None, "2<1"),
        (None, Some("demo"), "2<1"),
        (Some("demo"), Some("demo"), "2<1"),
        (Some(" demo "), Some("demo"), "2<1"),
        (Some("demo"), Some("news"), ""),
        (Some("demo"), None, ""),
    ] {
        let plan = by(meant);
        let mut visitor = Visitor::default();
        assert_eq!(visitor.does(&plan, &lead(form), hour(0)), "");
        assert_eq!(visitor.does(&plan, &see("/"), hour(0)), "1");
        assert_eq!(visitor.watched(&plan, hour(0)), [0; 0]);
        assert_eq!(plan.deed(Uuid::from_u128(2)), None);
        assert_eq!(
            visitor.does(&plan, &lead(form), hour(0)),
            expected,
            "{meant:?} {form:?}"
        );
    }
}

#[test]
fn pages_watch_for_what_is_ahead_the_farthest_first() {
    let always = |ends| edge(ends, FunnelCondition::Always);
    let next = |number| node(number, action(event("next")));
    let plan = plan(
        vec![next(1), next(2), node(3, page("/")), next(4)],
        vec![always((1, 2)), always((2, 3)), always((3, 4))],
    );
    let mut visitor = Visitor::default();
    assert_eq!(visitor.watched(&plan, hour(0)), [4, 2, 1]);
    let two = plan.watched(&[], &FunnelFacts::default(), hour(0), 2);
    let names: Vec<&str> = two.iter().map(|watch| watch.name.as_str()).collect();
    assert_eq!((two[0].id.as_u128(), two[1].id.as_u128()), (2, 1));
    assert_eq!(names, ["next", "next"]);
    // One event, told of for each node that waits for it: one step.
    let told = [4, 2, 1].map(|number| visitor.does(&plan, &FunnelDeed::Did(id(number)), hour(0)));
    assert_eq!(told, ["", "", "1"]);
    assert_eq!(visitor.watched(&plan, hour(0)), [4, 2]);
    assert_eq!(
        plan.deed(Uuid::from_u128(3)),
        None,
        "pages are seen by the server"
    );
    // Whoever has not seen the first page has nothing to watch for.
    assert_eq!(Visitor::default().watched(&straight(), hour(0)), [0; 0]);
}

#[test]
fn an_unfinished_drawing_and_a_cycle_move_nobody() {
    let always = |ends| edge(ends, FunnelCondition::Always);
    let plan = plan(
        vec![
            node(1, FunnelStep::Page { url: None }),
            node(2, page("/")),
            node(3, page("/")),
        ],
        vec![
            always((1, 2)),
            always((2, 3)),
            always((3, 2)),
            always((2, 7)),
        ],
    );
    let mut visitor = Visitor::default();
    for deed in [see("/"), FunnelDeed::Did(id(1)), FunnelDeed::Lead(None)] {
        assert_eq!(visitor.does(&plan, &deed, hour(0)), "");
    }
}

/// Drawings whose edges lead to higher numbers, with whatever steps and conditions.
fn drawing() -> impl Strategy<Value = FunnelCanvas> {
    let step = prop_oneof![
        (0..3_u8).prop_map(|at| page(&format!("/{at}"))),
        (0..2_u8).prop_map(|at| action(event(&format!("event {at}")))),
        Just(action(click())),
        Just(FunnelStep::Decision {}),
        (1..4_i32).prop_map(|hours| FunnelStep::Wait { hours: Some(hours) }),
        Just(conversion(GoalTrigger::PageView {
            url: "*".to_owned()
        })),
    ];
    let condition = prop_oneof![
        3 => Just(FunnelCondition::Always),
        1 => (0..2_u8).prop_map(|at| FunnelCondition::Event { name: format!("event {at}") }),
        1 => Just(FunnelCondition::Segment { key: "device".to_owned(), value: "phone".to_owned() }),
    ];
    let steps = prop::collection::vec(step, 1..7);
    let edges = prop::collection::vec((1..7_u128, 1..7_u128, condition), 0..14);
    (0..3_u8, steps, edges).prop_map(|(entry, steps, edges)| {
        let last = steps.len() as u128;
        let steps = [page(&format!("/{entry}"))].into_iter().chain(steps);
        let nodes: Vec<_> = (0..)
            .zip(steps)
            .map(|(number, step)| node(number, step))
            .collect();
        // Everything but the entry has a way in.
        let first = (1..=last).map(|to| edge((to / 2, to), FunnelCondition::Always));
        let more = edges
            .into_iter()
            .filter(|(from, to, _)| from < to && *to <= last);
        let more = more.map(|(from, to, condition)| edge((from, to), condition));
        FunnelCanvas {
            nodes,
            edges: first.chain(more).collect(),
            ..FunnelCanvas::default()
        }
    })
}

fn deed() -> impl Strategy<Value = FunnelDeed> {
    prop_oneof![
        (0..3_u8).prop_map(|at| see(&format!("/{at}"))),
        (0..8_u128).prop_map(|number| FunnelDeed::Did(id(number))),
        (0..2_u8).prop_map(|at| FunnelDeed::Event(Uuid::nil().into(), format!("event {at}"))),
    ]
}

proptest! {
    #[test]
    fn nobody_is_anywhere_without_having_come_there(
        canvas in drawing(),
        window in 1..12_i32,
        deeds in prop::collection::vec((deed(), 0..3_i64, any::<bool>()), 0..30),
    ) {
        let plan = FunnelPlan::new(FunnelId(Uuid::nil()), window, &canvas);
        let mut visitor = Visitor::default();
        let mut now = hour(0);
        for (deed, hours, is_phone) in deeds {
            now += Duration::hours(hours);
            let device = if is_phone { "phone" } else { "desktop" };
            visitor.context.insert("device".to_owned(), device.into());
            plan.note(&mut visitor.facts, &visitor.context, &deed);
            let before = visitor.reached.len();
            let moves = plan.advance(&visitor.reached, &visitor.facts, &deed, now);
            for one in moves {
                let step = &canvas.node(one.node).unwrap().step;
                prop_assert!(visitor.reached.iter().all(|(node, _)| *node != one.node), "once");
                let is_instant = matches!(step, FunnelStep::Decision {} | FunnelStep::Wait { .. });
                match one.from {
                    None => prop_assert!(visitor.reached.is_empty() && one.node == id(0)),
                    Some(from) => {
                        let at = visitor.reached.iter().position(|(node, _)| *node == from).unwrap();
                        let is_old = at < before;
                        let from_instant = matches!(
                            canvas.node(from).unwrap().step,
                            FunnelStep::Decision {} | FunnelStep::Wait { .. }
                        );
                        prop_assert!(is_instant || is_old || from_instant);
                        prop_assert!(now - visitor.reached[0].1 < Duration::hours(window.into()));
                        if let FunnelStep::Wait { hours: Some(hours) } = step {
                            prop_assert!(now - visitor.reached[at].1 >= Duration::hours((*hours).into()));
                        }
                        let mut ways = canvas.edges.iter().filter(|edge| (edge.source, edge.target) == (from, one.node));
                        prop_assert!(ways.any(|edge| visitor.facts.hold(&edge.condition)));
                    }
                }
                visitor.reached.push((one.node, now));
            }
            // Of what waits for a deed, one node on any way is reached by it.
            let doing = visitor.reached[before..].iter().filter(|(node, _)| {
                let step = &canvas.node(*node).unwrap().step;
                !matches!(step, FunnelStep::Decision {} | FunnelStep::Wait { .. })
            });
            let doing: Vec<_> = doing.map(|(node, _)| *node).collect();
            let only_way = |edge: &&FunnelEdge| {
                let mut others = canvas.edges.iter();
                !others.any(|other| other.target == edge.target && other.source != edge.source)
            };
            let mut ways = canvas.edges.iter().filter(only_way);
            let is_both = ways.any(|edge| doing.contains(&edge.source) && doing.contains(&edge.target));
            prop_assert!(!is_both);
        }
    }
}
