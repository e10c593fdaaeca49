//! The probability of being best: what one reallocation costs.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use samplit_bandit::{Counts, Prior, p_best};

/// Arms that overlap fully or not at all: the dearest and the cheapest race.
fn races(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("p_best");
    for arms in [2u64, 5, 10, 20] {
        for (name, lift) in [("close", 3), ("apart", 300)] {
            let posteriors: Vec<_> = (0..arms)
                .map(|i| Counts {
                    n: 10_000 + 97 * i,
                    s: 500 + lift * i,
                })
                .map(|counts| Prior::default().posterior(counts).expect("s <= n"))
                .collect();
            group.bench_with_input(
                BenchmarkId::new(name, arms),
                &posteriors,
                |b, posteriors| {
                    b.iter(|| p_best(black_box(posteriors)));
                },
            );
        }
    }
    group.finish();
}

criterion_group!(benches, races);
criterion_main!(benches);
