//! Selectors, as drafted and as read back.

#![no_main]

#[path = "../../crates/samplit-domain/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::selector(data));
