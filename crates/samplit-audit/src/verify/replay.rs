//! Replaying decisions: every draw, every choice, every count, every weight.

use std::collections::{BTreeSet, VecDeque};

use uuid::Uuid;

use super::{FailureKind, ReplayReport, Total, counts::Counts, visitors::Visitors};
use crate::{
    DecisionType, DrawKey, EntryRef, choose,
    payload::{
        ArmState, Assignment, Block, Conversion, Genesis, PerElement, Prior, Reallocation, Seal,
        TypedPayload,
    },
    scale, sj1,
};

/// How many counted events a reallocation may lag behind the entry before it.
pub const MAX_COUNT_LAG: usize = 1 << 20;
/// How far a recomputed weight may be from the logged one: quadrature differs in the last digits.
pub const WEIGHT_TOLERANCE_PPB: u32 = 1_000;

/// The counts of one arm, as a reallocation shows them to the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArmCount {
    /// Assignments.
    pub n: u64,
    /// Conversions.
    pub s: u64,
    /// Whether the arm can still be drawn.
    pub active: bool,
}

/// The rule that the genesis entry announces, implemented by whoever has the statistics.
pub trait AllocationRule: Send + Sync {
    /// The weights in parts per billion that follow from the counts of one element's arms.
    ///
    /// # Errors
    /// The rule cannot be applied to these counts.
    fn weights(
        &self,
        genesis: &Genesis,
        element: usize,
        counts: &[ArmCount],
    ) -> Result<Vec<u32>, String>;
}

impl<F> AllocationRule for F
where
    F: Fn(&Genesis, usize, &[ArmCount]) -> Result<Vec<u32>, String> + Send + Sync,
{
    fn weights(
        &self,
        genesis: &Genesis,
        element: usize,
        counts: &[ArmCount],
    ) -> Result<Vec<u32>, String> {
        self(genesis, element, counts)
    }
}

/// Weights in force.
#[derive(Debug)]
struct Snapshot {
    sequence: u64,
    weights_ppb: Vec<Vec<u32>>,
    /// When the next snapshot came.
    superseded_us: Option<i64>,
}

pub(crate) struct Replay {
    experiment_id: Uuid,
    draw_key: Option<DrawKey>,
    rule: Option<Box<dyn AllocationRule>>,
    /// Everything that needs the genesis entry.
    state: Option<State>,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    genesis: Genesis,
    snapshots: VecDeque<Snapshot>,
    visitors: Visitors,
    counts: Counts,
    /// Assignments whose payload was redacted.
    hidden: BTreeSet<u64>,
    sealed: bool,
    report: ReplayReport,
}

type Wrong = (FailureKind, String);

fn wrong<T>(what: impl Into<String>) -> Result<T, Wrong> {
    Err((FailureKind::Replay, what.into()))
}

fn read<T: TypedPayload>(entry: &EntryRef<'_>) -> Result<T, Wrong> {
    T::parse(entry.payload).map_err(|error: sj1::Error| {
        let what = format!("is not a {} of the format, {error}", entry.decision_type);
        (FailureKind::Malformed, what)
    })
}

impl Replay {
    pub(crate) fn new(
        experiment_id: Uuid,
        draw_key: Option<DrawKey>,
        rule: Option<Box<dyn AllocationRule>>,
    ) -> Self {
        Self {
            experiment_id,
            draw_key,
            rule,
            state: None,
        }
    }

    pub(crate) fn reveal(&mut self, draw_key: &DrawKey) -> Result<(), &'static str> {
        match &self.draw_key {
            Some(given) if given.expose() != draw_key.expose() => {
                Err("the revealed draw key is not the one that was handed over")
            }
            _ => {
                self.draw_key = Some(draw_key.clone());
                Ok(())
            }
        }
    }

    pub(crate) fn entry(&mut self, entry: &EntryRef<'_>, stub: bool) -> Result<(), Wrong> {
        let Some(state) = &mut self.state else {
            let genesis: Genesis = read(entry)?;
            let commitment = self
                .draw_key
                .as_ref()
                .map(|key| key.commitment(self.experiment_id));
            if commitment.is_some_and(|commitment| commitment != genesis.draw_key_commitment) {
                return wrong("the draw key is not the one that was committed to");
            }
            self.state = Some(State::new(genesis));
            return Ok(());
        };
        if state.sealed
            && !matches!(
                entry.decision_type,
                DecisionType::Redaction | DecisionType::Restore
            )
        {
            return wrong("decides something after the seal");
        }
        match entry.decision_type {
            DecisionType::Assignment if stub => {
                state.hidden.insert(entry.sequence_number);
                state.counts.hidden(entry.sequence_number, false);
                Ok(())
            }
            DecisionType::Conversion if stub => {
                state.counts.hidden(entry.sequence_number, true);
                Ok(())
            }
            DecisionType::Assignment => {
                let assignment: Assignment = read(entry)?;
                if let Some(key) = &self.draw_key {
                    let u64 = key.draw(self.experiment_id, assignment.visitor, assignment.draw());
                    if u64 != assignment.u64 {
                        return wrong("the draw is not that of the draw key");
                    }
                    state.report.draws += 1;
                }
                state.assignment(entry, &assignment)
            }
            DecisionType::Conversion => state.conversion(entry, &read(entry)?),
            DecisionType::Reallocation => {
                state.reallocation(entry, read(entry)?, self.rule.as_deref())
            }
            DecisionType::Seal => {
                let seal: Seal = read(entry)?;
                let commitment = DrawKey::from_bytes(seal.draw_key).commitment(self.experiment_id);
                if commitment != state.genesis.draw_key_commitment {
                    return wrong("the sealed draw key is not the one that was committed to");
                }
                state.seal(entry, &seal)
            }
            DecisionType::Genesis | DecisionType::Redaction | DecisionType::Restore => Ok(()),
        }
    }

    pub(crate) fn report(self) -> ReplayReport {
        let Some(state) = self.state else {
            return ReplayReport::default();
        };
        ReplayReport {
            totals: state.counts.totals().to_vec(),
            ..state.report
        }
    }
}

