//! How a visitor moves through a funnel: which nodes are reached by what was done.
//!
//! A node is reached when the visitor does what it waits for and an edge leads to it, from a node reached
//! before, whose condition holds. One deed takes one step on every way: what it reaches opens the way for
//! the next deed and not for itself, so that a click on the first of two buttons that look alike
//! is not a click on both. Decisions are passed at once, waits when the visitor next does something.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{FunnelCanvas, FunnelCondition, FunnelStep};
use crate::{
    ExperimentId, FunnelEdgeId, FunnelId, FunnelNodeId, GoalTrigger, MAX_IDENTIFIER, PagePattern,
    VariantId,
};

/// What a visitor did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunnelDeed {
    /// Saw the page at this URL.
    Page(String),
    /// What a node waits for on a page: a click, a form that was sent, an event.
    Did(FunnelNodeId),
    /// Something that the page's own code calls by this name, reported of an edge that waits for it. It
    /// counts for all edges that wait for the name.
    Event(FunnelEdgeId, String),
    /// Left contact details, by the form of this name.
    Lead(Option<String>),
}

/// What is known of a visitor that edges ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunnelFacts {
    /// The variants that the visitor was assigned, one per element, by experiment.
    pub variants: BTreeMap<ExperimentId, Vec<VariantId>>,
    /// Of each key of the context its value at the entry and, where it is another one, that of now.
    pub context: BTreeMap<String, Vec<String>>,
    /// The events that were reported since the entry.
    pub events: BTreeSet<String>,
}

/// A node that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunnelMove {
    /// Which.
    pub node: FunnelNodeId,
    /// The node from which the visitor came; `None` at the entry.
    pub from: Option<FunnelNodeId>,
    /// Whether it is a conversion.
    pub is_conversion: bool,
}

/// Something that a page watches for, because a node or an edge waits for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunnelWatch {
    /// The id of the node or the edge, by which the page reports it.
    pub id: Uuid,
    /// What the page's own code calls it: the name of the event, else that of the node.
    pub name: String,
    /// What reaches it.
    pub trigger: GoalTrigger,
}

/// A funnel made ready for moving visitors. What is unfinished in it is never reached.
#[derive(Clone, Debug)]
pub struct FunnelPlan {
    id: FunnelId,
    window: Duration,
    /// Behind every node stand those to which its edges lead: the first one is the entry.
    nodes: Vec<Node>,
    places: HashMap<FunnelNodeId, usize>,
    /// What edges wait for.
    events: Vec<EdgeEvent>,
    /// The keys of the context that edges ask for.
    keys: BTreeSet<String>,
    experiments: BTreeSet<ExperimentId>,
}

#[derive(Clone, Debug)]
struct Node {
    id: FunnelNodeId,
    name: String,
    waits: Waits,
    is_conversion: bool,
    /// By place, and the condition of the edge.
    ways_in: Vec<(usize, FunnelCondition)>,
}

/// What a node waits for.
#[derive(Clone, Debug)]
enum Waits {
    Page(PagePattern),
    OnPage(GoalTrigger),
    /// By this form, or by any.
    Lead(Option<String>),
    Nothing,
    Time(Duration),
    /// Nobody has said what.
    Forever,
}

#[derive(Clone, Debug)]
struct EdgeEvent {
    edge: FunnelEdgeId,
    name: String,
    /// By place.
    target: usize,
}

impl FunnelPlan {
    /// Makes a funnel ready. `window_hours` is how long a visitor has from the first step to the last.
    #[must_use]
    pub fn new(id: FunnelId, window_hours: i32, canvas: &FunnelCanvas) -> Self {
        let order = in_order(canvas);
        let places: HashMap<_, _> = order.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let by_place = order.iter().filter_map(|id| canvas.node(*id));
        let nodes = by_place.map(|node| Node {
            id: node.id,
            name: node.name.clone(),
            waits: Waits::of(&node.step),
            is_conversion: matches!(node.step, FunnelStep::Conversion { .. }),
            ways_in: Vec::new(),
        });
        let mut nodes: Vec<Node> = nodes.collect();
        let mut events = Vec::new();
        let mut keys = BTreeSet::new();
        for edge in &canvas.edges {
            let ends = (places.get(&edge.source), places.get(&edge.target));
            let (Some(&source), Some(&target)) = ends else {
                continue;
            };
            match &edge.condition {
                FunnelCondition::Event { name } => events.push(EdgeEvent {
                    edge: edge.id,
                    name: name.clone(),
                    target,
                }),
                FunnelCondition::Segment { key, .. } => {
                    keys.insert(key.clone());
                }
                FunnelCondition::Always | FunnelCondition::Variant { .. } => {}
            }
            nodes[target].ways_in.push((source, edge.condition.clone()));
        }
        Self {
            id,
            window: Duration::hours(window_hours.into()),
            nodes,
            places,
            events,
            keys,
            experiments: canvas.experiments(),
        }
    }

