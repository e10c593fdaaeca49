//! Finished funnels pass, and each single thing that is done wrong to one is found, where it is.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use samplit_domain::{
    ExperimentId, Funnel, FunnelCanvas, FunnelCondition, FunnelEdge, FunnelExperiment, FunnelId,
    FunnelNode, FunnelNodeId, FunnelStatus, FunnelStep, GoalTrigger, Status, VariantId, Violations,
};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

const EXPERIMENT: ExperimentId = ExperimentId(Uuid::from_u128(1));
const VARIANT: VariantId = VariantId(Uuid::from_u128(2));

fn experiments() -> BTreeMap<ExperimentId, FunnelExperiment> {
    let experiment = FunnelExperiment {
        status: Status::Active,
        variants: BTreeSet::from([VARIANT]),
    };
    BTreeMap::from([(EXPERIMENT, experiment)])
}

fn node_id(at: usize) -> FunnelNodeId {
    Uuid::from_u128(1_000 + at as u128).into()
}

fn page() -> FunnelStep {
    FunnelStep::Page {
        url: Some("https://shop.test/*".to_owned()),
    }
}

fn action() -> FunnelStep {
    let name = "added".to_owned();
    FunnelStep::Action {
        trigger: Some(GoalTrigger::Event { name }),
    }
}

fn wait() -> FunnelStep {
    FunnelStep::Wait { hours: Some(24) }
}

fn conversion() -> FunnelStep {
    let url = "https://shop.test/thanks".to_owned();
    FunnelStep::Conversion {
        trigger: Some(GoalTrigger::PageView { url }),
    }
}

fn node(at: usize, step: FunnelStep) -> FunnelNode {
    FunnelNode {
        id: node_id(at),
        step,
        name: format!("Step {at}"),
        x: 40.0,
        y: -2.5,
        experiment_id: None,
    }
}

fn edge(source: FunnelNodeId, target: FunnelNodeId, condition: FunnelCondition) -> FunnelEdge {
    let id = source.0.as_u128() * 1_000_000 + target.0.as_u128();
    FunnelEdge {
        id: Uuid::from_u128(id).into(),
        source,
        target,
        condition,
    }
}

fn condition(choice: usize) -> FunnelCondition {
    match choice % 4 {
        0 => FunnelCondition::Always,
        1 => FunnelCondition::Variant {
            experiment_id: Some(EXPERIMENT),
            variant_id: Some(VARIANT),
        },
        2 => FunnelCondition::Segment {
            key: "device".to_owned(),
            value: "mobile".to_owned(),
        },
        _ => FunnelCondition::Event {
            name: "signed_up".to_owned(),
        },
    }
}

/// A finished funnel: every node but the first hangs on one before it, what has no way on is a
/// conversion, and only what has two is a decision.
fn finished() -> impl Strategy<Value = FunnelCanvas> {
    let choice = (any::<Index>(), any::<Index>(), 0_usize..4, any::<bool>());
    prop::collection::vec(choice, 1..12).prop_map(|choices| {
        let mut ways = BTreeSet::new();
        for (at, (first, second, _, more)) in choices.iter().enumerate() {
            ways.insert((first.index(at + 1), at + 1));
            if *more {
                ways.insert((second.index(at + 1), at + 1));
            }
        }
        let mut canvas = FunnelCanvas::default();
        for at in 0..=choices.len() {
            let out = ways.iter().filter(|(source, _)| *source == at).count();
            let kind = at.checked_sub(1).map_or(0, |at| choices[at].2);
            let step = match (out, kind) {
                (0, _) => conversion(),
                (_, 0) => page(),
                (2.., 1) => FunnelStep::Decision {},
                (_, 2) if at > 0 => wait(),
                _ => action(),
            };
            let mut node = node(at, step);
            node.experiment_id = (kind == 3).then_some(EXPERIMENT);
            canvas.nodes.push(node);
        }
        let edges = ways.iter().enumerate();
        let edges = edges.map(|(choice, &(source, target))| {
            edge(node_id(source), node_id(target), condition(choice))
        });
        canvas.edges.extend(edges);
        canvas
    })
}

