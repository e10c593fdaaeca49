//! What the tests ask of trails.

use samplit_audit::{Failure, FailureKind, Report, payload::Mode};

use crate::support::World;

pub(crate) const MODES: [Mode; 3] = [Mode::Single, Mode::Independent, Mode::Factorial];

#[track_caller]
pub(crate) fn refused(
    result: Result<Report, Failure>,
    kind: FailureKind,
    sequence: impl Into<Option<u64>>,
) {
    let failure = result.expect_err("not refused");
    assert_eq!(
        (failure.kind, failure.sequence),
        (kind, sequence.into()),
        "{failure}"
    );
}

/// A short sealed trail with a signed checkpoint over all of it.
pub(crate) fn small() -> World {
    let mut world = World::new(Mode::Single);
    for number in 0..3 {
        world.assign(&format!("visitor-{number}"));
    }
    world.convert(1);
    world.reallocate();
    world.seal();
    world.checkpoint();
    world
}

/// A world in which one visitor is assigned and one more would be next.
pub(crate) fn begun(mode: Mode) -> World {
    let mut world = World::new(mode);
    world.assign("first");
    world
}

/// Forges an entry in a right chain and expects replay to name it.
#[track_caller]
pub(crate) fn forged(mut world: World, forge: impl FnOnce(&mut World) -> u64) {
    let sequence = forge(&mut world);
    world.checkpoint();
    refused(world.verify(), FailureKind::Replay, sequence);
}
