#![doc = include_str!("../README.md")]

mod api;
mod app;
mod call;
mod chart;
mod config;
mod fields;
mod json;
mod limit;
mod meter;
mod ops;
mod page;
mod problem;
mod query;
mod readiness;
mod request_id;
mod response;
mod router;
mod routes;
mod server;
mod service;
mod verify_page;

pub use config::{HttpConfig, Listeners, LogFilter};
pub use server::{Drain, serve};
