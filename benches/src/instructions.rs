//! One operation of the hot path, repeated: for counting its instructions under callgrind, which
//! comes out the same whatever else the machine does. `just instructions` runs it.

use std::hint::black_box;

use clap::{Parser, ValueEnum};
use samplit_audit::payload::Assignment;
use samplit_audit::{DecisionType, DrawKey, Head, PidKey, Pseudonym, TypedPayload as _, scale};
use samplit_bandit::{ArmState, Rule, Weights, allocate};
use uuid::Uuid;

/// Repeats one operation.
#[derive(Debug, Parser)]
struct Args {
    /// Which.
    operation: Operation,
    /// How often.
    times: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Operation {
    /// Nothing, for the instructions of starting up.
    Nothing,
    /// Pseudonym and draw of a visitor, and the arm they fall on.
    Choose,
    /// Payload, hash and place in the tree of an assignment.
    Append,
    /// New weights from the counts of two arms.
    Allocate2,
    /// New weights from the counts of ten arms.
    Allocate10,
}

fn main() -> anyhow::Result<()> {
    let Args { operation, times } = Args::parse();
    let experiment = Uuid::from_u128(7);
    let (pid, draw) = (PidKey::from_bytes([1; 32]), DrawKey::from_bytes([2; 32]));
    let weights = Weights::uniform(&[true; 3])?;
    let mut head = Head::new(experiment);
    let arms = |count: u64| -> Vec<ArmState> {
        (0..count)
            .map(|arm| ArmState {
                n: 10_000,
                s: 500 + 10 * arm,
                active: true,
            })
            .collect()
    };
    let (two, ten, rule) = (arms(2), arms(10), Rule::default());
    for time in 0..times {
        match operation {
            Operation::Nothing => {}
            Operation::Choose => {
                let visitor = pid.pseudonym(experiment, black_box("visitor-123456"));
                let number = draw.draw(experiment, visitor, 0);
                black_box(weights.choose(scale(number)));
            }
            Operation::Append => {
                let payload = Assignment {
                    visitor: Pseudonym([3; 32]),
                    element: None,
                    u64: black_box(time),
                    r_ppb: scale(time),
                    arm: 1,
                    snapshot_seq: 1,
                };
                let payload = payload.to_payload()?;
                let id = Uuid::from_u128(time.into());
                black_box(head.append(id, DecisionType::Assignment, 1, payload));
            }
            Operation::Allocate2 => drop(black_box(allocate(&rule, black_box(&two))?)),
            Operation::Allocate10 => drop(black_box(allocate(&rule, black_box(&ten))?)),
        }
    }
    Ok(())
}
