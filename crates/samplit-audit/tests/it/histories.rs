//! Random histories verify, and random edits of them do not.

use proptest::prelude::*;
use samplit_audit::{bundle, payload::Mode};

use crate::check::MODES;
use crate::support::{World, strict};

#[derive(Clone, Debug)]
enum Op {
    Assign,
    Convert(prop::sample::Index),
    Reallocate,
    Checkpoint,
    Redact(prop::sample::Index),
    Restore,
    Wait(u16),
    Toggle(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => Just(Op::Assign),
        4 => any::<prop::sample::Index>().prop_map(Op::Convert),
        2 => Just(Op::Reallocate),
        2 => Just(Op::Checkpoint),
        1 => any::<prop::sample::Index>().prop_map(Op::Redact),
        1 => Just(Op::Restore),
        1 => any::<u16>().prop_map(Op::Wait),
        1 => any::<bool>().prop_map(Op::Toggle),
    ]
}

/// Plays operations as a true engine would.
fn play(mode: Mode, ops: &[Op], seal: bool) -> World {
    let mut world = World::new(mode);
    let mut open = Vec::new();
    let mut redacted = vec![1];
    for op in ops {
        match op {
            Op::Assign => {
                open.push(world.visitors.len());
                world.assign(&format!("visitor-{}", world.visitors.len()));
            }
            Op::Convert(index) if !open.is_empty() => {
                world.convert(open.swap_remove(index.index(open.len())));
            }
            Op::Reallocate => world.reallocate(),
            Op::Checkpoint => world.checkpoint(),
            Op::Redact(index) => {
                let sequence = u64::try_from(index.index(world.entries.len())).expect("small") + 1;
                let kind = world.entries[index.index(world.entries.len())]
                    .decision_type
                    .as_str();
                if ["assignment", "conversion"].contains(&kind) && !redacted.contains(&sequence) {
                    redacted.push(sequence);
                    world.redact(sequence);
                }
            }
            Op::Restore => world.restore(1),
            Op::Wait(us) => world.now_us += i64::from(*us),
            Op::Toggle(active) => world.active[0][1] = *active,
            Op::Convert(_) => {}
        }
    }
    if seal {
        world.seal();
    }
    world.checkpoint();
    world
}

proptest! {
    #[test]
    fn random_histories_verify(
        mode in prop::sample::select(&MODES[..]),
        ops in prop::collection::vec(op(), 0..60),
        seal in any::<bool>(),
    ) {
        let world = play(mode, &ops, seal);
        let report = world.verify().map_err(|failure| TestCaseError::fail(failure.to_string()))?;
        prop_assert_eq!(report.root, world.head.root());
        let totals = report.replay.expect("replayed").totals;
        let same = totals.iter().zip(&world.counts).all(|(totals, counts)| {
            totals.iter().zip(counts).all(|(total, count)| (total.n, total.s) == (count.n, count.s))
        });
        prop_assert_eq!(report.redactions == 0, same);
    }

    /// One byte changed anywhere in a random history.
    #[test]
    fn random_edits_are_refused(
        mode in prop::sample::select(&MODES[..]),
        ops in prop::collection::vec(op(), 0..30),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = play(mode, &ops, true).bundle();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        prop_assert!(bundle::verify(bytes.as_slice(), strict()).is_err());
    }
}