impl State {
    fn new(genesis: Genesis) -> Self {
        let elements = genesis.elements.as_slice();
        let weights_ppb = elements
            .iter()
            .map(|element| element.weights_ppb.clone())
            .collect();
        Self {
            snapshots: VecDeque::from([Snapshot {
                sequence: 1,
                weights_ppb,
                superseded_us: None,
            }]),
            visitors: Visitors::new(elements.len()),
            counts: Counts::new(elements, &genesis.carried),
            hidden: BTreeSet::new(),
            sealed: false,
            report: ReplayReport::default(),
            genesis,
        }
    }

    fn independent(&self) -> bool {
        matches!(self.genesis.elements, PerElement::Many(_))
    }

    /// The weights of a snapshot that may still be used at `now_us`.
    fn weights(&mut self, sequence: u64, element: usize, now_us: i64) -> Result<&[u32], Wrong> {
        let lag = i64::try_from(self.genesis.max_snapshot_lag_us).unwrap_or(i64::MAX);
        let stale = |snapshot: &mut Snapshot| {
            snapshot
                .superseded_us
                .is_some_and(|since| since.saturating_add(lag) < now_us)
        };
        while self.snapshots.pop_front_if(stale).is_some() {}
        match self
            .snapshots
            .iter()
            .rev()
            .find(|snapshot| snapshot.sequence == sequence)
        {
            None => wrong(format!(
                "uses snapshot {sequence}, which is no snapshot or too old"
            )),
            Some(snapshot) => match snapshot.weights_ppb.get(element) {
                None => wrong("draws for an element that there is not"),
                Some(weights) => Ok(weights),
            },
        }
    }

    fn assignment(&mut self, entry: &EntryRef<'_>, assignment: &Assignment) -> Result<(), Wrong> {
        if assignment.element.is_some() != self.independent() {
            return wrong("names its element iff elements are drawn independently");
        }
        if assignment.r_ppb != scale(assignment.u64) {
            return wrong("r_ppb is not that of u64_hex");
        }
        let element = usize::from(assignment.draw());
        let weights = self.weights(assignment.snapshot_seq, element, entry.created_at_us)?;
        if choose(weights, assignment.r_ppb) != Some(usize::from(assignment.arm)) {
            return wrong("the arm is not the one that the draw chooses");
        }
        let mut visitor = self
            .visitors
            .get_or_add(assignment.visitor, entry.sequence_number);
        if visitor.arm(element).is_some() {
            return wrong("assigns a visitor a second time");
        }
        visitor.set_arm(element, assignment.arm);
        self.counts
            .assigned(entry.sequence_number, assignment.draw(), assignment.arm);
        self.report.assignments += 1;
        Ok(())
    }

