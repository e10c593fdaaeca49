//! Questions asked afterwards: by a key of the context, or by what was shown together.
//!
//! These scan the rows of the experiment, and they are not what it was designed for: with twenty
//! segments, one looks special at 95 % by chance alone. The answer says so, and the intervals of the
//! comparisons with control are wide enough for all of them together (Bonferroni).

use std::collections::BTreeMap;
use std::sync::Arc;

use samplit_bandit::{Beta, Counts, Prior, bonferroni, lift, p_best};
use samplit_domain::{ArmSet, Experiment, ExperimentId, VariantId, Violations, arm_sets};
use samplit_store::assignments::{self, AssignmentCount};
use serde::Serialize;

use crate::reallocation::count;
use crate::results::LiftResults;
use crate::trail::unsigned;
use crate::{Engine, Error, Principal, Scope, visitor};

/// The most segments told apart; the rest is counted together.
const MAX_SEGMENTS: usize = 50;

/// The level of every interval.
const LEVEL: f64 = 0.95;

/// Visitors that an arm and control have to have each, and conversions both together, so that they are
/// compared. Of two the posterior with a flat prior is mostly prior; where few met many, one conversion
/// among the few would stand out.
const MIN_VISITORS: u64 = 100;
const MIN_CONVERSIONS: u64 = 5;

/// Answers that are computed at once; each takes a core.
pub(crate) const AT_ONCE: usize = 2;

/// The arms by a key of the visitors' context.
#[derive(Clone, Debug, PartialEq)]
pub struct Segments {
    /// Comparisons with control, of all segments and draws.
    pub comparisons: usize,
    /// The most frequent value first.
    pub data: Vec<Segment>,
}

/// What one segment of the visitors did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Segment {
    /// The value of the key; `None` for visitors without it.
    pub value: Option<String>,
    /// Whether it holds all values beyond the 50 most frequent.
    pub is_rest: bool,
    /// Per draw, per arm.
    pub elements: Vec<Vec<SegmentArm>>,
}

/// One arm within a segment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SegmentArm {
    /// Its name.
    pub name: String,
    /// Visitors assigned.
    pub assignments: u64,
    /// Of those, converted.
    pub conversions: u64,
    /// Conversions per visitor; `None` without visitors.
    pub rate: Option<f64>,
    /// Equal-tailed 95 % credible interval of the conversion rate, prior Beta(1, 1).
    pub credible_interval: [f64; 2],
    /// Probability of having the highest rate in this segment, among active arms.
    pub p_best: f64,
    /// The relative difference from control, with an interval that is wide enough for all comparisons of
    /// the answer together; `None` for control, and where one of the two has less than 100 visitors or
    /// both together have less than 5 conversions.
    pub lift: Option<LiftResults>,
    /// Whether that interval leaves zero out.
    pub stands_out: bool,
}

/// What was shown together, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Combination {
    /// One variant per element.
    pub variants: Vec<VariantId>,
    /// Their names joined by ` + `.
    pub name: String,
    /// Visitors assigned.
    pub assignments: u64,
    /// Of those, converted.
    pub conversions: u64,
    /// Conversions per visitor.
    pub rate: f64,
    /// Equal-tailed 95 % credible interval of the conversion rate, prior Beta(1, 1).
    pub credible_interval: [f64; 2],
}

