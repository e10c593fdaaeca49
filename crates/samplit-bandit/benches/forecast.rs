//! Ten thousand simulated experiments of 20,000 visitors and three arms.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rand::{SeedableRng, rngs::ChaCha12Rng};
use samplit_bandit::{Minimums, Rule, Scenario, StoppingRule, forecast};

fn simulate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forecast");
    group.sample_size(10);
    for (name, stopping) in [
        ("horizon", StoppingRule::Visitors { total: 20_000 }),
        ("loss", StoppingRule::ExpectedLoss { below: 1e-6 }),
        ("sequence", StoppingRule::ConfidenceSequence),
    ] {
        let scenario = Scenario {
            rates: vec![0.05, 0.055, 0.06],
            visitors_per_day: 1_000,
            days: 20,
            batches_per_day: 1,
            rule: Rule::default(),
            stopping,
            minimums: Minimums::default(),
        };
        group.bench_function(name, |b| {
            b.iter(|| {
                forecast(
                    black_box(&scenario),
                    10_000,
                    &mut ChaCha12Rng::seed_from_u64(1),
                )
            });
        });
    }
    group.finish();
}

criterion_group!(benches, simulate);
criterion_main!(benches);
