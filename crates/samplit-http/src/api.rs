//! The routes under `/v1`: what each reads, asks of the engine, and writes.

pub(crate) mod audit;
pub(crate) mod custody;
mod draft;
pub(crate) mod editor;
pub(crate) mod exclusions;
mod experiment_json;
pub(crate) mod experiments;
pub(crate) mod exports;
pub(crate) mod forecast;
pub(crate) mod installations;
pub(crate) mod ofrep;
mod page_body;
pub(crate) mod pages;
pub(crate) mod preview;
pub(crate) mod proofs;
pub(crate) mod registration;
pub(crate) mod results;
pub(crate) mod segments;
pub(crate) mod selector_misses;
pub(crate) mod shops;
pub(crate) mod timeline;
mod visit;
pub(crate) mod visits;
pub(crate) mod what_if;
