//! What there is to say about one draw: the few numbers that the sentence is made from.

use samplit_engine::{ArmResults, ElementResults, LiveResults, Status};

/// Fewer conversions than that say nothing about anything.
const FEW_CONVERSIONS: u64 = 10;

/// What there is to say about one draw.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts<'a> {
    pub(crate) status: Status,
    pub(crate) visitors: u64,
    pub(crate) conversions: u64,
    /// Visitors of the arm that has fewest of those that new visitors may get.
    pub(crate) fewest: u64,
    /// Visitors that every arm needs before anything is said of it.
    pub(crate) warm_up: u64,
    pub(crate) leader: &'a str,
    pub(crate) is_control: bool,
    pub(crate) p_best: f64,
    /// Of the leader against control: the median and the 95 % interval.
    pub(crate) lift: Option<(f64, [f64; 2])>,
    /// Conversions per visitor lost on average by choosing the leader now.
    pub(crate) expected_loss: f64,
    /// Conversions per 1,000 visitors that the leader brings beyond control.
    pub(crate) gain: Option<f64>,
    /// Value per 1,000 visitors that it brings beyond control, where value is measured.
    pub(crate) value_gain: Option<f64>,
    /// Whether another arm is as likely to be the best.
    pub(crate) is_tied: bool,
    /// What else one would choose, and what that loses: control, or the best of the others if control
    /// leads.
    pub(crate) rival: Option<(&'a str, f64)>,
    /// Whether it is proven at any look that the leader is better than control; if control leads,
    /// that every other arm is worse.
    pub(crate) is_proven: bool,
    pub(crate) may_stop: bool,
    /// Whether every draw of the experiment may.
    pub(crate) may_all_stop: bool,
    /// Days until it may stop, at this pace.
    pub(crate) days_to_go: Option<f64>,
    /// An arm whose visitors are not as many as the weights say, with those that came and those that
    /// were expected.
    pub(crate) mismatch: Option<(&'a str, u64, f64)>,
    /// What everybody gets, once it is completed.
    pub(crate) winner: Option<&'a str>,
    /// Whether the trail is sealed.
    pub(crate) is_sealed: bool,
}

impl<'a> Facts<'a> {
    /// The facts of draw `element`.
    pub(crate) fn of(live: &'a LiveResults, element: usize) -> Option<Self> {
        let results = &live.results;
        let experiment = &results.experiment;
        let draw = results.elements.get(element)?;
        let leader = draw.arms.get(draw.stopping.leader)?;
        let control = draw.arms.iter().find(|arm| arm.is_control);
        let value_of = |arm: &ArmResults| arm.value.map(|value| value.mean);
        let value_gain = value_of(leader).zip(control.and_then(value_of));
        let may_stop = |draw: &ElementResults| draw.stopping.may_stop;
        Some(Self {
            status: experiment.status,
            visitors: results.visitors,
            conversions: results.conversions,
            fewest: fewest(draw),
            warm_up: experiment.allocation.warm_up,
            leader: &leader.name,
            is_control: leader.is_control,
            p_best: leader.p_best,
            lift: leader.lift.map(|lift| (lift.median, lift.interval)),
            expected_loss: leader.expected_loss,
            gain: leader.expected_gain_per_1000,
            value_gain: value_gain.map(|(leader, control)| 1_000.0 * (leader - control)),
            is_tied: is_tied(draw),
            rival: rival(draw).map(|arm| (arm.name.as_str(), arm.expected_loss)),
            is_proven: is_proven(draw),
            may_stop: may_stop(draw),
            may_all_stop: results.elements.iter().all(may_stop),
            days_to_go: live.days_to_go.get(element).copied().flatten(),
            mismatch: mismatch(draw),
            winner: winner(live, element),
            is_sealed: live.is_sealed,
        })
    }

    /// Whether there is too little to say who is ahead.
    pub(crate) fn is_early(&self) -> bool {
        is_early(self.conversions, self.fewest, self.warm_up)
    }

    /// Whether so few converted that not even the registered rule makes a winner.
    pub(crate) fn is_rare(&self) -> bool {
        self.conversions < FEW_CONVERSIONS && !self.is_proven
    }

    /// Whether it is over, so that nobody new takes part.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status, Status::Completed | Status::Archived)
    }

    /// Value per 1,000 visitors that the leader brings less than control.
    pub(crate) fn value_lost(&self) -> Option<f64> {
        let lost = self.value_gain.map(|gain| -gain);
        lost.filter(|lost| *lost >= 0.005)
    }
}

/// Whether so few converted, or the arm that has fewest has so few visitors, that whoever is ahead may
/// be ahead by chance.
pub(crate) fn is_early(conversions: u64, fewest: u64, warm_up: u64) -> bool {
    fewest < warm_up || conversions < FEW_CONVERSIONS
}

/// Visitors of the arm that has fewest of those that new visitors may get.
pub(crate) fn fewest(draw: &ElementResults) -> u64 {
    let active = draw.arms.iter().filter(|arm| arm.is_active);
    active.map(|arm| arm.assignments).min().unwrap_or(0)
}

/// The arms beside the leader that new visitors may get.
fn others(draw: &ElementResults) -> impl Iterator<Item = &ArmResults> {
    let arms = draw.arms.iter().enumerate();
    arms.filter(|(arm, of)| *arm != draw.stopping.leader && of.is_active)
        .map(|(_, arm)| arm)
}

