//! What keeps a funnel from being activated: everything that is wrong with its drawing, at once.
//!
//! A finished funnel has one entry that everything hangs on, a conversion, no cycle and no dead end, and
//! all its nodes and edges say what they wait for. Every fault names the node or edge to show it on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::{
    FunnelCanvas, FunnelCondition, FunnelEdge, FunnelNode, FunnelStep, MAX_FUNNEL_HOURS,
    hours_allowed,
};
use crate::{
    ExperimentId, FunnelEdgeId, FunnelNodeId, GoalTrigger, MAX_IDENTIFIER, Status, VariantId,
    Violation, Violations,
};

/// What a funnel has to know of an experiment of its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunnelExperiment {
    /// Where it stands.
    pub status: Status,
    /// Its variants, of all its elements.
    pub variants: BTreeSet<VariantId>,
}

/// One thing that is wrong with a funnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FunnelFault {
    /// The node that it is shown on.
    pub node_id: Option<FunnelNodeId>,
    /// The edge that it is shown on. Without either it is one of the whole funnel.
    pub edge_id: Option<FunnelEdgeId>,
    /// Where, as a JSON pointer into the funnel: `/nodes/0/config/url`.
    pub pointer: String,
    /// The rule as a stable word: `cycle`, `dead_end`, `required`, ...
    pub code: &'static str,
    /// The rule in a sentence for people.
    pub detail: String,
}

impl From<FunnelFault> for Violation {
    fn from(fault: FunnelFault) -> Self {
        Self {
            pointer: fault.pointer,
            code: fault.code,
            detail: fault.detail,
        }
    }
}

/// The drawing by the places of its nodes in the list.
struct Graph {
    /// Where the edges of each node lead.
    ways: Vec<Vec<usize>>,
    /// Whether an edge leads to the node.
    is_target: Vec<bool>,
}

impl Graph {
    fn new(canvas: &FunnelCanvas) -> Self {
        let nodes = canvas.nodes.iter().enumerate();
        let place: HashMap<_, _> = nodes.map(|(at, node)| (node.id, at)).collect();
        let mut ways = vec![Vec::new(); canvas.nodes.len()];
        let mut is_target = vec![false; canvas.nodes.len()];
        for edge in &canvas.edges {
            if let (Some(&source), Some(&target)) =
                (place.get(&edge.source), place.get(&edge.target))
            {
                ways[source].push(target);
                is_target[target] = true;
            }
        }
        Self { ways, is_target }
    }

    /// Which nodes one comes to from `start` by at least one edge.
    fn reached_from(&self, start: usize) -> Vec<bool> {
        let mut reached = vec![false; self.ways.len()];
        let mut ahead = vec![start];
        while let Some(at) = ahead.pop() {
            for &next in &self.ways[at] {
                if !reached[next] {
                    reached[next] = true;
                    ahead.push(next);
                }
            }
        }
        reached
    }

    /// Of the nodes that may be entered and that no edge leads to, the first that most hangs on.
    fn entry(&self, canvas: &FunnelCanvas) -> Option<(usize, Vec<bool>)> {
        let candidates = (0..canvas.nodes.len())
            .filter(|&at| !self.is_target[at] && can_be_entered(&canvas.nodes[at]));
        let candidates = candidates.map(|at| (at, self.reached_from(at)));
        let size = |reached: &[bool]| reached.iter().filter(|&&is| is).count();
        candidates.reduce(|best, other| {
            if size(&other.1) > size(&best.1) {
                other
            } else {
                best
            }
        })
    }
}

impl FunnelCanvas {
    /// The node at which visitors come in. `None` while there is none.
    #[must_use]
    pub fn entry(&self) -> Option<&FunnelNode> {
        let (at, _) = Graph::new(self).entry(self)?;
        self.nodes.get(at)
    }

