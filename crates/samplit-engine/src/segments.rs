//! Questions asked afterwards: by a key of the context, or by what was shown together.
//!
//! These scan the rows of the experiment, and they are not what it was designed for: with twenty
//! segments, one looks special at 95 % by chance alone. The answer says so.

use std::collections::BTreeMap;

use samplit_bandit::{Beta, Counts, Prior, p_best};
use samplit_domain::{ExperimentId, VariantId, Violations, arm_sets};
use samplit_store::assignments::{self, AssignmentCount};
use serde::Serialize;

use crate::reallocation::count;
use crate::trail::unsigned;
use crate::{Engine, Error, Principal, Scope, visitor};

/// The most segments told apart; the rest is counted together.
const MAX_SEGMENTS: usize = 50;

/// The level of every interval.
const LEVEL: f64 = 0.95;

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
    ) -> Result<Vec<Segment>, Error> {
        who.require(Scope::Read)?;
        let mut violations = Violations::default();
        violations.text("?key", key, 255);
        violations.into_result(())?;
        let live = self.visible_live(who, id).await?;
        live.started()?;
        let counts = self.core.database.run(|session| {
            Box::pin(async move { assignments::count(session, id, Some(key)).await })
        });
        // In the order of their values, so that segments of one size have an order, too.
        let mut segments = BTreeMap::<Option<String>, Vec<AssignmentCount>>::new();
        for count in counts.await? {
            let rows = segments.entry(count.segment.clone()).or_default();
            rows.push(count);
        }
        let mut segments: Vec<_> = segments.into_iter().collect();
        let visitors =
            |rows: &[AssignmentCount]| -> i64 { rows.iter().map(|r| r.assignments).sum() };
        segments.sort_by_key(|(_, rows)| std::cmp::Reverse(visitors(rows)));
        let rest = segments.split_off(segments.len().min(MAX_SEGMENTS));
        let rest: Vec<AssignmentCount> = rest.into_iter().flat_map(|(_, rows)| rows).collect();
        let sets = arm_sets(&live.experiment);
        let build = |value, is_rest, rows: &[AssignmentCount]| {
            let mut counts: Vec<Vec<(u64, u64)>> = sets
                .iter()
                .map(|set| vec![(0, 0); set.arms.len()])
                .collect();
            for row in rows {
                let shown = visitor::stored_variants(
                    &live.experiment,
                    row.variant_id,
                    row.variants.as_ref(),
                );
                for (counts, arm) in counts.iter_mut().zip(visitor::arms(&sets, &shown)) {
                    let (n, s) = &mut counts[usize::from(arm)];
                    *n += unsigned(row.assignments)?;
                    *s += unsigned(row.conversions)?;
                }
            }
            let elements = sets.iter().zip(&counts).map(|(set, counts)| {
                let active = set.active();
                segment_arms(
                    set.arms.iter().map(|arm| arm.name.as_str()),
                    counts,
                    &active,
                )
            });
            Ok(Segment {
                value,
                is_rest,
                elements: elements.collect::<Result<_, Error>>()?,
            })
        };
        let mut built = segments
            .into_iter()
            .map(|(value, rows)| build(value, false, &rows))
            .collect::<Result<Vec<_>, Error>>()?;
        if !rest.is_empty() {
            built.push(build(None, true, &rest)?);
        }
        Ok(built)
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

fn posterior(n: u64, s: u64) -> Result<Beta, Error> {
    Prior::default()
        .posterior(Counts { n, s })
        .map_err(Error::internal)
}

fn segment_arms<'a>(
    names: impl Iterator<Item = &'a str>,
    counts: &[(u64, u64)],
    active: &[bool],
) -> Result<Vec<SegmentArm>, Error> {
    let mut arms = Vec::with_capacity(counts.len());
    let mut contenders = Vec::new();
    for ((name, &(n, s)), &is_active) in names.zip(counts).zip(active) {
        let posterior = posterior(n, s)?;
        if is_active {
            contenders.push(posterior);
        }
        arms.push(SegmentArm {
            name: name.to_owned(),
            assignments: n,
            conversions: s,
            rate: (n > 0).then(|| count(s) / count(n)),
            credible_interval: posterior.interval(LEVEL).map_err(Error::internal)?.into(),
            p_best: 0.0,
        });
    }
    let best = p_best(&contenders).map_err(Error::internal)?;
    let playing = arms.iter_mut().zip(active).filter(|(_, active)| **active);
    for ((arm, _), p) in playing.zip(best) {
        arm.p_best = p;
    }
    Ok(arms)
}
