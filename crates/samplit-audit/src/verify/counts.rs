//! Counting assignments and conversions, and looking back at the counts of an earlier entry.

use std::collections::VecDeque;

use super::{Total, replay::MAX_COUNT_LAG};
use crate::payload::{Carried, GenesisElement};

/// What one entry added.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// An assignment to an arm.
    Assigned { element: u16, arm: u16 },
    /// A conversion credited to an arm; one step per element.
    Converted { element: u16, arm: u16 },
    /// An assignment whose payload was redacted.
    HiddenAssignment,
    /// A conversion whose payload was redacted.
    HiddenConversion,
}

/// Counts at some entry.
#[derive(Clone, Debug, Default)]
struct State {
    totals: Vec<Vec<Total>>,
    hidden_assignments: u64,
    hidden_conversions: u64,
}

/// Counts up to the last entry, with the way back to the last entry that was counted.
#[derive(Debug)]
pub(crate) struct Counts {
    now: State,
    /// Steps behind `upto`, with their sequence.
    recent: VecDeque<(u64, Step)>,
    /// What can be looked back to.
    upto: u64,
}

impl Counts {
    pub(crate) fn new(elements: &[GenesisElement], carried: &[Carried]) -> Self {
        let mut totals: Vec<Vec<Total>> = elements
            .iter()
            .map(|element| vec![Total::default(); element.arms.len()])
            .collect();
        for count in carried {
            totals[usize::from(count.element)][usize::from(count.arm)] = Total {
                n: count.n,
                s: count.s,
            };
        }
        Self {
            now: State {
                totals,
                ..State::default()
            },
            recent: VecDeque::new(),
            upto: 1,
        }
    }

    pub(crate) fn totals(&self) -> &[Vec<Total>] {
        &self.now.totals
    }

    pub(crate) fn assigned(&mut self, sequence: u64, element: u16, arm: u16) {
        self.step(sequence, Step::Assigned { element, arm });
    }

    pub(crate) fn converted(&mut self, sequence: u64, element: u16, arm: u16) {
        self.step(sequence, Step::Converted { element, arm });
    }

    pub(crate) fn hidden(&mut self, sequence: u64, conversion: bool) {
        let step = if conversion {
            Step::HiddenConversion
        } else {
            Step::HiddenAssignment
        };
        self.step(sequence, step);
    }

    fn step(&mut self, sequence: u64, step: Step) {
        *self.now.counter(step) += 1;
        self.recent.push_back((sequence, step));
        if self.recent.len() > MAX_COUNT_LAG
            && let Some((sequence, _)) = self.recent.pop_front()
        {
            self.upto = sequence;
        }
    }

    /// Compares the counts that an entry claims with those up to and including entry `upto`.
    ///
    /// What redacted entries hide may sit in any arm, but the sums must come out even.
    pub(crate) fn compare(&mut self, upto: u64, claimed: &[Vec<Total>]) -> Result<(), String> {
        if upto < self.upto {
            return Err(format!(
                "counts up to entry {upto}, behind entry {}",
                self.upto
            ));
        }
        let mut state = self.now.clone();
        for (sequence, step) in self.recent.iter().rev() {
            if *sequence <= upto {
                break;
            }
            *state.counter(*step) -= 1;
        }
        state.compare(claimed)?;
        while self
            .recent
            .pop_front_if(|(sequence, _)| *sequence <= upto)
            .is_some()
        {}
        self.upto = upto;
        Ok(())
    }
}

impl State {
    fn counter(&mut self, step: Step) -> &mut u64 {
        match step {
            Step::Assigned { element, arm } => {
                &mut self.totals[usize::from(element)][usize::from(arm)].n
            }
            Step::Converted { element, arm } => {
                &mut self.totals[usize::from(element)][usize::from(arm)].s
            }
            Step::HiddenAssignment => &mut self.hidden_assignments,
            Step::HiddenConversion => &mut self.hidden_conversions,
        }
    }

    fn compare(&self, claimed: &[Vec<Total>]) -> Result<(), String> {
        let shape = |totals: &[Vec<Total>]| totals.iter().map(Vec::len).collect::<Vec<_>>();
        if shape(claimed) != shape(&self.totals) {
            return Err("has other elements or arms than the genesis".into());
        }
        let mut assignments = 0_u64;
        for (element, (claimed, counted)) in claimed.iter().zip(&self.totals).enumerate() {
            let mut conversions = 0_u64;
            for (arm, (claimed, counted)) in claimed.iter().zip(counted).enumerate() {
                let more = |claimed: u64, counted: u64| {
                    claimed.checked_sub(counted).ok_or_else(|| {
                        let place = format!("(element {element}, arm {arm})");
                        format!("counts {claimed} where there are {counted} {place}")
                    })
                };
                assignments = assignments.saturating_add(more(claimed.n, counted.n)?);
                conversions = conversions.saturating_add(more(claimed.s, counted.s)?);
            }
            if conversions != self.hidden_conversions {
                return Err(format!(
                    "counts conversions that are not there (element {element})"
                ));
            }
        }
        if assignments != self.hidden_assignments {
            return Err("counts assignments that are not there".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::GenesisArm;

    fn counts() -> Counts {
        let arm = GenesisArm {
            name: "a".into(),
            variants: Vec::new(),
        };
        let arms = vec![arm; 2];
        let element = GenesisElement {
            element_id: None,
            arms,
            weights_ppb: vec![1, 2],
        };
        Counts::new(&[element], &[])
    }

    #[test]
    fn one_can_look_back_so_far_and_never_behind_a_reallocation() {
        let total = |n, s| vec![vec![Total { n, s }, Total::default()]];
        let mut counts = counts();
        for sequence in 2..10 {
            counts.assigned(sequence, 0, 0);
        }
        counts.converted(10, 0, 0);
        assert_eq!(counts.compare(5, &total(4, 0)), Ok(()));
        assert!(counts.compare(4, &total(3, 0)).is_err());
        assert_eq!(counts.compare(10, &total(8, 1)), Ok(()));

        let lag = u64::try_from(MAX_COUNT_LAG).expect("fits");
        for sequence in 11..=11 + lag {
            counts.assigned(sequence, 0, 0);
        }
        assert!(counts.compare(10, &total(8, 1)).is_err());
        assert_eq!(counts.compare(11, &total(9, 1)), Ok(()));
    }
}
