//! The snippet in a real Chromium, on pages of a site that the tests serve.

mod flicker;
mod site;
