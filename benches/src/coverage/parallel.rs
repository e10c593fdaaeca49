//! Many independent computations on all cores, with results in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};

/// `work(0..items)` on `threads` threads. The order of the results does not depend on them, nor
/// may the results.
///
/// # Errors
/// The first failure in order, if any.
pub(crate) fn map<T: Send>(
    items: usize,
    threads: usize,
    progress: &ProgressBar,
    work: impl Fn(usize) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let item = next.fetch_add(1, Ordering::Relaxed);
            if item >= items {
                return done;
            }
            done.push((item, work(item)));
            progress.inc(1);
        }
    };
    let mut all = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(worker)).collect();
        let joined = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.flatten().collect::<Vec<_>>()
    });
    all.sort_by_key(|(item, _)| *item);
    all.into_iter().map(|(_, result)| result).collect()
}

/// As many as the machine has.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// A bar on the terminal; nothing where there is none.
pub(crate) fn bar(items: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    let bar = ProgressBar::new(items as u64).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