impl Engine {
    /// The arms by a key of the visitors' context, most frequent value first. Read as a hint for
    /// the next experiment: the comparison was chosen after the fact, and there are many.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a key that cannot be,
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) before the start.
    pub async fn segments(
        &self,
        who: &Principal,
        id: ExperimentId,
        key: &str,
    ) -> Result<Segments, Error> {
        who.require(Scope::Read)?;
        let mut violations = Violations::default();
        violations.text("?key", key, 255);
        violations.into_result(())?;
        let live = self.visible_live(who, id).await?;
        live.started()?;
        let counts = self.core.database.run(|session| {
            Box::pin(async move { assignments::count(session, id, Some(key)).await })
        });
        let counts = counts.await?;
        let experiment = Arc::clone(&live.experiment);
        // Quadratures take milliseconds, which other requests need not wait for. Who goes away does not
        // stop them, so the turn is theirs.
        let turn = Arc::clone(&self.core.segmenting).acquire_owned().await;
        let turn = turn.map_err(Error::internal)?;
        let computed = tokio::task::spawn_blocking(move || {
            let segments = segments(&experiment, counts);
            drop(turn);
            segments
        });
        computed.await.map_err(Error::internal)?
    }

    /// What was shown together, most frequent first: for experiments whose elements are drawn each
    /// for itself, to see whether they get along.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) before the start.
    pub async fn combinations(
        &self,
        who: &Principal,
        id: ExperimentId,
    ) -> Result<Vec<Combination>, Error> {
        who.require(Scope::Read)?;
        let live = self.visible_live(who, id).await?;
        live.started()?;
        let counts = self
            .core
            .database
            .run(|session| Box::pin(async move { assignments::count(session, id, None).await }));
        let mut combinations = Vec::new();
        for row in counts.await? {
            let experiment = &live.experiment;
            let variants =
                visitor::stored_variants(experiment, row.variant_id, row.variants.as_ref());
            let names = variants.iter().filter_map(|id| experiment.variant(*id));
            let (n, s) = (unsigned(row.assignments)?, unsigned(row.conversions)?);
            combinations.push(Combination {
                name: names
                    .map(|v| v.name.as_str())
                    .collect::<Vec<_>>()
                    .join(" + "),
                variants,
                assignments: n,
                conversions: s,
                rate: count(s) / count(n.max(1)),
                credible_interval: posterior(n, s)?
                    .interval(LEVEL)
                    .map_err(Error::internal)?
                    .into(),
            });
        }
        combinations.sort_by_key(|combination| std::cmp::Reverse(combination.assignments));
        Ok(combinations)
    }
}

/// Visitors and conversions of each arm of each draw.
type ArmCounts = Vec<Vec<(u64, u64)>>;

/// One segment before anything is computed of it.
struct Counted {
    value: Option<String>,
    is_rest: bool,
    counts: ArmCounts,
}