/// Whether another arm is as likely to be the best, as far as percents tell.
pub(crate) fn is_tied(draw: &ElementResults) -> bool {
    let leader = draw.arms.get(draw.stopping.leader);
    leader.is_some_and(|leader| others(draw).any(|arm| leader.p_best - arm.p_best < 0.005))
}

/// What else one would choose: control, or the best of the others if control leads or is turned off.
fn rival(draw: &ElementResults) -> Option<&ArmResults> {
    let control = others(draw).find(|arm| arm.is_control);
    control.or_else(|| others(draw).max_by(|one, two| one.p_best.total_cmp(&two.p_best)))
}

/// Whether it is proven at any look that the leader is better than control; if control leads, that
/// every other arm is worse. A difference that is proven the other way proves neither.
fn is_proven(draw: &ElementResults) -> bool {
    let Some(leader) = draw.arms.get(draw.stopping.leader) else {
        return false;
    };
    // The sign of a difference that is proven; nothing if none is.
    let sign = |arm: &ArmResults| {
        let difference = arm.evidence.versus_control?;
        let known = difference
            .always_valid
            .filter(|_| difference.excludes_zero)?;
        Some(known.estimate > 0.0)
    };
    if leader.is_control {
        others(draw).next().is_some() && others(draw).all(|arm| sign(arm) == Some(false))
    } else {
        sign(leader) == Some(true)
    }
}

/// The arm that is furthest from what was expected, if the split is not what the weights say.
fn mismatch(draw: &ElementResults) -> Option<(&str, u64, f64)> {
    let ratio = draw.sample_ratio.as_ref();
    let ratio = ratio.filter(|ratio| ratio.verdict == "mismatch")?;
    #[expect(clippy::cast_precision_loss, reason = "only compared")]
    let off =
        |(seen, expected): (u64, f64)| (seen as f64 - expected).abs() / expected.max(1.0).sqrt();
    let arms = ratio
        .observed
        .iter()
        .copied()
        .zip(ratio.expected.iter().copied());
    let worst = arms
        .enumerate()
        .max_by(|(_, one), (_, two)| off(*one).total_cmp(&off(*two)));
    let (arm, (seen, expected)) = worst?;
    Some((&draw.arms.get(arm)?.name, seen, expected))
}

/// The arm that everybody gets, once it is completed.
fn winner(live: &LiveResults, element: usize) -> Option<&str> {
    let experiment = &live.results.experiment;
    if !matches!(experiment.status, Status::Completed | Status::Archived) {
        return None;
    }
    let winners = experiment.winners();
    let arms = &live.results.elements.get(element)?.arms;
    let shown = arms.iter().find(|arm| {
        let is_shown = |variant| winners.contains(variant);
        !arm.variants.is_empty() && arm.variants.iter().all(is_shown)
    });
    shown.map(|arm| arm.name.as_str())
}

#[cfg(test)]
mod tests {
    use samplit_engine::{DifferenceEvidence, IntervalEstimate};

    use super::{fewest, is_early, is_proven, is_tied, rival};
    use crate::dashboard::sample::draw;

    #[test]
    fn only_a_difference_of_the_right_sign_is_a_proof() {
        // Who leads, what is known of the two variants against control, whether that is a proof.
        let table = [
            (1, [Some(0.02), None], true),
            (1, [None, Some(0.02)], false),
            (1, [Some(-0.02), Some(0.02)], false),
            (0, [Some(-0.02), Some(-0.01)], true),
            (0, [Some(-0.02), None], false),
            (0, [Some(-0.02), Some(0.01)], false),
        ];
        for (leader, known, expected) in table {
            let mut draw = draw(leader, &[0.2, 0.5, 0.3]);
            for (arm, estimate) in draw.arms.iter_mut().skip(1).zip(known) {
                arm.evidence.versus_control = Some(DifferenceEvidence {
                    excludes_zero: estimate.is_some(),
                    always_valid: estimate.map(|estimate| IntervalEstimate {
                        estimate,
                        interval: [estimate - 0.005, estimate + 0.005],
                    }),
                    ..DifferenceEvidence::default()
                });
            }
            assert_eq!(is_proven(&draw), expected, "{leader} {known:?}");
            // One that is turned off needs no proof.
            draw.arms[2].is_active = false;
            assert!(leader != 0 || is_proven(&draw), "{known:?}");
        }
        assert!(!is_proven(&draw(0, &[1.0])), "there is nothing to prove");
    }

    #[test]
    fn the_other_choice_is_control_or_the_best_of_the_rest() {
        let name = |leader, chances: &[f64]| {
            let draw = draw(leader, chances);
            rival(&draw).map(|arm| arm.name.clone())
        };
        assert_eq!(name(1, &[0.1, 0.6, 0.3]).as_deref(), Some("arm 0"));
        assert_eq!(name(0, &[0.6, 0.1, 0.3]).as_deref(), Some("arm 2"));
        assert_eq!(name(0, &[1.0]), None);
        assert!(is_tied(&draw(0, &[0.5, 0.5])));
        assert!(!is_tied(&draw(0, &[0.6, 0.4])));
        assert!(!is_tied(&draw(0, &[1.0])));
    }

    #[test]
    fn it_is_early_until_every_arm_and_the_conversions_say_something() {
        let mut draw = draw(0, &[0.6, 0.3, 0.1]);
        draw.arms[1].assignments = 99;
        assert_eq!(fewest(&draw), 99);
        draw.arms[1].is_active = false;
        assert_eq!(fewest(&draw), 1_000);
        assert!(is_early(500, 99, 100) && is_early(9, 100, 100));
        assert!(!is_early(10, 100, 100));
    }
}