    /// Everything that keeps the funnel from being activated. `experiments` are those of its account, of
    /// which it needs the ones that [`Self::experiments`] lists.
    #[must_use]
    pub fn faults(
        &self,
        experiments: &BTreeMap<ExperimentId, FunnelExperiment>,
    ) -> Vec<FunnelFault> {
        let graph = Graph::new(self);
        let entry = graph.entry(self);
        let mut faults = Vec::new();
        let mut note = |node_id, edge_id, violations: Violations| {
            faults.extend(violations.0.into_iter().map(|violation| FunnelFault {
                node_id,
                edge_id,
                pointer: violation.pointer,
                code: violation.code,
                detail: violation.detail,
            }));
        };
        let mut violations = Violations::default();
        self.check_whole(&graph, entry.as_ref(), &mut violations);
        note(None, None, violations);
        for (at, node) in self.nodes.iter().enumerate() {
            let pointer = format!("/nodes/{at}");
            let mut violations = Violations::default();
            node.check(&pointer, experiments, &mut violations);
            node.check_place(at, &pointer, &graph, entry.as_ref(), &mut violations);
            note(Some(node.id), None, violations);
        }
        for (at, edge) in self.edges.iter().enumerate() {
            let mut violations = Violations::default();
            edge.check(&format!("/edges/{at}"), self, experiments, &mut violations);
            note(None, Some(edge.id), violations);
        }
        faults
    }

    /// Checks that `experiments`, those of the funnel's account, have all that stand in the drawing, and that
    /// no node or edge has the id of one: pages report both by the id alone.
    pub fn check_experiments(
        &self,
        experiments: &BTreeMap<ExperimentId, FunnelExperiment>,
        violations: &mut Violations,
    ) {
        let is_unknown = |id: &ExperimentId| !experiments.contains_key(id);
        for (at, node) in self.nodes.iter().enumerate() {
            if node.experiment_id.as_ref().is_some_and(is_unknown) {
                violations.unknown_experiment(format!("/nodes/{at}/experiment_id"));
            }
            if experiments.contains_key(&ExperimentId(node.id.0)) {
                violations.id_of_experiment(format!("/nodes/{at}/id"));
            }
        }
        for (at, edge) in self.edges.iter().enumerate() {
            if edge.condition.experiment().as_ref().is_some_and(is_unknown) {
                violations.unknown_experiment(format!("/edges/{at}/condition/experiment_id"));
            }
            if experiments.contains_key(&ExperimentId(edge.id.0)) {
                violations.id_of_experiment(format!("/edges/{at}/id"));
            }
        }
    }

    /// What no single node is to blame for.
    fn check_whole(
        &self,
        graph: &Graph,
        entry: Option<&(usize, Vec<bool>)>,
        violations: &mut Violations,
    ) {
        if graph.is_target.iter().all(|&is| is) {
            let detail = "has to begin with one page or action that no edge leads to";
            violations.add("/nodes", "entry_required", detail);
        }
        let mut nodes = self.nodes.iter().enumerate();
        let is_reached = |at| entry.is_none_or(|(start, reached)| at == *start || reached[at]);
        if !nodes.any(|(at, node)| is_conversion(node) && is_reached(at)) {
            let detail = "needs a conversion that can be reached";
            violations.add("/nodes", "conversion_required", detail);
        }
    }
}

impl FunnelNode {
    /// What it says of itself.
    fn check(
        &self,
        pointer: &str,
        experiments: &BTreeMap<ExperimentId, FunnelExperiment>,
        violations: &mut Violations,
    ) {
        violations.name(&format!("{pointer}/name"), &self.name);
        match &self.step {
            FunnelStep::Page { url } => {
                let pointer = format!("{pointer}/config/url");
                match url {
                    Some(url) => violations.url(&pointer, url),
                    None => violations.add(pointer, "required", "must be the URL of a page"),
                }
            }
            FunnelStep::Action { trigger } => {
                let pointer = format!("{pointer}/config/trigger");
                check_trigger(&pointer, trigger.as_ref(), violations);
                let is_done = matches!(
                    trigger,
                    None | Some(
                        GoalTrigger::Click { .. }
                            | GoalTrigger::Submit { .. }
                            | GoalTrigger::Event { .. }
                    )
                );
                if !is_done {
                    let detail = "of an action is `click`, `submit` or `event`";
                    violations.add(format!("{pointer}/type"), "unknown_value", detail);
                }
            }
            FunnelStep::Decision {} => {}
            FunnelStep::Wait { hours } => {
                let pointer = format!("{pointer}/config/hours");
                match hours {
                    None => violations.add(pointer, "required", hours_allowed()),
                    Some(1..=MAX_FUNNEL_HOURS) => {}
                    Some(_) => violations.add(pointer, "out_of_range", hours_allowed()),
                }
            }
            FunnelStep::Conversion { trigger } => {
                let pointer = format!("{pointer}/config/trigger");
                check_trigger(&pointer, trigger.as_ref(), violations);
            }
        }
        if let Some(id) = &self.experiment_id {
            let pointer = format!("{pointer}/experiment_id");
            match experiments.get(id) {
                None => violations.unknown_experiment(pointer),
                Some(found) => found.check_runs(pointer, violations),
            }
        }
    }

