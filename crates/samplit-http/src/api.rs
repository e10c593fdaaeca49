//! The routes under `/v1`: what each reads, asks of the engine, and writes.

pub(crate) mod audit;
mod draft;
mod experiment_json;
pub(crate) mod experiments;
pub(crate) mod results;
mod visit;
pub(crate) mod visits;