    fn conversion(&mut self, entry: &EntryRef<'_>, conversion: &Conversion) -> Result<(), Wrong> {
        let elements = self.genesis.elements.as_slice();
        let arms = conversion.arms.as_slice();
        if matches!(conversion.arms, PerElement::Many(_)) != self.independent()
            || arms.len() != elements.len()
            || arms
                .iter()
                .zip(elements)
                .any(|(arm, of)| usize::from(*arm) >= of.arms.len())
        {
            return wrong("names arms that there are not");
        }
        let first = conversion.assignment_seq;
        let first_is_hidden = self.hidden.contains(&first);
        let carried = first == 0 && !self.genesis.carried.is_empty();
        match self.visitors.get(conversion.visitor) {
            Some(visitor) if *visitor.converted => {
                return wrong("converts a visitor a second time");
            }
            Some(visitor)
                if first != visitor.first_seq
                    && !(first_is_hidden && first < visitor.first_seq) =>
            {
                return wrong("names another assignment than the visitor's first");
            }
            None if !first_is_hidden && !carried => {
                return wrong("names no earlier assignment of its visitor");
            }
            Some(_) | None => {}
        }
        let mut visitor = self.visitors.get_or_add(conversion.visitor, first);
        *visitor.converted = true;
        for (element, arm) in arms.iter().enumerate() {
            match visitor.arm(element) {
                Some(assigned) if assigned != *arm => {
                    return wrong("names another arm than the one assigned");
                }
                // Unknown because its assignment is redacted or older than the trail.
                None if self.hidden.is_empty() && !carried => {
                    return wrong("names an arm of an element that was not assigned");
                }
                _ => visitor.set_arm(element, *arm),
            }
        }
        for (element, arm) in (0..).zip(arms) {
            self.counts.converted(entry.sequence_number, element, *arm);
        }
        self.report.conversions += 1;
        Ok(())
    }

    fn reallocation(
        &mut self,
        entry: &EntryRef<'_>,
        reallocation: Reallocation,
        rule: Option<&dyn AllocationRule>,
    ) -> Result<(), Wrong> {
        if reallocation.upto_seq >= entry.sequence_number {
            return wrong("counts entries that come after it");
        }
        if matches!(reallocation.elements, PerElement::Many(_)) != self.independent() {
            return wrong("has other elements than the genesis");
        }
        let blocks = match reallocation.elements {
            PerElement::One(block) => vec![block],
            PerElement::Many(blocks) => blocks,
        };
        let total = |arm: &ArmState| Total { n: arm.n, s: arm.s };
        let claimed: Vec<Vec<Total>> = blocks
            .iter()
            .map(|block| block.arms.iter().map(total).collect())
            .collect();
        self.counts
            .compare(reallocation.upto_seq, &claimed)
            .map_err(|what| (FailureKind::Replay, what))?;
        for (element, block) in blocks.iter().enumerate() {
            check_posterior(self.genesis.prior, block)?;
            if let Some(rule) = rule {
                check_weights(rule, &self.genesis, element, block)?;
            }
        }
        self.report.weights += u64::from(rule.is_some());
        self.report.reallocations += 1;
        if let Some(last) = self.snapshots.back_mut() {
            last.superseded_us = Some(entry.created_at_us);
        }
        self.snapshots.push_back(Snapshot {
            sequence: entry.sequence_number,
            weights_ppb: blocks.into_iter().map(|block| block.weights_ppb).collect(),
            superseded_us: None,
        });
        Ok(())
    }

    fn seal(&mut self, entry: &EntryRef<'_>, seal: &Seal) -> Result<(), Wrong> {
        if matches!(seal.elements, PerElement::Many(_)) != self.independent() {
            return wrong("has other elements than the genesis");
        }
        let claimed: Vec<Vec<Total>> = seal
            .elements
            .as_slice()
            .iter()
            .map(|arms| {
                arms.iter()
                    .map(|arm| Total { n: arm.n, s: arm.s })
                    .collect()
            })
            .collect();
        self.sealed = true;
        self.counts
            .compare(entry.sequence_number, &claimed)
            .map_err(|what| (FailureKind::Replay, what))
    }
}

/// The posterior is the prior plus the counts.
fn check_posterior(prior: Prior, block: &Block) -> Result<(), Wrong> {
    #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
    let near = |value: f64, prior: f64, count: u64| {
        let expected = prior + count as f64;
        (value - expected).abs() <= 1e-9 * expected
    };
    for arm in &block.arms {
        let failures = arm.n.checked_sub(arm.s);
        if !near(arm.alpha, prior.alpha, arm.s)
            || !failures.is_some_and(|failures| near(arm.beta, prior.beta, failures))
        {
            return wrong("the posterior is not the prior and the counts");
        }
    }
    Ok(())
}

fn check_weights(
    rule: &dyn AllocationRule,
    genesis: &Genesis,
    element: usize,
    block: &Block,
) -> Result<(), Wrong> {
    let count = |arm: &ArmState| ArmCount {
        n: arm.n,
        s: arm.s,
        active: arm.active,
    };
    let counts: Vec<ArmCount> = block.arms.iter().map(count).collect();
    let weights = match rule.weights(genesis, element, &counts) {
        Ok(weights) => weights,
        Err(error) => return wrong(format!("the rule gives no weights: {error}")),
    };
    let near =
        |(logged, computed): (&u32, &u32)| logged.abs_diff(*computed) <= WEIGHT_TOLERANCE_PPB;
    if weights.len() != block.weights_ppb.len() || !block.weights_ppb.iter().zip(&weights).all(near)
    {
        return wrong(format!(
            "the weights {:?} of element {element} do not follow from the counts, which give {:?}",
            block.weights_ppb, weights,
        ));
    }
    Ok(())
}
