//! The dashboard: pages for people, made on the server; they work without scripts, which only add to
//! them. What a page does, it does through the engine as the API does, and forms are read by the
//! readers of the API, so that a rule stands in one place.

mod activity;
pub(crate) mod assets;
mod backtest;
mod device;
mod door;
mod exclusions;
mod experiment;
mod experiments;
pub(crate) mod field;
pub(crate) mod form;
pub(crate) mod format;
mod funnels;
mod installations;
mod join;
mod keys;
pub(crate) mod layout;
mod leads;
pub(crate) mod list;
pub(crate) mod notice;
mod onboarding;
mod outlook;
mod overview;
mod planner;
mod plans;
pub(crate) mod refusal;
pub(crate) mod routes;
#[cfg(test)]
mod sample;
mod settings;
mod users;
mod visitors;
mod webhooks;
