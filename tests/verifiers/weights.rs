//! The rule from counts to weights, written twice.

use samplit_audit::{AllocationRule as _, ArmCount, TypedPayload as _, payload::Genesis};
use samplit_engine::BanditRule;
use serde_json::{Value, json};

use crate::{golden, python, trail::Trail};

const WEIGHTS: &str = r"
from verify_form import real
from verify_weights import weights
for case in asked['cases']:
    genesis, arms = case['genesis'], case['arms']
    prior = [real(genesis['prior'][key]) for key in ('alpha_f64', 'beta_f64')]
    arms = [(a['active'], a['n'], prior[0] + a['s'], prior[1] + a['n'] - a['s']) for a in arms]
    print(json.dumps(weights(genesis, genesis['weights_ppb'], arms)))
";

/// Counts from none to a billion, equal and far apart, few and many arms.
const COUNTS: &[&[(u64, u64)]] = &[
    &[(0, 0), (0, 0)],
    &[(3, 0), (3, 3)],
    &[(100, 5), (100, 8), (100, 5)],
    &[(1_000, 50), (1_000, 65), (10, 1), (100_000, 5_100)],
    &[(1_000_000, 31_000), (1_000_000, 31_200)],
    &[(1_000_000_000, 500_000_000), (1_000_000_000, 500_020_000)],
    &[(1_000_000_000, 20_000_000), (5, 0)],
    &[(50, 50), (50, 50), (50, 49)],
    &[(40, 0), (400, 0), (4_000, 0)],
    &[
        (900, 30),
        (900, 31),
        (900, 32),
        (900, 33),
        (900, 34),
        (900, 35),
        (900, 36),
        (900, 37),
        (900, 38),
        (900, 60),
    ],
    &[(7, 7)],
];

#[test]
fn python_gets_the_weights_that_the_engine_gets() {
    let (_, bundle) = golden()
        .into_iter()
        .find(|(name, _)| name == "single")
        .unwrap();
    let genesis = Trail::read(&bundle).rows()[0].payload.to_json();
    let (mut cases, mut ours) = (Vec::new(), Vec::new());
    for counts in COUNTS {
        for policy in ["thompson", "top_two", "fixed"] {
            for (prior, floor) in [
                ((1.0, 1.0), 10_000_000),
                ((0.05, 0.5), 0),
                ((20.0, 80.0), 90_000_000),
            ] {
                let mut genesis = genesis.clone();
                let count = u32::try_from(counts.len()).unwrap();
                let mut share = vec![1_000_000_000 / count; counts.len()];
                share[0] += 1_000_000_000 % count;
                let arm = |index| json!({"arm": index, "name": "n", "variant_id": "00000000-0000-0000-0000-00000000000a"});
                genesis["arms"] = (0..counts.len()).map(arm).collect();
                genesis["weights_ppb"] = share.into();
                genesis["policy"] = policy.into();
                genesis["floor_ppb"] = floor.into();
                genesis["prior"] = json!({"alpha_f64": bits(prior.0), "beta_f64": bits(prior.1)});
                let typed = samplit_audit::Payload::from_json(&genesis).unwrap();
                let typed = Genesis::parse(typed.bytes()).unwrap();
                for resting in [counts.len(), counts.len() - 1] {
                    let arms: Vec<ArmCount> = (counts.iter().enumerate())
                        .map(|(index, &(n, s))| ArmCount {
                            n,
                            s,
                            active: index != resting,
                        })
                        .collect();
                    ours.push(BanditRule.weights(&typed, 0, &arms).ok());
                    let arms: Vec<Value> = arms
                        .iter()
                        .map(|a| json!({"n": a.n, "s": a.s, "active": a.active}))
                        .collect();
                    cases.push(json!({"genesis": genesis, "arms": arms}));
                }
            }
        }
    }
    let theirs = python::run(WEIGHTS, json!({"cases": cases}), &[]);
    assert_eq!(theirs.lines().count(), ours.len());
    for ((line, ours), case) in theirs.lines().zip(&ours).zip(&cases) {
        let theirs: Option<Vec<u32>> = serde_json::from_str(line).unwrap();
        match (ours, &theirs) {
            (None, None) => {}
            // A tenth of what a verifier lets pass.
            (Some(a), Some(b))
                if a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 100) => {}
            _ => panic!("{ours:?} and {theirs:?} of {case}"),
        }
    }
}

fn bits(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}
