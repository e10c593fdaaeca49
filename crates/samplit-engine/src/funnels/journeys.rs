//! The journeys of one batch: who is where, and where that leads. Decides in memory; the recorder reads and
//! writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use samplit_domain::{ExperimentId, FunnelDeed, FunnelId, FunnelPlan, FunnelWatch, VariantId};
use samplit_store::assignments::AssignmentRow;
use samplit_store::funnel_visits::{FunnelVisit, NewFunnelStep, NewFunnelVisit};
use serde_json::{Map, Value as Json};
use time::OffsetDateTime;
use uuid::Uuid;

/// The most that one page watches for. The snippet remembers 50 goals, those of experiments among them.
const MAX_WATCHED: usize = 24;

/// What one visitor did, in order, and by which funnels that may be a step.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    pub(super) plans: Arc<[Arc<FunnelPlan>]>,
    pub(super) visitor: String,
    pub(super) context: Map<String, Json>,
    pub(super) deeds: Vec<FunnelDeed>,
    /// In whole microseconds, as it is stored.
    pub(super) at: OffsetDateTime,
    /// It may be stored already, as the outcome of a COMMIT is not known.
    pub(super) is_again: bool,
}

/// What became of one deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StepOutcome {
    /// It is no step now: another one comes before it, or the time for it is over.
    Early,
    /// It was a step already.
    Known,
    /// It is a step that is new.
    New,
}

/// What became of a walk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walked {
    /// Of each deed.
    pub(crate) outcomes: Vec<StepOutcome>,
    /// What the visitor's pages watch for from now on.
    pub(crate) watched: Vec<FunnelWatch>,
}

/// A journey, by its funnel and its visitor. In the order in which all writers lock them.
pub(super) type Key<'a> = (FunnelId, &'a str);

/// A journey under way.
#[derive(Clone, Debug)]
struct Journey {
    visit: FunnelVisit,
    steps: Vec<NewFunnelStep>,
    is_changed: bool,
}

/// The journeys of a batch.
#[derive(Debug, Default)]
pub(super) struct Journeys<'a>(BTreeMap<Key<'a>, Journey>);

/// The journeys that walks may be about, each once, in order.
pub(super) fn keys(walks: &[Walk]) -> Vec<Key<'_>> {
    let keys = walks.iter().flat_map(|walk| {
        let plans = walk.plans.iter();
        plans.map(|plan| (plan.id(), walk.visitor.as_str()))
    });
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The assignments that the plans of walks ask for, each once: experiments and visitors.
pub(super) fn assignments_asked(walks: &[Walk]) -> (Vec<Uuid>, Vec<&str>) {
    let asked = walks.iter().flat_map(|walk| {
        let experiments = walk.plans.iter().flat_map(|plan| plan.experiments());
        experiments.map(|experiment| (experiment.0, walk.visitor.as_str()))
    });
    let mut asked: Vec<_> = asked.collect();
    asked.sort_unstable();
    asked.dedup();
    asked.into_iter().unzip()
}

/// The variants of visitors, by experiment.
pub(super) type Assigned = BTreeMap<(ExperimentId, String), Vec<VariantId>>;

/// The variants that rows show, the first element's first, each once.
pub(super) fn assigned(rows: Vec<AssignmentRow>) -> Assigned {
    let rows = rows.into_iter().map(|row| {
        let of_elements = row.variants.as_ref().and_then(Json::as_object);
        let of_elements = of_elements.into_iter().flat_map(Map::values);
        let of_elements = of_elements.filter_map(|id| id.as_str()?.parse().ok());
        let mut variants: Vec<VariantId> = row.variant_id.into_iter().collect();
        for variant in of_elements {
            if !variants.contains(&variant) {
                variants.push(variant);
            }
        }
        ((row.experiment_id, row.visitor), variants)
    });
    rows.collect()
}