    /// Of which funnel.
    #[must_use]
    pub const fn id(&self) -> FunnelId {
        self.id
    }

    /// Every experiment that stands on a node or in a condition.
    #[must_use]
    pub const fn experiments(&self) -> &BTreeSet<ExperimentId> {
        &self.experiments
    }

    /// Whether the time for a journey that has reached `reached` is over.
    #[must_use]
    pub fn is_over(&self, reached: &[(FunnelNodeId, OffsetDateTime)], now: OffsetDateTime) -> bool {
        let entry = reached.first();
        entry.is_some_and(|(_, entered_at)| now - *entered_at >= self.window)
    }

    /// What it means that a page reports `id`, if that is a node or an edge which pages watch for.
    #[must_use]
    pub fn deed(&self, id: Uuid) -> Option<FunnelDeed> {
        let place = self.places.get(&FunnelNodeId(id));
        let node = place.map(|&at| &self.nodes[at]);
        if let Some(node) = node.filter(|node| node.waits.watch().is_some()) {
            return Some(FunnelDeed::Did(node.id));
        }
        let event = self.events.iter().find(|event| event.edge.0 == id)?;
        Some(FunnelDeed::Event(event.edge, event.name.clone()))
    }

    /// Whether this funnel says what becomes of `deed`: what a page reports by an id is told of by the
    /// funnel whose node or edge that is, and anything else by all of them.
    #[must_use]
    pub fn answers_for(&self, deed: &FunnelDeed) -> bool {
        match deed {
            FunnelDeed::Did(node) => self.places.contains_key(node),
            FunnelDeed::Event(edge, _) => self.events.iter().any(|event| event.edge == *edge),
            FunnelDeed::Page(_) | FunnelDeed::Lead(_) => true,
        }
    }

    /// Takes in what edges may ask for later: of the context what one of them names, and the event that
    /// `deed` tells of. Nothing else of a visitor is kept.
    pub fn note(&self, facts: &mut FunnelFacts, context: &Map<String, Json>, deed: &FunnelDeed) {
        for key in &self.keys {
            let Some(value) = context.get(key).and_then(text_of) else {
                continue;
            };
            let known = facts.context.entry(key.clone()).or_default();
            known.truncate(1);
            if known.first() != Some(&value) {
                known.push(value);
            }
        }
        let event = match deed {
            FunnelDeed::Event(_, name) => Some(name),
            FunnelDeed::Did(node) => {
                self.places
                    .get(node)
                    .and_then(|&at| match self.nodes[at].waits.watch() {
                        Some(GoalTrigger::Event { name }) => Some(name),
                        _ => None,
                    })
            }
            FunnelDeed::Page(_) | FunnelDeed::Lead(_) => None,
        };
        let is_waited_for = |name: &&String| self.events.iter().any(|event| event.name == **name);
        facts.events.extend(event.filter(is_waited_for).cloned());
    }

    /// The nodes that a visitor reaches by `deed`, in the order in which they are passed. `reached` are
    /// those reached before and when, in that order; `facts` hold what [`Self::note`] took in.
    #[must_use]
    pub fn advance(
        &self,
        reached: &[(FunnelNodeId, OffsetDateTime)],
        facts: &FunnelFacts,
        deed: &FunnelDeed,
        now: OffsetDateTime,
    ) -> Vec<FunnelMove> {
        let mut walk = Walk::new(self, reached, facts, now);
        match reached.first() {
            None => {
                if self.nodes.first().is_some_and(|entry| entry.is_for(deed)) {
                    walk.reach(0, None);
                    walk.pass();
                }
            }
            Some(_) if self.is_over(reached, now) => {}
            Some(_) => {
                walk.pass();
                walk.step(deed);
                walk.pass();
            }
        }
        walk.moves
    }