fn segments(experiment: &Experiment, counts: Vec<AssignmentCount>) -> Result<Segments, Error> {
    // In the order of their values, so that segments of one size have an order, too.
    let mut rows = BTreeMap::<Option<String>, Vec<AssignmentCount>>::new();
    for count in counts {
        rows.entry(count.segment.clone()).or_default().push(count);
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    let visitors = |rows: &[AssignmentCount]| -> i64 { rows.iter().map(|r| r.assignments).sum() };
    rows.sort_by_key(|(_, rows)| std::cmp::Reverse(visitors(rows)));
    let rest = rows.split_off(rows.len().min(MAX_SEGMENTS));
    let sets = arm_sets(experiment);
    let mut counted = Vec::with_capacity(rows.len() + 1);
    for (value, rows) in rows {
        counted.push(Counted {
            value,
            is_rest: false,
            counts: arm_counts(experiment, &sets, &rows)?,
        });
    }
    if !rest.is_empty() {
        let rows: Vec<_> = rest.into_iter().flat_map(|(_, rows)| rows).collect();
        counted.push(Counted {
            value: None,
            is_rest: true,
            counts: arm_counts(experiment, &sets, &rows)?,
        });
    }
    let comparisons = counted
        .iter()
        .flat_map(|segment| sets.iter().zip(&segment.counts))
        .map(|(set, counts)| {
            (0..counts.len())
                .filter(|&arm| is_compared(set, counts, arm))
                .count()
        })
        .sum();
    let level = 1.0 - bonferroni(0.05, std::cmp::max(comparisons, 1)).map_err(Error::internal)?;
    let told = counted.into_iter().map(|segment| {
        let draws = sets.iter().zip(&segment.counts);
        let elements = draws.map(|(set, counts)| segment_arms(set, counts, level));
        Ok(Segment {
            value: segment.value,
            is_rest: segment.is_rest,
            elements: elements.collect::<Result<_, Error>>()?,
        })
    });
    Ok(Segments {
        comparisons,
        data: told.collect::<Result<_, Error>>()?,
    })
}

/// Adds rows up by what they were shown.
fn arm_counts(
    experiment: &Experiment,
    sets: &[ArmSet],
    rows: &[AssignmentCount],
) -> Result<ArmCounts, Error> {
    let mut counts: ArmCounts = sets
        .iter()
        .map(|set| vec![(0, 0); set.arms.len()])
        .collect();
    for row in rows {
        let shown = visitor::stored_variants(experiment, row.variant_id, row.variants.as_ref());
        for (counts, arm) in counts.iter_mut().zip(visitor::arms(sets, &shown)) {
            let (n, s) = &mut counts[usize::from(arm)];
            *n += unsigned(row.assignments)?;
            *s += unsigned(row.conversions)?;
        }
    }
    Ok(counts)
}

/// Whether there is enough of an arm, and of control to compare it with. Conversions are counted in the two
/// together, which says nothing about the difference.
fn is_compared(set: &ArmSet, counts: &[(u64, u64)], arm: usize) -> bool {
    let control = set.control();
    arm != control && is_enough(counts[arm], counts[control])
}

const fn is_enough((n, s): (u64, u64), (of, converted): (u64, u64)) -> bool {
    n >= MIN_VISITORS && of >= MIN_VISITORS && s + converted >= MIN_CONVERSIONS
}

fn posterior(n: u64, s: u64) -> Result<Beta, Error> {
    Prior::default()
        .posterior(Counts { n, s })
        .map_err(Error::internal)
}

fn segment_arms(set: &ArmSet, counts: &[(u64, u64)], level: f64) -> Result<Vec<SegmentArm>, Error> {
    let posteriors = counts.iter().map(|&(n, s)| posterior(n, s));
    let posteriors = posteriors.collect::<Result<Vec<Beta>, Error>>()?;
    let control = &posteriors[set.control()];
    let mut arms = Vec::with_capacity(counts.len());
    for (index, (arm, &(n, s))) in set.arms.iter().zip(counts).enumerate() {
        let posterior = &posteriors[index];
        let lift = if is_compared(set, counts, index) {
            Some(lift(posterior, control, level).map_err(Error::internal)?)
        } else {
            None
        };
        arms.push(SegmentArm {
            name: arm.name.clone(),
            assignments: n,
            conversions: s,
            rate: (n > 0).then(|| count(s) / count(n)),
            credible_interval: posterior.interval(LEVEL).map_err(Error::internal)?.into(),
            p_best: 0.0,
            lift: lift.map(|lift| LiftResults {
                median: lift.median,
                interval: [lift.low, lift.high],
            }),
            stands_out: lift.is_some_and(|lift| lift.low > 0.0 || lift.high < 0.0),
        });
    }
    let playing: Vec<usize> = (0..arms.len())
        .filter(|&arm| set.arms[arm].is_active)
        .collect();
    let contenders: Vec<Beta> = playing.iter().map(|&arm| posteriors[arm]).collect();
    let best = p_best(&contenders).map_err(Error::internal)?;
    for (arm, p) in playing.into_iter().zip(best) {
        arms[arm].p_best = p;
    }
    Ok(arms)
}

#[cfg(test)]
mod tests {
    use super::is_enough;

    #[test]
    fn a_handful_of_visitors_is_not_compared() {
        assert!(!is_enough((3, 1), (9_000, 90)), "one of three");
        assert!(!is_enough((9_000, 90), (99, 20)), "few of control");
        assert!(!is_enough((100, 0), (9_000, 4)), "four conversions");
        assert!(is_enough((100, 0), (9_000, 5)));
        assert!(is_enough((100, 5), (100, 0)));
    }
}