/// How much of what each funnel wants to be watched for is: one of each in turn, as long as there is room.
fn shares(wanted: &[usize]) -> Vec<usize> {
    let mut shares = vec![0; wanted.len()];
    let turns = (0..MAX_WATCHED).flat_map(|turn| {
        let places = 0..wanted.len();
        places.filter(move |&at| wanted[at] > turn)
    });
    for at in turns.take(MAX_WATCHED) {
        shares[at] += 1;
    }
    shares
}

impl<'a> Journeys<'a> {
    /// Takes in journeys as they are stored; those that walks are not about are left out.
    pub(super) fn know(&mut self, keys: &[Key<'a>], stored: Vec<FunnelVisit>) {
        for visit in stored {
            let key = (visit.funnel_id, visit.visitor.as_str());
            if let Ok(at) = keys.binary_search(&key) {
                let journey = Journey {
                    visit,
                    steps: Vec::new(),
                    is_changed: false,
                };
                self.0.insert(keys[at], journey);
            }
        }
    }

    /// Those that stayed as they were stored.
    pub(super) fn unchanged(&self) -> Self {
        let same = self.0.iter().filter(|(_, journey)| !journey.is_changed);
        Self(same.map(|(key, one)| (*key, one.clone())).collect())
    }

    /// Follows a visitor through all the funnels. A journey that is not known may begin where `id_for`
    /// gives an id for it.
    pub(super) fn follow(
        &mut self,
        walk: &'a Walk,
        assigned: &Assigned,
        mut id_for: impl FnMut(Key<'_>) -> Option<Uuid>,
    ) -> Walked {
        let mut outcomes = vec![StepOutcome::Early; walk.deeds.len()];
        let mut ahead = Vec::new();
        for plan in walk.plans.iter() {
            let key = (plan.id(), walk.visitor.as_str());
            let journey = self.0.remove(&key);
            let begin = |id| Journey::new(plan.id(), &walk.visitor, id);
            let Some(mut journey) = journey.or_else(|| id_for(key).map(begin)) else {
                continue;
            };
            if !plan.is_over(&journey.visit.reached, walk.at) {
                journey.learn(plan, &walk.visitor, assigned);
            }
            for (deed, outcome) in walk.deeds.iter().zip(&mut outcomes) {
                let became = journey.go(plan, walk, deed);
                if plan.answers_for(deed) {
                    *outcome = (*outcome).max(became);
                }
            }
            let FunnelVisit { reached, facts, .. } = &journey.visit;
            ahead.push((plan, plan.watched(reached, facts, walk.at, MAX_WATCHED)));
            if !journey.visit.reached.is_empty() {
                self.0.insert(key, journey);
            }
        }
        let watched = self.within_limit(walk, ahead);
        Walked { outcomes, watched }
    }

    /// Of what lies ahead in each funnel as much as a page watches for: the nearest of each in turn.
    fn within_limit(
        &self,
        walk: &Walk,
        ahead: Vec<(&Arc<FunnelPlan>, Vec<FunnelWatch>)>,
    ) -> Vec<FunnelWatch> {
        let wanted: Vec<usize> = ahead.iter().map(|(_, watched)| watched.len()).collect();
        let shares = shares(&wanted);
        let fitting = ahead.into_iter().zip(shares).map(|((plan, all), share)| {
            if all.len() <= share {
                return all;
            }
            let begun = self.0.get(&(plan.id(), walk.visitor.as_str()));
            let (reached, facts) = begun.map_or_else(Default::default, |journey| {
                let FunnelVisit { reached, facts, .. } = &journey.visit;
                (reached.clone(), facts.clone())
            });
            plan.watched(&reached, &facts, walk.at, share)
        });
        fitting.flatten().collect()
    }

    /// Those that went on, in order.
    pub(super) fn changed(&self) -> Vec<Key<'a>> {
        let changed = self.0.iter().filter(|(_, journey)| journey.is_changed);
        changed.map(|(key, _)| *key).collect()
    }

    /// The beginnings of those that were not known, in order.
    pub(super) fn begun(&self) -> Vec<NewFunnelVisit> {
        let begun = self.0.iter().filter_map(|((funnel, visitor), journey)| {
            let first = journey.steps.first().filter(|step| step.position == 0)?;
            Some(NewFunnelVisit {
                funnel_id: *funnel,
                id: journey.visit.id,
                visitor: (*visitor).to_owned(),
                entered_at: first.reached_at,
                node: first.node,
            })
        });
        begun.collect()
    }

    /// What is to be stored of those that went on.
    pub(super) fn moved(&self) -> Vec<(&FunnelVisit, &[NewFunnelStep])> {
        let changed = self.0.values().filter(|journey| journey.is_changed);
        changed
            .map(|journey| (&journey.visit, journey.steps.as_slice()))
            .collect()
    }
}

impl Journey {
    /// One that has not begun.
    fn new(funnel_id: FunnelId, visitor: &str, id: Uuid) -> Self {
        Self {
            visit: FunnelVisit {
                funnel_id,
                id,
                visitor: visitor.to_owned(),
                converted_at: None,
                facts: Default::default(),
                reached: Vec::new(),
            },
            steps: Vec::new(),
            is_changed: false,
        }
    }