    /// What the next page has to watch for: what the nodes and edges that are still to be reached
    /// wait for, the farther ones first. That order matters where two of them wait for the same thing:
    /// the farther one is told of while the nearer is not reached yet. At most `limit`, the nearest: of a
    /// node and the events that open the way to it, the events.
    #[must_use]
    pub fn watched(
        &self,
        reached: &[(FunnelNodeId, OffsetDateTime)],
        facts: &FunnelFacts,
        now: OffsetDateTime,
        limit: usize,
    ) -> Vec<FunnelWatch> {
        // A page that is the entry has to be seen first, and its answer says the rest.
        let entry = self.nodes.first().filter(|_| reached.is_empty());
        let is_entered_by_page = entry.is_some_and(|entry| entry.waits.watch().is_none());
        if is_entered_by_page || self.is_over(reached, now) {
            return Vec::new();
        }
        let walk = Walk::new(self, reached, facts, now);
        let mut watched = Vec::new();
        for (place, node) in self.nodes.iter().enumerate() {
            if walk.at[place].is_some() {
                continue;
            }
            let is_for_it =
                |event: &&EdgeEvent| event.target == place && !facts.events.contains(&event.name);
            for event in self.events.iter().filter(is_for_it) {
                let name = event.name.clone();
                let trigger = GoalTrigger::Event { name };
                watched.push((place, event.edge.0, &event.name, trigger));
            }
            if let Some(trigger) = node.waits.watch() {
                let name = match trigger {
                    GoalTrigger::Event { name } => name,
                    _ => &node.name,
                };
                watched.push((place, node.id.0, name, trigger.clone()));
            }
        }
        watched.truncate(limit);
        // The events stay before the node that they open the way to.
        watched.sort_by_key(|(place, ..)| Reverse(*place));
        let watches = watched
            .into_iter()
            .map(|(_, id, name, trigger)| FunnelWatch {
                id,
                name: name.clone(),
                trigger,
            });
        watches.collect()
    }
}

impl Waits {
    fn of(step: &FunnelStep) -> Self {
        match step {
            FunnelStep::Page { url: Some(url) } => Self::Page(PagePattern::new(url)),
            FunnelStep::Action {
                trigger: Some(trigger),
            }
            | FunnelStep::Conversion {
                trigger: Some(trigger),
            } => match trigger {
                GoalTrigger::PageView { url } => Self::Page(PagePattern::new(url)),
                // Forms that are sent have names without spaces around them.
                GoalTrigger::Lead { form } => {
                    Self::Lead(form.as_ref().map(|form| form.trim().to_owned()))
                }
                trigger => Self::OnPage(trigger.clone()),
            },
            FunnelStep::Decision {} => Self::Nothing,
            FunnelStep::Wait { hours: Some(hours) } => Self::Time(Duration::hours((*hours).into())),
            FunnelStep::Page { url: None }
            | FunnelStep::Action { trigger: None }
            | FunnelStep::Conversion { trigger: None }
            | FunnelStep::Wait { hours: None } => Self::Forever,
        }
    }

    /// What pages watch for.
    const fn watch(&self) -> Option<&GoalTrigger> {
        match self {
            Self::OnPage(trigger) => Some(trigger),
            Self::Page(_) | Self::Lead(_) | Self::Nothing | Self::Time(_) | Self::Forever => None,
        }
    }
}

impl Node {
    /// Whether a deed is the one that it waits for.
    fn is_for(&self, deed: &FunnelDeed) -> bool {
        match (deed, &self.waits) {
            (FunnelDeed::Page(url), Waits::Page(pattern)) => pattern.matches(url),
            (FunnelDeed::Did(id), _) => *id == self.id && self.waits.watch().is_some(),
            (FunnelDeed::Lead(form), Waits::Lead(meant)) => meant.is_none() || form == meant,
            _ => false,
        }
    }
}

/// One deed under way.
struct Walk<'a> {
    plan: &'a FunnelPlan,
    facts: &'a FunnelFacts,
    now: OffsetDateTime,
    /// By place, when a node was reached, and as which one in order.
    at: Vec<Option<(OffsetDateTime, usize)>>,
    count: usize,
    moves: Vec<FunnelMove>,
}