    /// Where it stands between the others.
    fn check_place(
        &self,
        at: usize,
        pointer: &str,
        graph: &Graph,
        entry: Option<&(usize, Vec<bool>)>,
        violations: &mut Violations,
    ) {
        match entry {
            None if !graph.is_target[at] => {
                let detail = "is where the funnel begins, and so has to be a page or an action";
                violations.add(format!("{pointer}/type"), "entry_required", detail);
            }
            Some((start, _)) if at != *start && !graph.is_target[at] => {
                let detail = "no edge leads here, and the funnel begins elsewhere";
                violations.add(pointer, "one_entry", detail);
            }
            Some((start, reached)) if at != *start && !reached[at] => {
                let detail = "no way leads here from where the funnel begins";
                violations.add(pointer, "unreachable", detail);
            }
            _ => {}
        }
        if graph.reached_from(at)[at] {
            violations.add(pointer, "cycle", "a way from here leads back here");
        }
        match (graph.ways[at].len(), &self.step) {
            (0, FunnelStep::Conversion { .. }) => {}
            (0, _) => {
                let detail = "leads nowhere, and is no conversion";
                violations.add(pointer, "dead_end", detail);
            }
            (1, FunnelStep::Decision {}) => {
                let detail = "a decision has at least two ways out";
                violations.add(pointer, "two_ways_required", detail);
            }
            _ => {}
        }
    }
}

impl FunnelEdge {
    fn check(
        &self,
        pointer: &str,
        canvas: &FunnelCanvas,
        experiments: &BTreeMap<ExperimentId, FunnelExperiment>,
        violations: &mut Violations,
    ) {
        for (end, node) in [("source", self.source), ("target", self.target)] {
            if canvas.node(node).is_none() {
                let pointer = format!("{pointer}/{end}");
                violations.add(pointer, "dangling", "is no node of this funnel");
            }
        }
        let field = |name| format!("{pointer}/condition/{name}");
        match &self.condition {
            FunnelCondition::Always => {}
            FunnelCondition::Variant {
                experiment_id,
                variant_id,
            } => {
                let found = experiment_id.map(|id| experiments.get(&id));
                match found {
                    None => violations.add(field("experiment_id"), "required", "must be given"),
                    Some(None) => violations.unknown_experiment(field("experiment_id")),
                    Some(Some(found)) => found.check_runs(field("experiment_id"), violations),
                }
                match (variant_id, found) {
                    (None, _) => violations.add(field("variant_id"), "required", "must be given"),
                    (Some(id), Some(Some(found))) if !found.variants.contains(id) => {
                        let detail = "is no variant of the experiment";
                        violations.add(field("variant_id"), "unknown", detail);
                    }
                    (Some(_), _) => {}
                }
            }
            FunnelCondition::Segment { key, value } => {
                violations.text(&field("key"), key, MAX_IDENTIFIER);
                violations.text(&field("value"), value, MAX_IDENTIFIER);
            }
            FunnelCondition::Event { name } => {
                violations.text(&field("name"), name, MAX_IDENTIFIER);
            }
        }
    }
}

impl FunnelExperiment {
    fn check_runs(&self, pointer: String, violations: &mut Violations) {
        if self.status != Status::Active {
            let detail = format!("is an experiment that is {}, not active", self.status);
            violations.add(pointer, "not_running", detail);
        }
    }
}

impl Violations {
    /// Notes that the funnel's account has no such experiment.
    fn unknown_experiment(&mut self, pointer: String) {
        self.add(pointer, "unknown", "is no experiment of this account");
    }

    /// Notes that an experiment of the account has this id already.
    fn id_of_experiment(&mut self, pointer: String) {
        let detail = "an experiment has this id; without one the server makes it";
        self.add(pointer, "taken", detail);
    }
}

fn check_trigger(pointer: &str, trigger: Option<&GoalTrigger>, violations: &mut Violations) {
    match trigger {
        Some(trigger) => trigger.check(pointer, violations),
        None => violations.add(pointer, "required", "must say what is waited for"),
    }
}

const fn can_be_entered(node: &FunnelNode) -> bool {
    matches!(
        node.step,
        FunnelStep::Page { .. } | FunnelStep::Action { .. }
    )
}

const fn is_conversion(node: &FunnelNode) -> bool {
    matches!(node.step, FunnelStep::Conversion { .. })
}