fn found(canvas: &FunnelCanvas) -> BTreeSet<(String, &'static str)> {
    let faults = canvas.faults(&experiments());
    for fault in &faults {
        let place = &fault.pointer;
        let at = |list: &str| {
            let rest = place.strip_prefix(list)?;
            rest.split('/').next()?.parse::<usize>().ok()
        };
        let node = at("/nodes/").map(|at| canvas.nodes[at].id);
        let edge = at("/edges/").map(|at| canvas.edges[at].id);
        assert_eq!((fault.node_id, fault.edge_id), (node, edge), "{place}");
    }
    let places = faults.into_iter();
    let places = places.map(|fault| (fault.pointer, fault.code));
    places.collect()
}

fn set<const N: usize>(faults: [(&str, &'static str); N]) -> BTreeSet<(String, &'static str)> {
    let faults = faults.into_iter();
    faults.map(|(at, code)| (at.to_owned(), code)).collect()
}

fn stored(canvas: FunnelCanvas) -> Result<(), Violations> {
    let funnel = Funnel {
        id: FunnelId(Uuid::nil()),
        user_id: None,
        name: "Checkout".to_owned(),
        description: None,
        status: FunnelStatus::Draft,
        window_hours: 168,
        canvas,
        version: 1,
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
        activated_at: None,
    };
    funnel.check()
}

/// Where in the list the nodes with such a step are.
fn places(canvas: &FunnelCanvas, is: impl Fn(&FunnelStep) -> bool) -> Vec<usize> {
    let nodes = canvas.nodes.iter().enumerate();
    nodes
        .filter_map(|(at, node)| is(&node.step).then_some(at))
        .collect()
}

fn is_conversion(step: &FunnelStep) -> bool {
    matches!(step, FunnelStep::Conversion { .. })
}

proptest! {
    #[test]
    fn a_finished_funnel_passes_and_can_be_stored(canvas in finished()) {
        prop_assert_eq!(found(&canvas), BTreeSet::new());
        prop_assert_eq!(canvas.entry().map(|node| node.id), Some(node_id(0)));
        prop_assert_eq!(stored(canvas.clone()), Ok(()));
        let read: FunnelCanvas = serde_json::from_value(json!(canvas)).unwrap();
        prop_assert_eq!(read, canvas);
    }

    #[test]
    fn a_copy_has_other_ids_and_is_as_good(canvas in finished()) {
        let mut last = 0;
        let copy = canvas.with_new_ids(|| {
            last += 1;
            Uuid::from_u128(last)
        });
        prop_assert!(!canvas.nodes.iter().any(|node| copy.node(node.id).is_some()));
        prop_assert_eq!(found(&copy), BTreeSet::new());
        prop_assert!(!canvas.is_same_structure(&copy));
    }

    #[test]
    fn a_node_apart_is_a_second_entry(mut canvas in finished()) {
        let at = canvas.nodes.len();
        canvas.nodes.push(node(at, conversion()));
        prop_assert_eq!(found(&canvas), set([(&format!("/nodes/{at}"), "one_entry")]));
    }

    #[test]
    fn a_funnel_begins_with_a_page_or_an_action(mut canvas in finished()) {
        canvas.nodes[0].step = wait();
        prop_assert_eq!(found(&canvas), set([("/nodes/0/type", "entry_required")]));
    }

    #[test]
    fn a_way_back_is_a_cycle_of_all_on_it(mut canvas in finished(), choice in any::<Index>()) {
        // Along first edges from the entry, to the end; and back to one of those behind the entry.
        let mut path = vec![0];
        let next = |at: usize| {
            let edge = canvas.edges.iter().find(|edge| edge.source == node_id(at))?;
            canvas.nodes.iter().position(|node| node.id == edge.target)
        };
        while let Some(at) = next(path[path.len() - 1]) {
            path.push(at);
        }
        let back = 1 + choice.index(path.len() - 1);
        let (last, first) = (path[path.len() - 1], path[back]);
        canvas.edges.push(edge(node_id(last), node_id(first), FunnelCondition::Always));
        let found = found(&canvas);
        for at in &path[back..] {
            prop_assert!(found.contains(&(format!("/nodes/{at}"), "cycle")), "{found:?}");
        }
        prop_assert!(found.iter().all(|(_, code)| *code == "cycle"), "{found:?}");
    }

    #[test]
    fn a_circle_of_all_has_no_entry(mut canvas in finished()) {
        let last = places(&canvas, is_conversion)[0];
        canvas.edges.push(edge(node_id(last), node_id(0), FunnelCondition::Always));
        let found = found(&canvas);
        prop_assert!(found.contains(&("/nodes".to_owned(), "entry_required")));
        prop_assert!(found.contains(&("/nodes/0".to_owned(), "cycle")));
        prop_assert_eq!(canvas.entry(), None);
    }

    #[test]
    fn a_circle_apart_cannot_be_reached(mut canvas in finished()) {
        let at = canvas.nodes.len();
        canvas.nodes.extend([node(at, action()), node(at + 1, action())]);
        let (a, b) = (node_id(at), node_id(at + 1));
        canvas.edges.push(edge(a, b, FunnelCondition::Always));
        canvas.edges.push(edge(b, a, FunnelCondition::Always));
        let (a, b) = (format!("/nodes/{at}"), format!("/nodes/{}", at + 1));
        let expected = [(&*a, "unreachable"), (&*a, "cycle"), (&*b, "unreachable"), (&*b, "cycle")];
        prop_assert_eq!(found(&canvas), set(expected));
    }

    #[test]
    fn without_conversions_there_is_none_and_the_ends_are_dead(mut canvas in finished()) {
        let ends = places(&canvas, is_conversion);
        let mut expected = set([("/nodes", "conversion_required")]);
        for at in ends {
            canvas.nodes[at].step = action();
            expected.insert((format!("/nodes/{at}"), "dead_end"));
        }
        prop_assert_eq!(found(&canvas), expected);
    }

    #[test]
    fn a_decision_has_two_ways(mut canvas in finished(), choice in any::<Index>()) {
        let ways = |at: &usize| {
            let source = node_id(*at);
            canvas.edges.iter().filter(|edge| edge.source == source).count()
        };
        let one: Vec<usize> = (1..canvas.nodes.len()).filter(|at| ways(at) == 1).collect();
        prop_assume!(!one.is_empty());
        let at = *choice.get(&one);
        canvas.nodes[at].step = FunnelStep::Decision {};
        prop_assert_eq!(found(&canvas), set([(&format!("/nodes/{at}"), "two_ways_required")]));
    }

    #[test]
    fn an_edge_has_two_ends(mut canvas in finished(), choice in any::<Index>()) {
        let at = choice.index(canvas.edges.len());
        canvas.edges[at].target = node_id(999);
        let dangling = (format!("/edges/{at}/target"), "dangling");
        prop_assert!(found(&canvas).contains(&dangling));
        let refused = stored(canvas).unwrap_err().0.remove(0);
        prop_assert_eq!((refused.pointer, refused.code), dangling);
    }

    #[test]
    fn what_a_node_waits_for_has_to_be_said(mut canvas in finished(), choice in any::<Index>()) {
        let at = choice.index(canvas.nodes.len());
        let (field, step) = match &canvas.nodes[at].step {
            FunnelStep::Page { .. } => ("config/url", FunnelStep::Page { url: None }),
            FunnelStep::Action { .. } => ("config/trigger", FunnelStep::Action { trigger: None }),
            FunnelStep::Wait { .. } => ("config/hours", FunnelStep::Wait { hours: None }),
            FunnelStep::Conversion { .. } => {
                ("config/trigger", FunnelStep::Conversion { trigger: None })
            }
            FunnelStep::Decision {} => {
                canvas.nodes[at].name = String::new();
                ("name", FunnelStep::Decision {})
            }
        };
        canvas.nodes[at].step = step;
        let expected = set([(&format!("/nodes/{at}/{field}"), "required")]);
        prop_assert_eq!(found(&canvas), expected);
        prop_assert_eq!(stored(canvas), Ok(()));
    }

    #[test]
    fn nothing_that_is_drawn_makes_it_panic(
        types in prop::collection::vec(0_usize..5, 0..8),
        ways in prop::collection::vec((0_usize..9, 0_usize..9), 0..20),
    ) {
        let steps = [page(), action(), FunnelStep::Decision {}, wait(), conversion()];
        let nodes = types.iter().enumerate();
        let edges = ways.iter();
        let canvas = FunnelCanvas {
            nodes: nodes.map(|(at, &choice)| node(at, steps[choice].clone())).collect(),
            edges: edges
                .map(|&(a, b)| edge(node_id(a), node_id(b), condition(a)))
                .collect(),
            ..FunnelCanvas::default()
        };
        let found = found(&canvas);
        // Whatever has no fault can be walked from its entry to a conversion, whichever way is taken.
        if found.is_empty() {
            prop_assert!(canvas.entry().is_some());
            prop_assert!(!places(&canvas, is_conversion).is_empty());
        }
    }
}

/// One page that leads to one conversion.
fn smallest() -> FunnelCanvas {
    FunnelCanvas {
        nodes: vec![node(0, page()), node(1, conversion())],
        edges: vec![edge(node_id(0), node_id(1), FunnelCondition::Always)],
        ..FunnelCanvas::default()
    }
}

#[test]
fn nothing_drawn_lacks_everything() {
    let expected = set([
        ("/nodes", "entry_required"),
        ("/nodes", "conversion_required"),
    ]);
    assert_eq!(found(&FunnelCanvas::default()), expected);
    assert_eq!(stored(FunnelCanvas::default()), Ok(()));
}

#[test]
fn the_rules_of_each_field() {
    let lost = ExperimentId(Uuid::from_u128(9));
    let click = |value: &str| {
        let selector = json!({"type": "css", "value": value});
        serde_json::from_value(json!({"type": "click", "selector": selector})).ok()
    };
    let page_view = Some(GoalTrigger::PageView {
        url: "https://shop.test/".to_owned(),
    });
    let url = |url: &str| FunnelStep::Page {
        url: Some(url.to_owned()),
    };
    for (step, expected) in [
        (url("https://shop.test/*"), None),
        (url("/cart"), Some(("/config/url", "malformed"))),
        (
            FunnelStep::Action {
                trigger: click("#a"),
            },
            None,
        ),
        (
            FunnelStep::Action {
                trigger: click(" "),
            },
            Some(("/config/trigger/selector/value", "required")),
        ),
        (
            FunnelStep::Action { trigger: page_view },
            Some(("/config/trigger/type", "unknown_value")),
        ),
    ] {
        let mut canvas = smallest();
        canvas.nodes[0].step = step.clone();
        let expected = expected.map(|(at, code)| (format!("/nodes/0{at}"), code));
        assert_eq!(found(&canvas), expected.into_iter().collect(), "{step:?}");
    }
    for (hours, code) in [
        (0, Some("out_of_range")),
        (1, None),
        (2_160, None),
        (2_161, Some("out_of_range")),
        (-1, Some("out_of_range")),
    ] {
        let mut canvas = smallest();
        canvas
            .nodes
            .push(node(2, FunnelStep::Wait { hours: Some(hours) }));
        canvas.edges[0].target = node_id(2);
        let on = edge(node_id(2), node_id(1), FunnelCondition::Always);
        canvas.edges.push(on);
        let expected = code.map(|code| ("/nodes/2/config/hours".to_owned(), code));
        assert_eq!(found(&canvas), expected.into_iter().collect(), "{hours}");
    }
    let variant = |experiment_id, variant_id| FunnelCondition::Variant {
        experiment_id,
        variant_id,
    };
    let stranger = Some(VariantId(Uuid::from_u128(8)));
    let text = |text: &str| text.to_owned();
    for (condition, expected) in [
        (variant(Some(EXPERIMENT), Some(VARIANT)), vec![]),
        (
            variant(Some(EXPERIMENT), stranger),
            vec![("variant_id", "unknown")],
        ),
        (
            variant(Some(lost), Some(VARIANT)),
            vec![("experiment_id", "unknown")],
        ),
        (
            variant(None, None),
            vec![("experiment_id", "required"), ("variant_id", "required")],
        ),
        (
            FunnelCondition::Segment {
                key: text(""),
                value: text("a\0"),
            },
            vec![("key", "required"), ("value", "nul_character")],
        ),
        (
            FunnelCondition::Event {
                name: "x".repeat(256),
            },
            vec![("name", "too_long")],
        ),
    ] {
        let mut canvas = smallest();
        canvas.edges[0].condition = condition;
        let expected = expected
            .into_iter()
            .map(|(field, code)| (format!("/edges/0/condition/{field}"), code));
        assert_eq!(found(&canvas), expected.collect());
    }
}

#[test]
fn the_experiment_of_a_step_is_the_account_s_and_runs() {
    for &status in Status::ALL {
        let mut canvas = smallest();
        canvas.nodes[0].experiment_id = Some(EXPERIMENT);
        let mut known = experiments();
        known.get_mut(&EXPERIMENT).unwrap().status = status;
        let faults = canvas.faults(&known);
        let codes: Vec<_> = faults.iter().map(|fault| fault.code).collect();
        if status == Status::Active {
            assert!(codes.is_empty(), "{codes:?}");
        } else {
            assert_eq!(codes, ["not_running"], "{status}");
        }
        let unknown = canvas.faults(&BTreeMap::new()).remove(0);
        assert_eq!(unknown.pointer, "/nodes/0/experiment_id");
        assert_eq!(unknown.code, "unknown");
        assert_eq!(canvas.experiments(), BTreeSet::from([EXPERIMENT]));
    }
}

#[test]
fn what_cannot_be_stored_is_refused_with_its_place() {
    let refused = |change: &dyn Fn(&mut FunnelCanvas)| {
        let mut canvas = smallest();
        change(&mut canvas);
        let violations = stored(canvas).unwrap_err().0;
        let found = violations
            .iter()
            .map(|v| format!("{} {}", v.pointer, v.code));
        found.collect::<Vec<_>>()
    };
    let many = |canvas: &mut FunnelCanvas| {
        canvas.nodes.extend((2..101).map(|at| node(at, wait())));
        let edge = |at: usize| {
            let mut edge = edge(node_id(0), node_id(1), FunnelCondition::Always);
            edge.id = Uuid::from_u128(at as u128).into();
            edge
        };
        canvas.edges.extend((0..300).map(edge));
    };
    assert_eq!(
        refused(&many),
        ["/nodes out_of_range", "/edges out_of_range"]
    );
    assert_eq!(
        refused(&|canvas| canvas.nodes[1].id = canvas.nodes[0].id),
        ["/nodes/1/id duplicate", "/edges/0/target dangling"]
    );
    assert_eq!(
        refused(&|canvas| canvas.edges.push(canvas.edges[0].clone())),
        ["/edges/1/id duplicate"]
    );
    assert_eq!(
        refused(&|canvas| {
            canvas.nodes[0].name = "x".repeat(256);
            canvas.nodes[0].x = f64::NAN;
            canvas.nodes[1].y = 1e7;
            canvas.viewport.x = -1e7;
            canvas.viewport.zoom = 0.0;
        }),
        [
            "/viewport/x out_of_range",
            "/viewport/zoom out_of_range",
            "/nodes/0/name too_long",
            "/nodes/0/x out_of_range",
            "/nodes/1/y out_of_range",
        ]
    );
    assert_eq!(
        refused(&|canvas| {
            canvas.nodes[0].step = FunnelStep::Page {
                url: Some("\0".to_owned()),
            };
            let name = "x".repeat(70_000);
            canvas.edges[0].condition = FunnelCondition::Event { name };
        }),
        [
            "/nodes/0/config nul_character",
            "/edges/0/condition too_long"
        ]
    );
}

#[test]
fn where_a_step_is_drawn_and_what_it_is_called_is_not_its_structure() {
    let mut moved = smallest();
    moved.nodes.reverse();
    moved.nodes[0].x = 7.0;
    moved.nodes[1].name = "Somewhere".to_owned();
    moved.viewport.zoom = 2.0;
    assert!(smallest().is_same_structure(&moved));
    let mut other = smallest();
    other.nodes[0].experiment_id = Some(EXPERIMENT);
    assert!(!smallest().is_same_structure(&other));
    let mut other = smallest();
    other.edges[0].condition = condition(3);
    assert!(!smallest().is_same_structure(&other));
}

#[test]
fn the_json_of_a_node_and_an_edge_is_the_documented_one() {
    let mut canvas = smallest();
    canvas.edges[0].condition = condition(2);
    let json = json!(canvas);
    assert_eq!(
        json["nodes"][0],
        json!({
            "id": node_id(0), "type": "page", "config": {"url": "https://shop.test/*"},
            "name": "Step 0", "x": 40.0, "y": -2.5, "experiment_id": null,
        })
    );
    assert_eq!(
        json["edges"][0]["condition"],
        json!({"type": "segment", "key": "device", "value": "mobile"})
    );
    canvas.nodes[0].step = FunnelStep::Decision {};
    assert_eq!(json!(canvas)["nodes"][0]["config"], json!({}));
    let empty: FunnelCanvas = serde_json::from_value(json!({})).unwrap();
    assert_eq!(empty, FunnelCanvas::default());
}