impl<'a> Walk<'a> {
    fn new(
        plan: &'a FunnelPlan,
        reached: &[(FunnelNodeId, OffsetDateTime)],
        facts: &'a FunnelFacts,
        now: OffsetDateTime,
    ) -> Self {
        let mut at = vec![None; plan.nodes.len()];
        for (order, (node, when)) in reached.iter().enumerate() {
            if let Some(&place) = plan.places.get(node) {
                at[place] = Some((*when, order));
            }
        }
        Self {
            plan,
            facts,
            now,
            at,
            count: reached.len(),
            moves: Vec::new(),
        }
    }

    fn reach(&mut self, place: usize, from: Option<usize>) {
        let node = &self.plan.nodes[place];
        self.at[place] = Some((self.now, self.count));
        self.count += 1;
        self.moves.push(FunnelMove {
            node: node.id,
            from: from.map(|from| self.plan.nodes[from].id),
            is_conversion: node.is_conversion,
        });
    }

    /// Reaches whatever waits for nothing more. Once through, as edges lead from front to back.
    fn pass(&mut self) {
        for place in 0..self.at.len() {
            let pause = match self.plan.nodes[place].waits {
                Waits::Nothing => Duration::ZERO,
                Waits::Time(pause) => pause,
                Waits::Page(_) | Waits::OnPage(_) | Waits::Lead(_) | Waits::Forever => continue,
            };
            if self.at[place].is_none()
                && let Some(from) = self.way_to(place, self.count, pause)
            {
                self.reach(place, Some(from));
            }
        }
    }

    /// Reaches what waits for `deed`.
    fn step(&mut self, deed: &FunnelDeed) {
        let before = self.count;
        for place in 0..self.at.len() {
            if self.at[place].is_none()
                && self.plan.nodes[place].is_for(deed)
                && let Some(from) = self.way_to(place, before, Duration::ZERO)
            {
                self.reach(place, Some(from));
            }
        }
    }

    /// The last of those nodes from which a way leads to `place` now: among the first `count` that were
    /// reached, at least `pause` ago.
    fn way_to(&self, place: usize, count: usize, pause: Duration) -> Option<usize> {
        let ways = self.plan.nodes[place].ways_in.iter();
        let open = ways.filter(|(_, condition)| self.facts.hold(condition));
        let reached = open.filter_map(|(from, _)| Some((self.at[*from]?, *from)));
        let ready =
            reached.filter(|((when, order), _)| *order < count && self.now - *when >= pause);
        let last = ready.max_by_key(|((_, order), _)| *order);
        last.map(|(_, from)| from)
    }
}

impl FunnelFacts {
    /// Whether a condition holds.
    fn hold(&self, condition: &FunnelCondition) -> bool {
        match condition {
            FunnelCondition::Always => true,
            FunnelCondition::Variant {
                experiment_id: Some(experiment),
                variant_id: Some(variant),
            } => {
                let variants = self.variants.get(experiment);
                variants.is_some_and(|variants| variants.contains(variant))
            }
            FunnelCondition::Variant { .. } => false,
            FunnelCondition::Segment { key, value } => {
                let values = self.context.get(key);
                values.is_some_and(|values| values.contains(value))
            }
            FunnelCondition::Event { name } => self.events.contains(name),
        }
    }
}

/// A value of a context as a condition writes it. What is longer than a condition can be, is no value.
fn text_of(value: &Json) -> Option<String> {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        Json::Null | Json::Array(_) | Json::Object(_) => return None,
    };
    (text.chars().count() <= MAX_IDENTIFIER).then_some(text)
}

/// The nodes in an order in which every edge leads to the back; those on a cycle are left out.
fn in_order(canvas: &FunnelCanvas) -> Vec<FunnelNodeId> {
    let mut ways_in: HashMap<FunnelNodeId, usize> = HashMap::new();
    for edge in &canvas.edges {
        *ways_in.entry(edge.target).or_default() += 1;
    }
    let nodes = canvas.nodes.iter().map(|node| node.id);
    let mut order: Vec<_> = nodes.filter(|id| !ways_in.contains_key(id)).collect();
    let mut done = 0;
    while let Some(&id) = order.get(done) {
        done += 1;
        for edge in canvas.edges.iter().filter(|edge| edge.source == id) {
            if let Some(left) = ways_in.get_mut(&edge.target) {
                *left -= 1;
                if *left == 0 {
                    order.push(edge.target);
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests;
