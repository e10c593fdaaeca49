//! The course of an experiment as pictures need it: few points, and one pass over the statistics.
//!
//! Visitors are counted for the moment when the weights that drew them came into force, which is at most
//! a minute earlier while there is traffic. Fixed weights come into force once, so that their course is a
//! single point.

use samplit_bandit::Contrast;
use samplit_domain::{ArmSet, arm_sets, from_micros};
use time::{Date, Duration, OffsetDateTime};

use super::evidence::{Evidence, IntervalEstimate, cut};
use super::timeline::{TimelinePoint, point};
use super::{ElementResults, Record};
use crate::Error;
use crate::trail::{signed, unsigned};

/// The most points of a line.
const MAX_POINTS: usize = 60;

/// The same as a share of the time.
const STEP: f64 = 1.0 / 60.0;

/// The most periods that are told apart.
const MAX_PERIODS: i64 = 62;

/// How an experiment got where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// Every change of the weights, from the first on, without counts.
    pub weights: Vec<TimelinePoint>,
    /// One per draw.
    pub draws: Vec<DrawCourse>,
}

/// The course of one draw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DrawCourse {
    /// At most 60, evenly spread over the time; the last one is now.
    pub points: Vec<CoursePoint>,
    /// At most 62 in a row, from the first day on; empty where the weights are fixed.
    pub periods: Vec<CoursePeriod>,
    /// How many days each of them has: 1, 7 or 28, or more in steps of 28.
    pub period_days: u16,
}

/// What was known at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct CoursePoint {
    /// The moment.
    pub at: OffsetDateTime,
    /// The confidence sequence of each arm's conversion rate; `None` before its first visitor.
    pub rates: Vec<Option<IntervalEstimate>>,
}

/// What visitors of some days in a row did.
#[derive(Clone, Debug, PartialEq)]
pub struct CoursePeriod {
    /// The first of the days, in UTC.
    pub first: Date,
    /// By position.
    pub arms: Vec<CourseArm>,
}

/// One arm in one period.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CourseArm {
    /// Visitors assigned.
    pub visitors: u64,
    /// Of those, converted, whenever they did.
    pub conversions: u64,
    /// Sum of their values.
    pub value: f64,
}

impl Record {
    /// The course until `now`, which is when the experiment was completed if it was. `elements` are
    /// the results of now, whose last point need not be computed again.
    pub(crate) fn course(
        &self,
        elements: &[ElementResults],
        now: OffsetDateTime,
    ) -> Result<Course, Error> {
        let now = self.experiment.completed_at.unwrap_or(now);
        let sets = arm_sets(&self.experiment);
        let ends = self.ends(now);
        let mut draws = Vec::with_capacity(sets.len());
        for (element, set) in sets.iter().enumerate() {
            let (periods, period_days) = self.periods(element, set)?;
            let mut points = self.points(element, set, &ends)?;
            if let Some(results) = elements.get(element) {
                let rates = results.arms.iter().map(|arm| arm.evidence.always_valid);
                points.push(CoursePoint {
                    at: now,
                    rates: rates.collect(),
                });
            }
            draws.push(DrawCourse {
                points,
                periods,
                period_days,
            });
        }
        Ok(Course {
            weights: self.snapshots.iter().map(point).collect(),
            draws,
        })
    }

    /// Snapshots at whose ends a point is shown, as (sequence number, end), without the last one: the
    /// latest that ended in each sixtieth of the time.
    fn ends(&self, now: OffsetDateTime) -> Vec<(u64, OffsetDateTime)> {
        let Some(first) = self.snapshots.first() else {
            return Vec::new();
        };
        let start = from_micros(first.at_us);
        let step = (STEP * (now - start).as_seconds_f64()).max(1e-6);
        let slot = |at: OffsetDateTime| ((at - start).as_seconds_f64().max(0.0) / step).ceil();
        let mut ends = Vec::<(u64, OffsetDateTime)>::new();
        for pair in self.snapshots.windows(2) {
            let end = from_micros(pair[1].at_us);
            let before = ends.last().map(|(_, end)| slot(*end));
            if before.is_some_and(|before| before.total_cmp(&slot(end)).is_eq()) {
                ends.pop();
            }
            ends.push((pair[0].seq, end));
        }
        ends.truncate(MAX_POINTS - 1);
        ends
    }

