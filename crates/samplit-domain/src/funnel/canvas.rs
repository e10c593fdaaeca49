//! What is drawn of a funnel, and the rules that a drawing keeps before it is finished.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{FunnelEdge, FunnelNode, Viewport};
use crate::{ExperimentId, FunnelNodeId, Violations};

/// The most nodes of a funnel.
pub const MAX_FUNNEL_NODES: usize = 100;

/// The most edges of a funnel.
pub const MAX_FUNNEL_EDGES: usize = 300;

/// The farthest place, in pixels.
const MAX_PLACE: f64 = 1_000_000.0;

/// The longest label of a node, in characters (`VARCHAR(255)`).
const MAX_NAME: usize = 255;

/// Nodes and edges as they are drawn. The column `funnels.canvas_data`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FunnelCanvas {
    /// The steps, at most [`MAX_FUNNEL_NODES`].
    #[serde(default)]
    pub nodes: Vec<FunnelNode>,
    /// The ways between them, at most [`MAX_FUNNEL_EDGES`].
    #[serde(default)]
    pub edges: Vec<FunnelEdge>,
    /// Which part of it is shown.
    #[serde(default)]
    pub viewport: Viewport,
}

impl FunnelCanvas {
    /// The node with this id.
    #[must_use]
    pub fn node(&self, id: FunnelNodeId) -> Option<&FunnelNode> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Every experiment that stands on a node or in a condition.
    #[must_use]
    pub fn experiments(&self) -> BTreeSet<ExperimentId> {
        let of_nodes = self.nodes.iter().filter_map(|node| node.experiment_id);
        let edges = self.edges.iter();
        let of_edges = edges.filter_map(|edge| edge.condition.experiment());
        of_nodes.chain(of_edges).collect()
    }

    /// The same drawing with other ids, which `next` makes.
    #[must_use]
    pub fn with_new_ids(&self, mut next: impl FnMut() -> Uuid) -> Self {
        let mut copy = self.clone();
        let mut ids = BTreeMap::new();
        for node in &mut copy.nodes {
            node.id = *ids.entry(node.id).or_insert_with(|| next().into());
        }
        for edge in &mut copy.edges {
            edge.id = next().into();
            for end in [&mut edge.source, &mut edge.target] {
                *end = ids.get(end).copied().unwrap_or(*end);
            }
        }
        copy
    }

    /// Whether `other` has the same nodes and edges, wherever they are drawn and whatever the nodes are
    /// called.
    #[must_use]
    pub fn is_same_structure(&self, other: &Self) -> bool {
        let nodes = |canvas: &Self| {
            let nodes = canvas.nodes.iter().map(|node| FunnelNode {
                name: String::new(),
                x: 0.0,
                y: 0.0,
                ..node.clone()
            });
            let mut nodes: Vec<_> = nodes.collect();
            nodes.sort_by_key(|node| node.id);
            nodes
        };
        let edges = |canvas: &Self| {
            let mut edges = canvas.edges.clone();
            edges.sort_by_key(|edge| edge.id);
            edges
        };
        nodes(self) == nodes(other) && edges(self) == edges(other)
    }

    /// Checks what every drawing keeps, finished or not: it can be stored, and its edges have ends.
    pub(super) fn check(&self, violations: &mut Violations) {
        for (pointer, count, max) in [
            ("/nodes", self.nodes.len(), MAX_FUNNEL_NODES),
            ("/edges", self.edges.len(), MAX_FUNNEL_EDGES),
        ] {
            if count > max {
                let detail = format!("has {count} items, at most {max} are allowed");
                violations.add(pointer, "out_of_range", detail);
            }
        }
        let Viewport { x, y, zoom } = self.viewport;
        violations.place("/viewport/x", x);
        violations.place("/viewport/y", y);
        if !(0.05..=20.0).contains(&zoom) {
            let detail = "must be between 0.05 and 20";
            violations.add("/viewport/zoom", "out_of_range", detail);
        }
        let mut nodes = BTreeSet::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let pointer = format!("/nodes/{index}");
            if !nodes.insert(node.id) {
                let detail = "another node has this id";
                violations.add(format!("{pointer}/id"), "duplicate", detail);
            }
            violations.length(&format!("{pointer}/name"), &node.name, MAX_NAME);
            violations.place(&format!("{pointer}/x"), node.x);
            violations.place(&format!("{pointer}/y"), node.y);
            violations.json(&format!("{pointer}/config"), &json!(node.step));
        }
        let mut edges = BTreeSet::new();
        for (index, edge) in self.edges.iter().enumerate() {
            let pointer = format!("/edges/{index}");
            if !edges.insert(edge.id) {
                let detail = "another edge has this id";
                violations.add(format!("{pointer}/id"), "duplicate", detail);
            } else if nodes.contains(&FunnelNodeId(edge.id.0)) {
                // Pages report nodes and edges alike, by the id alone.
                let detail = "a node has this id";
                violations.add(format!("{pointer}/id"), "duplicate", detail);
            }
            for (end, node) in [("source", edge.source), ("target", edge.target)] {
                if !nodes.contains(&node) {
                    let pointer = format!("{pointer}/{end}");
                    violations.add(pointer, "dangling", "is no node of this funnel");
                }
            }
            violations.json(&format!("{pointer}/condition"), &json!(edge.condition));
        }
    }
}

impl Violations {
    /// Checks a place on the canvas.
    fn place(&mut self, pointer: &str, place: f64) {
        if !(-MAX_PLACE..=MAX_PLACE).contains(&place) {
            let detail = format!("must be between -{MAX_PLACE} and {MAX_PLACE}");
            self.add(pointer, "out_of_range", detail);
        }
    }
}
