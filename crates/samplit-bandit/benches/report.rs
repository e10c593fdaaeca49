//! What one arm costs on the results page: its lift over control, its interval.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use samplit_bandit::{Beta, lift};

fn report(criterion: &mut Criterion) {
    let arm = Beta::new(10_660.0, 193_600.0).expect("in range");
    let control = Beta::new(510.0, 9_510.0).expect("in range");
    criterion.bench_function("lift", |b| {
        b.iter(|| lift(black_box(&arm), black_box(&control), 0.95));
    });
    criterion.bench_function("interval", |b| b.iter(|| black_box(&arm).interval(0.95)));
}

criterion_group!(benches, report);
criterion_main!(benches);
