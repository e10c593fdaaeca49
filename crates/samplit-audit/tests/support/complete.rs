//! The trail of the golden bundle `complete.ndjson`: some of everything, by the real rule.

use samplit_audit::{
    ArmCount, Hash, Options, PerElement, VerifyingKey,
    payload::{Genesis, GenesisArm, Method, Mode, Reallocation},
};
use uuid::Uuid;

use super::{World, signers};

/// The visitor of the golden receipt, by number: assigned and converted, nothing redacted.
pub(crate) const VISITOR: usize = 20;

/// What the rule of the genesis entry gives for the counts that occur, as `samplit-bandit` computes
/// it: counts `(n, s)`, activity, method, probabilities of being best, weights.
struct Known {
    counts: [(u64, u64); 3],
    active: [bool; 3],
    method: Method,
    p_best: [f64; 3],
    weights_ppb: [u32; 3],
}

const KNOWN: [Known; 4] = [
    Known {
        counts: [(1, 0), (1, 0), (2, 0)],
        active: [true, true, true],
        method: Method::Uniform,
        p_best: [
            0.38571428571428573,
            0.38571428571428573,
            0.22857142857142865,
        ],
        weights_ppb: [333_333_334, 333_333_333, 333_333_333],
    },
    Known {
        counts: [(4, 0), (8, 0), (6, 4)],
        active: [true, true, true],
        method: Method::Thompson,
        p_best: [
            0.02614658303512794,
            0.004144269043649846,
            0.9697091479212222,
        ],
        weights_ppb: [72_224_595, 53_522_629, 874_252_776],
    },
    Known {
        counts: [(5, 0), (8, 0), (10, 5)],
        active: [true, true, false],
        method: Method::Thompson,
        p_best: [0.6, 0.39999999999999997, 0.0],
        weights_ppb: [590_000_000, 410_000_000, 0],
    },
    Known {
        counts: [(5, 0), (9, 1), (10, 5)],
        active: [true, true, false],
        method: Method::Thompson,
        p_best: [0.3750000000000001, 0.6249999999999999, 0.0],
        weights_ppb: [387_500_000, 612_500_000, 0],
    },
];

fn known(counts: impl Iterator<Item = (u64, u64, bool)>) -> Result<&'static Known, String> {
    let counts: Vec<_> = counts.collect();
    let same = |known: &&Known| {
        let pairs = known.counts.iter().zip(known.active);
        pairs
            .map(|((n, s), active)| (*n, *s, active))
            .eq(counts.iter().copied())
    };
    KNOWN
        .iter()
        .find(same)
        .ok_or_else(|| format!("no weights are known for {counts:?}"))
}

pub(crate) fn rule(_: &Genesis, _: usize, counts: &[ArmCount]) -> Result<Vec<u32>, String> {
    let known = known(counts.iter().map(|arm| (arm.n, arm.s, arm.active)))?;
    Ok(known.weights_ppb.to_vec())
}

/// The keys that an auditor pins.
pub(crate) fn keys() -> Vec<VerifyingKey> {
    let key = |signer: samplit_audit::Signer| signer.verifying_key().clone();
    signers().map(key).to_vec()
}

/// Everything an auditor can ask for; the draw key is in the bundle.
pub(crate) fn options() -> Options {
    Options {
        keys: keys(),
        replay: true,
        rule: Some(Box::new(rule)),
        ..Options::default()
    }
}

fn reallocate(world: &mut World) {
    let mut reallocation: Reallocation = world.reallocation();
    if let PerElement::One(block) = &mut reallocation.elements {
        let counts = block.arms.iter().map(|arm| (arm.n, arm.s, arm.active));
        let known = known(counts).unwrap();
        reallocation.method = known.method;
        for (arm, p_best) in block.arms.iter_mut().zip(known.p_best) {
            arm.p_best = p_best;
        }
        world.weights = vec![block.weights_ppb.clone()];
    }
    world.snapshot_seq = world.append(&reallocation);
}

pub(crate) fn world() -> World {
    let mut genesis = World::genesis_of(Mode::Single, Vec::new());
    genesis.floor_ppb = 50_000_000;
    genesis.warm_up = 4;
    genesis.max_snapshot_lag_us = 5_000_000;
    genesis.hypothesis_sha256 = Some(Hash::of(b"registered"));
    if let PerElement::One(element) = &mut genesis.elements {
        let names = ["control", "größer", "a \"quoted\" name"];
        element.arms = (0xa_u128..)
            .zip(names)
            .map(|(id, name)| GenesisArm {
                name: name.to_owned(),
                variants: vec![Uuid::from_u128(id)],
            })
            .collect();
        element.weights_ppb = vec![333_333_334, 333_333_333, 333_333_333];
    }
    let mut world = World::begin(genesis, 2, rule);
    world.checkpoint();
    for number in 0..4 {
        world.assign(&format!("visitor-{number}"));
    }
    reallocate(&mut world);
    for number in 4..18 {
        world.assign(&format!("visitor-{number}"));
    }
    for index in [0, 5, 6, 11] {
        world.convert(index);
    }
    let before = (world.snapshot_seq, world.weights.clone());
    reallocate(&mut world);
    // A request that was decided by the snapshot before, and recorded a little later.
    let now = (world.snapshot_seq, world.weights.clone());
    (world.snapshot_seq, world.weights) = before;
    world.assign("visitor-18");
    (world.snapshot_seq, world.weights) = now;
    world.checkpoint();
    world.restore(3);
    for number in 19..23 {
        world.assign(&format!("visitor-{number}"));
    }
    world.convert(20);
    world.active[0][2] = false;
    reallocate(&mut world);
    world.assign("ビジター-23");
    world.convert(23);
    world.redact(3);
    let conversion = world
        .entries
        .iter()
        .rfind(|entry| entry.decision_type.as_str() == "conversion");
    let conversion = conversion.unwrap().sequence_number;
    world.redact(conversion);
    reallocate(&mut world);
    world.seal();
    world.checkpoint();
    world
}