    /// Takes in the variants that the visitor was assigned by now.
    fn learn(&mut self, plan: &FunnelPlan, visitor: &str, assigned: &Assigned) {
        for experiment in plan.experiments() {
            let Some(variants) = assigned.get(&(*experiment, visitor.to_owned())) else {
                continue;
            };
            let known = &mut self.visit.facts.variants;
            if known.get(experiment) != Some(variants) {
                known.insert(*experiment, variants.clone());
                self.is_changed = true;
            }
        }
    }

    /// Goes where a deed leads.
    fn go(&mut self, plan: &FunnelPlan, walk: &Walk, deed: &FunnelDeed) -> StepOutcome {
        let visit = &mut self.visit;
        let was_reached = match deed {
            FunnelDeed::Did(node) => visit.reached.iter().any(|(known, _)| known == node),
            FunnelDeed::Event(_, name) => visit.facts.events.contains(name),
            // They name no node, and would reach the next one that waits for such a thing.
            FunnelDeed::Page(_) | FunnelDeed::Lead(_) => {
                let stored = visit.reached.len().saturating_sub(self.steps.len());
                let mut stored = visit.reached[..stored].iter();
                walk.is_again && stored.any(|(_, at)| *at == walk.at)
            }
        };
        if was_reached {
            return StepOutcome::Known;
        }
        // Another server's clock may be ahead; nobody goes back in time.
        let last = visit.reached.last().map_or(walk.at, |(_, at)| *at);
        let now = walk.at.max(last);
        if plan.is_over(&visit.reached, now) {
            return StepOutcome::Early;
        }
        let mut facts = visit.facts.clone();
        plan.note(&mut facts, &walk.context, deed);
        let moves = plan.advance(&visit.reached, &facts, deed, now);
        if visit.reached.is_empty() && moves.is_empty() {
            // What comes before the entry is not kept.
            return StepOutcome::Early;
        }
        let is_new = match deed {
            FunnelDeed::Did(node) => moves.iter().any(|one| one.node == *node),
            FunnelDeed::Event(_, name) => facts.events.contains(name),
            FunnelDeed::Page(_) | FunnelDeed::Lead(_) => !moves.is_empty(),
        };
        if facts != visit.facts {
            visit.facts = facts;
            self.is_changed = true;
        }
        for one in moves {
            let position = i16::try_from(visit.reached.len()).unwrap_or(i16::MAX);
            visit.reached.push((one.node, now));
            if one.is_conversion {
                visit.converted_at.get_or_insert(now);
            }
            self.steps.push(NewFunnelStep {
                node: one.node,
                position,
                reached_at: now,
                from: one.from,
            });
            self.is_changed = true;
        }
        if is_new {
            StepOutcome::New
        } else {
            StepOutcome::Early
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use samplit_domain::{
        FunnelCanvas, FunnelCondition, FunnelDeed, FunnelEdge, FunnelId, FunnelNode, FunnelPlan,
        FunnelStep, from_micros,
    };
    use serde_json::{Map, Value as Json, json};
    use uuid::Uuid;

    use super::{Assigned, Journey, Journeys, Key, StepOutcome, Walk, Walked, shares};

    #[test]
    fn a_page_that_is_stored_is_no_second_step_when_it_is_written_again() {
        let id = |number| Uuid::from_u128(number);
        let node = |number| FunnelNode {
            id: id(number).into(),
            step: FunnelStep::Page {
                url: Some("https://shop.test/*".to_owned()),
            },
            name: "Any page".to_owned(),
            x: 0.0,
            y: 0.0,
            experiment_id: None,
        };
        let edge = |number, ends: (u128, u128)| FunnelEdge {
            id: id(number).into(),
            source: id(ends.0).into(),
            target: id(ends.1).into(),
            condition: FunnelCondition::Always,
        };
        let canvas = FunnelCanvas {
            nodes: vec![node(1), node(2), node(3)],
            edges: vec![edge(11, (1, 2)), edge(12, (2, 3))],
            ..FunnelCanvas::default()
        };
        let funnel = FunnelId(id(9));
        let plans = Arc::from([Arc::new(FunnelPlan::new(funnel, 168, &canvas))]);
        let walk = Walk {
            plans,
            visitor: "a".to_owned(),
            context: Map::new(),
            deeds: vec![FunnelDeed::Page("https://shop.test/".to_owned())],
            at: from_micros(1_767_323_045_000_000),
            is_again: false,
        };
        let follow = |walk: &Walk, reached: usize| {
            let mut visit = Journey::new(funnel, "a", id(8)).visit;
            let nodes = (1_u128..).take(reached);
            visit.reached = nodes.map(|number| (id(number).into(), walk.at)).collect();
            let mut journeys = Journeys::default();
            journeys.know(&[(funnel, "a")], vec![visit]);
            let walked = journeys.follow(walk, &Assigned::new(), |_| None);
            let steps: usize = journeys.moved().iter().map(|(_, steps)| steps.len()).sum();
            (walked.outcomes, steps)
        };
        assert_eq!(follow(&walk, 1), (vec![StepOutcome::New], 1));
        let again = Walk {
            is_again: true,
            ..walk.clone()
        };
        assert_eq!(follow(&again, 1), (vec![StepOutcome::Known], 0));
        // Where nothing was stored of it, it still counts, also behind what was done before.
        assert_eq!(follow(&again, 0), (vec![StepOutcome::New], 1));
        let later = Walk {
            at: again.at + time::Duration::SECOND,
            ..again
        };
        let mut visit = Journey::new(funnel, "a", id(8)).visit;
        visit.reached = vec![(id(1).into(), walk.at)];
        let mut journeys = Journeys::default();
        journeys.know(&[(funnel, "a")], vec![visit]);
        let walked = journeys.follow(&later, &Assigned::new(), |_| None);
        assert_eq!(walked.outcomes, [StepOutcome::New]);
    }

    /// A funnel that begins where `first` says, with `ways` behind it that wait for the event `opened`, each
    /// before a conversion by the event `done`.
    fn plan(number: u128, first: &Json, ways: u128) -> Arc<FunnelPlan> {
        let id = |of: u128| Uuid::from_u128(number * 10_000 + of);
        let node = |of: u128, kind: &str, config: Json| json!({"id": id(of), "name": "step", "type": kind, "config": config, "x": 0.0, "y": 0.0});
        let event = |name: &str| json!({"trigger": {"type": "event", "name": name}});
        let mut nodes = vec![node(
            1,
            first["type"].as_str().unwrap(),
            first["config"].clone(),
        )];
        let mut edges = Vec::new();
        for way in 0..ways {
            nodes.push(node(100 + way, "conversion", event("done")));
            let condition = json!({"type": "event", "name": "opened"});
            edges.push(json!({"id": id(1_000 + way), "source": id(1), "target": id(100 + way), "condition": condition}));
        }
        let canvas = serde_json::from_value(json!({"nodes": nodes, "edges": edges})).unwrap();
        Arc::new(FunnelPlan::new(FunnelId(id(0)), 168, &canvas))
    }

    fn by_event(name: &str) -> Json {
        json!({"type": "action", "config": {"trigger": {"type": "event", "name": name}}})
    }

    fn follow(plans: Vec<Arc<FunnelPlan>>, deeds: Vec<FunnelDeed>) -> Walked {
        let walk = Walk {
            plans: plans.into(),
            visitor: "ana".to_owned(),
            context: Map::new(),
            deeds,
            at: from_micros(1_767_323_045_000_000),
            is_again: false,
        };
        let begin = |_: Key<'_>| Some(Uuid::nil());
        Journeys::default().follow(&walk, &Assigned::new(), begin)
    }

    fn numbers(walked: &Walked) -> Vec<u128> {
        walked
            .watched
            .iter()
            .map(|watch| watch.id.as_u128())
            .collect()
    }

    #[test]
    fn room_is_shared_by_those_who_want_it() {
        assert_eq!(shares(&[0, 3, 0, 30]), [0, 3, 0, 21]);
        assert_eq!(shares(&[9, 24, 9]), [8, 8, 8]);
        assert_eq!(shares(&[1; 30]).iter().sum::<usize>(), 24);
        assert_eq!(shares(&[]), [0; 0]);
    }

    #[test]
    fn funnels_with_nothing_to_watch_for_take_no_room() {
        let unseen = json!({"type": "page", "config": {"url": "https://shop.test/unseen"}});
        let mut plans: Vec<_> = (10..33).map(|number| plan(number, &unseen, 1)).collect();
        plans.push(plan(1, &by_event("begin"), 3));
        let entered = FunnelDeed::Did(Uuid::from_u128(10_001).into());
        let walked = follow(plans, vec![entered]);
        assert_eq!(walked.outcomes, [StepOutcome::New]);
        // Each event before the node that it opens the way to.
        let expected = [11_002, 10_102, 11_001, 10_101, 11_000, 10_100];
        assert_eq!(numbers(&walked), expected);
    }

    #[test]
    fn where_room_ends_an_event_stays_before_its_node() {
        let walked = follow(
            vec![
                plan(1, &by_event("begin"), 20),
                plan(2, &by_event("begin"), 20),
            ],
            vec![],
        );
        let watched = numbers(&walked);
        assert_eq!(watched.len(), 24);
        // The entry and ten of what comes behind it: of the sixth way the event alone.
        let first = [
            11_005, 11_004, 10_104, 11_003, 10_103, 11_002, 10_102, 11_001, 10_101, 11_000, 10_100,
            10_001,
        ];
        assert_eq!(watched[..12], first);
    }

    #[test]
    fn what_became_of_a_deed_says_the_funnel_that_has_it() {
        let [early, begun] = [1, 2].map(|number| plan(number, &by_event("begin"), 1));
        let told =
            |number: u128| FunnelDeed::Event(Uuid::from_u128(number).into(), "opened".to_owned());
        let entered = FunnelDeed::Did(Uuid::from_u128(20_001).into());
        let walked = follow(
            vec![early, begun],
            vec![entered, told(11_000), told(21_000)],
        );
        let expected = [StepOutcome::New, StepOutcome::Early, StepOutcome::Known];
        assert_eq!(walked.outcomes, expected);
    }
}
