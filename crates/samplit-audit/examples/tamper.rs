//! Builds a small trail, verifies it, alters one row the way an administrator of the database
//! could, and shows what the verifier says.

use samplit_audit::{
    DrawKey, Entry, Failure, Head, Options, Payload, PerElement, PidKey, Report, TypedPayload,
    Verifier, choose,
    payload::{Assignment, Genesis, GenesisArm, GenesisElement, Mode, Policy, Prior, Strategy},
    scale,
};
use uuid::Uuid;

const EXPERIMENT: Uuid = Uuid::from_u128(0x5a);
const WEIGHTS: [u32; 2] = [500_000_000, 500_000_000];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (pid_key, draw_key) = (PidKey::from_bytes([1; 32]), DrawKey::from_bytes([2; 32]));
    let mut head = Head::new(EXPERIMENT);
    let genesis = genesis(&draw_key).to_payload()?;
    let mut entries = vec![head.append(Uuid::from_u128(1), Genesis::DECISION_TYPE, 1, genesis)];
    for number in 2..7_u16 {
        let visitor = pid_key.pseudonym(EXPERIMENT, &format!("visitor-{number}"));
        let u64 = draw_key.draw(EXPERIMENT, visitor, 0);
        let arm = u16::try_from(choose(&WEIGHTS, scale(u64)).ok_or("weights")?)?;
        let decision = Assignment {
            visitor,
            element: None,
            u64,
            r_ppb: scale(u64),
            arm,
            snapshot_seq: 1,
        };
        let id = Uuid::from_u128(u128::from(number));
        let now_us = i64::from(number);
        entries.push(head.append(
            id,
            Assignment::DECISION_TYPE,
            now_us,
            decision.to_payload()?,
        ));
    }
    let report = verify(&entries, &draw_key)?;
    say(&format!(
        "as written: {} entries, root {}",
        report.entries, report.root
    ));

    // Somebody moves a visitor to the other arm, in the row only.
    let mut decision = Assignment::parse(entries[2].payload.bytes())?;
    decision.arm = 1 - decision.arm;
    let sound = std::mem::replace(&mut entries[2].payload, decision.to_payload()?);
    show("row 3 altered", verify(&entries, &draw_key));

    // Somebody clever makes all hashes behind it right again; the draw still tells.
    let forged: Vec<Payload> = entries.iter().map(|entry| entry.payload.clone()).collect();
    let mut head = Head::new(EXPERIMENT);
    let rewritten: Vec<Entry> = entries
        .iter()
        .zip(forged)
        .map(|(entry, payload)| {
            head.append(entry.id, entry.decision_type, entry.created_at_us, payload)
        })
        .collect();
    show(
        "row 3 altered, all hashes rewritten",
        verify(&rewritten, &draw_key),
    );

    entries[2].payload = sound;
    entries.remove(3);
    show("row 4 removed", verify(&entries, &draw_key));
    Ok(())
}

fn genesis(draw_key: &DrawKey) -> Genesis {
    let arm = |name: &str, id| GenesisArm {
        name: name.into(),
        variants: vec![Uuid::from_u128(id)],
    };
    Genesis {
        origin: format!("samplit.example/exp/{EXPERIMENT}"),
        strategy: Strategy::Adaptive,
        policy: Policy::Thompson,
        prior: Prior {
            alpha: 1.0,
            beta: 1.0,
        },
        floor_ppb: 10_000_000,
        warm_up: 100,
        draw_key_commitment: draw_key.commitment(EXPERIMENT),
        max_snapshot_lag_us: 5_000_000,
        config_sha256: samplit_audit::Hash::of(b"configuration"),
        hypothesis_sha256: None,
        mode: Mode::Single,
        elements: PerElement::One(GenesisElement {
            element_id: None,
            arms: vec![arm("control", 1), arm("green button", 2)],
            weights_ppb: WEIGHTS.to_vec(),
        }),
        carried: Vec::new(),
    }
}

fn verify(entries: &[Entry], draw_key: &DrawKey) -> Result<Report, Failure> {
    let options = Options {
        replay: true,
        draw_key: Some(draw_key.clone()),
        ..Options::default()
    };
    let mut verifier = Verifier::new(EXPERIMENT, options);
    for entry in entries {
        verifier.push_entry(&entry.as_ref())?;
    }
    verifier.finish()
}

fn show(what: &str, result: Result<Report, Failure>) {
    match result {
        Ok(_) => say(&format!("{what}: not noticed")),
        Err(failure) => {
            say(&format!(
                "{what}: {failure} (exit code {})",
                failure.kind.exit_code()
            ));
        }
    }
}

#[expect(clippy::print_stdout, reason = "an example talks to its reader")]
fn say(line: &str) {
    println!("{line}");
}
