//! The snippet in a real Chromium, on pages of a site that the tests serve.

mod content;
mod counting;
mod flicker;
mod patterns;
mod privacy;
mod real;
mod site;
mod travel;
