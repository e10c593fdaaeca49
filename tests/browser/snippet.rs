//! The snippet in a real Chromium, on pages of a site that the tests serve.

mod content;
mod counting;
mod customer;
mod flicker;
mod funnel;
mod patterns;
mod privacy;
mod real;
mod sharing;
mod site;
mod travel;
mod whole;

pub(crate) use site::PATIENT;