    fn points(
        &self,
        element: usize,
        set: &ArmSet,
        ends: &[(u64, OffsetDateTime)],
    ) -> Result<Vec<CoursePoint>, Error> {
        let arms = set.arms.len();
        let shape = (element, arms, set.control());
        let evidence = Evidence::new(&self.rows, &self.weights(element), shape, false)?;
        let stopping = &self.experiment.stopping;
        let mut points = Vec::with_capacity(ends.len() + 1);
        for &(seq, at) in ends {
            let rates = (0..arms).map(|arm| {
                if !evidence.is_played_upto(seq, arm) {
                    return Ok(None);
                }
                let contrast = Contrast::Mean(arm);
                let sequence = evidence.sequence_upto(seq, contrast, stopping, arms)?;
                Ok(Some(cut(sequence, 0.0)))
            });
            points.push(CoursePoint {
                at,
                rates: rates.collect::<Result<_, Error>>()?,
            });
        }
        Ok(points)
    }

    fn periods(&self, element: usize, set: &ArmSet) -> Result<(Vec<CoursePeriod>, u16), Error> {
        let dates: Vec<(i64, Date)> = self
            .snapshots
            .iter()
            .map(|snapshot| (signed(snapshot.seq), from_micros(snapshot.at_us).date()))
            .collect();
        let (Some((_, first)), Some((_, last))) = (dates.first(), dates.last()) else {
            return Ok((Vec::new(), 1));
        };
        if self.experiment.strategy == samplit_domain::Strategy::Fixed {
            return Ok((Vec::new(), 1));
        }
        let days = (*last - *first).whole_days() + 1;
        let length = period_length(days);
        let mut periods: Vec<CoursePeriod> = (0..(days + length - 1) / length)
            .map(|index| CoursePeriod {
                first: *first + Duration::days(length * index),
                arms: vec![CourseArm::default(); set.arms.len()],
            })
            .collect();
        for row in self
            .rows
            .iter()
            .filter(|row| usize::try_from(row.element) == Ok(element))
        {
            let found = dates.binary_search_by_key(&row.snapshot_seq, |(seq, _)| *seq);
            let Ok(found) = found else { continue };
            let index = usize::try_from((dates[found].1 - *first).whole_days() / length);
            let period = index.ok().and_then(|index| periods.get_mut(index));
            let arm = period.zip(usize::try_from(row.arm).ok());
            if let Some(arm) = arm.and_then(|(period, arm)| period.arms.get_mut(arm)) {
                arm.visitors += unsigned(row.assignments)?;
                arm.conversions += unsigned(row.conversions)?;
                arm.value += row.value_sum;
            }
        }
        Ok((periods, u16::try_from(length).unwrap_or(u16::MAX)))
    }
}

/// Days per period, so that so many days are at most [`MAX_PERIODS`] periods.
fn period_length(days: i64) -> i64 {
    match days {
        ..=MAX_PERIODS => 1,
        days if days <= 7 * MAX_PERIODS => 7,
        days => 28 * (days / (28 * MAX_PERIODS) + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_PERIODS, period_length};

    #[test]
    fn however_long_it_runs_the_periods_are_few() {
        for (days, expected) in [(1, 1), (62, 1), (63, 7), (434, 7), (435, 28), (1_800, 56)] {
            assert_eq!(period_length(days), expected, "{days}");
        }
        for days in 1..5_000 {
            let length = period_length(days);
            assert!((days + length - 1) / length <= MAX_PERIODS, "{days}");
        }
    }
}
