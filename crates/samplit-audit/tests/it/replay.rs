//! Decisions that do not follow the announced rule are named.

use samplit_audit::{
    DrawKey, FailureKind, Options, PerElement, Pseudonym, bundle, choose,
    payload::{Carried, Conversion, Mode},
    scale,
};

use crate::check::{MODES, begun, forged, refused, small};
use crate::support::{LAG_US, World, strict};

#[test]
fn forged_assignments_are_named() {
    for mode in [Mode::Single, Mode::Independent] {
        forged(begun(mode), |world| {
            let mut decision = world.decide("second", 0);
            decision.arm = 1 - decision.arm;
            world.append(&decision)
        });
        forged(begun(mode), |world| {
            let mut decision = world.decide("second", 0);
            decision.r_ppb -= 1;
            world.append(&decision)
        });
        forged(begun(mode), |world| {
            let mut decision = world.decide("second", 0);
            decision.snapshot_seq = 2;
            world.append(&decision)
        });
        forged(begun(mode), |world| {
            let decision = world.decide("first", 0);
            world.append(&decision)
        });
        forged(begun(mode), |world| {
            let mut decision = world.decide("second", 0);
            decision.element = if decision.element.is_some() {
                None
            } else {
                Some(0)
            };
            world.append(&decision)
        });
    }
    forged(begun(Mode::Independent), |world| {
        let mut decision = world.decide("second", 1);
        decision.element = Some(2);
        world.append(&decision)
    });
    // A draw that was picked to suit: consistent in itself, but not that of the key.
    let picked = |world: &mut World| {
        let mut decision = world.decide("second", 0);
        decision.u64 = !decision.u64;
        decision.r_ppb = scale(decision.u64);
        let arm = choose(&world.weights[0], decision.r_ppb).expect("an arm");
        decision.arm = u16::try_from(arm).expect("few arms");
        world.append(&decision)
    };
    forged(begun(Mode::Single), picked);
    let mut world = begun(Mode::Single);
    picked(&mut world);
    world.checkpoint();
    let without_key = || Options {
        draw_key: None,
        ..strict()
    };
    let report = bundle::verify(world.bundle().as_slice(), without_key()).expect("not seen");
    assert_eq!(report.replay.expect("replayed").draws, 0);
    // The seal reveals the key, and with it the forgery.
    let arm = usize::from(world.decide("second", 0).arm ^ 1);
    world.counts[0][arm].n += 1;
    world.seal();
    refused(
        bundle::verify(world.bundle().as_slice(), without_key()),
        FailureKind::Replay,
        3,
    );
}

#[test]
fn a_snapshot_may_be_used_for_a_while_after_the_next() {
    for late in [0, 1] {
        let mut world = begun(Mode::Single);
        world.reallocate();
        let since = world.now_us;
        let decision = samplit_audit::payload::Assignment {
            snapshot_seq: 1,
            ..world.decide("second", 0)
        };
        world.now_us = since + i64::try_from(LAG_US).expect("small") + late - 1;
        let sequence = world.append(&decision);
        world.checkpoint();
        if late == 0 {
            world.verify().expect("within the lag");
        } else {
            refused(world.verify(), FailureKind::Replay, sequence);
        }
    }
}

#[test]
fn forged_conversions_are_named() {
    for mode in MODES {
        let altered = |alter: fn(&mut Conversion)| {
            forged(begun(mode), |world| {
                let mut conversion = world.conversion(0);
                alter(&mut conversion);
                world.append(&conversion)
            });
        };
        altered(|conversion| conversion.visitor = Pseudonym([3; 32]));
        altered(|conversion| conversion.assignment_seq = 1);
        altered(|conversion| conversion.assignment_seq = 0);
        altered(|conversion| match &mut conversion.arms {
            PerElement::One(arm) => *arm = 1 - (*arm).min(1),
            PerElement::Many(arms) => arms[0] = 1 - arms[0],
        });
        altered(|conversion| match &mut conversion.arms {
            PerElement::One(arm) => *arm = 9,
            PerElement::Many(arms) => arms.push(0),
        });
        altered(|conversion| {
            conversion.arms = match &conversion.arms {
                PerElement::One(arm) => PerElement::Many(vec![*arm]),
                PerElement::Many(arms) => PerElement::One(arms[0]),
            }
        });
        forged(begun(mode), |world| {
            world.convert(0);
            let again = world.conversion(0);
            world.append(&again)
        });
    }
}

