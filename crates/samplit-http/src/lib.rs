#![doc = include_str!("../README.md")]

mod address;
mod api;
mod app;
mod call;
mod chart;
mod config;
mod cors;
mod dashboard;
mod fetch;
mod fields;
mod json;
mod limit;
mod meter;
mod ops;
mod page;
mod picker;
mod problem;
mod query;
mod readiness;
mod request_id;
mod response;
mod router;
mod routes;
mod server;
mod service;
mod session_cookie;
mod shared;
mod snippet;
pub mod snippet_source;
mod sse;
mod verify_page;

pub use address::is_public_address;
pub use config::{HttpConfig, Listeners, LogFilter};
pub use fetch::{FetchFailure, FetchedPage, PageFetcher};
pub use routes::{pages, routes};
pub use server::{Drain, serve};
