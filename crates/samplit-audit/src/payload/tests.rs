use proptest::{prelude::*, strategy::Strategy};
use uuid::Uuid;

use super::*;
use crate::{Pseudonym, sj1::MAX_INT};

fn small() -> impl Strategy<Value = u64> {
    0..MAX_INT.unsigned_abs()
}

fn bytes() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>()
}

fn text() -> impl Strategy<Value = String> {
    "[^\u{0}]{0,20}"
}

/// Weights of `arms` arms that sum to 10^9; those in `off` get nothing.
fn weights(off: &[bool]) -> Vec<u32> {
    let mut weights: Vec<_> = off.iter().map(|off| if *off { 0 } else { 1000 }).collect();
    if let Some(first) = off.iter().position(|off| !off) {
        weights[first] += PPB - weights.iter().sum::<u32>();
    }
    weights
}

fn per_element<T: std::fmt::Debug + Clone>(
    one: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = PerElement<T>> {
    prop_oneof![
        one.clone().prop_map(PerElement::One),
        prop::collection::vec(one, 1..4).prop_map(PerElement::Many),
    ]
}

prop_compose! {
    fn assignment()(
        visitor in bytes(), element in any::<Option<u16>>(), u64 in any::<u64>(),
        r_ppb in 0..PPB, arm in any::<u16>(), snapshot_seq in small(),
    ) -> Assignment {
        Assignment { visitor: Pseudonym(visitor), element, u64, r_ppb, arm, snapshot_seq }
    }
}

prop_compose! {
    fn conversion()(
        visitor in bytes(), assignment_seq in small(), arms in per_element(any::<u16>()),
        goal in text(), value in 0.0..1e300,
    ) -> Conversion {
        Conversion { visitor: Pseudonym(visitor), assignment_seq, arms, goal, value }
    }
}

prop_compose! {
    fn arm_state()(
        active in any::<bool>(), n in small(), s in small(), alpha in 0.01..1e9, beta in 0.01..1e9,
        p_best in 0.0..=1.0,
    ) -> ArmState {
        ArmState { active, n, s, alpha, beta, p_best }
    }
}

fn block() -> impl Strategy<Value = Block> + Clone {
    prop::collection::vec(arm_state(), 1..5)
        .prop_map(|mut arms| {
            arms[0].active = true;
            let off: Vec<_> = arms.iter().map(|arm| !arm.active).collect();
            Block {
                weights_ppb: weights(&off),
                arms,
            }
        })
        .boxed()
}

prop_compose! {
    fn reallocation()(
        upto_seq in small(),
        method in prop::sample::select(vec![
            Method::Uniform, Method::Thompson, Method::TopTwo, Method::Fixed,
        ]),
        elements in per_element(block()),
    ) -> Reallocation {
        Reallocation { upto_seq, method, elements }
    }
}

prop_compose! {
    fn seal()(
        elements in per_element(prop::collection::vec(
            (small(), small()).prop_map(|(n, s)| FinalCount { n, s }), 1..4,
        ).boxed()),
        draw_key in bytes(),
    ) -> Seal {
        Seal { elements, draw_key }
    }
}

prop_compose! {
    fn genesis()(
        mode in prop::sample::select(vec![Mode::Single, Mode::Independent, Mode::Factorial]),
        names in prop::collection::vec(text(), 1..5),
        origin in "[^\u{0}\n]{1,20}",
        hashes in (bytes(), bytes(), any::<Option<[u8; 32]>>()),
        floor_ppb in 0..PPB,
        numbers in (small(), small()),
        prior in (0.01..100.0, 0.01..100.0),
        carried in any::<bool>(),
    ) -> Genesis {
        let width = if mode == Mode::Factorial { 2 } else { 1 };
        let arms: Vec<_> = names.iter().map(|name| GenesisArm {
            name: name.clone(),
            variants: vec![Uuid::from_u128(5); width],
        }).collect();
        let element = GenesisElement {
            element_id: (mode == Mode::Independent).then_some(Uuid::from_u128(9)),
            weights_ppb: weights(&vec![false; arms.len()]),
            arms,
        };
        let elements = if mode == Mode::Independent {
            PerElement::Many(vec![element.clone(), element])
        } else {
            PerElement::One(element)
        };
        Genesis {
            origin,
            strategy: genesis::Strategy::Adaptive,
            policy: Policy::TopTwo,
            prior: Prior { alpha: prior.0, beta: prior.1 },
            floor_ppb,
            warm_up: numbers.0,
            draw_key_commitment: Hash(hashes.0),
            max_snapshot_lag_us: numbers.1,
            config_sha256: Hash(hashes.1),
            hypothesis_sha256: hashes.2.map(Hash),
            mode,
            elements,
            carried: if carried {
                vec![Carried { element: 0, arm: 0, n: 5, s: 2 }]
            } else {
                Vec::new()
            },
        }
    }
}

/// Written bytes are the canonical form of their value, and are read back equal.
fn check<T: TypedPayload + std::fmt::Debug>(typed: &T) -> Result<(), TestCaseError> {
    let mut bytes = Vec::new();
    typed.write_canonical(&mut bytes);
    let value = sj1::parse(&bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&value.canonical(), &bytes);
    prop_assert!(sj1::check(&bytes).is_ok());
    prop_assert_eq!(&T::parse(&bytes).unwrap(), typed);
    let payload = typed.to_payload().unwrap();
    prop_assert_eq!(payload.hash(), Hash::of(&bytes));
    prop_assert_eq!(&Payload::from_json(&payload.to_json()).unwrap(), &payload);
    prop_assert_eq!(
        &Payload::from_text(payload.as_str().as_bytes()).unwrap(),
        &payload
    );
    Ok(())
}

proptest! {
    #[test]
    fn assignments(typed in assignment()) { check(&typed)?; }

    #[test]
    fn conversions(typed in conversion()) { check(&typed)?; }

    #[test]
    fn reallocations(typed in reallocation()) { check(&typed)?; }

    #[test]
    fn seals(typed in seal()) { check(&typed)?; }

    #[test]
    fn geneses(typed in genesis()) { check(&typed)?; }

    #[test]
    fn notices(
        sequence in small(), reason in text(), root in bytes(), incarnation in any::<u32>(),
    ) {
        check(&Redaction { sequence, reason: reason.clone() })?;
        check(&Restore { incarnation, reason, size: sequence, root: Hash(root) })?;
    }

    /// Any byte changed: either it is refused, or it is another payload with other bytes.
    #[test]
    fn one_payload_has_one_spelling(
        typed in genesis(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = typed.to_payload().unwrap().bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(other) = Genesis::parse(&bytes) {
            let mut again = Vec::new();
            other.write_canonical(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }
}

#[test]
fn what_cannot_be_told_is_refused() {
    let fine = Conversion {
        visitor: Pseudonym([0; 32]),
        assignment_seq: 2,
        arms: PerElement::One(0),
        goal: "signup".into(),
        value: 1.0,
    };
    assert!(fine.to_payload().is_ok());
    let bad = [
        Conversion {
            goal: "a\0b".into(),
            ..fine.clone()
        },
        Conversion {
            goal: "x".repeat(sj1::MAX_BYTES),
            ..fine.clone()
        },
        Conversion {
            value: f64::NAN,
            ..fine.clone()
        },
        Conversion {
            value: -1.0,
            ..fine.clone()
        },
        Conversion {
            assignment_seq: 1 << 53,
            ..fine.clone()
        },
    ];
    for conversion in bad {
        assert!(conversion.to_payload().is_err(), "{conversion:?}");
    }
    let arms = vec![ArmState {
        active: true,
        n: 1,
        s: 1,
        alpha: 2.0,
        beta: 1.0,
        p_best: 1.0,
    }];
    let short = Reallocation {
        upto_seq: 1,
        method: Method::Fixed,
        elements: PerElement::One(Block {
            arms,
            weights_ppb: vec![PPB - 1],
        }),
    };
    assert!(short.to_payload().is_err());
}

#[test]
fn a_stub_keeps_the_hash_and_nothing_else() {
    let payload = Payload::from_text(br#"{"b":1,"a":2}"#).unwrap();
    let stub = payload.redacted();
    assert!(stub.is_redacted() && !payload.is_redacted());
    assert_eq!(stub.hash(), payload.hash());
    assert_eq!(
        Payload::from_canonical(stub.bytes().to_vec()).unwrap(),
        stub
    );
    assert!(Payload::from_text(br#"{"payload_sha256":"00"}"#).is_err());
}

#[test]
fn a_genesis_has_no_second_spelling() {
    let id = Uuid::from_u128(1);
    let genesis = Genesis {
        origin: "o".into(),
        strategy: genesis::Strategy::Fixed,
        policy: Policy::Fixed,
        prior: Prior {
            alpha: 1.0,
            beta: 1.0,
        },
        floor_ppb: 0,
        warm_up: 0,
        draw_key_commitment: Hash([0; 32]),
        max_snapshot_lag_us: 0,
        config_sha256: Hash([0; 32]),
        hypothesis_sha256: None,
        mode: Mode::Single,
        elements: PerElement::One(GenesisElement {
            element_id: None,
            arms: vec![GenesisArm {
                name: "a".into(),
                variants: vec![id],
            }],
            weights_ppb: vec![PPB],
        }),
        carried: Vec::new(),
    };
    let text = genesis.to_payload().unwrap().into_string();
    for (from, to) in [
        ("}],\"config", "}],\"carried\":[],\"config"),
        ("\"mode\":\"single\"", "\"mode\":\"factorial\""),
        ("\"mode\":\"single\"", "\"mode\":\"independent\""),
        ("samplit-audit-v1", "samplit-audit-v2"),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text);
        assert!(sj1::check(other.as_bytes()).is_ok());
        assert!(Genesis::parse(other.as_bytes()).is_err(), "{to}");
    }
}