#[test]
fn forged_reallocations_and_seals_are_named() {
    fn block(
        world: &World,
        alter: impl FnOnce(&mut samplit_audit::payload::Block),
    ) -> samplit_audit::payload::Reallocation {
        let mut reallocation = world.reallocation();
        match &mut reallocation.elements {
            PerElement::One(block) => alter(block),
            PerElement::Many(blocks) => alter(&mut blocks[1]),
        }
        reallocation
    }
    for mode in MODES {
        let miscounted = |world: &mut World| {
            let forged = block(world, |block| {
                block.arms[0].n += 1;
                block.arms[0].beta += 1.0;
            });
            world.append(&forged)
        };
        forged(begun(mode), miscounted);
        forged(begun(mode), |world| {
            let forged = block(world, |block| {
                block.weights_ppb[0] += 2_000;
                block.weights_ppb[1] -= 2_000;
            });
            world.append(&forged)
        });
        forged(begun(mode), |world| {
            let forged = block(world, |block| block.arms[1].alpha += 0.5);
            world.append(&forged)
        });
        forged(begun(mode), |world| {
            let mut forged = world.reallocation();
            forged.upto_seq += 1;
            world.append(&forged)
        });
        forged(begun(mode), |world| {
            world.reallocate();
            world.assign("second");
            let mut forged = world.reallocation();
            forged.upto_seq = 1;
            world.append(&forged)
        });
        forged(begun(mode), |world| {
            let mut seal = world.seal_payload();
            match &mut seal.elements {
                PerElement::One(counts) => counts[1].s += 1,
                PerElement::Many(elements) => elements[1][1].s += 1,
            }
            world.sealed = true;
            world.append(&seal)
        });
        forged(begun(mode), |world| {
            world.seal();
            let decision = world.decide("second", 0);
            world.append(&decision)
        });
    }
    // Within the tolerance of a recomputed weight.
    let mut world = begun(Mode::Single);
    let near = block(&world, |block| {
        block.weights_ppb[0] += 1_000;
        block.weights_ppb[1] -= 1_000;
    });
    world.append(&near);
    world.checkpoint();
    world.verify().expect("sound");
}

#[test]
fn counts_may_lag_behind_the_reallocation() {
    let mut world = begun(Mode::Independent);
    world.convert(0);
    let earlier = world.reallocation();
    world.assign("second");
    world.snapshot_seq = world.append(&earlier);
    world.weights = earlier
        .elements
        .as_slice()
        .iter()
        .map(|b| b.weights_ppb.clone())
        .collect();
    world.assign("third");
    world.reallocate();
    world.checkpoint();
    world.verify().expect("sound");
}

#[test]
fn another_draw_key_than_the_committed_one_is_named() {
    let world = small();
    let other = Options {
        draw_key: Some(DrawKey::from_bytes([1; 32])),
        ..strict()
    };
    refused(
        bundle::verify(world.bundle().as_slice(), other),
        FailureKind::Replay,
        None,
    );
    let mut open = World::new(Mode::Single);
    open.checkpoint();
    let other = Options {
        draw_key: Some(DrawKey::from_bytes([1; 32])),
        ..strict()
    };
    refused(
        bundle::verify(open.bundle().as_slice(), other),
        FailureKind::Replay,
        1,
    );
    forged(begun(Mode::Single), |world| {
        let mut seal = world.seal_payload();
        seal.draw_key = [1; 32];
        world.append(&seal)
    });
    // A sealed trail without its reveal line, and the other way round.
    let mut hidden = small();
    hidden.sealed = false;
    refused(hidden.verify(), FailureKind::Malformed, None);
    let mut early = begun(Mode::Single);
    early.checkpoint();
    early.sealed = true;
    refused(early.verify(), FailureKind::Malformed, None);
}

#[test]
fn counts_carried_over_are_the_base_of_every_recount() {
    let carried = vec![Carried {
        element: 0,
        arm: 1,
        n: 50,
        s: 4,
    }];
    let mut world = World::with(Mode::Single, carried);
    world.assign("first");
    let old = Conversion {
        visitor: Pseudonym([1; 32]),
        assignment_seq: 0,
        arms: PerElement::One(1),
        goal: "signup".into(),
        value: 1.0,
    };
    world.append(&old);
    world.counts[0][1].s += 1;
    world.reallocate();
    world.checkpoint();
    let report = world.verify().expect("sound");
    let totals = report.replay.expect("replayed").totals;
    assert_eq!((totals[0][1].s, totals[0][0].n + totals[0][1].n), (5, 51));
    forged(world, |world| world.append(&old));
}
