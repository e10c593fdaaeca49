//! The routes under `/v1`: what each reads, asks of the engine, and writes.

pub(crate) mod audit;
mod draft;
mod experiment_json;
pub(crate) mod experiments;
pub(crate) mod forecast;
pub(crate) mod results;
pub(crate) mod segments;
pub(crate) mod timeline;
mod visit;
pub(crate) mod visits;
pub(crate) mod what_if;
