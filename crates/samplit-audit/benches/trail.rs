//! Entries per second: appending to a trail, verifying one, and proving and verifying parts of one.

#[expect(
    dead_code,
    reason = "only sound trails of the small world are used here"
)]
#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use samplit_audit::{
    EntryRef, Hash, Head, Options, Payload, TypedPayload, Verifier, bundle,
    merkle::{Plan, Subtrees, inclusion_proof},
    payload::Mode,
    receipt::{self, ReceiptOptions},
};
use support::{EXPERIMENT, World, draw_key, rule, verifying_key};
use uuid::Uuid;

const ENTRIES: u32 = 20_000;

/// A trail of new visitors of whom every tenth converts, with a reallocation every 500.
fn world() -> World {
    let mut world = World::new(Mode::Single);
    let mut number = 0;
    while world.head.size() < u64::from(ENTRIES) {
        world.assign(&format!("visitor-{number}"));
        if number % 10 == 0 {
            world.convert(number);
        }
        if number % 500 == 499 {
            world.reallocate();
        }
        number += 1;
    }
    world
}

fn append(c: &mut Criterion) {
    let world = world();
    let decision = world.decide("visitor-1", 0);
    let payload = decision.to_payload().expect("of the profile");
    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Elements(u64::from(ENTRIES)));
    group.bench_function("payload: pseudonym, draw, canonical bytes, hash", |b| {
        b.iter(|| {
            (0..ENTRIES)
                .map(|_| world.decide("visitor-1", 0).to_payload())
                .collect::<Vec<_>>()
        });
    });
    group.bench_function("chain under the lock", |b| {
        b.iter_batched(
            || vec![payload.clone(); ENTRIES as usize],
            |payloads| {
                let mut head = Head::new(EXPERIMENT);
                let append = |payload| {
                    let kind = samplit_audit::DecisionType::Assignment;
                    head.append(Uuid::from_u128(1), kind, 0, payload)
                };
                payloads.into_iter().map(append).collect::<Vec<_>>()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn verify(c: &mut Criterion) {
    let world = world();
    let bundle = world.bundle();
    let mut group = c.benchmark_group("verify");
    group.throughput(Throughput::Elements(world.head.size()));
    group.bench_function("bundle, chain and root", |b| {
        b.iter(|| bundle::verify(bundle.as_slice(), Options::default()).expect("sound"));
    });
    let texts: Vec<String> = world
        .entries
        .iter()
        .map(|entry| entry.payload.to_json().to_string())
        .collect();
    group.bench_function("rows whose payload is JSON text, chain and root", |b| {
        b.iter(|| {
            let mut verifier = Verifier::new(EXPERIMENT, Options::default());
            for (entry, text) in world.entries.iter().zip(&texts) {
                let payload = Payload::from_text(text.as_bytes()).expect("of the profile");
                let row = EntryRef {
                    payload: payload.bytes(),
                    ..entry.as_ref()
                };
                verifier.push_entry(&row).expect("sound");
            }
            verifier.finish().expect("sound")
        });
    });
    group.bench_function("bundle, with replay, rule and draw key", |b| {
        b.iter(|| {
            let options = Options {
                replay: true,
                draw_key: Some(draw_key()),
                rule: Some(Box::new(rule)),
                ..Options::default()
            };
            bundle::verify(bundle.as_slice(), options).expect("sound")
        });
    });
    group.finish();
}

/// A receipt of one assignment in a trail of 20,000 entries, with its signature.
fn receipts(c: &mut Criterion) {
    let mut world = world();
    world.checkpoint();
    let bytes = world.receipt(&[10_000]);
    let options = ReceiptOptions {
        keys: vec![verifying_key()],
        visitor: None,
    };
    c.bench_function("receipt/verify", |b| {
        b.iter(|| receipt::verify(&bytes, &options).expect("sound"));
    });
}

/// Proofs of a trail of a million entries.
fn proofs(c: &mut Criterion) {
    const SIZE: u64 = 1_000_000;
    let trail: Vec<Hash> = (0..SIZE)
        .map(|index| Hash::of(&index.to_be_bytes()))
        .collect();
    let mut subtrees = Subtrees::new();
    subtrees.extend(trail.iter().copied());
    let prove = |plan: Plan| {
        let leaves: Vec<Hash> = plan
            .reads()
            .into_iter()
            .flat_map(|range| range.map(|index| trail[usize::try_from(index).expect("in memory")]))
            .collect();
        plan.compute(leaves).expect("all leaves")
    };
    let mut group = c.benchmark_group("proof, of a million entries");
    group.bench_function("inclusion, from subtrees", |b| {
        b.iter(|| prove(subtrees.inclusion(345_678, SIZE).expect("inside")));
    });
    group.bench_function("consistency, from subtrees", |b| {
        b.iter(|| prove(subtrees.consistency(345_678, SIZE).expect("inside")));
    });
    group.sample_size(10);
    group.bench_function("inclusion, from all leaves", |b| {
        b.iter(|| inclusion_proof(345_678, SIZE, trail.iter().copied()).expect("inside"));
    });
    group.finish();
}

criterion_group!(benches, append, verify, receipts, proofs);
criterion_main!(benches);
