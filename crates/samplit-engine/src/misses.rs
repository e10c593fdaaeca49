//! Reports of elements that were not there, told apart, so that one which comes again counts once.
//!
//! In memory and for a while: how often a page lacks an element is a hint for whoever runs the
//! experiment, and not worth a row per report. A repeat that reaches another process, or this one
//! after a new start, counts again.

use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use ring::digest::{Context, SHA256};
use samplit_domain::PageEvent;

/// How long a report is remembered. A page repeats one for a minute or so, the next page of its
/// visitor once more.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// The most reports remembered; beyond, the oldest are forgotten sooner.
const MAX_REPORTS: u64 = 100_000;

/// A report of one visitor, by its event id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MissDigest([u8; 32]);

impl MissDigest {
    pub(crate) fn new(visitor: &str, event: &PageEvent) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(event.experiment_id.0.as_bytes());
        context.update(&visitor.len().to_be_bytes());
        context.update(visitor.as_bytes());
        context.update(event.id.as_bytes());
        let digest = context.finish();
        Self(digest.as_ref().try_into().expect("SHA-256 gives 32 bytes"))
    }
}

/// Reports that were counted.
pub(crate) fn counted() -> Cache<MissDigest, ()> {
    Cache::builder()
        .max_capacity(MAX_REPORTS)
        .time_to_live(REMEMBERED_FOR)
        .eviction_policy(EvictionPolicy::lru())
        .build()
}
